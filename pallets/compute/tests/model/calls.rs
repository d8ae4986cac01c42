//! What a step is to the chain: a call with all its arguments, from an origin.

use crate::{
    chain::{plan_id, RuntimeCall, RuntimeOrigin, Test, GENESIS},
    reference::Model,
    step::{Act, New, On, Step},
    world::*,
};
use quarry_primitives::{
    node::{proof_payload, Access, NodeMetricsData},
    request::{FailureKind, OperationKind, Placement, VmAccess},
    text::Text,
    RequestId, Signature,
};
use sp_core::sr25519;

type Registry = pallet_registry::Call<Test>;
type Compute = pallet_compute::Call<Test>;

pub fn origin(who: Who) -> RuntimeOrigin {
    match who {
        Who::Admin => RuntimeOrigin::root(),
        who => RuntimeOrigin::signed(who.id()),
    }
}

fn text<const MAX: u32>(text: &str) -> Text<MAX> {
    text.try_into().unwrap()
}

/// The text, or what is none.
fn text_if<const MAX: u32>(sound: bool, sound_text: &str) -> Text<MAX> {
    text(if sound { sound_text } else { "\u{7}" })
}

/// The call of a step, on the requests and generations that there are now; none where time passes.
pub fn call(step: &Step, model: &Model) -> Option<RuntimeCall> {
    Some(match &step.act {
        Act::Pass { .. } => return None,
        Act::Pay { to, all } => {
            let (dest, value) = (to.id(), model.payable(step.by, *all));
            pallet_balances::Call::transfer_allow_death { dest, value }.into()
        }
        _ => registry(step, model)
            .or_else(|| admin(step, model))
            .or_else(|| tenant(step, model))
            .or_else(|| worker(step, model))
            .or_else(|| addresses(step, model))?,
    })
}

fn registry(step: &Step, _: &Model) -> Option<RuntimeCall> {
    let call = match step.act {
        Act::Register { node, worker, offer: kind, proof_for } => Registry::register_node {
            node_id: node_id(node),
            offer: offer(kind),
            access: access(true),
            worker: worker.id(),
            worker_proof: proof(worker, node, proof_for),
        },
        Act::Offer { node, offer: kind } => {
            Registry::update_offer { node_id: node_id(node), offer: offer(kind) }
        }
        Act::Accept { node, accepting } => {
            Registry::set_miner_accepting { node_id: node_id(node), accepting }
        }
        Act::SetWorker { node, worker, proof_for } => Registry::set_worker {
            node_id: node_id(node),
            worker: worker.id(),
            proof: proof(worker, node, proof_for),
        },
        Act::SetAccess { node, sound } => {
            Registry::set_access { node_id: node_id(node), access: access(sound) }
        }
        Act::Deregister { node } => Registry::deregister_node { node_id: node_id(node) },
        Act::Beat { node, accepting, metrics } => {
            let metrics = metrics.map(|sound| {
                let miner_id = node_id(if sound { node } else { NODES });
                Box::new(NodeMetricsData { miner_id, ..Default::default() })
            });
            Registry::submit_node_metrics { node_id: node_id(node), accepting, metrics }
        }
        Act::Withdraw { node } => Registry::withdraw_bond { node_id: node_id(node) },
        _ => return None,
    };
    Some(call.into())
}

fn access(sound: bool) -> Access {
    Access { endpoint: text(if sound { "host.example:22" } else { "host" }), host_key: [7; 32] }
}

/// The worker's signature that it works on the node for that account.
fn proof(worker: Who, node: u8, miner: Who) -> Signature {
    let payload = proof_payload(&GENESIS, &node_id(node), &miner.id());
    worker.key().map_or(sr25519::Signature::default(), |key| key.sign(&payload)).into()
}

fn admin(step: &Step, model: &Model) -> Option<RuntimeCall> {
    let call = match step.act {
        Act::EnablePlan { plan, enabled } => {
            Compute::set_plan_enabled { plan_id: plan_id(plan), enabled }
        }
        Act::EnableImage { image, enabled } => {
            Compute::set_image_enabled { name: image_name(image), enabled }
        }
        Act::SetParams { variant } => Compute::set_params { params: params(variant) },
        Act::ForceClose { vm } => Compute::force_close { request_id: model.id(vm) },
        _ => return None,
    };
    Some(call.into())
}

fn image_name(image: u8) -> Text<64> {
    text(IMAGES.get(usize::from(image)).map_or("none", |(name, _)| *name))
}

fn tenant(step: &Step, model: &Model) -> Option<RuntimeCall> {
    let id = |vm: Label| model.id(vm);
    let call = match &step.act {
        Act::Create { new, .. } => create(new),
        Act::Cancel { vm } => Compute::cancel_compute_request { request_id: id(*vm) },
        Act::Assign { vm, node, plan, owner } => Compute::submit_compute_request_assignment {
            miner_node_id: node_id(*node),
            plan_id: plan_id(*plan),
            request_id: id(*vm),
            owner: owner.id(),
        },
        Act::Boot { vm } => Compute::request_compute_boot { request_id: id(*vm) },
        Act::Stop { vm } => Compute::request_compute_stop { request_id: id(*vm) },
        Act::Reboot { vm } => Compute::request_compute_reboot { request_id: id(*vm) },
        Act::Resize { vm, plan } => {
            Compute::request_compute_resize { request_id: id(*vm), plan_id: plan_id(*plan) }
        }
        Act::Delete { vm } => Compute::request_compute_delete { request_id: id(*vm) },
        Act::SetKeys { vm, keys: count, sound } => {
            Compute::set_ssh_keys { request_id: id(*vm), keys: keys(*count, *sound) }
        }
        Act::TopUp { vm, blocks } => Compute::top_up { request_id: id(*vm), blocks: *blocks },
        Act::Evacuate { vm } => Compute::evacuate { request_id: id(*vm) },
        Act::EndLease { vm } => Compute::end_lease { request_id: id(*vm) },
        Act::Settle { vm } => Compute::settle { request_id: id(*vm) },
        Act::Expire { vm } => Compute::expire { request_id: id(*vm) },
        Act::Claim { account } => Compute::claim_credit { account: account.id() },
        _ => return None,
    };
    Some(call.into())
}

fn create(new: &New) -> Compute {
    Compute::create_compute_request {
        name: text_if(new.sound, "vm"),
        plan_id: plan_id(new.plan),
        image: image_name(new.image),
        ssh_keys: keys(new.keys, true),
        cloud_init_cid: None,
        placement: Placement {
            miner_id: new.node.map(node_id),
            country: new.abroad.map(|abroad| if abroad { ABROAD } else { HOME }),
        },
        max_price: new.max_price,
        prepaid_blocks: new.blocks,
        ip: new.ip,
    }
}

fn worker(step: &Step, model: &Model) -> Option<RuntimeCall> {
    let call = match step.act {
        Act::Start { on, sound } => Compute::update_miner_compute_request {
            node_id: node_id(on.node),
            request_id: model.id(on.vm),
            generation: model.generation(on),
            job_id: text_if(sound, "starting"),
        },
        Act::Launched { on, sound } => Compute::mark_compute_request_fulfilled {
            node_id: node_id(on.node),
            request_id: model.id(on.vm),
            generation: model.generation(on),
            access: VmAccess {
                job_id: text("launched"),
                hypervisor_ip: None,
                vnc_port: Some(if sound { 5900 } else { 0 }),
                ssh_host_key: Some([3; 32]),
            },
        },
        Act::Fail { on, terminal, sound } => Compute::handle_miner_compute_request_failure {
            node_id: node_id(on.node),
            request_id: model.id(on.vm),
            generation: model.generation(on),
            kind: if terminal { FailureKind::Terminal } else { FailureKind::Retryable },
            reason: text_if(sound, "it broke"),
        },
        Act::OperationFailed { on, sound } => Compute::report_operation_failure {
            node_id: node_id(on.node),
            request_id: model.id(on.vm),
            generation: model.generation(on),
            kind: FailureKind::Retryable,
            reason: text_if(sound, "it did not work"),
        },
        Act::Done { on, what } => {
            done(node_id(on.node), model.id(on.vm), model.generation(on), what)
        }
        _ => return None,
    };
    Some(call.into())
}

fn done(
    node_id: quarry_primitives::NodeId,
    request_id: RequestId,
    generation: u64,
    what: OperationKind,
) -> Compute {
    match what {
        OperationKind::Boot => {
            Compute::submit_compute_boot_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Stop => {
            Compute::mark_miner_compute_stop_request_fulfilled { node_id, request_id, generation }
        }
        OperationKind::Reboot => {
            Compute::submit_compute_reboot_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Resize => {
            Compute::submit_compute_resize_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Delete | OperationKind::Launch => {
            Compute::submit_compute_deletion_request { node_id, request_id, generation }
        }
    }
}

fn addresses(step: &Step, model: &Model) -> Option<RuntimeCall> {
    let call = match step.act {
        Act::SetPool { pool, network } => Compute::set_ip_pool {
            pool: pool.id(),
            network: pool.network(NETWORKS[usize::from(network)]),
        },
        Act::AddIps { pool, first, count } => {
            Compute::add_ips { pool: pool.id(), first: pool.address(first), count }
        }
        Act::RemoveIps { pool, first, count } => {
            Compute::remove_ips { pool: pool.id(), first: pool.address(first), count }
        }
        Act::AssignIp { vm, pool, host } => {
            Compute::assign_ip_to_vm { request_id: model.id(vm), ip: pool.address(host) }
        }
        Act::ReleaseIp { vm } => Compute::release_ip_from_vm { request_id: model.id(vm) },
        _ => return None,
    };
    Some(call.into())
}

impl Model {
    /// The generation that a report names.
    fn generation(&self, on: On) -> u64 {
        let now = self.vms.get(&on.vm).map_or(1, |vm| vm.generation);
        now.saturating_add_signed(on.age.into())
    }
}
