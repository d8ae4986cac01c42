//! What the VM uses.

use crate::{
    connection::Connection,
    directory::Stats,
    session::{ask, say, Out, ToTenant},
};
use quarry_primitives::request::RequestId;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

const EVERY: Duration = Duration::from_secs(2);
const MIB: u64 = 1024 * 1024;

/// Sends the figures, once or again and again: the exit status.
pub(crate) async fn show(
    connection: &Arc<Connection>,
    vm: RequestId,
    to_tenant: &ToTenant,
    json: bool,
    follow: bool,
) -> Result<u32, russh::Error> {
    loop {
        let text = match ask(connection, move |node| node.stats(vm)).await {
            Some(Ok(stats)) if json => line(&stats),
            Some(Ok(stats)) => table(&stats),
            Some(Err(error)) => {
                say(connection, to_tenant, Out::Error, &format!("{error}\n")).await?;
                return Ok(1);
            }
            None => return Ok(1),
        };
        say(connection, to_tenant, Out::Normal, &text).await?;
        if !follow {
            return Ok(0);
        }
        sleep(EVERY).await;
    }
}

fn line(stats: &Stats) -> String {
    let mut line = serde_json::to_string(stats).unwrap_or_default();
    line.push('\n');
    line
}

fn table(stats: &Stats) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes / MIB);
    let of = |used: u64, all: u64| format!("{} of {}", mib(used), mib(all));
    let rows = [
        ("state", stats.state.to_owned()),
        ("vCPUs", stats.vcpus.to_string()),
        ("CPU time", format!("{:.1} s", stats.cpu_seconds)),
        ("memory", of(stats.memory_used_bytes, stats.memory_bytes)),
        ("disk", of(stats.disk_used_bytes, stats.disk_bytes)),
        ("disk read", mib(stats.disk_read_bytes)),
        ("disk written", mib(stats.disk_written_bytes)),
        ("received", mib(stats.network_received_bytes)),
        ("sent", mib(stats.network_sent_bytes)),
    ];
    rows.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_to_people_and_to_programs() {
        let stats = Stats {
            state: "running",
            vcpus: 2,
            cpu_seconds: 12.34,
            memory_bytes: 512 * MIB,
            memory_used_bytes: 100 * MIB,
            ..Stats::default()
        };
        let shown = table(&stats);
        assert!(shown.contains("CPU time      12.3 s\n"), "{shown}");
        assert!(shown.contains("memory        100 MiB of 512 MiB\n"), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&line(&stats)).unwrap();
        assert_eq!((&read["vcpus"], &read["state"]), (&2.into(), &"running".into()));
    }
}
