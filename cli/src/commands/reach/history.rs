//! What happened to a VM, by the blocks that the chain node still has the state of.

use crate::{context::Context, failure::Failure, units::Qry};
use quarry_client::{Chain, Happened, ReadError};
use quarry_primitives::{api::VmView, request::RequestId, BlockNumber, MILLISECS_PER_BLOCK};
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

/// So many blocks are asked for at once.
const AT_ONCE: u32 = 16;
/// How far it got is told after so long, and whenever it went back so many blocks more.
const SILENCE: Duration = Duration::from_secs(2);
const TOLD_EVERY: u32 = 1_000;

/// What happened, the oldest first.
#[derive(Debug, Serialize)]
pub struct History {
    /// The first block that was looked at.
    pub from_block: BlockNumber,
    /// The last one.
    pub to_block: BlockNumber,
    /// Whether it goes back to the request itself.
    pub complete: bool,
    /// Whether it ends where the chain node has no older state.
    pub pruned: bool,
    /// What happened.
    pub events: Vec<Entry>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// In this block.
    pub block: BlockNumber,
    /// When that was, within some seconds.
    pub about: String,
    /// What the chain calls it.
    pub event: String,
    /// In words.
    pub text: String,
}

/// Reads it, back to the request or as far as is wanted.
pub async fn read(
    context: &Context,
    vm: &VmView,
    most: Option<BlockNumber>,
) -> Result<History, Failure> {
    let chain = context.chain().await?;
    let (_, finalized) = chain.ready().await;
    let (to_block, read_at) = (finalized.block.number, SystemTime::now());
    let last = most.map_or(1, |most| to_block.saturating_sub(most).max(1));
    let mut history = History {
        from_block: to_block,
        to_block,
        complete: false,
        pruned: false,
        events: Vec::new(),
    };
    let begun = Instant::now();
    let mut waiting = None;
    let mut next = Some(to_block);
    while let Some(newest) = next {
        let oldest = newest.saturating_sub(AT_ONCE - 1).max(last);
        if begun.elapsed() > SILENCE {
            let step = newest.div_ceil(TOLD_EVERY).saturating_mul(TOLD_EVERY);
            let words = format!("the history, back from block {step}");
            waiting.get_or_insert_with(|| context.out.wait(&words)).is_for(&words);
        }
        let mut blocks = window(chain, vm.request.request_id, oldest, newest).await;
        while let Some((number, happened)) = blocks.pop() {
            match happened {
                Ok(happened) => {
                    history.from_block = number;
                    history.complete |= happened.iter().any(|it| it.event == CREATED);
                    let about = time_of(read_at, to_block, number);
                    let entry = |it: &Happened| Entry {
                        block: number,
                        about: about.clone(),
                        event: it.event.clone(),
                        text: words(&it.event, &Told::of(it)),
                    };
                    history.events.extend(happened.iter().rev().map(entry));
                }
                Err(error) if is_pruned(&error) => history.pruned = true,
                Err(error) => return Err(error.into()),
            }
            if history.complete || history.pruned {
                break;
            }
        }
        let goes_on = !history.complete && !history.pruned && oldest > last;
        next = goes_on.then(|| oldest.saturating_sub(1));
    }
    history.events.reverse();
    Ok(history)
}

const CREATED: &str = "ComputeRequestCreated";

type Found = (BlockNumber, Result<Vec<Happened>, ReadError>);

/// What happened to the VM in each of these blocks, the oldest first.
async fn window(
    chain: &Chain,
    id: RequestId,
    oldest: BlockNumber,
    newest: BlockNumber,
) -> Vec<Found> {
    let mut tasks = JoinSet::new();
    for number in oldest..=newest {
        let chain = chain.clone();
        tasks.spawn(async move { (number, in_block(&chain, id, number).await) });
    }
    let mut found = tasks.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    found
}

async fn in_block(
    chain: &Chain,
    id: RequestId,
    number: BlockNumber,
) -> Result<Vec<Happened>, ReadError> {
    let block = chain.block(number).await?;
    let mut happened = chain.happened(block).await?;
    happened.retain(|it| it.pallet == "Compute" && it.request_id() == Some(id));
    Ok(happened)
}

/// Chain nodes say so in words of their own.
fn is_pruned(error: &ReadError) -> bool {
    let said = error.to_string();
    matches!(error, ReadError::Missing(_))
        || ["discarded", "UnknownBlock", "pruned"].iter().any(|word| said.contains(word))
}

/// Blocks come every six seconds, or seldom later.
fn time_of(now: SystemTime, latest: BlockNumber, number: BlockNumber) -> String {
    let blocks = latest.saturating_sub(number);
    let ago = Duration::from_millis(MILLISECS_PER_BLOCK.saturating_mul(blocks.into()));
    let time = now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// What an event says beside its name.
#[derive(Debug, Default)]
struct Told {
    node: Option<String>,
    reason: Option<String>,
    variant: Option<String>,
    amount: Option<u128>,
    claimed: bool,
    pending: bool,
    at: Option<u128>,
}

impl Told {
    fn of(happened: &Happened) -> Self {
        let text =
            |field: &str| Some(String::from_utf8_lossy(&happened.bytes(field)?).into_owned());
        let amount = ["miner_share", "amount", "refunded"].into_iter();
        Self {
            node: text("node_id"),
            reason: text("reason"),
            variant: happened.variant("operation").or_else(|| happened.variant("kind")),
            amount: amount.filter_map(|field| happened.amount(field)).next().map(|amount| {
                amount.saturating_add(happened.amount("treasury_share").unwrap_or_default())
            }),
            claimed: happened.flag("claimed"),
            pending: happened.flag("pending"),
            at: happened.number("at"),
        }
    }
}

fn words(event: &str, told: &Told) -> String {
    let node = told.node.as_deref().unwrap_or("its node");
    let reason = told.reason.as_deref().unwrap_or("no reason was given");
    let what = told.variant.as_deref().unwrap_or("operation").to_lowercase();
    let amount = Qry(told.amount.unwrap_or_default()).with_symbol();
    match event {
        CREATED => "asked for".into(),
        "ComputeRequestSubmitted" if told.claimed => format!("{node} took it"),
        "ComputeRequestSubmitted" => format!("given to {node}"),
        "ComputeRequestStarted" => format!("{node} launches it"),
        "ComputeRequestFulfilled" => "it runs".into(),
        "ComputeRequestFailed" if told.pending => {
            format!("failed on {node}, and waits for another: {reason}")
        }
        "ComputeRequestFailed" => format!("failed on {node}: {reason}"),
        "ComputeRequestCancelled" => "taken back".into(),
        "ComputeRequestDeleted" => "gone".into(),
        "ComputeRequestEvacuated" => format!("taken from {node}, which is gone"),
        "SshKeysSet" => "other SSH keys let in".into(),
        "ComputeBootRequested" => "a boot was asked for".into(),
        "ComputeStopRequested" => "a stop was asked for".into(),
        "ComputeRebootRequested" => "a reboot was asked for".into(),
        "ComputeResizeRequested" => "another plan was asked for".into(),
        "ComputeDeleteRequested" => "its deletion was asked for".into(),
        "ComputeBootRequestRemoved" => "it started".into(),
        "ComputeStopRequestRemoved" => "it stopped".into(),
        "ComputeRebootRequestFulfilled" => "it stopped and started".into(),
        "ComputeResizeRequestFulfilled" => "it has the other plan".into(),
        "ComputeDeletionRequestRemoved" => format!("gone from {node}"),
        "OperationFailed" => format!("the {what} failed: {reason}"),
        "DeadlineExpired" => format!("the chain stopped waiting ({what})"),
        "DeadlineFailed" => format!("the chain tries again later ({what})"),
        "LeaseSettled" => format!("{amount} of rent paid"),
        "LeaseExhausted" => "the prepaid rent is used up: it is stopped".into(),
        "LeaseToppedUp" => format!("{amount} more prepaid"),
        "LeaseEnding" => match told.at {
            Some(at) => format!("the miner ends the lease, at live block {at}"),
            None => "the miner ends the lease".into(),
        },
        "LeaseClosed" => format!("the lease is closed; {amount} came back"),
        "ClaimPenalized" => format!("the failed claim cost {node} {amount}"),
        "IpAssigned" => "it has an address of its own".into(),
        "IpReturned" => "its address was taken back".into(),
        other => other.to_owned(),
    }
}
