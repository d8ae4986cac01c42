//! `quarry-worker status`: what the running worker says of itself.

use crate::http::{
    fetch_status,
    status::{FullStatus, VmStatus},
    HttpError,
};
use comfy_table::{presets::NOTHING, Table};
use std::path::Path;

/// Asks the worker of this data folder.
pub async fn status(data_dir: &Path, json: bool) -> Result<String, HttpError> {
    let status = fetch_status(data_dir).await?;
    Ok(match json {
        true => serde_json::to_string_pretty(&status).unwrap_or_default(),
        false => render(&status),
    })
}

fn render(status: &FullStatus) -> String {
    let worker = &status.worker;
    let chain = match (&worker.chain.endpoint, worker.chain.connected) {
        (Some(endpoint), true) => {
            let finalized = worker.chain.finalized.map_or("none".into(), |n| format!("#{n}"));
            let syncing = if worker.chain.syncing { ", syncing" } else { "" };
            format!("{endpoint}, finalized {finalized}{syncing}")
        }
        _ => "no endpoint answers".into(),
    };
    let hypervisor = match (&worker.hypervisor.description, worker.hypervisor.connected) {
        (Some(description), true) => format!("{} ({description})", worker.hypervisor.uri),
        _ => format!("{} does not answer", worker.hypervisor.uri),
    };
    let accepting = match worker.accepting {
        true => "yes".into(),
        false => format!("no: {}", worker.not_accepting_because.join("; ")),
    };
    let registered = match worker.registered {
        true => "registered with this key",
        false => "not registered with this key",
    };
    let lines = [
        ("node", format!("{}, {registered}", worker.node_id)),
        ("worker", worker.worker.clone().unwrap_or_default()),
        ("version", worker.version.clone()),
        ("chain", chain),
        ("libvirt", hypervisor),
        ("new VMs", accepting),
    ];
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect();
    text.push('\n');
    text.push_str(&vms(&status.vms));
    text
}

fn vms(vms: &[VmStatus]) -> String {
    if vms.is_empty() {
        return "no VMs\n".into();
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["VM", "NAME", "WANTED", "IS", "OPERATION", "ADDRESS", "IMAGE", "LAST ERROR"]);
    for vm in vms {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        table.add_row([
            vm.request_id.to_string(),
            vm.name.clone(),
            vm.desired.clone(),
            vm.observed.clone(),
            or_dash(&vm.operation),
            or_dash(&vm.address),
            vm.image.clone(),
            or_dash(&vm.last_error),
        ]);
    }
    // Each cell has a blank before it, the first one too.
    table
        .trim_fmt()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect()
}
