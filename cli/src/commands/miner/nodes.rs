//! `quarry miner view-compute`: a miner's nodes.

use super::{node, node_id, offer::OfferView, register::hardware_rows};
use crate::{
    commands::nodes::{default_plan, uptime},
    context::Context,
    failure::Failure,
    output::{fields, or_dash, table, Paint, Show},
    signer, ssh_key,
    units::{memory, percent, rough, size, time_of, Price, Qry},
};
use quarry_client::At;
use quarry_primitives::{
    api::NodeView,
    node::{NodeCounts, NodeMetricsData, NodeRecord, NodeStatus, StatusChange, StatusReason},
    request::Plan,
    resources::Resources,
    AccountId, BlockNumber, NodeId,
};
use serde::Serialize;

/// Whose, or which.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry miner view-compute\n  quarry miner view-compute --node my-node\n  quarry miner view-compute --json | jq -r '.nodes[] | select(.status != \"online\").node'"
)]
pub struct Args {
    /// All there is to say of this node.
    #[arg(long, value_name = "NODE", value_parser = node_id, conflicts_with = "account")]
    node: Option<NodeId>,
    /// The nodes of this miner, in place of your own.
    #[arg(long, value_name = "ADDRESS", value_parser = signer::address)]
    account: Option<AccountId>,
}

#[derive(Serialize)]
struct Nodes {
    miner: String,
    /// The plan that `price` is for; none where the chain has none.
    plan: Option<String>,
    nodes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    node: String,
    /// `online`, `offline`, `busy` (its worker lets it take no more), `draining` or `leaving`.
    status: &'static str,
    takes_vms: bool,
    vms: u32,
    #[serde(flatten)]
    offer: OfferView,
    reserved: Resources,
    free: Resources,
    /// Of the plan.
    price: Option<Price>,
    /// None before its worker's first report.
    uptime_permille: Option<u32>,
    bond: Qry,
    endpoint: String,
    worker_version: Option<String>,
}

impl Row {
    fn new(view: &NodeView, plan: Option<&Plan>, metrics: Option<&NodeMetricsData>) -> Self {
        let node = &view.node;
        let price = plan.and_then(|plan| node.offer.rates.price(&plan.resources));
        Self {
            node: view.node_id.to_string(),
            status: status(view),
            takes_vms: view.takes_vms,
            vms: node.vms,
            offer: (&node.offer).into(),
            reserved: node.reserved,
            free: view.room,
            price: price.map(Price::per_block),
            uptime_permille: node.last_seen.map(|_| uptime(node)),
            bond: Qry(node.bond),
            endpoint: node.access.endpoint.to_string(),
            worker_version: metrics.map(|metrics| metrics.worker_version.to_string()),
        }
    }
}

/// How a node does, in a word.
pub fn status(view: &NodeView) -> &'static str {
    let NodeRecord { leaves_at, miner_accepting, worker_accepting, .. } = &view.node;
    match (leaves_at, view.online, miner_accepting, worker_accepting) {
        (Some(_), ..) => "leaving",
        (None, false, ..) => "offline",
        (None, true, false, _) => "draining",
        (None, true, true, false) => "busy",
        (None, true, true, true) => "online",
    }
}

fn painted(status: &str, paint: Paint) -> String {
    match status {
        "online" => paint.good(status),
        "offline" => paint.bad(status),
        _ => paint.waiting(status),
    }
}

impl Show for Nodes {
    fn text(&self, paint: Paint) -> String {
        if self.nodes.is_empty() {
            return format!("{} has no nodes: `quarry miner register` makes one", self.miner);
        }
        let rows = self.nodes.iter().map(|row| {
            let (used, all) = (row.reserved, row.offer.capacity);
            let rates = &row.offer.rates;
            [
                row.node.clone(),
                row.offer.country.clone(),
                painted(row.status, paint),
                format!("{}/{}", row.vms, row.offer.max_vms),
                format!("{}/{}", used.vcpus, all.vcpus),
                format!("{}/{}", memory(used.memory_mib), memory(all.memory_mib)),
                format!("{}/{} GiB", used.disk_gib, all.disk_gib),
                rates.vcpu.to_string(),
                rates.memory_gib.to_string(),
                rates.disk_gib.to_string(),
                rates.address.to_string(),
                or_dash(row.price.map(|price| price.hour)),
                or_dash(row.uptime_permille.map(percent)),
                row.bond.to_string(),
                or_dash(row.worker_version.as_ref()),
                row.endpoint.clone(),
            ]
        });
        let plan = self.plan.as_deref().unwrap_or("plan").to_uppercase();
        let header = [
            "NODE",
            "IN",
            "STATUS",
            "VMS",
            "VCPU",
            "MEMORY",
            "DISK",
            "/VCPU",
            "/GIB",
            "/GIB DISK",
            "/ADDRESS",
            &plan,
            "UPTIME",
            "BOND",
            "WORKER",
            "ENDPOINT",
        ];
        let note = "Reserved of what it gives; rates, the plan's price and the bond in QRY, prices an hour.";
        format!("{}\n{}", table(header, rows), paint.faint(note))
    }
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    row: Row,
    miner: String,
    worker: String,
    ssh_host_key: String,
    free_addresses: u32,
    registered_at: BlockNumber,
    last_seen: Option<BlockNumber>,
    served_seconds: u64,
    away_seconds: u64,
    /// Until its bond is free, once it was deregistered.
    bond_free_in_seconds: Option<u64>,
    counts: NodeCounts,
    /// In live blocks, the latest last.
    history: Vec<StatusChange>,
    metrics: Option<NodeMetricsData>,
    #[serde(skip)]
    live: BlockNumber,
    #[serde(skip)]
    plan: Option<String>,
}

impl Details {
    fn ago(&self, at: BlockNumber) -> String {
        format!("{} ago", rough(time_of(self.live.saturating_sub(at))))
    }
}

impl Show for Details {
    fn text(&self, paint: Paint) -> String {
        let row = &self.row;
        let takes = match (row.takes_vms, row.status) {
            (true, _) => String::new(),
            (false, "online") => {
                " (takes no new VMs: fill its bond with `quarry miner set-offer`)".into()
            }
            (false, "busy") => " (takes no new VMs: its worker sees too much load)".into(),
            (false, _) => " (takes no new VMs)".into(),
        };
        let spans = |seconds| rough(std::time::Duration::from_secs(seconds));
        let uptime = format!(
            "{}: there for {}, away for {}",
            or_dash(row.uptime_permille.map(percent)),
            spans(self.served_seconds),
            spans(self.away_seconds)
        );
        let NodeCounts { launched, failed, timed_out, evacuated, lost } = self.counts;
        let price = row.price.map_or_else(String::new, |price| {
            format!("{}: {price}", self.plan.as_deref().unwrap_or_default())
        });
        let bond = match self.bond_free_in_seconds {
            None => row.bond.with_symbol(),
            Some(0) => format!(
                "{}, free: `quarry miner withdraw-bond {}`",
                row.bond.with_symbol(),
                row.node
            ),
            Some(left) => format!("{}, free in {}", row.bond.with_symbol(), spans(left)),
        };
        let mut rows = vec![
            ("node", paint.strong(&row.node)),
            ("status", format!("{}{takes}", painted(row.status, paint))),
            ("miner", self.miner.clone()),
            ("worker key", self.worker.clone()),
            ("SSH port", row.endpoint.clone()),
            ("host key", self.ssh_host_key.clone()),
            ("VMs", format!("{}, with {}", row.vms, size(&row.reserved))),
            ("free", size(&row.free)),
            ("free addresses", self.free_addresses.to_string()),
            ("bond", bond),
            ("price", price),
        ];
        rows.extend(row.offer.rows());
        rows.extend([
            ("uptime", uptime),
            ("last seen", self.last_seen.map_or_else(|| "never".into(), |at| self.ago(at))),
            (
                "launches",
                format!(
                    "{launched}; {failed} failed, {timed_out} took too long, {evacuated} were taken away, \
                     {lost} were lost"
                ),
            ),
        ]);
        let mut text = fields(rows);
        if let Some(metrics) = &self.metrics {
            let load = f64::from(metrics.cpu_load_permille) / 10.0;
            let mut rows = hardware_rows(metrics);
            rows.extend([
                ("load", format!("{load:.1} %")),
                ("up", spans(u64::from(metrics.uptime_minutes) * 60)),
            ]);
            text = format!("{text}\n\nWhat its worker said last:\n{}", fields(rows));
        }
        if !self.history.is_empty() {
            let rows = self.history.iter().rev().map(|change| {
                let to = match change.to {
                    NodeStatus::Online => paint.good("online"),
                    NodeStatus::Offline => paint.bad("offline"),
                };
                let why = match change.reason {
                    StatusReason::Joined => "its first report",
                    StatusReason::Silent => "no report for too long",
                    StatusReason::Returned => "the first report after a silence",
                };
                [self.ago(change.at), to, why.to_owned()]
            });
            text = format!("{text}\n\n{}", table(["WHEN", "BECAME", "BECAUSE"], rows));
        }
        text
    }
}

/// Shows them, or one.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let now = context.now().await?;
    let plans = now.plans().await?;
    let plan = default_plan(&plans).map(|(_, plan)| plan);
    if let Some(node_id) = &args.node {
        let view = node(&now, node_id).await?;
        return Ok(context.out.show(&details(&now, &view, plan).await?)?);
    }
    let miner = match args.account {
        Some(account) => account,
        None => context.account().await?,
    };
    let mut rows = Vec::new();
    for view in of(&now, &miner).await? {
        let metrics = now.node_metrics(&view.node_id).await?;
        rows.push(Row::new(&view, plan, metrics.as_ref()));
    }
    let miner = signer::address_of(&miner);
    let plan = plan.map(|plan| plan.name.to_string());
    Ok(context.out.show(&Nodes { miner, plan, nodes: rows })?)
}

/// A miner's nodes.
pub async fn of(now: &At, miner: &AccountId) -> Result<Vec<NodeView>, Failure> {
    let mut views = Vec::new();
    for node_id in now.nodes_of(miner).await? {
        views.extend(now.node(&node_id).await?);
    }
    Ok(views)
}

async fn details(now: &At, view: &NodeView, plan: Option<&Plan>) -> Result<Details, Failure> {
    let NodeView { node_id, node, free_ips, .. } = view;
    let metrics = now.node_metrics(node_id).await?;
    let live = now.live_blocks().await?;
    Ok(Details {
        row: Row::new(view, plan, metrics.as_ref()),
        miner: signer::address_of(&node.owner),
        worker: signer::address_of(&node.worker),
        ssh_host_key: ssh_key::line(&node.access.host_key),
        free_addresses: *free_ips,
        registered_at: node.registered_at,
        last_seen: node.last_seen,
        served_seconds: time_of(node.served).as_secs(),
        away_seconds: time_of(node.downtime).as_secs(),
        bond_free_in_seconds: node.leaves_at.map(|at| time_of(at.saturating_sub(live)).as_secs()),
        counts: node.counts,
        history: now.status_history(node_id).await?,
        metrics,
        live,
        plan: plan.map(|plan| plan.name.to_string()),
    })
}
