//! A market in which all is as large as it can be, and requests at every stage of their life.

use crate::{
    checks, money, Call, ComputeRequests, Config, Credits, FreeIps, HoldReason, IpPools, Ips,
    Leases, NewRequest, NextRequestId, Pallet, Params, QuarantinedIps,
};
use alloc::{string::String, vec};
use core::marker::PhantomData;
use frame_benchmarking::v2::{account, whitelisted_caller, BenchmarkError};
use frame_support::{
    dispatch::CheckIfFeeless,
    traits::{
        fungible::{Inspect, Mutate, MutateHold},
        EnsureOrigin, Get, UnfilteredDispatchable,
    },
};
use frame_system::RawOrigin;
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, IpPool, IpState, PoolId},
    node::{Country, NodeId, Offer},
    request::{
        Cid, ComputeRequest, ExcludedMiners, ImageFormat, ImageMetadata, ImageName, IpWish, Lease,
        Placement, PlanId, PlanName, RequestId, SshKey, SshKeyList, VmAccess,
    },
    resources::{Rates, Resources},
    text::Text,
    AccountId, Balance, BlockNumber, MILLI_QRY, QRY,
};
use sp_runtime::{traits::BlockNumberProvider, DispatchError, DispatchResult};

const FUNDS: Balance = 1_000_000_000 * QRY;
const COUNTRY: Country = Country(*b"DE");
/// Late enough for everything to have a past.
const START: BlockNumber = 1_000_000;
/// Long enough for a node to be offline.
pub const SILENCE: BlockNumber = 100;
/// Long enough for a lease to owe something.
pub const SERVED: BlockNumber = 100;
/// What a taking frees beside.
const RESTED: u32 = 2;

const SIZE: Resources = Resources { vcpus: 2, memory_mib: 2_048, disk_gib: 20 };
const LARGER: Resources = Resources { vcpus: 4, memory_mib: 4_096, disk_gib: 40 };
const CAPACITY: Resources = Resources { vcpus: 64, memory_mib: 65_536, disk_gib: 1_000 };
const NETWORK: IpNetwork = IpNetwork { prefix_len: 64, gateway: address(1), dns: address(2) };

/// Makes nodes, which another pallet keeps.
pub trait BenchmarkHelper {
    /// Adds a node that is there and takes VMs, with its bond on hold, and with histories as long as
    /// they get. Its miner has the funds.
    fn add_node(
        node_id: &NodeId,
        miner: &AccountId,
        worker: &AccountId,
        offer: Offer,
    ) -> DispatchResult;

    /// The node was seen last in the live block `seen_at`, and has served `served` more until then.
    fn set_presence(node_id: &NodeId, seen_at: BlockNumber, served: BlockNumber);
}

/// One node, one tenant, two plans and an image.
pub struct Market<T> {
    pub tenant: AccountId,
    pub miner: AccountId,
    pub worker: AccountId,
    pub node_id: NodeId,
    pub plan: PlanId,
    pub larger: PlanId,
    pub image: ImageName,
    /// What its next request wants.
    pub wish: IpWish,
    _config: PhantomData<T>,
}

pub fn stop(why: &'static str) -> BenchmarkError {
    BenchmarkError::Stop(why)
}

/// A text of as many bytes as there may be.
pub fn full<const MAX: u32>(letter: &str) -> Text<MAX> {
    Text::try_from(letter.repeat(MAX as usize).as_str()).unwrap_or_default()
}

pub const fn address(number: u8) -> IpAddress {
    IpAddress::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
}

/// The longest key there can be, as often as there may be one: the name of its type, and zeroes.
pub fn longest_keys() -> Result<SshKeyList, BenchmarkError> {
    let line = String::from("ssh-rsa AAAAB3NzaC1yc2E") + &"A".repeat(1_001);
    let key = SshKey::try_from(line.as_str()).map_err(|_| stop("a long key"))?;
    SshKeyList::try_from(vec![key; 8]).map_err(|_| stop("eight keys"))
}

pub fn longest_access() -> VmAccess {
    VmAccess {
        job_id: full("j"),
        hypervisor_ip: Some(address(3)),
        vnc_port: Some(5_900),
        ssh_host_key: Some([7; 32]),
    }
}

pub fn largest_image(name: ImageName, supersedes: Option<ImageName>) -> ImageMetadata {
    let url = String::from("https://") + &"x".repeat(248);
    ImageMetadata {
        name,
        image_url: Text::try_from(url.as_str()).unwrap_or_default(),
        digest: [7; 32],
        format: ImageFormat::Qcow2,
        virtual_size_gib: 1,
        supersedes,
        enabled: true,
    }
}

pub fn admin<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
    T::AdminOrigin::try_successful_origin().map_err(|_| stop("no admin origin"))
}

/// What the transaction pool and the block do with a call that is free.
pub fn check_and_dispatch<T: Config>(call: Call<T>, who: &AccountId) -> Result<(), BenchmarkError> {
    let origin: T::RuntimeOrigin = RawOrigin::Signed(who.clone()).into();
    if !call.is_feeless(&origin) {
        return Err(stop("the call is not free"));
    }
    call.dispatch_bypass_filter(origin).map_err(|refused| refused.error)?;
    Ok(())
}

impl<T: Config> Market<T> {
    pub fn open() -> Result<Self, BenchmarkError> {
        Self::between(account("tenant", 0, 0), account("miner", 0, 0))
    }

    /// A market whose tenant signs: a transaction's own weight covers the signer's account.
    pub fn of_the_tenant() -> Result<Self, BenchmarkError> {
        Self::between(whitelisted_caller(), account("miner", 0, 0))
    }

    /// A market whose miner signs.
    pub fn of_the_miner() -> Result<Self, BenchmarkError> {
        Self::between(account("tenant", 0, 0), whitelisted_caller())
    }

    fn between(tenant: AccountId, miner: AccountId) -> Result<Self, BenchmarkError> {
        let market = Self {
            tenant,
            miner,
            worker: account("worker", 0, 0),
            node_id: full("n"),
            plan: add_plan::<T>("p", SIZE)?,
            larger: add_plan::<T>("q", LARGER)?,
            image: full("i"),
            wish: IpWish::Require,
            _config: PhantomData,
        };
        set_clock::<T>(START)?;
        let least = T::Currency::minimum_balance();
        let pot = money::pot::<T>();
        let funds = [(&market.tenant, FUNDS), (&market.miner, FUNDS), (&pot, least)];
        for (who, amount) in funds.into_iter().chain([(&T::Treasury::get(), least)]) {
            T::Currency::mint_into(who, amount)?;
        }
        Pallet::<T>::do_add_image(largest_image(full("o"), None))?;
        Pallet::<T>::do_add_image(largest_image(full("i"), Some(full("o"))))?;
        market.add_node()?;
        // The node's own pool has one address, which still rests; the global one has two that rested.
        set_pool::<T>(&market.own_pool(), RESTED, 0, 1, BlockNumber::MAX);
        set_pool::<T>(&PoolId::Global, 0, 0, RESTED, 0);
        Ok(market)
    }

    fn add_node(&self) -> DispatchResult {
        let rates =
            Rates { vcpu: MILLI_QRY, memory_gib: MILLI_QRY, disk_gib: MILLI_QRY, ip: MILLI_QRY };
        let offer =
            Offer { capacity: CAPACITY, rates, country: COUNTRY, max_vms: 100, global_ips: true };
        T::BenchmarkHelper::add_node(&self.node_id, &self.miner, &self.worker, offer)?;
        T::BenchmarkHelper::set_presence(&self.node_id, Pallet::<T>::now(), 1);
        Ok(())
    }

    pub fn own_pool(&self) -> PoolId {
        PoolId::Node(self.node_id.clone())
    }

    pub fn new_request(&self, on: Option<&NodeId>) -> Result<NewRequest, BenchmarkError> {
        let cid = String::from("bafkrei") + &"a".repeat(52);
        Ok(NewRequest {
            owner: self.tenant.clone(),
            name: full("v"),
            plan_id: self.plan,
            image: self.image.clone(),
            ssh_keys: longest_keys()?,
            cloud_init_cid: Some(Cid::try_from(cid.as_str()).map_err(|_| stop("a CID"))?),
            placement: Placement { miner_id: on.cloned(), country: Some(COUNTRY) },
            max_price: QRY,
            prepaid_blocks: checks::least_prepaid(&Params::<T>::get()).saturating_mul(2),
            ip: self.wish,
        })
    }

    /// A request that no node has, after as many failures as there can be.
    pub fn pending(&self) -> Result<RequestId, BenchmarkError> {
        let id = NextRequestId::<T>::get();
        Pallet::<T>::do_create(self.new_request(None)?)?;
        self.change(id, |request| {
            request.last_failure = Some(full("f"));
            let miners = (0..7).map(|seed| account("excluded", seed, 0)).collect();
            request.excluded = ExcludedMiners::truncate_from(miners);
        })?;
        Ok(id)
    }

    /// A request that the node took by itself.
    pub fn claimed(&self) -> Result<RequestId, BenchmarkError> {
        let id = self.pending()?;
        let node_id = self.node_id.clone();
        Pallet::<T>::do_submit_assignment(&self.worker, node_id, self.plan, id, &self.tenant)?;
        Ok(id)
    }

    /// A VM that runs and owes rent.
    pub fn running(&self) -> Result<RequestId, BenchmarkError> {
        let id = self.claimed()?;
        let (node_id, generation) = self.report_on(id)?;
        let access = longest_access();
        Pallet::<T>::do_fulfil_launch(&self.worker, node_id, id, generation, access)?;
        self.serve(SERVED)?;
        Ok(id)
    }

    /// A VM that stands still and owes rent.
    pub fn stopped(&self) -> Result<RequestId, BenchmarkError> {
        let id = self.running()?;
        Pallet::<T>::do_request_stop(&self.tenant, id)?;
        self.stop_is_done(id)?;
        Ok(id)
    }

    pub fn stop_is_done(&self, id: RequestId) -> Result<(), BenchmarkError> {
        let (node_id, generation) = self.report_on(id)?;
        Pallet::<T>::do_fulfil_stop(&self.worker, node_id, id, generation)?;
        Ok(())
    }

    /// A VM that runs and shall get another size.
    pub fn resizing(&self) -> Result<RequestId, BenchmarkError> {
        let id = self.running()?;
        Pallet::<T>::do_request_resize(&self.tenant, id, self.larger)?;
        Ok(id)
    }

    /// What a report on a request names beside it.
    pub fn report_on(&self, id: RequestId) -> Result<(NodeId, u64), BenchmarkError> {
        Ok((self.node_id.clone(), self.request(id)?.generation))
    }

    pub fn request(&self, id: RequestId) -> Result<ComputeRequest, BenchmarkError> {
        Ok(Pallet::<T>::request_of(&self.tenant, id).map_err(DispatchError::from)?)
    }

    pub fn change(
        &self,
        id: RequestId,
        change: impl FnOnce(&mut ComputeRequest),
    ) -> Result<(), BenchmarkError> {
        let mut request = self.request(id)?;
        change(&mut request);
        ComputeRequests::<T>::insert(&self.tenant, id, request);
        Ok(())
    }

    /// When the chain stops waiting for what is asked of a request; that block comes.
    pub fn run_out(&self, id: RequestId) -> Result<BlockNumber, BenchmarkError> {
        let operation = self.request(id)?.operation.ok_or(stop("nothing is asked"))?;
        set_clock::<T>(operation.deadline)?;
        Ok(operation.deadline)
    }

    /// Live blocks pass in which the node is there.
    pub fn serve(&self, blocks: BlockNumber) -> Result<(), BenchmarkError> {
        let now = Pallet::<T>::now().saturating_add(blocks);
        set_clock::<T>(now)?;
        T::BenchmarkHelper::set_presence(&self.node_id, now, blocks);
        Ok(())
    }

    /// Live blocks pass in which the node is not there.
    pub fn fall_silent(&self, blocks: BlockNumber) -> Result<(), BenchmarkError> {
        let seen_at = Pallet::<T>::now();
        set_clock::<T>(seen_at.saturating_add(blocks))?;
        T::BenchmarkHelper::set_presence(&self.node_id, seen_at, 0);
        Ok(())
    }
}

pub fn change_lease<T: Config>(
    id: RequestId,
    change: impl FnOnce(&mut Lease),
) -> Result<(), BenchmarkError> {
    let mut lease = Leases::<T>::get(id).ok_or(stop("no lease"))?;
    change(&mut lease);
    Leases::<T>::insert(id, lease);
    Ok(())
}

fn add_plan<T: Config>(letter: &str, size: Resources) -> Result<PlanId, BenchmarkError> {
    let name: PlanName = full(letter);
    let plan_id = crate::catalogue::plan_id(&name);
    Pallet::<T>::do_add_plan(name, full("d"), size)?;
    Ok(plan_id)
}

pub fn set_clock<T: Config>(block: BlockNumber) -> Result<(), BenchmarkError> {
    T::LiveBlocks::set_block_number(block);
    if Pallet::<T>::now() == block {
        Ok(())
    } else {
        Err(stop("the live blocks cannot be set"))
    }
}

/// The address of that number, after the gateway and the name server.
pub fn guest(number: u32) -> IpAddress {
    address(16).checked_add(number).unwrap_or(address(16))
}

/// Gives a pool so many free addresses from `first` on, after them so many that rest until then, and no
/// others.
pub fn set_pool<T: Config>(pool: &PoolId, first: u32, free: u32, resting: u32, until: BlockNumber) {
    let _ = Ips::<T>::clear_prefix(pool, u32::MAX, None);
    let _ = FreeIps::<T>::clear_prefix(pool, u32::MAX, None);
    let _ = QuarantinedIps::<T>::clear_prefix(pool, u32::MAX, None);
    for number in 0..free {
        let ip = guest(first.saturating_add(number));
        FreeIps::<T>::insert(pool, number, ip);
        Ips::<T>::insert(pool, ip, IpState::Free(number));
    }
    for place in 0..resting {
        let ip = guest(first.saturating_add(free).saturating_add(place));
        QuarantinedIps::<T>::insert(pool, u64::from(place), ip);
        Ips::<T>::insert(pool, ip, IpState::Quarantined(until));
    }
    let state = IpPool {
        network: NETWORK,
        total: free.saturating_add(resting),
        free,
        quarantine_first: 0,
        quarantine_next: resting.into(),
    };
    IpPools::<T>::insert(pool, state);
}

/// A payout of which nobody knew where to.
pub fn add_credit<T: Config>(who: &AccountId, amount: Balance) -> Result<(), BenchmarkError> {
    let pot = money::pot::<T>();
    T::Currency::mint_into(&pot, amount)?;
    T::Currency::hold(&HoldReason::Lease.into(), &pot, amount)?;
    Credits::<T>::insert(who, amount);
    Ok(())
}
