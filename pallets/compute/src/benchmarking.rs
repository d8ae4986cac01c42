//! Every call and every deadline with the largest inputs, where they cost most. Where a call can be free,
//! the check whether it is counts as well.

mod market;

pub use market::BenchmarkHelper;

use super::*;
use alloc::boxed::Box;
use frame_benchmarking::v2::*;
use frame_support::{traits::Get, weights::Weight};
use frame_system::RawOrigin;
use market::*;
use quarry_primitives::{
    ip::{IpState, PoolId},
    request::{
        ComputeRequestStatus, DeadlineKind, FailureKind, IpWish, OperationKind, RequestId,
        SshKeyList,
    },
    resources::Resources,
    AccountId, QRY,
};

/// Has a launch be the last that a request may have.
fn last_attempt<T: Config>(market: &Market<T>, id: RequestId) -> Result<(), BenchmarkError> {
    let most = Params::<T>::get().max_attempts;
    market.change(id, |request| request.attempts = most.saturating_sub(1))
}

/// A VM whose rent is used up, of which its node has been told nothing, as the node is gone.
fn abandoned<T: Config>(market: &Market<T>) -> Result<RequestId, BenchmarkError> {
    let id = market.resizing()?;
    market.serve(SERVED)?;
    change_lease::<T>(id, |lease| lease.held = lease.price)?;
    market.fall_silent(SILENCE)?;
    Ok(id)
}

/// A VM that was stopped as only the reserve was left.
fn exhausted<T: Config>(market: &Market<T>) -> Result<RequestId, BenchmarkError> {
    let id = market.running()?;
    change_lease::<T>(id, |lease| {
        let owed = lease.price.saturating_mul(SERVED.into());
        lease.held = Pallet::<T>::reserve(lease).saturating_add(owed);
    })?;
    Pallet::<T>::do_settle(id)?;
    market.stop_is_done(id)?;
    // It owes again, but less than the reserve.
    market.serve(1)?;
    Ok(id)
}

fn is_gone<T: Config>(id: RequestId) -> bool {
    !RequestOwner::<T>::contains_key(id) && !IpOf::<T>::contains_key(id)
}

fn has_failed<T: Config>(market: &Market<T>, id: RequestId) -> bool {
    market.request(id).is_ok_and(|request| request.status == ComputeRequestStatus::Failed)
}

fn has_operation<T: Config>(
    market: &Market<T>,
    id: RequestId,
    operation: Option<OperationKind>,
) -> bool {
    market.request(id).is_ok_and(|request| request.pending_operation() == operation)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn add_plan() -> Result<(), BenchmarkError> {
        let size = Resources { vcpus: 1, memory_mib: 1, disk_gib: 1 };
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, full("p"), full("d"), size);

        assert!(Plans::<T>::contains_key(catalogue::plan_id(&full("p"))));
        Ok(())
    }

    #[benchmark]
    fn set_plan_enabled() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, market.plan, false);

        assert!(Plans::<T>::get(market.plan).is_some_and(|plan| !plan.enabled));
        Ok(())
    }

    #[benchmark]
    fn add_image() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let origin = admin::<T>()?;
        let image = Box::new(largest_image(full("l"), Some(market.image)));

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, image);

        assert!(Images::<T>::contains_key(full::<64>("l")));
        Ok(())
    }

    #[benchmark]
    fn set_image_enabled() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, market.image.clone(), false);

        assert!(Images::<T>::get(market.image).is_some_and(|image| !image.enabled));
        Ok(())
    }

    #[benchmark]
    fn set_params() -> Result<(), BenchmarkError> {
        let origin = admin::<T>()?;
        let params = T::DefaultParams::get();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, params.clone());

        assert!(Params::<T>::exists());
        Ok(())
    }

    #[benchmark]
    fn force_close() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.resizing()?;
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id);

        assert!(is_gone::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn create_compute_request() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = NextRequestId::<T>::get();
        let new = market.new_request(Some(&market.node_id))?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(new.owner),
            new.name,
            new.plan_id,
            new.image,
            new.ssh_keys,
            new.cloud_init_cid,
            new.placement,
            new.max_price,
            new.prepaid_blocks,
            new.ip,
        );

        assert!(MinerComputeRequests::<T>::contains_key(market.node_id, id));
        assert!(IpOf::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn cancel_compute_request() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.pending()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(!PendingRequests::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn submit_compute_request_assignment() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.pending()?;

        #[block]
        {
            let call = Call::<T>::submit_compute_request_assignment {
                miner_node_id: market.node_id.clone(),
                plan_id: market.plan,
                request_id,
                owner: market.tenant.clone(),
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert_eq!(Claims::<T>::get(market.node_id), 1);
        assert!(IpOf::<T>::contains_key(request_id));
        Ok(())
    }

    #[benchmark]
    fn update_miner_compute_request() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.claimed()?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;
        let job_id = full("j");

        #[block]
        {
            let call = Call::<T>::update_miner_compute_request {
                node_id: node_id.clone(),
                request_id,
                generation,
                job_id,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        let launch = MinerComputeRequests::<T>::get(node_id, request_id);
        assert!(launch.is_some_and(|launch| launch.job_id.is_some()));
        Ok(())
    }

    #[benchmark]
    fn mark_compute_request_fulfilled() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.claimed()?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;
        let access = longest_access();

        #[block]
        {
            let call = Call::<T>::mark_compute_request_fulfilled {
                node_id: node_id.clone(),
                request_id,
                generation,
                access,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(Leases::<T>::get(request_id).is_some_and(|lease| lease.check_at.is_some()));
        assert_eq!(Claims::<T>::get(node_id), 0);
        Ok(())
    }

    /// A VM that ran is lost, which costs more than a launch that fails.
    #[benchmark]
    fn handle_miner_compute_request_failure() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.resizing()?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;
        let (kind, reason) = (FailureKind::Terminal, full("r"));

        #[block]
        {
            let call = Call::<T>::handle_miner_compute_request_failure {
                node_id,
                request_id,
                generation,
                kind,
                reason,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(has_failed(&market, request_id));
        Ok(())
    }

    #[benchmark]
    fn request_compute_boot() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.stopped()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(has_operation(&market, id, Some(OperationKind::Boot)));
        Ok(())
    }

    #[benchmark]
    fn request_compute_stop() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.running()?;
        // As after the chain's own stop, where that was given up.
        change_lease::<T>(id, |lease| (lease.exhausted, lease.boot_on_top_up) = (true, true))?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(has_operation(&market, id, Some(OperationKind::Stop)));
        Ok(())
    }

    #[benchmark]
    fn request_compute_reboot() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.running()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(has_operation(&market, id, Some(OperationKind::Reboot)));
        Ok(())
    }

    #[benchmark]
    fn request_compute_resize() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.running()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id, market.larger);

        assert!(has_operation(&market, id, Some(OperationKind::Resize)));
        Ok(())
    }

    /// The node is gone, so that the chain deletes alone.
    #[benchmark]
    fn request_compute_delete() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.resizing()?;
        market.fall_silent(SILENCE)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(is_gone::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn set_ssh_keys() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let (id, keys) = (market.running()?, longest_keys()?);
        Pallet::<T>::do_set_ssh_keys(&market.tenant, id, SshKeyList::default())?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id, keys.clone());

        assert_eq!(SshKeys::<T>::get(id), Some(keys));
        Ok(())
    }

    #[benchmark]
    fn submit_compute_boot_request_fulfillment() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.stopped()?;
        Pallet::<T>::do_request_boot(&market.tenant, request_id)?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;

        #[block]
        {
            let call = Call::<T>::submit_compute_boot_request_fulfillment {
                node_id,
                request_id,
                generation,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(has_operation(&market, request_id, None));
        Ok(())
    }

    #[benchmark]
    fn mark_miner_compute_stop_request_fulfilled() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.running()?;
        Pallet::<T>::do_request_stop(&market.tenant, request_id)?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;

        #[block]
        {
            let call = Call::<T>::mark_miner_compute_stop_request_fulfilled {
                node_id,
                request_id,
                generation,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(has_operation(&market, request_id, None));
        Ok(())
    }

    #[benchmark]
    fn submit_compute_reboot_request_fulfillment() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.running()?;
        Pallet::<T>::do_request_reboot(&market.tenant, request_id)?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;

        #[block]
        {
            let call = Call::<T>::submit_compute_reboot_request_fulfillment {
                node_id,
                request_id,
                generation,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(has_operation(&market, request_id, None));
        Ok(())
    }

    #[benchmark]
    fn submit_compute_resize_request_fulfillment() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.resizing()?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;

        #[block]
        {
            let call = Call::<T>::submit_compute_resize_request_fulfillment {
                node_id,
                request_id,
                generation,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert_eq!(market.request(request_id)?.plan_id, market.larger);
        Ok(())
    }

    #[benchmark]
    fn submit_compute_deletion_request() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.running()?;
        Pallet::<T>::do_request_delete(&market.tenant, request_id)?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;

        #[block]
        {
            let call =
                Call::<T>::submit_compute_deletion_request { node_id, request_id, generation };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(is_gone::<T>(request_id));
        Ok(())
    }

    #[benchmark]
    fn report_operation_failure() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let request_id = market.resizing()?;
        market.fall_silent(SILENCE)?;
        let (node_id, generation) = market.report_on(request_id)?;
        let (kind, reason) = (FailureKind::Retryable, full("r"));

        #[block]
        {
            let call = Call::<T>::report_operation_failure {
                node_id,
                request_id,
                generation,
                kind,
                reason,
            };
            check_and_dispatch(call, &market.worker)?;
        }

        assert!(has_operation(&market, request_id, None));
        Ok(())
    }

    /// The VM was stopped as only the reserve was left, and starts again.
    #[benchmark]
    fn top_up() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = exhausted(&market)?;
        let blocks = SERVED.saturating_mul(2);

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id, blocks);

        assert!(has_operation(&market, id, Some(OperationKind::Boot)));
        Ok(())
    }

    #[benchmark]
    fn evacuate() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_tenant()?;
        let id = market.resizing()?;
        market.fall_silent(Params::<T>::get().evict_after.saturating_add(SILENCE))?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.tenant.clone()), id);

        assert!(PendingRequests::<T>::contains_key(id));
        Ok(())
    }

    /// A lease that ends before the chain would have looked at it.
    #[benchmark]
    fn end_lease() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_miner()?;
        let id = market.running()?;
        Params::<T>::mutate(|params| params.notice_period = 1);

        #[extrinsic_call]
        _(RawOrigin::Signed(market.miner.clone()), id);

        assert!(Leases::<T>::get(id).is_some_and(|lease| lease.ends_at.is_some()));
        Ok(())
    }

    /// The rent is used up and the node is gone, so that the chain deletes alone.
    #[benchmark]
    fn settle() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = abandoned(&market)?;
        let caller: AccountId = whitelisted_caller();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert!(is_gone::<T>(id));
        Ok(())
    }

    /// The dearest deadline has a weight of its own.
    #[benchmark]
    fn expire() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.claimed()?;
        last_attempt(&market, id)?;
        market.run_out(id)?;
        let caller: AccountId = whitelisted_caller();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id);

        assert!(has_failed(&market, id));
        Ok(())
    }

    #[benchmark]
    fn claim_credit() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        add_credit::<T>(&market.miner, QRY)?;
        let caller: AccountId = whitelisted_caller();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), market.miner.clone());

        assert!(!Credits::<T>::contains_key(market.miner));
        Ok(())
    }

    /// `n` addresses more in a pool that had some.
    #[benchmark]
    fn add_ips(n: Linear<1, 256>) -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_miner()?;
        let pool = market.own_pool();
        set_pool::<T>(&pool, 0, 0, 0, 0);
        Pallet::<T>::do_add_ips(pool.clone(), guest(n), 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.miner.clone()), pool.clone(), guest(0), n);

        assert_eq!(IpPools::<T>::get(pool).map(|state| state.free), Some(n + 1));
        Ok(())
    }

    /// `n` addresses less, each of which leaves its place to another, where `n` others have rested.
    #[benchmark]
    fn remove_ips(n: Linear<1, 256>) -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_miner()?;
        let pool = market.own_pool();
        set_pool::<T>(&pool, 0, 0, 0, 0);
        // For the deposit; then half of the pool rests.
        Pallet::<T>::do_add_ips(pool.clone(), guest(0), n)?;
        Pallet::<T>::do_add_ips(pool.clone(), guest(n), n)?;
        set_pool::<T>(&pool, 0, n, n, 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(market.miner.clone()), pool.clone(), guest(0), n);

        let left = IpPools::<T>::get(&pool).map(|state| (state.total, state.free));
        assert_eq!(left, Some((n, n)));
        assert!(!QuarantinedIps::<T>::contains_key(pool, 0));
        Ok(())
    }

    #[benchmark]
    fn set_ip_pool() -> Result<(), BenchmarkError> {
        let market = Market::<T>::of_the_miner()?;
        let pool = market.own_pool();
        let network = IpPools::<T>::get(&pool).map(|state| state.network);
        let network = network.ok_or(stop("no pool"))?;

        #[extrinsic_call]
        _(RawOrigin::Signed(market.miner.clone()), pool, network);

        Ok(())
    }

    /// An address from the middle of the global pool, where others have rested, on a VM that owes rent.
    #[benchmark]
    fn assign_ip_to_vm() -> Result<(), BenchmarkError> {
        let mut market = Market::<T>::open()?;
        market.wish = IpWish::None;
        let id = market.stopped()?;
        market.change(id, |request| request.ip = IpWish::Require)?;
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id, guest(0));

        assert_eq!(IpOf::<T>::get(id), Some((PoolId::Global, guest(0))));
        assert_eq!(Ips::<T>::get(PoolId::Global, guest(1)), Some(IpState::Free(0)));
        Ok(())
    }

    #[benchmark]
    fn release_ip_from_vm() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.stopped()?;
        let origin = admin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id);

        assert!(!IpOf::<T>::contains_key(id));
        Ok(())
    }

    /// A block without deadlines.
    #[benchmark]
    fn deadline_cursor() -> Result<(), BenchmarkError> {
        let _market = Market::<T>::open()?;
        let now = Pallet::<T>::now();
        DeadlineCursor::<T>::put(now);

        #[block]
        {
            Pallet::<T>::run_deadlines(Weight::MAX);
        }

        assert!(DeadlineCursor::<T>::get() > now);
        Ok(())
    }

    /// A claim that fails for the last time, and costs the bond.
    #[benchmark]
    fn deadline_launch() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.claimed()?;
        last_attempt(&market, id)?;
        let due = market.run_out(id)?;

        #[block]
        {
            Pallet::<T>::run_isolated(due, id, DeadlineKind::Launch);
        }

        assert!(has_failed(&market, id));
        Ok(())
    }

    /// A resize, which gives back what it reserved.
    #[benchmark]
    fn deadline_operation() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.resizing()?;
        let due = market.run_out(id)?;

        #[block]
        {
            Pallet::<T>::run_isolated(due, id, DeadlineKind::Operation);
        }

        assert!(has_operation(&market, id, None));
        Ok(())
    }

    #[benchmark]
    fn deadline_deletion() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.running()?;
        Pallet::<T>::do_request_delete(&market.tenant, id)?;
        let due = market.run_out(id)?;

        #[block]
        {
            Pallet::<T>::run_isolated(due, id, DeadlineKind::Deletion);
        }

        assert!(is_gone::<T>(id));
        Ok(())
    }

    /// The rent is used up and the node is gone, so that the chain deletes alone.
    #[benchmark]
    fn deadline_lease() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = abandoned(&market)?;
        let due = Leases::<T>::get(id).and_then(|lease| lease.check_at);
        let due = due.ok_or(stop("nobody looks at the lease"))?;

        #[block]
        {
            Pallet::<T>::run_isolated(due, id, DeadlineKind::Lease);
        }

        assert!(is_gone::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn deadline_retention() -> Result<(), BenchmarkError> {
        let market = Market::<T>::open()?;
        let id = market.pending()?;
        Pallet::<T>::do_cancel(&market.tenant, id)?;
        let due = market.request(id)?.kept_until.ok_or(stop("kept for ever"))?;

        #[block]
        {
            Pallet::<T>::run_isolated(due, id, DeadlineKind::Retention);
        }

        assert!(is_gone::<T>(id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
