//! The chain: each endpoint, and what the first that is right says of the clock and of this node.

use super::{clock, keys::Keys, registration, Finding, PATIENCE};
use crate::{config::Settings, http::public_part};
use data_encoding::HEXLOWER;
use futures::future::join_all;
use quarry_client::{Chain, ChainOptions, Finalized, Network};
use quarry_primitives::Hash;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subxt::{
    config::RpcConfigFor,
    rpcs::{LegacyRpcMethods, RpcClient},
};
use tokio::time::timeout;

/// `Timestamp.Now`: both names hashed by twox.
const TIMESTAMP_NOW: [u8; 32] = [
    0xf0, 0xc3, 0x65, 0xc3, 0xcf, 0x59, 0xd6, 0x71, 0xeb, 0x72, 0xda, 0x0e, 0x7a, 0x41, 0x13, 0xc4,
    0x9f, 0x1f, 0x05, 0x15, 0xf4, 0x62, 0xcd, 0xcf, 0x84, 0xe0, 0xf1, 0xd6, 0x04, 0x5d, 0xfc, 0xbb,
];

/// An endpoint that answers.
struct Reached {
    chain: Chain,
    genesis: Hash,
    finalized: Finalized,
    network: Network,
}

pub(super) async fn checks(settings: &Settings, keys: &Keys) -> Vec<Finding> {
    let endpoints = &settings.chain.endpoints;
    let reached = join_all(endpoints.iter().map(|endpoint| reach(endpoint))).await;
    let first = reached.iter().flatten().map(|reached| reached.genesis).next();
    let wanted = settings.chain.genesis.map(Hash::from).or(first);
    let mut findings: Vec<_> = endpoints
        .iter()
        .zip(&reached)
        .map(|(endpoint, reached)| endpoint_finding(endpoint, reached.as_ref(), wanted))
        .collect();
    let is_right = |reached: &Reached| Some(reached.genesis) == wanted;
    let usable = endpoints.iter().zip(reached.iter());
    let usable = usable.filter_map(|(endpoint, reached)| Some((endpoint, reached.as_ref().ok()?)));
    if let Some((endpoint, reached)) = usable.into_iter().find(|(_, reached)| is_right(reached)) {
        let time = timeout(PATIENCE, chain_time(endpoint)).await;
        findings.push(clock::against(time.unwrap_or_else(|_| Err("no answer".into()))));
        findings.extend(node(settings, keys, reached).await);
    }
    findings
}

async fn reach(endpoint: &str) -> Result<Reached, String> {
    let options = ChainOptions::new([endpoint]);
    let chain = Chain::start(options).map_err(|error| error.to_string())?;
    let mut connection = chain.connection();
    let failed = async {
        loop {
            if let Some(error) = connection.borrow_and_update().last_error.clone() {
                return error;
            }
            if connection.changed().await.is_err() {
                return "the connection was given up".into();
            }
        }
    };
    let ready = async {
        tokio::select! {
            ready = chain.ready() => Ok(ready),
            error = failed => Err(error),
        }
    };
    let no_answer = || format!("no answer within {} seconds", PATIENCE.as_secs());
    let (genesis, finalized) = timeout(PATIENCE, ready).await.map_err(|_| no_answer())??;
    let network = chain.network().await.map_err(|error| error.to_string())?;
    Ok(Reached { chain, genesis, finalized, network })
}

fn endpoint_finding(
    endpoint: &str,
    reached: Result<&Reached, &String>,
    wanted: Option<Hash>,
) -> Finding {
    let name = "chain";
    let shown = public_part(endpoint);
    match reached {
        Err(error) => Finding::fail(
            name,
            format!("{shown}: {}", error.trim_start_matches(&format!("{shown}: "))),
            "start the chain node there, or correct chain.endpoints",
        ),
        Ok(reached) if Some(reached.genesis) != wanted => Finding::fail(
            name,
            format!("{shown} serves another chain: its genesis is {}", hex(&reached.genesis)),
            "correct chain.endpoints, or chain.genesis",
        ),
        Ok(reached) if !reached.network.is_in_step() => Finding::fail(
            name,
            format!("{shown} is still catching up with the chain, or has no peers"),
            "wait until it has; nothing is started or destroyed by its word until then",
        ),
        Ok(reached) => {
            let number = reached.finalized.block.number;
            Finding::ok(name, format!("{shown}: #{number} is finalized"))
        }
    }
}

fn hex(hash: &Hash) -> String {
    format!("0x{}", HEXLOWER.encode(hash.as_bytes()))
}

/// The time of the best block, as its author set it.
async fn chain_time(endpoint: &str) -> Result<SystemTime, String> {
    let client = RpcClient::from_insecure_url(endpoint).await.map_err(|error| error.to_string())?;
    let rpc = LegacyRpcMethods::<RpcConfigFor<quarry_client::Config>>::new(client);
    let value =
        rpc.state_get_storage(&TIMESTAMP_NOW, None).await.map_err(|error| error.to_string())?;
    let bytes = value.and_then(|bytes| bytes.try_into().ok());
    let millis = bytes.map(u64::from_le_bytes).ok_or("it has made no block yet")?;
    Ok(UNIX_EPOCH + Duration::from_millis(millis))
}

async fn node(settings: &Settings, keys: &Keys, reached: &Reached) -> Vec<Finding> {
    let at = reached.chain.at(reached.finalized.block.hash);
    match timeout(PATIENCE, at.node(&settings.node_id)).await {
        Ok(Ok(node)) => registration::checks(settings, keys, node.as_ref()),
        Ok(Err(error)) => vec![Finding::fail("registered", error.to_string(), "try again")],
        Err(_) => vec![Finding::fail("registered", "the chain does not answer", "try again")],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_where_nothing_listens_is_told_without_its_secret() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("ws://user:secret@127.0.0.1:{port}/key");
        let found = endpoint_finding(&endpoint, reach(&endpoint).await.as_ref(), None);
        assert!(
            found.fails() && found.found.contains(&format!("ws://127.0.0.1:{port}: ")),
            "{found:?}"
        );
        assert!(!found.found.contains("secret") && !found.found.contains("/key"), "{found:?}");
    }
}
