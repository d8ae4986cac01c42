//! What a client makes of a state that a migration has not moved yet: nothing.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use common::{soon, temporary, ChainNode, Market};
use quarry_client::{
    bindings::{self, runtime_types},
    At, ChainOptions, ReadError,
};

type RuntimeCall = runtime_types::quarry_runtime::RuntimeCall;

const LAST_UPGRADE: &str = "26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8";
const CURSOR: &str = "053629776a18418a03a77199a00f76e487b188618944a73221aaabb35521b0a1";
const CLOSED_UNTIL: &str = "f35b44951b86069d9273a961f1e3fbeb1fd1ae5c7c15443bedf0311e151a2a4a";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The state of the block in which the admin sets that.
async fn set(market: &Market, key: &str, value: &[u8]) -> At {
    let items = vec![(bytes(key), value.to_vec())];
    let call = runtime_types::frame_system::pallet::Call::set_storage { items };
    let call = bindings::tx().sudo().sudo(RuntimeCall::System(call));
    let included = market.submit(call).await.unwrap();
    market.chain.at(included.block.hash)
}

async fn work(market: &Market, at: &At) -> Result<usize, ReadError> {
    at.work_for(&market.node_id).await.map(|work| work.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_not_moved_yet_is_not_taken_for_an_empty_one() {
    let folder = temporary();
    let node = ChainNode::start(folder.path(), 0);
    let market = Market::open(ChainOptions::new([node.url()]), "alpha").await;
    assert_eq!(work(&market, &market.now()).await.unwrap(), 0);

    // As the block that brings a new runtime: the next one runs its migrations.
    let due = set(&market, LAST_UPGRADE, b"\0\x18quarry").await;
    let error = work(&market, &due).await.unwrap_err();
    assert!(matches!(error, ReadError::Migrating { version: 1 }), "{error}");
    assert!(due.node(&market.node_id).await.is_err() && due.params().await.is_err());
    assert!(due.live_blocks().await.is_err() && due.next_request_id().await.is_err());
    let mut finalized = market.chain.finalized();
    finalized.borrow_and_update();
    soon("a block", finalized.changed()).await.unwrap();
    soon("a block", finalized.changed()).await.unwrap();
    assert_eq!(work(&market, &market.now()).await.unwrap(), 0);

    // A migration that failed: the chain is closed without an end, but for the admin.
    let failed = set(&market, CLOSED_UNTIL, &u32::MAX.to_le_bytes()).await;
    let error = work(&market, &failed).await.unwrap_err();
    assert!(matches!(error, ReadError::MigrationFailed { version: 1 }), "{error}");
    let closed = set(&market, CLOSED_UNTIL, &1_000_000u32.to_le_bytes()).await;
    assert_eq!(work(&market, &closed).await.unwrap(), 0);

    // One that runs over many blocks; no transaction gets in after this.
    let moving = set(&market, CURSOR, &[1]).await;
    let error = work(&market, &moving).await.unwrap_err();
    assert!(matches!(error, ReadError::Migrating { version: 1 }), "{error}");
}
