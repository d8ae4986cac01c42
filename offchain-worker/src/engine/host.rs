//! The host's figures: what goes to the chain, and whether there is room for more VMs.

use super::Engine;
use quarry_primitives::node::{NodeMetricsData, NodeRecord};

impl Engine {
    pub(super) fn host_metrics(&self, _node: &NodeRecord) -> Option<NodeMetricsData> {
        None
    }
}
