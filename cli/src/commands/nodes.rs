//! `quarry nodes`: the nodes that would take a VM now, the best first.

use super::plans;
use crate::{
    context::Context,
    failure::Failure,
    output::{table, Paint, Show},
    units::{self, memory, Price, Qry},
};
use quarry_primitives::{
    api::{FoundNode, NodeFilter},
    node::{Country, NodeRecord},
    request::IpWish,
    resources::Resources,
    text::Amount,
};
use serde::Serialize;
use std::cmp::Reverse;

/// What the VM needs.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Wanted {
    /// In this country, as SE.
    #[arg(long, value_name = "CC", value_parser = country)]
    pub country: Option<Country>,
    /// At this price an hour or less, in QRY.
    #[arg(long, value_name = "QRY")]
    pub max_price: Option<Qry>,
    /// With an address of its own: none, prefer or require.
    #[arg(long, value_enum, default_value_t)]
    pub ip: Ip,
}

/// Whether the VM wants an address of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Ip {
    /// It is reached through its node.
    #[default]
    None,
    /// Where there is one within the price.
    Prefer,
    /// It does not run without.
    Require,
}

impl From<Ip> for IpWish {
    fn from(ip: Ip) -> Self {
        match ip {
            Ip::None => Self::None,
            Ip::Prefer => Self::Prefer,
            Ip::Require => Self::Require,
        }
    }
}

/// What to look for.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry nodes\n  quarry nodes --plan medium --country SE --max-price 0.01\n  quarry nodes --vcpus 4 --memory 8G --disk 100"
)]
pub struct Args {
    /// With room for this plan.
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["vcpus", "memory", "disk"])]
    plan: Option<String>,
    /// With room for so many vCPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    vcpus: Option<u16>,
    /// With room for so much memory, as 512M or 2G.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_memory)]
    memory: Option<u32>,
    /// With room for so many GiB of disk.
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(u32).range(1..))]
    disk: Option<u32>,
    #[command(flatten)]
    wanted: Wanted,
    /// No more than so many, the best.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Nodes {
    /// What the prices are for.
    resources: Resources,
    nodes: Vec<Row>,
    #[serde(skip)]
    more: usize,
}

#[derive(Serialize)]
struct Row {
    node: String,
    country: String,
    free: Resources,
    price: Price,
    uptime_permille: u32,
    vms: u32,
    endpoint: String,
}

impl Show for Nodes {
    fn text(&self, paint: Paint) -> String {
        if self.nodes.is_empty() {
            return format!("no node takes {} now", units::size(&self.resources));
        }
        let rows = self.nodes.iter().map(|node| {
            let Resources { vcpus, memory_mib, disk_gib } = node.free;
            [
                node.node.clone(),
                node.country.clone(),
                vcpus.to_string(),
                memory(memory_mib),
                format!("{disk_gib} GiB"),
                units::percent(node.uptime_permille),
                node.vms.to_string(),
                node.price.hour.to_string(),
                node.price.month.to_string(),
            ]
        });
        let header =
            ["NODE", "IN", "FREE VCPU", "MEMORY", "DISK", "UPTIME", "VMS", "QRY/HOUR", "QRY/MONTH"];
        let for_what = format!("Prices for {}.", units::size(&self.resources));
        let more = match self.more {
            0 => String::new(),
            more => format!(" {more} more: see them with a higher --limit."),
        };
        format!("{}\n{}", table(header, rows), paint.faint(&format!("{for_what}{more}")))
    }
}

/// Lists the nodes.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let now = context.now().await?;
    let resources = match (&args.plan, args.vcpus.or(args.disk.map(|_| 1)), args.memory) {
        (Some(plan), ..) => plans::named(&now.plans().await?, plan)?.1.resources,
        (None, None, None) => {
            let plans = now.plans().await?;
            default_plan(&plans).map_or(SMALLEST, |(_, plan)| plan.resources)
        }
        _ => Resources {
            vcpus: args.vcpus.unwrap_or(SMALLEST.vcpus),
            memory_mib: args.memory.unwrap_or(SMALLEST.memory_mib),
            disk_gib: args.disk.unwrap_or(SMALLEST.disk_gib),
        },
    };
    let filter = filter(resources, &args.wanted);
    let mut found = context.out.waiting("the list of nodes", now.find_nodes(&filter)).await?;
    sort(&mut found);
    let shown = args.limit.unwrap_or(if context.out.is_json() { usize::MAX } else { MOST_SHOWN });
    let more = found.len().saturating_sub(shown);
    let nodes = found.iter().take(shown).map(|found| Row {
        node: found.node.node_id.to_string(),
        country: country_text(&found.node.node.offer.country),
        free: found.node.room,
        price: Price::per_block(found.price),
        uptime_permille: uptime(&found.node.node),
        vms: found.node.node.vms,
        endpoint: found.node.node.access.endpoint.to_string(),
    });
    Ok(context.out.show(&Nodes { resources, nodes: nodes.collect(), more })?)
}

const SMALLEST: Resources = Resources { vcpus: 1, memory_mib: 1, disk_gib: 1 };
const MOST_SHOWN: usize = 50;
const DEFAULT_PLAN: &str = "small";

/// What is rented where nobody names a plan: `small`, else the smallest there is.
pub fn default_plan(
    plans: &[(quarry_primitives::request::PlanId, quarry_primitives::request::Plan)],
) -> Option<&(quarry_primitives::request::PlanId, quarry_primitives::request::Plan)> {
    let enabled = || plans.iter().filter(|(_, plan)| plan.enabled);
    let small = enabled().find(|(_, plan)| plan.name.as_str() == Some(DEFAULT_PLAN));
    small.or_else(|| enabled().min_by_key(|(_, plan)| plan.resources.memory_mib))
}

/// As the chain takes it.
pub fn filter(resources: Resources, wanted: &Wanted) -> NodeFilter {
    NodeFilter {
        resources,
        country: wanted.country,
        max_price: wanted.max_price.map(|price| Amount(units::per_block(price))),
        ip: wanted.ip.into(),
    }
}

/// The best first: by price, then free memory, then uptime.
pub fn sort(found: &mut [FoundNode]) {
    found.sort_by_cached_key(|found| {
        let node = &found.node.node;
        (found.price, Reverse(found.node.room.memory_mib), Reverse(uptime(node)))
    });
}

/// The part of its life in which a node was there, in thousandths.
pub fn uptime(node: &NodeRecord) -> u32 {
    let life = u64::from(node.served) + u64::from(node.downtime);
    let permille = (u64::from(node.served) * 1_000).checked_div(life).unwrap_or(1_000);
    u32::try_from(permille).unwrap_or(1_000)
}

/// Two capital letters.
pub fn country(text: &str) -> Result<Country, String> {
    match text.as_bytes() {
        [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Ok(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
        }
        _ => Err("a country is two letters, as SE".into()),
    }
}

/// A country's letters.
pub fn country_text(country: &Country) -> String {
    String::from_utf8_lossy(&country.0).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(country("se"), Ok(Country(*b"SE")));
        for text in ["", "S", "SWE", "1E", "é"] {
            assert!(country(text).is_err(), "{text}");
        }
    }
}
