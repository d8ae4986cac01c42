//! What the runtime answers about the market; the words stand in `quarry_primitives::api`.

use crate::{
    checks, placement::Wanted, ComputeRequests, Config, IpOf, IpPools, Leases,
    MinerComputeRequests, MinerComputeResizeRequests, Pallet, Params, PendingRequests, Plans,
    SshKeys,
};
use alloc::{collections::btree_map::BTreeMap, vec::Vec};
use quarry_primitives::{
    api::{
        ApiError, Desired, FoundNode, NodeFilter, NodeView, OpenRequest, Page, PendingReasons,
        Quote, RequestCursor, Unfit, VmAddress, VmView, WorkItem, MAX_ROWS,
    },
    ip::PoolId,
    market::NodeRegistry,
    node::{NodeId, NodeRecord},
    request::{
        ComputeRequest, ComputeRequestStatus, IpWish, MinerComputeRequest, OperationKind, PlanId,
        RequestId, SshKeyList,
    },
    text::Amount,
    AccountId, Balance,
};
use sp_runtime::traits::Convert;

/// A node's name and record, as the registry's storage lists them.
type NodeRow = (NodeId, NodeRecord);

impl<T: Config> Pallet<T> {
    /// A node as it is looked at.
    pub fn node_view(node_id: NodeId, node: NodeRecord) -> NodeView {
        let pool = IpPools::<T>::get(PoolId::Node(node_id.clone()));
        NodeView {
            online: T::Registry::is_online(&node),
            takes_vms: Self::takes_vms(&node).is_ok() && node.vms < node.offer.max_vms,
            room: node.room(),
            free_ips: pool.map_or(0, |pool| pool.free),
            node_id,
            node,
        }
    }

    /// Those of the nodes that would take such a VM. `nodes` begins at the cursor.
    pub fn find_nodes(
        filter: &NodeFilter,
        nodes: impl Iterator<Item = NodeRow>,
        limit: u32,
    ) -> Page<FoundNode, NodeId> {
        let wanted = Wanted {
            resources: &filter.resources,
            country: filter.country,
            max_price: filter.max_price.map(|Amount(price)| price),
            ip: filter.ip,
            named: None,
            excluded: &[],
        };
        let (looked_at, next) = page(nodes, limit, |(node_id, _)| node_id.clone());
        let found = looked_at.into_iter().filter_map(|(node_id, node)| {
            let fit = Self::fit_wanted(&wanted, &node_id, &node).ok()?;
            let node = Self::node_view(node_id, node);
            Some(FoundNode { node, price: fit.price, ip_pool: fit.pool })
        });
        Page { rows: found.collect(), next }
    }

    /// An account's VMs.
    pub fn user_vms(
        account: &AccountId,
        cursor: Option<RequestCursor>,
        limit: u32,
    ) -> Page<VmView, RequestCursor> {
        let requests = match cursor {
            None => ComputeRequests::<T>::iter_prefix(account),
            Some(RequestCursor(id)) => {
                let key = ComputeRequests::<T>::hashed_key_for(account, id);
                ComputeRequests::<T>::iter_prefix_from(account, key)
            }
        };
        let (requests, next) = page(requests, limit, |(id, _)| RequestCursor(*id));
        let rows = requests.into_iter().map(|(_, request)| Self::vm_view(request));
        Page { rows: rows.collect(), next }
    }

    /// A VM.
    pub fn vm(request_id: RequestId) -> Option<VmView> {
        Self::request(request_id).ok().map(Self::vm_view)
    }

    fn vm_view(request: ComputeRequest) -> VmView {
        let id = request.request_id;
        let node_id = Self::node_of(&request);
        let node = node_id.as_ref().and_then(T::Registry::node);
        VmView {
            ssh_keys: SshKeys::<T>::get(id).unwrap_or_default(),
            lease: Leases::<T>::get(id),
            assignment: node_id.and_then(|node| MinerComputeRequests::<T>::get(node, id)),
            address: Self::address_of(id),
            access: node.map(|node| node.access),
            request,
        }
    }

    fn address_of(request_id: RequestId) -> Option<VmAddress> {
        let (pool, address) = IpOf::<T>::get(request_id)?;
        let network = IpPools::<T>::get(&pool)?.network;
        Some(VmAddress { pool, address, network })
    }

    /// What a plan costs on a node.
    pub fn quote(plan_id: PlanId, node_id: NodeId) -> Result<Quote, ApiError> {
        let plan = Plans::<T>::get(plan_id).ok_or(ApiError::PlanNotFound)?;
        let node = T::Registry::node(&node_id).ok_or(ApiError::NodeNotFound)?;
        let price = node.offer.rates.price(&plan.resources).ok_or(ApiError::PriceOverflow)?;
        let wanted = |ip| Wanted {
            resources: &plan.resources,
            country: None,
            max_price: None,
            ip,
            named: None,
            excluded: &[],
        };
        let with_address = Self::priced(&wanted(IpWish::Require), &node_id, &node).ok();
        let params = Params::<T>::get();
        Ok(Quote {
            price,
            ip_price: with_address.map(|fit| Amount(fit.price.saturating_sub(price))),
            min_prepaid_blocks: checks::least_prepaid(&params),
            deposit: Self::deposit_for_one_key(),
            unfit: Self::fit_wanted(&wanted(IpWish::None), &node_id, &node).err(),
        })
    }

    fn deposit_for_one_key() -> Balance {
        // An Ed25519 key with a short comment.
        let key = quarry_primitives::request::SshKey::try_from(alloc::vec![0; 100]);
        let keys = key.map(|key| SshKeyList::truncate_from(alloc::vec![key])).unwrap_or_default();
        T::DepositPrice::convert(Self::request_footprint(&keys))
    }

    /// Why none of the nodes takes a pending request. `nodes` begins at the cursor.
    pub fn why_pending(
        request_id: RequestId,
        nodes: impl Iterator<Item = NodeRow>,
        limit: u32,
    ) -> Result<PendingReasons, ApiError> {
        let request = Self::request(request_id).map_err(|_| ApiError::ComputeRequestNotFound)?;
        if request.status != ComputeRequestStatus::Pending {
            return Err(ApiError::NotPending);
        }
        let (looked_at, next) = page(nodes, limit, |(node_id, _)| node_id.clone());
        let (mut takers, mut counts) = (0u32, BTreeMap::<Unfit, u32>::new());
        for (node_id, node) in &looked_at {
            match Self::claimable(&request, node_id, node) {
                Ok(_) => takers = takers.saturating_add(1),
                Err(unfit) => {
                    let count = counts.entry(unfit).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        let nodes = looked_at.len() as u32;
        Ok(PendingReasons { nodes, takers, reasons: counts.into_iter().collect(), next })
    }

    /// What the request would cost where the node claimed it, or why it cannot.
    fn claimable(
        request: &ComputeRequest,
        node_id: &NodeId,
        node: &NodeRecord,
    ) -> Result<Balance, Unfit> {
        let fit = Self::fit(request, node_id, node)?;
        if !request.named_node {
            Self::claim_bar(node_id, node)?;
        }
        Ok(fit.price)
    }

    /// What a node's worker has to do and to keep.
    pub fn work_for(
        node_id: &NodeId,
        cursor: Option<RequestCursor>,
        limit: u32,
    ) -> Page<WorkItem, RequestCursor> {
        let entries = match cursor {
            None => MinerComputeRequests::<T>::iter_prefix(node_id),
            Some(RequestCursor(id)) => {
                let key = MinerComputeRequests::<T>::hashed_key_for(node_id, id);
                MinerComputeRequests::<T>::iter_prefix_from(node_id, key)
            }
        };
        let (entries, next) = page(entries, limit, |(id, _)| RequestCursor(*id));
        let rows = entries.into_iter().filter_map(|(id, entry)| {
            let request = Self::request(id).ok()?;
            Some(Self::work_item(request, entry))
        });
        Page { rows: rows.collect(), next }
    }

    fn work_item(request: ComputeRequest, entry: MinerComputeRequest) -> WorkItem {
        let id = request.request_id;
        let resize = MinerComputeResizeRequests::<T>::get(&entry.miner_node_id, id)
            .and_then(|resize| Some((resize.plan_id, Plans::<T>::get(resize.plan_id)?.resources)));
        let (plan_id, resources) = resize.unwrap_or((request.plan_id, request.resources));
        WorkItem {
            request_id: id,
            desired: desired(&request),
            birth: request.birth,
            assigned_generation: entry.generation,
            generation: request.generation,
            operation: request.operation,
            name: request.name,
            plan_id,
            resources,
            image: request.selected_image,
            cloud_init_cid: request.cloud_init_cid,
            ssh_keys: SshKeys::<T>::get(id).unwrap_or_default(),
            address: Self::address_of(id),
            launched: entry.fullfilled,
            owner: request.owner,
        }
    }

    /// What a node could claim now.
    pub fn open_for(
        node_id: &NodeId,
        cursor: Option<RequestCursor>,
        limit: u32,
    ) -> Page<OpenRequest, RequestCursor> {
        let pending = match cursor {
            None => PendingRequests::<T>::iter_keys(),
            Some(RequestCursor(id)) => {
                PendingRequests::<T>::iter_keys_from(PendingRequests::<T>::hashed_key_for(id))
            }
        };
        let (ids, next) = page(pending, limit, |id| RequestCursor(*id));
        let Some(node) = T::Registry::node(node_id) else {
            return Page { rows: Vec::new(), next: None };
        };
        let rows = ids.into_iter().filter_map(|id| {
            let request = Self::request(id).ok()?;
            let price = Self::claimable(&request, node_id, &node).ok()?;
            Some(OpenRequest {
                request_id: id,
                owner: request.owner,
                plan_id: request.plan_id,
                resources: request.resources,
                image: request.selected_image,
                price,
            })
        });
        Page { rows: rows.collect(), next }
    }
}

fn desired(request: &ComputeRequest) -> Desired {
    match (request.pending_operation(), request.status) {
        (Some(OperationKind::Delete), _) => Desired::Deleted,
        (Some(OperationKind::Launch), _) => Desired::Launch,
        (Some(OperationKind::Stop), _) => Desired::Stopped,
        (Some(OperationKind::Boot | OperationKind::Reboot), _) => Desired::Running,
        (_, ComputeRequestStatus::Running) => Desired::Running,
        _ => Desired::Stopped,
    }
}

/// The first rows, as many as `limit` says, and the last one's key where there are more.
fn page<Row, Key>(
    rows: impl Iterator<Item = Row>,
    limit: u32,
    key: impl Fn(&Row) -> Key,
) -> (Vec<Row>, Option<Key>) {
    let limit = limit.clamp(1, MAX_ROWS) as usize;
    let mut rows = rows.peekable();
    let taken: Vec<Row> = rows.by_ref().take(limit).collect();
    let next = rows.peek().and(taken.last()).map(key);
    (taken, next)
}
