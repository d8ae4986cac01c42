//! What a miner changes of a node that is in the market.

use super::{
    access_check::{self, Answer},
    id_of, kept_node,
    node_file::NodeFile,
    node_id,
    nodes::status,
    offer::{OfferView, Wanted},
    register::{bond_of, can_pay},
};
use crate::{
    context::Context,
    failure::Failure,
    output::{table, Paint, Show},
    signer, ssh_key,
    units::{rough, time_of, Qry},
};
use quarry_client::bindings;
use quarry_primitives::{
    node::{Access, NodeRecord},
    resources::Resources,
    NodeId,
};
use serde::Serialize;
use std::path::PathBuf;

/// Which node, and what changes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry miner set-offer my-node --vcpu-rate 0.0007\n  quarry miner set-offer my-node --vcpus 16 --memory 64G --disk 500\n\nVMs that are there keep their price. Without options it fills a bond of which a penalty took a part."
)]
pub struct OfferArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
    #[command(flatten)]
    offer: Wanted,
}

/// Which node.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner undrain my-node")]
pub struct NodeArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
}

/// Which node, and whether it is to be drained.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner drain my-node")]
pub struct DrainArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
    /// Let it take new VMs again.
    #[arg(long)]
    off: bool,
}

/// Which node, and its new key.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry miner rotate-worker my-node --from node.json\n\nOn the host first: quarry-worker key generate --next; quarry-worker enroll --miner ADDRESS"
)]
pub struct FileArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
    /// The file that `quarry-worker enroll` wrote.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

/// Which node, and how it is reached.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry miner set-access my-node --from node.json\n  quarry miner set-access my-node --endpoint my-node.example:2222"
)]
pub struct AccessArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
    /// The file that `quarry-worker enroll` wrote, for its endpoint and host key.
    #[arg(long, value_name = "FILE", required_unless_present = "endpoint")]
    from: Option<PathBuf>,
    /// What tenants dial, with the host key that the chain has.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "from")]
    endpoint: Option<String>,
    /// Do not ask the port for its key.
    #[arg(long)]
    no_check_access: bool,
}

#[derive(Serialize)]
struct OfferChange {
    node: String,
    before: OfferView,
    after: OfferView,
    bond_before: Qry,
    bond: Qry,
    /// For so long it claims no VMs, since a rate was raised.
    no_claims_for_seconds: Option<u64>,
}

impl Show for OfferChange {
    fn text(&self, paint: Paint) -> String {
        let bonds = ("bond", self.bond_before.with_symbol());
        let before = self.before.rows().into_iter().chain([bonds]);
        let after = self.after.rows().into_iter().map(|(_, value)| value);
        let after = after.chain([self.bond.with_symbol()]);
        let rows = before.zip(after).filter_map(|((name, before), after)| {
            let changed = before != after;
            changed.then(|| [name.to_owned(), before, paint.strong(&after)])
        });
        let mut text = table([&self.node, "BEFORE", "AFTER"], rows);
        if let Some(seconds) = self.no_claims_for_seconds {
            let span = rough(std::time::Duration::from_secs(seconds));
            text.push_str(&format!(
                "\nA rate rises: for {span} the node claims no open requests. VMs that are there keep \
                 their price."
            ));
        }
        text
    }
}

/// Changes what it offers.
pub async fn set_offer(context: &Context, args: OfferArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let NodeRecord { offer, bond, reserved, vms, owner, .. } =
        kept_node(context, &now, &args.node).await?.node;
    let changed = args.offer.over(&offer);
    let needed = bond_of(&now.bond_terms().await?, &changed)?;
    if changed == offer && needed <= bond {
        return Err(Failure::Usage(match args.offer.is_empty() {
            true => {
                "say what to change, as --vcpu-rate 0.0007: see `quarry miner set-offer --help`"
                    .into()
            }
            false => format!("{} offers exactly that already", args.node),
        }));
    }
    if !reserved.fits(&changed.capacity) {
        let Resources { vcpus, memory_mib, disk_gib } = reserved;
        return Err(Failure::refused_because(
            "Registry.CapacityBelowReserved",
            format!(
                "its VMs take {vcpus} vCPUs, {memory_mib} MiB and {disk_gib} GiB: give no less"
            ),
        ));
    }
    if vms > changed.max_vms {
        let remedy = format!("it has {vms}: take no fewer");
        return Err(Failure::refused_because("Registry.MaxVmsBelowCount", remedy));
    }
    can_pay(&now, &owner, needed.saturating_sub(bond)).await?;
    let raised = changed.rates.raised_from(&offer.rates);
    let notice = now.params().await?.rate_notice;
    let change = OfferChange {
        node: args.node.to_string(),
        before: (&offer).into(),
        after: (&changed).into(),
        bond_before: Qry(bond),
        bond: Qry(needed),
        no_claims_for_seconds: raised.then(|| time_of(notice).as_secs()),
    };
    context.out.aside(&change.text(context.out.paint_aside()));
    context.confirm(&format!("Change what {} offers?", args.node))?;
    let call = bindings::tx().registry().update_offer((&args.node).into(), changed.into());
    context.submit("the new offer", call).await?;
    match context.out.is_json() {
        true => Ok(context.out.show(&change)?),
        false => Ok(context.out.line(&format!("{} offers this from now on", args.node))?),
    }
}

#[derive(Serialize)]
struct Accepting {
    node: String,
    /// As in `view-compute`.
    status: &'static str,
    /// Whether its miner lets it take new VMs.
    accepting: bool,
    /// Those that it has.
    vms: u32,
}

impl Show for Accepting {
    fn text(&self, paint: Paint) -> String {
        let node = paint.strong(&self.node);
        match self.accepting {
            true => format!("{node} may take new VMs; it is {}", self.status),
            false => format!("{node} takes no new VMs; it has {}, which run on", self.vms),
        }
    }
}

/// Drains it, or ends that.
pub async fn drain(context: &Context, args: DrainArgs) -> Result<(), Failure> {
    set_accepting(context, &args.node, args.off).await
}

/// Lets it take new VMs again.
pub async fn undrain(context: &Context, args: NodeArgs) -> Result<(), Failure> {
    set_accepting(context, &args.node, true).await
}

async fn set_accepting(context: &Context, node: &NodeId, accepting: bool) -> Result<(), Failure> {
    let mut now = context.now().await?;
    let before = kept_node(context, &now, node).await?;
    if before.node.miner_accepting != accepting {
        let call = bindings::tx().registry().set_miner_accepting(node.into(), accepting);
        let what = if accepting { "the end of the drain" } else { "the drain" };
        let included = context.submit(what, call).await?;
        now = context.chain().await?.at(included.block.hash);
    }
    let after = super::node(&now, node).await?;
    Ok(context.out.show(&Accepting {
        node: node.to_string(),
        status: status(&after),
        accepting: after.node.miner_accepting,
        vms: after.node.vms,
    })?)
}

#[derive(Serialize)]
struct Rotated {
    node: String,
    worker_before: String,
    worker: String,
}

impl Show for Rotated {
    fn text(&self, paint: Paint) -> String {
        format!(
            "{} has the worker {} from now on\nOn the host, once its log says that it signs with the new \
             key: mv worker.key.next worker.key, in its data folder",
            paint.strong(&self.node),
            self.worker
        )
    }
}

/// Gives it another worker key.
pub async fn rotate_worker(context: &Context, args: FileArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let before = kept_node(context, &now, &args.node).await?.node;
    let file = file_of(context, &args.node, args.from).await?;
    if file.worker == before.worker {
        return Err(Failure::Usage(format!(
            "{} has this worker's key already: on the host first `quarry-worker key generate --next`, \
             then `quarry-worker enroll`",
            args.node
        )));
    }
    if now.node_of_worker(&file.worker).await?.is_some() {
        return Err(Failure::refused("Registry.WorkerTaken"));
    }
    let (old, new) = (signer::address_of(&before.worker), signer::address_of(&file.worker));
    context.confirm(&format!("Give {} the worker {new} in place of {old}?", args.node))?;
    let call = bindings::tx().registry().set_worker(
        (&args.node).into(),
        id_of(&file.worker),
        file.signature().into(),
    );
    context.submit("the new key", call).await?;
    let node = args.node.to_string();
    Ok(context.out.show(&Rotated { node, worker_before: old, worker: new })?)
}

/// A file that its host wrote, of this node, for this chain and this miner.
async fn file_of(context: &Context, node: &NodeId, path: PathBuf) -> Result<NodeFile, Failure> {
    let file = NodeFile::read(&path)?;
    if file.node_id != *node {
        return Err(Failure::Usage(format!(
            "{} is of {}, not {node}",
            path.display(),
            file.node_id
        )));
    }
    file.is_for(context.genesis().await?, &context.account().await?)?;
    Ok(file)
}

#[derive(Serialize)]
struct Reached {
    node: String,
    endpoint: String,
    /// As a line of OpenSSH.
    host_key: String,
    ssh_port: Answer,
}

impl Show for Reached {
    fn text(&self, paint: Paint) -> String {
        format!(
            "{} is reached at {}, which {}",
            paint.strong(&self.node),
            self.endpoint,
            self.ssh_port.words()
        )
    }
}

/// Says how it is reached.
pub async fn set_access(context: &Context, args: AccessArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let before = kept_node(context, &now, &args.node).await?.node.access;
    let access = match (args.from, &args.endpoint) {
        (Some(path), _) => file_of(context, &args.node, path).await?.access,
        (None, endpoint) => endpoint_of(endpoint.as_deref().unwrap_or_default(), &before)?,
    };
    if access == before {
        return Err(Failure::Usage(format!("{} is reached exactly so already", args.node)));
    }
    let ssh_port = match args.no_check_access {
        true => Answer::NotAsked,
        false => {
            let answers = access_check::demand(context, &[&access], Some(before.host_key)).await?;
            answers.into_iter().next().unwrap_or(Answer::NotAsked)
        }
    };
    let (endpoint, host_key) = (access.endpoint.to_string(), ssh_key::line(&access.host_key));
    context.confirm(&format!("Tell tenants {endpoint} with the key {host_key}?"))?;
    let call = bindings::tx().registry().set_access((&args.node).into(), access.into());
    context.submit("the new address", call).await?;
    let node = args.node.to_string();
    Ok(context.out.show(&Reached { node, endpoint, host_key, ssh_port })?)
}

fn endpoint_of(text: &str, before: &Access) -> Result<Access, Failure> {
    let endpoint = text.try_into().ok();
    let access = endpoint.map(|endpoint| Access { endpoint, host_key: before.host_key });
    let wrong = || Failure::Usage(format!("{text:?} is no endpoint: write it as host:port"));
    access.filter(Access::is_sound).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port_and_keeps_the_key() {
        let before = Access { endpoint: "a.example:1".try_into().unwrap(), host_key: [9; 32] };
        let after = endpoint_of("b.example:2222", &before).unwrap();
        assert_eq!((after.endpoint.as_str(), after.host_key), (Some("b.example:2222"), [9; 32]));
        for text in ["", "b.example", "b.example:0", &format!("{}:1", "b".repeat(128))] {
            assert_eq!(endpoint_of(text, &before).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
