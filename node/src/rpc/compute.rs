//! The market: each method of the runtime's [`ComputeApi`] as `compute_*`, for those who have only curl.
//! `docs/rpc.md` shows them all.

use super::{
    arguments::{
        self, Arguments, NodeSearch, NodesForRequest, OneAccount, OneNode, OneRequest, PlanOnNode,
        RequestsForNode,
    },
    refusal::Refusal,
    settled::{self, StateReader},
};
use crate::service::Block;
use jsonrpsee::{server::RegisterMethodError, RpcModule};
use quarry_primitives::{
    api::{
        ComputeApi, FoundNode, NodeView, OpenRequest, Page, PendingReasons, Quote, RequestCursor,
        Unfit, VmView, WorkItem,
    },
    node::NodeMetricsData,
    Hash, NodeId,
};
use serde::Serialize;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use std::sync::Arc;

/// The market's methods.
pub fn methods<C>(client: Arc<C>) -> Result<RpcModule<Market<C>>, RegisterMethodError>
where
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + StateReader + Send + Sync + 'static,
    C::Api: ComputeApi<Block>,
{
    let mut module = RpcModule::new(Market { client });
    add(&mut module, "compute_get_node_metrics", Market::get_node_metrics)?;
    add(&mut module, "compute_get_node", Market::get_node)?;
    add(&mut module, "compute_find_nodes", Market::find_nodes)?;
    add(&mut module, "compute_get_user_vms", Market::get_user_vms)?;
    add(&mut module, "compute_get_vm", Market::get_vm)?;
    add(&mut module, "compute_quote", Market::quote)?;
    add(&mut module, "compute_why_pending", Market::why_pending)?;
    add(&mut module, "compute_work_for", Market::work_for)?;
    add(&mut module, "compute_open_for", Market::open_for)?;
    Ok(module)
}

fn add<C, A, Row>(
    module: &mut RpcModule<Market<C>>,
    name: &'static str,
    answer: fn(&Market<C>, A) -> Answer<Row>,
) -> Result<(), RegisterMethodError>
where
    C: Send + Sync + 'static,
    A: Arguments + 'static,
    Row: Serialize + Clone + 'static,
{
    module.register_blocking_method(name, move |params, market, _| {
        answer(&market, arguments::read(&params)?)
    })?;
    Ok(())
}

type Answer<T> = Result<T, Refusal>;

/// Asks the runtime.
pub struct Market<C> {
    client: Arc<C>,
}

impl<C> Market<C>
where
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + StateReader,
    C::Api: ComputeApi<Block>,
{
    /// The block to look at, whose state can be read.
    fn block(&self, at: Option<Hash>) -> Answer<Hash> {
        let at = at.unwrap_or_else(|| self.client.info().best_hash);
        settled::check(&*self.client, at)?;
        Ok(at)
    }

    fn get_node_metrics(&self, asked: OneNode) -> Answer<Option<NodeMetricsData>> {
        let api = self.client.runtime_api();
        Ok(api.get_node_metrics(self.block(asked.at)?, asked.node_id)?)
    }

    fn get_node(&self, asked: OneNode) -> Answer<Option<NodeView>> {
        let api = self.client.runtime_api();
        Ok(api.get_node(self.block(asked.at)?, asked.node_id)?)
    }

    fn find_nodes(&self, asked: NodeSearch) -> Answer<Page<FoundNode, NodeId>> {
        let filter = asked.filter.try_into()?;
        let limit = arguments::rows(asked.limit)?;
        let api = self.client.runtime_api();
        Ok(api.find_nodes(self.block(asked.at)?, filter, asked.cursor, limit)?)
    }

    fn get_user_vms(&self, asked: OneAccount) -> Answer<Page<VmView, RequestCursor>> {
        let account = asked.account.id()?;
        let cursor = asked.cursor.map(Into::into);
        let limit = arguments::rows(asked.limit)?;
        let api = self.client.runtime_api();
        Ok(api.get_user_vms(self.block(asked.at)?, account, cursor, limit)?)
    }

    fn get_vm(&self, asked: OneRequest) -> Answer<Option<VmView>> {
        let api = self.client.runtime_api();
        Ok(api.get_vm(self.block(asked.at)?, asked.request_id.0)?)
    }

    fn quote(&self, asked: PlanOnNode) -> Answer<Quote> {
        let api = self.client.runtime_api();
        Ok(api.quote(self.block(asked.at)?, asked.plan_id, asked.node_id)??)
    }

    fn why_pending(&self, asked: NodesForRequest) -> Answer<PendingInWords> {
        let limit = arguments::rows(asked.limit)?;
        let api = self.client.runtime_api();
        let at = self.block(asked.at)?;
        Ok(api.why_pending(at, asked.request_id.0, asked.cursor, limit)??.into())
    }

    fn work_for(&self, asked: RequestsForNode) -> Answer<Page<WorkItem, RequestCursor>> {
        let cursor = asked.cursor.map(Into::into);
        let limit = arguments::rows(asked.limit)?;
        let api = self.client.runtime_api();
        Ok(api.work_for(self.block(asked.at)?, asked.node_id, cursor, limit)?)
    }

    fn open_for(&self, asked: RequestsForNode) -> Answer<Page<OpenRequest, RequestCursor>> {
        let cursor = asked.cursor.map(Into::into);
        let limit = arguments::rows(asked.limit)?;
        let api = self.client.runtime_api();
        Ok(api.open_for(self.block(asked.at)?, asked.node_id, cursor, limit)?)
    }
}

/// Why a request waits, as a tenant reads it.
#[derive(Clone, Serialize)]
struct PendingInWords {
    nodes: u32,
    takers: u32,
    reasons: Vec<ReasonInWords>,
    next: Option<NodeId>,
}

#[derive(Clone, Serialize)]
struct ReasonInWords {
    reason: Unfit,
    nodes: u32,
    words: &'static str,
}

impl From<PendingReasons> for PendingInWords {
    fn from(pending: PendingReasons) -> Self {
        let in_words =
            |(reason, nodes): (Unfit, u32)| ReasonInWords { reason, nodes, words: reason.words() };
        Self {
            nodes: pending.nodes,
            takers: pending.takers,
            reasons: pending.reasons.into_iter().map(in_words).collect(),
            next: pending.next,
        }
    }
}
