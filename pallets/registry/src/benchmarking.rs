//! Every call with the largest inputs, on a node with full histories. Where a call can be free, the check
//! whether it is counts as well.

use super::*;
use crate::samples::{full, largest_metrics};
use alloc::{boxed::Box, string::String, vec};
use frame_benchmarking::v2::*;
use frame_support::{
    dispatch::CheckIfFeeless,
    traits::{fungible::Mutate, Get, UnfilteredDispatchable},
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use quarry_primitives::{
    node::{
        proof_payload, Access, Country, MetricsSample, NodeStatus, Offer, StatusChange,
        StatusReason,
    },
    resources::{Rates, Resources},
    text::Text,
    AccountId, Balance, BlockNumber, NodeId, Signature, QRY,
};
use sp_core::crypto::key_types::DUMMY;
use sp_io::crypto::{sr25519_generate, sr25519_sign};
use sp_runtime::traits::{BlockNumberProvider, Zero};

const FUNDS: Balance = 1_000_000_000 * QRY;
const CAPACITY: Resources = Resources { vcpus: 4, memory_mib: 4_096, disk_gib: 40 };
/// Long after all that is in the histories.
const NOW: BlockNumber = 1_000_000;

fn stop(why: &'static str) -> BenchmarkError {
    BenchmarkError::Stop(why)
}

fn miner<T: Config>() -> Result<AccountId, BenchmarkError> {
    let miner: AccountId = whitelisted_caller();
    T::Currency::mint_into(&miner, FUNDS)?;
    Ok(miner)
}

/// A new key that proves to work on the node for the miner.
fn worker<T: Config>(
    node_id: &NodeId,
    miner: &AccountId,
) -> Result<(AccountId, Signature), BenchmarkError> {
    let key = sr25519_generate(DUMMY, None);
    let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
    let proof = sr25519_sign(DUMMY, &key, &proof_payload(&genesis, node_id, miner))
        .ok_or(stop("the key store does not sign"))?;
    Ok((AccountId::from(key.0), proof.into()))
}

fn offer(capacity: Resources) -> Offer {
    let rates = Rates { vcpu: QRY, memory_gib: QRY, disk_gib: QRY, ip: QRY };
    Offer { capacity, rates, country: Country(*b"DE"), max_vms: 100, global_ips: true }
}

/// The longest endpoint there can be.
fn access() -> Result<Access, BenchmarkError> {
    let endpoint = String::from("x").repeat(122) + ":65535";
    let endpoint = Text::try_from(endpoint.as_str()).map_err(|_| stop("a long endpoint"))?;
    Ok(Access { endpoint, host_key: [7; 32] })
}

/// A registered node.
fn node<T: Config>() -> Result<(NodeId, AccountId, AccountId), BenchmarkError> {
    let (node_id, miner) = (full(), miner::<T>()?);
    let (worker, proof) = worker::<T>(&node_id, &miner)?;
    Pallet::<T>::register_node(
        RawOrigin::Signed(miner.clone()).into(),
        node_id.clone(),
        offer(CAPACITY),
        access()?,
        worker.clone(),
        proof,
    )?;
    Ok((node_id, miner, worker))
}

/// The node has all that a node can have, and was silent for long.
fn grow_old<T: Config>(node_id: &NodeId) -> Result<(), BenchmarkError> {
    let change = StatusChange {
        at: 0,
        from: NodeStatus::Offline,
        to: NodeStatus::Online,
        reason: StatusReason::Joined,
    };
    let sample = MetricsSample { at: 0, load: 0, free_memory_mb: 0, free_disk_mb: 0, vm_count: 0 };
    StatusHistory::<T>::insert(node_id, full_history(change));
    MetricsHistory::<T>::insert(node_id, full_history(sample));
    NodeMetrics::<T>::insert(node_id, largest_metrics(node_id));
    Nodes::<T>::mutate(node_id, |node| {
        let node = node.as_mut().ok_or(stop("no node"))?;
        node.last_seen = Some(0);
        node.last_heartbeat = Some(0);
        node.last_metrics = Some(0);
        node.access_moved_at = Some(0);
        Ok::<_, BenchmarkError>(())
    })?;
    T::LiveBlocks::set_block_number(NOW);
    if Pallet::<T>::now() == NOW {
        Ok(())
    } else {
        Err(stop("the live blocks cannot be set"))
    }
}

fn full_history<Entry: Clone>(entry: Entry) -> History<Entry> {
    History::truncate_from(vec![entry; HISTORY_LENGTH as usize])
}

/// What the transaction pool and the block do with a call that is free.
fn check_and_dispatch<T: Config>(call: Call<T>, who: &AccountId) -> Result<(), BenchmarkError> {
    let origin: T::RuntimeOrigin = RawOrigin::Signed(who.clone()).into();
    if !call.is_feeless(&origin) {
        return Err(stop("the call is not free"));
    }
    call.dispatch_bypass_filter(origin).map_err(|refused| refused.error)?;
    Ok(())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register_node() -> Result<(), BenchmarkError> {
        let (node_id, miner): (NodeId, _) = (full(), miner::<T>()?);
        let (worker, proof) = worker::<T>(&node_id, &miner)?;
        let (offer, access) = (offer(CAPACITY), access()?);

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id.clone(), offer, access, worker, proof);

        assert!(Nodes::<T>::contains_key(node_id));
        Ok(())
    }

    #[benchmark]
    fn update_offer() -> Result<(), BenchmarkError> {
        let (node_id, miner, _) = node::<T>()?;
        let larger = offer(Resources { disk_gib: 50, ..CAPACITY });

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id.clone(), larger.clone());

        assert!(Nodes::<T>::get(node_id).is_some_and(|node| node.offer == larger));
        Ok(())
    }

    #[benchmark]
    fn set_miner_accepting() -> Result<(), BenchmarkError> {
        let (node_id, miner, _) = node::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id.clone(), false);

        assert!(Nodes::<T>::get(node_id).is_some_and(|node| !node.miner_accepting));
        Ok(())
    }

    #[benchmark]
    fn set_worker() -> Result<(), BenchmarkError> {
        let (node_id, miner, _) = node::<T>()?;
        let (successor, proof) = worker::<T>(&node_id, &miner)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id, successor.clone(), proof);

        assert!(NodeOfWorker::<T>::contains_key(successor));
        Ok(())
    }

    #[benchmark]
    fn set_access() -> Result<(), BenchmarkError> {
        let (node_id, _, worker) = node::<T>()?;
        grow_old::<T>(&node_id)?;
        let access = access()?;

        #[block]
        {
            let call = Call::<T>::set_access { node_id: node_id.clone(), access };
            check_and_dispatch(call, &worker)?;
        }

        let moved_at = Nodes::<T>::get(node_id).and_then(|node| node.access_moved_at);
        assert_eq!(moved_at, Some(NOW));
        Ok(())
    }

    #[benchmark]
    fn deregister_node() -> Result<(), BenchmarkError> {
        let (node_id, miner, worker) = node::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id);

        assert!(!NodeOfWorker::<T>::contains_key(worker));
        Ok(())
    }

    #[benchmark]
    fn heartbeat() -> Result<(), BenchmarkError> {
        let (node_id, _, worker) = node::<T>()?;
        grow_old::<T>(&node_id)?;

        #[block]
        {
            let call = Call::<T>::submit_node_metrics {
                node_id: node_id.clone(),
                accepting: true,
                metrics: None,
            };
            check_and_dispatch(call, &worker)?;
        }

        let last = StatusHistory::<T>::get(node_id).last().copied();
        assert!(last.is_some_and(|change| change.reason == StatusReason::Returned));
        Ok(())
    }

    #[benchmark]
    fn heartbeat_with_metrics() -> Result<(), BenchmarkError> {
        let (node_id, _, worker) = node::<T>()?;
        grow_old::<T>(&node_id)?;
        let metrics = Some(Box::new(largest_metrics(&node_id)));

        #[block]
        {
            let call = Call::<T>::submit_node_metrics {
                node_id: node_id.clone(),
                accepting: true,
                metrics,
            };
            check_and_dispatch(call, &worker)?;
        }

        let last = StatusHistory::<T>::get(&node_id).last().copied();
        assert!(last.is_some_and(|change| change.reason == StatusReason::Returned));
        let last = MetricsHistory::<T>::get(node_id).last().copied();
        assert!(last.is_some_and(|sample| sample.at == NOW));
        Ok(())
    }

    #[benchmark]
    fn withdraw_bond() -> Result<(), BenchmarkError> {
        let (node_id, miner, _) = node::<T>()?;
        grow_old::<T>(&node_id)?;
        Pallet::<T>::deregister_node(RawOrigin::Signed(miner.clone()).into(), node_id.clone())?;
        T::LiveBlocks::set_block_number(NOW.saturating_add(T::Unbonding::get()));

        #[extrinsic_call]
        _(RawOrigin::Signed(miner), node_id.clone());

        assert!(!Nodes::<T>::contains_key(node_id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
