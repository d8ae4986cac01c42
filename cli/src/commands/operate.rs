//! What is asked of a VM that is there: boot, stop, reboot, resize, delete, and its rent.

use super::plans;
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    units::{rough, Price, Qry, Span},
    vm::{self, painted, VmRef},
};
use quarry_client::bindings;
use quarry_primitives::{api::VmView, request::OperationKind, Hash, RequestId};
use serde::Serialize;
use std::time::{Duration, Instant};
use subxt::tx::Payload;

/// Which VM.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry stop 12")]
pub struct Args {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
    #[command(flatten)]
    wait: WaitArgs,
}

/// How long to wait.
#[derive(clap::Args, Debug)]
pub struct WaitArgs {
    /// Return as soon as the chain has it, not when the node has done it.
    #[arg(long)]
    no_wait: bool,
}

/// Which VM, and which plan.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry resize 12 medium")]
pub struct ResizeArgs {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
    /// The new plan. A disk never shrinks.
    plan: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Which VMs.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry delete 12")]
pub struct DeleteArgs {
    /// The VMs' numbers or names.
    #[arg(value_name = "VM", required = true)]
    vms: Vec<VmRef>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Which VM, and how much more time.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry top-up 12 --for 7days")]
pub struct TopUpArgs {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
    /// How much more time, as 24h or 7days.
    #[arg(long = "for", value_name = "TIME")]
    span: Span,
}

/// What became of it.
#[derive(Serialize)]
struct Done {
    id: String,
    /// What the VM is in now; none where nothing of it is left.
    status: Option<&'static str>,
    /// Seconds from the command to that.
    seconds: f64,
    #[serde(skip)]
    words: String,
}

impl Show for Done {
    fn text(&self, paint: Paint) -> String {
        let status = match self.status {
            Some(status) => format!("VM {} is {}", self.id, painted(status, paint)),
            None => format!("VM {} is {}", self.id, paint.good("gone")),
        };
        format!("{status} {}{}", paint.faint(&format!("({:.0} s)", self.seconds)), self.words)
    }
}

/// Starts it.
pub async fn boot(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let call = bindings::tx().compute().request_compute_boot(vm.request.request_id);
    carry_out(context, &vm, "the boot", call, &args.wait).await
}

/// Stops it.
pub async fn stop(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let call = bindings::tx().compute().request_compute_stop(vm.request.request_id);
    carry_out(context, &vm, "the stop", call, &args.wait).await
}

/// Stops and starts it.
pub async fn reboot(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let call = bindings::tx().compute().request_compute_reboot(vm.request.request_id);
    carry_out(context, &vm, "the reboot", call, &args.wait).await
}

/// Gives it another plan.
pub async fn resize(context: &Context, args: ResizeArgs) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let plans = context.now().await?.plans().await?;
    let (plan_id, plan) = plans::named(&plans, &args.plan)?;
    if let Some(price) = vm.lease.as_ref().and_then(|lease| lease.rates?.price(&plan.resources)) {
        context.out.aside(&format!(
            "{} costs {} there, without an address; vCPUs and memory change at the VM's next start",
            args.plan,
            Price::per_block(price)
        ));
    }
    let call = bindings::tx().compute().request_compute_resize(vm.request.request_id, *plan_id);
    carry_out(context, &vm, "the resize", call, &args.wait).await
}

/// Deletes them, one after the other.
pub async fn delete(context: &Context, args: DeleteArgs) -> Result<(), Failure> {
    let mut vms = Vec::with_capacity(args.vms.len());
    for vm in &args.vms {
        vms.push(vm::find(context, vm).await?);
    }
    let names = vms.iter().map(|vm| format!("{} ({})", vm.request.request_id, vm.request.name));
    let names = names.collect::<Vec<_>>().join(", ");
    context.confirm_loss(&format!("Delete {names}, disk and all?"))?;
    for vm in &vms {
        let call = bindings::tx().compute().request_compute_delete(vm.request.request_id);
        carry_out(context, vm, "the deletion", call, &args.wait).await?;
    }
    Ok(())
}

/// Takes it back while no node has it.
pub async fn cancel(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let call = bindings::tx().compute().cancel_compute_request(vm.request.request_id);
    carry_out(context, &vm, "the cancellation", call, &WaitArgs { no_wait: true }).await
}

/// Takes it from a node that is gone.
pub async fn evacuate(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let (id, name) = (vm.request.request_id, &vm.request.name);
    context
        .confirm_loss(&format!("Launch {id} ({name}) anew on another node? Its disk is lost."))?;
    let call = bindings::tx().compute().evacuate(id);
    carry_out(context, &vm, "the evacuation", call, &WaitArgs { no_wait: true }).await
}

#[derive(Serialize)]
struct ToppedUp {
    id: String,
    seconds: u64,
    paid: Qry,
    held: Qry,
}

impl Show for ToppedUp {
    fn text(&self, paint: Paint) -> String {
        let span = rough(Duration::from_secs(self.seconds));
        let paid = self.paid.with_symbol();
        let held = paint.faint(&format!("({} held)", self.held.with_symbol()));
        format!("VM {} is paid for {span} more, for {paid} {held}", self.id)
    }
}

/// Pays for more time.
pub async fn top_up(context: &Context, args: TopUpArgs) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    let id = vm.request.request_id;
    let lease = vm.lease.as_ref().ok_or_else(|| Failure::refused("Compute.LeaseClosed"))?;
    let too_long = || Failure::refused("Compute.PrepaidTooLong");
    let blocks = args.span.blocks().ok_or_else(too_long)?;
    let price = if vm.request.is_assigned { lease.price } else { vm.request.max_price };
    let paid = price.checked_mul(blocks.into()).ok_or_else(too_long)?;
    let (paid, seconds) = (Qry(paid), args.span.0.as_secs());
    let span = rough(args.span.0);
    context.confirm(&format!("Pay {} for {span} more of VM {id}?", paid.with_symbol()))?;
    let included =
        context.submit("the top-up", bindings::tx().compute().top_up(id, blocks)).await?;
    let after = context.chain().await?.at(included.block.hash).vm(id).await?;
    let held = after.and_then(|vm| vm.lease).map_or(0, |lease| lease.held);
    Ok(context.out.show(&ToppedUp { id: id.to_string(), seconds, paid, held: Qry(held) })?)
}

/// Sends the call, and waits until the node has done it.
async fn carry_out(
    context: &Context,
    vm: &VmView,
    what: &str,
    call: impl Payload + Send + Sync + 'static,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let id = vm.request.request_id;
    let included = context.submit(what, call).await?;
    let done = async {
        match wait.no_wait {
            true => Ok(context.chain().await?.at(included.block.hash).vm(id).await?),
            false => settled(context, id, included.block.hash, what).await,
        }
    };
    let goes_on = || {
        Err(Failure::Interrupted(format!(
            "{what} goes on without this command: see `quarry show {id}`"
        )))
    };
    let after = context.until_interrupted(done, goes_on).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let words = match &after {
        Some(vm) if vm.request.pending_operation().is_some() => {
            format!("; see `quarry show {id}`")
        }
        _ => String::new(),
    };
    let status = after.as_ref().map(vm::status);
    context.out.show(&Done { id: id.to_string(), status, seconds, words })?;
    Ok(())
}

/// Waits until nothing is under way with a VM.
async fn settled(
    context: &Context,
    id: RequestId,
    asked_in: Hash,
    what: &str,
) -> Result<Option<VmView>, Failure> {
    let chain = context.chain().await?;
    let mut block = asked_in;
    let mut vm = chain.at(block).vm(id).await?;
    let before = vm.as_ref().and_then(failure_of);
    let wait = context.out.wait(&format!("the node to carry out {what}"));
    while vm.as_ref().is_some_and(is_under_way) {
        block = chain.next_finalized(block).await.block.hash;
        vm = chain.at(block).vm(id).await?;
    }
    drop(wait);
    match vm.as_ref().and_then(failure_of) {
        Some(why) if before.as_ref() != Some(&why) => {
            Err(Failure::refused_because(format!("{what} failed: {why}"), ""))
        }
        _ => Ok(vm),
    }
}

fn is_under_way(vm: &VmView) -> bool {
    vm.request.pending_operation().is_some_and(|kind| kind != OperationKind::Launch)
}

fn failure_of(vm: &VmView) -> Option<String> {
    vm.request.last_failure.as_ref().map(ToString::to_string)
}
