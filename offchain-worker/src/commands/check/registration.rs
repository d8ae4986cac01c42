//! What the chain says of the node.

use super::{keys::Keys, Finding};
use crate::config::Settings;
use data_encoding::HEXLOWER;
use quarry_client::WorkerKey;
use quarry_primitives::{api::NodeView, node::Access};

/// Findings on the node as the chain has it, or has it not.
pub(super) fn checks(settings: &Settings, keys: &Keys, node: Option<&NodeView>) -> Vec<Finding> {
    let Some(view) = node else {
        return vec![not_there(settings, keys)];
    };
    let mut findings = vec![worker(settings, keys, view), online(view)];
    if serves_tenants(settings) {
        findings.push(access(settings, keys, &view.node.access));
    }
    findings
}

fn not_there(settings: &Settings, keys: &Keys) -> Finding {
    let node_id = &settings.node_id;
    let shown = keys.address().unwrap_or_else(|| "the worker's key".into());
    let remedy = format!("quarry-worker enroll; the miner registers it, with the worker {shown}");
    Finding::fail("registered", format!("the chain has no node {node_id}"), remedy)
}

fn worker(settings: &Settings, keys: &Keys, view: &NodeView) -> Finding {
    let name = "registered";
    let node_id = &settings.node_id;
    if let Some(block) = view.node.leaves_at {
        let found = format!("{node_id} is deregistered: its bond is free at live block {block}");
        return Finding::fail(name, found, "another node_id, registered anew; or stop the worker");
    }
    let of_chain = |key: &&WorkerKey| key.public() == view.node.worker;
    // Without a key here the finding on the key says all there is to say.
    let Ok(own) = &keys.worker else { return Finding::ok(name, node_id.to_string()) };
    match own.iter().find(of_chain) {
        Some(key) => Finding::ok(name, format!("{node_id}, with the key {}", key.address())),
        None => Finding::fail(
            name,
            format!("the chain has another key for the node {node_id}"),
            format!(
                "the miner names this one by registry.setWorker ({}), or correct node_id or key.file",
                keys.address().unwrap_or_default(),
            ),
        ),
    }
}

fn online(view: &NodeView) -> Finding {
    let name = "online";
    if !view.online {
        let remedy = "start the worker: quarry-worker run; if it runs, quarry-worker status";
        return Finding::warn(name, "the chain has not heard of the worker lately", remedy);
    }
    if !view.node.miner_accepting {
        let remedy = "registry.setMinerAccepting(nodeId, true), if it shall take VMs again";
        return Finding::warn(name, "the miner lets it take no new VMs", remedy);
    }
    if !view.node.worker_accepting {
        let remedy = "quarry-worker status says which threshold; make room";
        return Finding::warn(name, "it takes no new VMs: the worker sees no room", remedy);
    }
    Finding::ok(name, "it takes new VMs")
}

/// Whether it is to be reached by SSH at all.
pub(super) fn serves_tenants(settings: &Settings) -> bool {
    settings.access.listen.is_some() || settings.access.relay.is_some()
}

fn access(settings: &Settings, keys: &Keys, on_chain: &Access) -> Finding {
    let name = "access.endpoint";
    let endpoint = on_chain.endpoint.as_str().unwrap_or_default();
    let Some(own) = keys.access.iter().flatten().next() else {
        return Finding::ok(name, endpoint);
    };
    if !keys.access.iter().flatten().any(|key| key.public() == on_chain.host_key) {
        return Finding::fail(
            name,
            format!("the chain has another host key for {endpoint}"),
            format!(
                "tenants' ssh refuses this node: the miner signs registry.setAccess with this one, \
                 0x{}, or put the key back that the chain names",
                HEXLOWER.encode(&own.public()),
            ),
        );
    }
    if let Some(relay) = &settings.access.relay {
        let relay = relay.endpoint.as_str().unwrap_or_default();
        if host(relay) != host(endpoint) {
            return Finding::fail(
                name,
                format!("the chain has {endpoint}, which is not on the relay {relay}"),
                "start the worker: it tells the chain which port the relay gave it; see its log",
            );
        }
        return Finding::ok(name, format!("{endpoint}, by the relay, with this host key"));
    }
    match settings.access.endpoint.as_ref().and_then(|set| set.as_str()) {
        Some(set) if set != endpoint => Finding::fail(
            name,
            format!("the chain has {endpoint}, and the settings have {set}"),
            "the miner signs registry.setAccess, or correct access.endpoint",
        ),
        _ => Finding::ok(name, format!("{endpoint}, with this host key")),
    }
}

fn host(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{super::tests::settings_in, *};
    use quarry_guest::HostKey;
    use std::path::Path;

    fn keys() -> Keys {
        let worker = WorkerKey::from_uri("//worker/alpha").unwrap();
        Keys { worker: Ok(vec![worker]), access: Ok(vec![HostKey::generate()]) }
    }

    fn settings(more: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        settings_in(Path::new(folder.path()), more)
    }

    fn on_chain(keys: &Keys, endpoint: &str) -> Access {
        let host_key = keys.access.as_ref().unwrap()[0].public();
        Access { endpoint: endpoint.try_into().unwrap(), host_key }
    }

    #[test]
    fn a_node_that_the_chain_does_not_have_is_for_the_miner_to_register() {
        let keys = keys();
        let found = checks(&settings(""), &keys, None).remove(0);
        let address = keys.worker.as_ref().unwrap()[0].address();
        assert!(found.fails() && found.remedy.unwrap().contains(&address));
    }

    #[test]
    fn the_chain_has_the_endpoint_that_is_set() {
        let keys = keys();
        let chain = on_chain(&keys, "one.example:2222");
        assert!(access(&settings(""), &keys, &chain).is_ok());
        let set = settings("access.endpoint = \"two.example:2222\"");
        let found = access(&set, &keys, &chain);
        assert!(found.fails() && found.found.contains("two.example:2222"), "{found:?}");
    }

    #[test]
    fn behind_a_relay_the_endpoint_is_on_it_by_whatever_port() {
        let keys = keys();
        let host_key = HostKey::generate().public_line().unwrap();
        let lines = format!(
            "[access]\nrelay = \"relay.example:22\"\nrelay_key = \"{}\"\n",
            host_key.trim()
        );
        let set = settings(&lines);
        assert!(access(&set, &keys, &on_chain(&keys, "relay.example:30007")).is_ok());
        assert!(access(&set, &keys, &on_chain(&keys, "node.example:2222")).fails());
    }

    #[test]
    fn a_host_key_that_tenants_do_not_know_keeps_them_out() {
        let keys = keys();
        let mut chain = on_chain(&keys, "one.example:2222");
        chain.host_key = [9; 32];
        let found = access(&settings(""), &keys, &chain);
        assert!(found.fails() && found.remedy.unwrap().contains("registry.setAccess"));
    }
}
