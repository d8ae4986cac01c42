//! `quarry plans`: the sizes that can be rented.

use crate::{
    context::Context,
    failure::Failure,
    output::{table, Paint, Show},
    units::memory,
};
use quarry_primitives::{
    request::{Plan, PlanId},
    resources::Resources,
};
use serde::Serialize;

/// How to list them.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry plans --json | jq -r '.plans[].name'")]
pub struct Args {
    /// Those as well that cannot be rented now.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Plans {
    plans: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    description: String,
    resources: Resources,
    enabled: bool,
}

impl Show for Plans {
    fn text(&self, paint: Paint) -> String {
        if self.plans.is_empty() {
            return "there are no plans".into();
        }
        let rows = self.plans.iter().map(|plan| {
            let Resources { vcpus, memory_mib, disk_gib } = plan.resources;
            let name = if plan.enabled { plan.name.clone() } else { paint.faint(&plan.name) };
            let note = if plan.enabled { "" } else { " (cannot be rented now)" };
            [
                name,
                vcpus.to_string(),
                memory(memory_mib),
                format!("{disk_gib} GiB"),
                format!("{}{note}", plan.description),
            ]
        });
        table(["PLAN", "VCPU", "MEMORY", "DISK", "WHAT IT IS"], rows)
    }
}

/// Lists the plans.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let plans = context.now().await?.plans().await?;
    let mut plans: Vec<Row> = plans
        .into_iter()
        .filter(|(_, plan)| plan.enabled || args.all)
        .map(|(_, plan)| Row {
            name: plan.name.to_string(),
            description: plan.technical_description.to_string(),
            resources: plan.resources,
            enabled: plan.enabled,
        })
        .collect();
    plans.sort_by_key(|plan| (plan.resources.vcpus, plan.resources.memory_mib));
    Ok(context.out.show(&Plans { plans })?)
}

/// The plan of that name that can be rented.
pub fn named<'a>(
    plans: &'a [(PlanId, Plan)],
    name: &str,
) -> Result<(&'a PlanId, &'a Plan), Failure> {
    let named = plans.iter().find(|(_, plan)| plan.name.as_str() == Some(name));
    match named {
        Some((_, plan)) if !plan.enabled => Err(Failure::refused("Compute.PlanDisabled")),
        Some((id, plan)) => Ok((id, plan)),
        None => {
            let names = plans.iter().filter_map(|(_, plan)| plan.name.as_str());
            Err(Failure::NotFound(missing("plan", name, names, "quarry plans")))
        }
    }
}

/// That there is none of that name, with the name that was perhaps meant.
pub fn missing<'a>(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str>,
    listing: &str,
) -> String {
    let near = names.map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    match near.filter(|(distance, _)| *distance <= 2) {
        Some((_, near)) => format!("there is no {what} {name:?}: did you mean {near:?}?"),
        None => format!("there is no {what} {name:?}: see `{listing}`"),
    }
}
