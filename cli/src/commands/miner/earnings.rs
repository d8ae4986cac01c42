//! What a miner earned, and is owed.

use super::{leave::no_vm, node_id, nodes, own_node};
use crate::{
    context::Context,
    failure::Failure,
    output::{or_dash, table, Paint, Show},
    signer,
    units::{rough, time_of, Price, Qry, Span},
    vm,
};
use quarry_client::{bindings, At, Chain, Happened, Perbill};
use quarry_primitives::{
    api::NodeView, request::Lease, Balance, BlockNumber, NodeId, RequestId, MILLISECS_PER_BLOCK,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::task::JoinSet;

/// Blocks that are asked for at once.
const AT_ONCE: u32 = 16;
const DAY: Span = Span(Duration::from_secs(24 * 3_600));

/// Since when, and of which node.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry miner earnings\n  quarry miner earnings --since 7days --node my-node\n\nChain nodes that prune tell of some hundred blocks only, unless they are archives (--state-pruning archive)."
)]
pub struct Args {
    /// How far to look back, as 24h (the default) or 7days.
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Of this node only.
    #[arg(long, value_name = "NODE", value_parser = node_id)]
    node: Option<NodeId>,
}

/// Which VMs.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner settle")]
pub struct SettleArgs {
    /// The VMs' numbers; all on your nodes where none is named.
    #[arg(value_name = "VM")]
    vms: Vec<RequestId>,
}

#[derive(Serialize)]
struct Earnings {
    miner: String,
    /// How far back was asked for.
    since_seconds: u64,
    /// How far back the chain node could tell.
    covered_seconds: u64,
    /// Paid out in that time, the treasury's share left out.
    settled: Qry,
    /// Served and not paid out yet.
    accruing: Qry,
    /// What could not be paid out, and can be claimed.
    credit: Qry,
    vms: Vec<Row>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    id: String,
    node: String,
    /// None once it left the node.
    status: Option<&'static str>,
    /// What the miner gets of its rent.
    income: Option<Price>,
    settled: Qry,
    accruing: Qry,
}

impl Show for Earnings {
    fn text(&self, paint: Paint) -> String {
        let mut text = match self.vms.is_empty() {
            true => "no VMs, and none were paid for in this time".to_owned(),
            false => {
                let rows = self.vms.iter().map(|row| {
                    [
                        row.id.clone(),
                        row.node.clone(),
                        row.status
                            .map_or_else(|| "gone".into(), |status| vm::painted(status, paint)),
                        or_dash(row.income.map(|income| income.hour)),
                        row.settled.to_string(),
                        row.accruing.to_string(),
                    ]
                });
                table(["VM", "NODE", "STATUS", "QRY/HOUR", "SETTLED", "ACCRUING"], rows)
            }
        };
        let spans = |seconds| rough(Duration::from_secs(seconds));
        text.push_str(&format!(
            "\n\nsettled   {}, in the last {}\naccruing  {}; `quarry miner settle` has it paid\n",
            paint.strong(&self.settled.with_symbol()),
            spans(self.covered_seconds),
            paint.strong(&self.accruing.with_symbol()),
        ));
        if self.credit.0 > 0 {
            let credit = self.credit.with_symbol();
            text.push_str(&format!("credit    {credit}; `quarry miner claim-credit` takes it\n"));
        }
        if self.covered_seconds < self.since_seconds {
            text.push_str(&paint.faint(&format!(
                "This chain node knows no more than the last {}: an archive node tells of all {}.",
                spans(self.covered_seconds),
                spans(self.since_seconds),
            )));
        }
        text
    }
}

/// What was paid for one VM in one block.
#[derive(Clone, Debug, PartialEq)]
struct Paid {
    node: NodeId,
    request_id: RequestId,
    amount: Balance,
}

impl Paid {
    fn of(event: &Happened) -> Option<Self> {
        let settled = event.pallet == "Compute" && event.event == "LeaseSettled";
        let node = event.bytes("node_id").filter(|_| settled)?;
        Some(Self {
            node: NodeId::try_from(node).ok()?,
            request_id: event.request_id()?,
            amount: event.amount("miner_share")?,
        })
    }
}

/// A VM that a node has.
struct Running {
    node: NodeId,
    request_id: RequestId,
    status: &'static str,
    income: Balance,
    accruing: Balance,
}

/// Adds it all up.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let now = context.now().await?;
    let nodes = nodes_meant(context, &now, args.node.as_ref()).await?;
    let miner = context.account().await?;
    let running = context.out.waiting("the nodes' VMs", running(&now, &nodes)).await?;
    let since = args.since.unwrap_or(DAY);
    let names: BTreeSet<_> = nodes.into_iter().map(|view| view.node_id).collect();
    let blocks = since.blocks().unwrap_or(BlockNumber::MAX);
    let (paid, covered) = if names.is_empty() {
        (Vec::new(), blocks)
    } else {
        let words = format!("what happened in the last {}", rough(since.0));
        context.out.waiting(&words, look_back(context, blocks)).await?
    };
    let rows = rows(running, paid.into_iter().filter(|paid| names.contains(&paid.node)));
    let sum = |of: fn(&Row) -> Qry| {
        Qry(rows.iter().fold(0, |sum: Balance, row| sum.saturating_add(of(row).0)))
    };
    Ok(context.out.show(&Earnings {
        miner: signer::address_of(&miner),
        since_seconds: since.0.as_secs(),
        covered_seconds: time_of(covered).as_secs().min(since.0.as_secs()),
        settled: sum(|row| row.settled),
        accruing: sum(|row| row.accruing),
        credit: Qry(now.credit(&miner).await?),
        vms: rows,
    })?)
}

async fn nodes_meant(
    context: &Context,
    now: &At,
    node: Option<&NodeId>,
) -> Result<Vec<NodeView>, Failure> {
    match node {
        Some(node_id) => Ok(vec![own_node(context, now, node_id).await?]),
        None => nodes::of(now, &context.account().await?).await,
    }
}

async fn running(now: &At, nodes: &[NodeView]) -> Result<Vec<Running>, Failure> {
    let share = now.treasury_share().await?;
    let mut found = Vec::new();
    for view in nodes {
        for item in now.work_for(&view.node_id).await? {
            let Some(vm) = now.vm(item.request_id).await? else { continue };
            let lease = vm.lease.as_ref();
            found.push(Running {
                node: view.node_id.clone(),
                request_id: item.request_id,
                status: vm::status(&vm),
                income: lease.map_or(0, |lease| income(lease, share)),
                accruing: lease.map_or(0, |lease| owed(lease, view.node.served, share)),
            });
        }
    }
    Ok(found)
}

/// What the miner gets of a rent for `blocks`, as the chain works it out when it settles.
fn miners_part(lease: &Lease, blocks: BlockNumber, share: Perbill) -> Balance {
    let times = |price: Balance| price.saturating_mul(blocks.into());
    let due = times(lease.price).min(lease.held);
    let rent = due.saturating_sub(times(lease.ip_fee).min(due));
    rent.saturating_sub(share.mul_ceil(rent))
}

/// What the node served and was not paid for.
fn owed(lease: &Lease, served: BlockNumber, share: Perbill) -> Balance {
    let blocks = lease.mark.map_or(0, |mark| served.saturating_sub(mark));
    miners_part(lease, blocks, share)
}

/// What a block brings.
fn income(lease: &Lease, share: Perbill) -> Balance {
    let rent = lease.price.saturating_sub(lease.ip_fee);
    rent.saturating_sub(share.mul_ceil(rent))
}

/// The payments of as many blocks as the chain node still has, and how many those are.
async fn look_back(context: &Context, blocks: BlockNumber) -> Result<(Vec<Paid>, u32), Failure> {
    let chain = context.chain().await?;
    let last = chain.ready().await.1.block.number;
    // Block 0 has no events.
    let first = last.saturating_sub(blocks).saturating_add(1);
    let mut paid = Vec::new();
    let mut next = last;
    while next >= first {
        let down_to = next.saturating_sub(AT_ONCE - 1).max(first);
        let mut asked = JoinSet::new();
        for number in down_to..=next {
            let chain = chain.clone();
            asked.spawn(async move { (number, payments(&chain, number).await) });
        }
        let mut told: Vec<_> = asked.join_all().await;
        told.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        for (number, told) in told {
            match told {
                Ok(told) => paid.extend(told),
                Err(error) => {
                    // A chain node that is gone is not one that forgot.
                    context.now().await?.live_blocks().await?;
                    return match number == last {
                        true => Err(error),
                        false => Ok((paid, last.saturating_sub(number))),
                    };
                }
            }
        }
        next = down_to.saturating_sub(1);
    }
    Ok((paid, blocks))
}

async fn payments(chain: &Chain, number: BlockNumber) -> Result<Vec<Paid>, Failure> {
    let block = chain.block(number).await?;
    Ok(chain.happened(block).await?.iter().filter_map(Paid::of).collect())
}

/// A row for each VM: those that are there first, then those that left.
fn rows(running: Vec<Running>, paid: impl Iterator<Item = Paid>) -> Vec<Row> {
    let mut sums: BTreeMap<(RequestId, NodeId), Balance> = BTreeMap::new();
    for Paid { node, request_id, amount } in paid {
        let sum = sums.entry((request_id, node)).or_default();
        *sum = sum.saturating_add(amount);
    }
    let mut rows: Vec<_> = running
        .into_iter()
        .map(|vm| Row {
            id: vm.request_id.to_string(),
            settled: Qry(sums.remove(&(vm.request_id, vm.node.clone())).unwrap_or_default()),
            node: vm.node.to_string(),
            status: Some(vm.status),
            income: (vm.income > 0).then(|| Price::per_block(vm.income)),
            accruing: Qry(vm.accruing),
        })
        .collect();
    rows.extend(sums.into_iter().map(|((id, node), sum)| Row {
        id: id.to_string(),
        node: node.to_string(),
        status: None,
        income: None,
        settled: Qry(sum),
        accruing: Qry(0),
    }));
    rows
}

#[derive(Serialize)]
struct Settled {
    vms: Vec<SettledVm>,
    /// What the miner got in all.
    paid: Qry,
}

#[derive(Serialize)]
struct SettledVm {
    id: String,
    node: Option<String>,
    /// What its miner got.
    paid: Qry,
    /// For so long.
    seconds: u64,
    error: Option<String>,
}

impl Show for Settled {
    fn text(&self, paint: Paint) -> String {
        if self.vms.is_empty() {
            return "nothing is owed now".into();
        }
        let rows = self.vms.iter().map(|vm| {
            let span = rough(Duration::from_secs(vm.seconds));
            let what = match &vm.error {
                Some(why) => paint.bad(why),
                None => format!("{} for {span}", vm.paid.with_symbol()),
            };
            [vm.id.clone(), or_dash(vm.node.as_ref()), what]
        });
        let table = table(["VM", "NODE", "PAID"], rows);
        format!("{table}\n\n{} in all", paint.strong(&self.paid.with_symbol()))
    }
}

/// Has the rent paid.
pub async fn settle(context: &Context, args: SettleArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let vms = match args.vms.is_empty() {
        true => {
            let nodes = nodes_meant(context, &now, None).await?;
            let running = running(&now, &nodes).await?;
            let owed = running.into_iter().filter(|vm| vm.accruing > 0);
            owed.map(|vm| (vm.request_id, Some(vm.node))).collect::<Vec<_>>()
        }
        false => {
            let mut vms = Vec::with_capacity(args.vms.len());
            for id in args.vms {
                let vm = now.vm(id).await?.ok_or_else(|| no_vm(id))?;
                vm.lease.as_ref().ok_or_else(|| Failure::refused("Compute.LeaseClosed"))?;
                vms.push((id, vm.request.miner_id));
            }
            vms
        }
    };
    let calls = vms.iter().map(|(id, _)| bindings::tx().compute().settle(*id)).collect::<Vec<_>>();
    let ends = match calls.is_empty() {
        true => Vec::new(),
        false => context.submit_all("the settlement", calls).await?,
    };
    let mut failed = None;
    let mut rows = Vec::with_capacity(vms.len());
    for ((id, node), end) in vms.into_iter().zip(ends) {
        let included = end.as_ref().ok();
        let event = included.and_then(|end| end.find::<bindings::compute::events::LeaseSettled>());
        let blocks = event.as_ref().map_or(0, |event| event.blocks);
        rows.push(SettledVm {
            id: id.to_string(),
            node: node.map(|node| node.to_string()),
            paid: Qry(event.map_or(0, |event| event.miner_share)),
            seconds: u64::from(blocks).saturating_mul(MILLISECS_PER_BLOCK) / 1_000,
            error: end.as_ref().err().map(ToString::to_string),
        });
        failed = failed.or(end.err());
    }
    let paid = Qry(rows.iter().fold(0, |sum: Balance, vm| sum.saturating_add(vm.paid.0)));
    context.out.show(&Settled { vms: rows, paid })?;
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const SHARE: Perbill = Perbill::from_percent(5);

    fn lease(price: Balance, held: Balance, mark: Option<BlockNumber>) -> Lease {
        Lease {
            held,
            node: None,
            rates: None,
            price,
            ip_fee: 0,
            mark,
            billed: 0,
            exhausted: false,
            boot_on_top_up: false,
            ends_at: None,
            check_at: None,
        }
    }

    fn node(name: &str) -> NodeId {
        NodeId::try_from(name).unwrap()
    }

    #[test]
    fn what_accrues_is_the_rent_less_the_treasurys_share_rounded_up() {
        assert_eq!(owed(&lease(1_000, 1_000_000, Some(10)), 110, SHARE), 95_000);
        assert_eq!(owed(&lease(7, 1_000_000, Some(10)), 11, SHARE), 6);
        assert_eq!(income(&lease(1_000, 0, None), SHARE), 950);
    }

    #[test]
    fn nothing_accrues_before_it_ran_and_never_more_than_is_held() {
        assert_eq!(owed(&lease(1_000, 1_000_000, None), 110, SHARE), 0);
        assert_eq!(owed(&lease(1_000, 1_000_000, Some(120)), 110, SHARE), 0);
        assert_eq!(owed(&lease(1_000, 2_000, Some(10)), 110, SHARE), 1_900);
    }

    #[test]
    fn an_address_of_the_common_pool_earns_its_miner_nothing() {
        let lease = Lease { ip_fee: 400, ..lease(1_000, 1_000_000, Some(10)) };
        assert_eq!(owed(&lease, 20, SHARE), 5_700);
        assert_eq!(income(&lease, SHARE), 570);
    }

    #[test]
    fn payments_are_summed_by_vm_and_those_that_left_come_last() {
        let vm = |request_id| Running {
            node: node("alpha"),
            request_id,
            status: "running",
            income: 95,
            accruing: 3,
        };
        let paid = |request_id, name, amount| Paid { node: node(name), request_id, amount };
        let paid =
            vec![paid(1, "alpha", 5), paid(2, "beta", 7), paid(1, "alpha", 6), paid(3, "beta", 1)];
        let rows = rows(vec![vm(3), vm(1)], paid.into_iter());
        let short: Vec<_> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.node.as_str(), row.status, row.settled.0))
            .collect();
        assert_eq!(
            short,
            [
                ("3", "alpha", Some("running"), 0),
                ("1", "alpha", Some("running"), 11),
                ("2", "beta", None, 7),
                ("3", "beta", None, 1),
            ]
        );
        assert_eq!(rows[0].income.unwrap().hour, Qry(95 * 600));
    }
}
