//! How a VM is reached, by what the chain says of it.

use crate::{failure::Failure, vm::address_text};
use quarry_primitives::{api::VmView, node::Access, request::ComputeRequestStatus, RequestId};

/// The user that images have.
pub const USER: &str = "quarry";
const SSH: u16 = 22;

/// A machine on the way, as ssh shall know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hop {
    /// What it is called here, the first name being its own.
    pub names: Vec<String>,
    /// Where it is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// What its key is filed under.
    pub known_as: String,
    /// Its Ed25519 key, from the chain.
    pub key: [u8; 32],
    /// The hop before it.
    pub through: Option<String>,
}

/// What the hops of a VM are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// The guest's.
    pub guest: Vec<String>,
    /// The node's.
    pub node: String,
    /// Stands before what keys are filed under.
    pub known: String,
}

impl Names {
    /// For a config that is gone with the command.
    pub fn passing(id: RequestId) -> Self {
        Self { guest: vec![guest_name(id)], node: node_name(id), known: String::new() }
    }
}

/// What a VM's guest is called in a config of one command.
pub fn guest_name(id: RequestId) -> String {
    format!("vm-{id}")
}

/// What a VM's node is called there.
pub fn node_name(id: RequestId) -> String {
    format!("node-of-{id}")
}

/// The way to a VM's guest: directly where it has an address of its own, else through its node's port.
pub fn to_guest(vm: &VmView, names: &Names, user: &str, jump: bool) -> Result<Vec<Hop>, Failure> {
    let id = vm.request.request_id;
    check_runs(vm)?;
    let key = vm.assignment.as_ref().and_then(|assignment| assignment.ssh_host_key);
    let key = key.ok_or_else(|| {
        Failure::NotFound(format!(
            "the chain has no host key of VM {id}, so nobody can be sure of it: try `quarry console {id}`"
        ))
    })?;
    let guest = |host: String, through: Option<String>| Hop {
        names: names.guest.clone(),
        host,
        port: SSH,
        user: user.to_owned(),
        known_as: format!("{}{}", names.known, guest_name(id)),
        key,
        through,
    };
    match &vm.address {
        Some(address) if !jump => Ok(vec![guest(address_text(&address.address), None)]),
        _ => {
            let node = to_node(vm, names)?;
            let through = Some(names.node.clone());
            Ok(vec![node, guest("vm".into(), through)])
        }
    }
}

/// The way to the port of a VM's node, which has its console, its log and its screen.
pub fn to_node(vm: &VmView, names: &Names) -> Result<Hop, Failure> {
    let id = vm.request.request_id;
    check_assigned(vm)?;
    let access = vm.access.as_ref().filter(|access| access.is_sound());
    let place = access.and_then(|access| Some((place(access)?, access.host_key)));
    let ((host, port), key) = place.ok_or_else(|| {
        Failure::NotFound(format!(
            "the node of VM {id} has no SSH port on the chain: ask its miner"
        ))
    })?;
    Ok(Hop {
        names: vec![names.node.clone()],
        host,
        port,
        user: id.to_string(),
        known_as: format!("{}{}", names.known, node_name(id)),
        key,
        through: None,
    })
}

/// An IPv6 address stands in brackets there, and without them here.
fn place(access: &Access) -> Option<(String, u16)> {
    let (host, port) = access.endpoint.as_str()?.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((bare.unwrap_or(host).to_owned(), port.parse().ok()?))
}

fn check_assigned(vm: &VmView) -> Result<(), Failure> {
    match vm.request.status {
        status if status.has_ended() => Err(Failure::refused("Compute.RequestEnded")),
        _ if !vm.request.is_assigned => Err(Failure::refused_because(
            "Compute.NotAssigned",
            format!("no node has it yet: `quarry show {}` says why", vm.request.request_id),
        )),
        _ => Ok(()),
    }
}

/// Whether there is something that could answer.
pub fn check_runs(vm: &VmView) -> Result<(), Failure> {
    check_assigned(vm)?;
    match vm.request.status {
        ComputeRequestStatus::Running => Ok(()),
        ComputeRequestStatus::Stopped => Err(Failure::refused("Compute.NotRunning")),
        _ => Err(Failure::refused("Compute.NotLaunched")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use quarry_primitives::{
        api::VmAddress,
        ip::{IpAddress, IpNetwork, PoolId},
        request::{
            ComputeRequest, ImageFormat, ImageMetadata, IpWish, MinerComputeRequest, VmName,
        },
        resources::Resources,
        text::Text,
        AccountId, Hash, NodeId,
    };

    /// VM 12, which runs on a node, without an address of its own.
    pub fn running() -> VmView {
        let resources = Resources { vcpus: 1, memory_mib: 512, disk_gib: 5 };
        let node = NodeId::try_from("alpha").unwrap();
        let account = AccountId::new([1; 32]);
        let image = ImageMetadata {
            name: Text::try_from("debian-12").unwrap(),
            image_url: Text::try_from("ipfs://x").unwrap(),
            digest: [0; 32],
            format: ImageFormat::Qcow2,
            virtual_size_gib: 3,
            supersedes: None,
            enabled: true,
        };
        let request = ComputeRequest {
            request_id: 12,
            birth: Hash::zero(),
            plan_technical_description: Text::default(),
            plan_id: Hash::zero(),
            resources,
            status: ComputeRequestStatus::Running,
            created_at: 5,
            owner: account.clone(),
            name: VmName::try_from("web").unwrap(),
            selected_image: image,
            is_assigned: true,
            cloud_init_cid: None,
            miner_id: Some(node.clone()),
            named_node: false,
            country: None,
            max_price: 1,
            ip: IpWish::None,
            generation: 1,
            operation: None,
            attempts: 0,
            terminal_failures: 0,
            excluded: Default::default(),
            last_failure: None,
            kept_until: None,
        };
        let assignment = MinerComputeRequest {
            miner_node_id: node,
            miner_account_id: account,
            job_id: None,
            hypervisor_ip: None,
            fail_reason: None,
            vnc_port: None,
            ip_assigned: None,
            request_id: 12,
            plan_id: Hash::zero(),
            created_at: 5,
            fullfilled: true,
            ssh_host_key: Some([7; 32]),
            generation: 1,
            claimed: false,
        };
        let endpoint = Text::try_from("node.example:2222").unwrap();
        VmView {
            request,
            ssh_keys: Default::default(),
            lease: None,
            assignment: Some(assignment),
            address: None,
            access: Some(Access { endpoint, host_key: [8; 32] }),
        }
    }

    pub fn with_address(mut vm: VmView, address: IpAddress) -> VmView {
        let network = IpNetwork { prefix_len: 24, gateway: address, dns: address };
        vm.address = Some(VmAddress { pool: PoolId::Global, address, network });
        vm
    }

    fn way(vm: &VmView, jump: bool) -> Vec<(String, u16, String, Option<String>)> {
        let hops = to_guest(vm, &Names::passing(12), USER, jump).unwrap();
        hops.into_iter().map(|hop| (hop.host, hop.port, hop.user, hop.through)).collect()
    }

    #[test]
    fn without_an_address_the_way_is_through_the_node() {
        let node = ("node.example".to_owned(), 2222, "12".to_owned(), None);
        let guest = ("vm".to_owned(), 22, USER.to_owned(), Some("node-of-12".to_owned()));
        assert_eq!(way(&running(), false), [node, guest]);
    }

    #[test]
    fn an_address_is_reached_directly_unless_the_node_is_wanted() {
        let vm = with_address(running(), IpAddress::V4([192, 0, 2, 7]));
        assert_eq!(way(&vm, false), [("192.0.2.7".to_owned(), 22, USER.to_owned(), None)]);
        assert_eq!(way(&vm, true).len(), 2);
    }

    #[test]
    fn brackets_are_for_the_endpoint_only() {
        let mut vm = running();
        let endpoint = Text::try_from("[2001:db8::1]:2222").unwrap();
        vm.access = Some(Access { endpoint, host_key: [8; 32] });
        let node = to_node(&vm, &Names::passing(12)).unwrap();
        assert_eq!((node.host.as_str(), node.port), ("2001:db8::1", 2222));
    }

    #[test]
    fn an_endpoint_that_is_none_never_gets_into_a_config() {
        for endpoint in ["node.example", "a b:22", "-oProxyCommand=sh:22", "a\nUser root:22", "a:0"]
        {
            let mut vm = running();
            let endpoint = Text::try_from(endpoint).unwrap();
            vm.access = Some(Access { endpoint, host_key: [8; 32] });
            assert_eq!(to_node(&vm, &Names::passing(12)).unwrap_err().exit_code(), 3);
        }
    }

    #[test]
    fn what_cannot_answer_is_named_before_ssh_is_started() {
        use ComputeRequestStatus::*;
        for (status, is_assigned, error) in [
            (Stopped, true, "Compute.NotRunning"),
            (InProgress, true, "Compute.NotLaunched"),
            (Pending, false, "Compute.NotAssigned"),
            (Failed, false, "Compute.RequestEnded"),
        ] {
            let mut vm = running();
            vm.request.status = status;
            vm.request.is_assigned = is_assigned;
            let failure = to_guest(&vm, &Names::passing(12), USER, false).unwrap_err();
            assert_eq!(failure.exit_code(), 4);
            assert_eq!(failure.json()["error"]["name"], error);
        }
        let mut vm = running();
        vm.assignment.as_mut().unwrap().ssh_host_key = None;
        let failure = to_guest(&vm, &Names::passing(12), USER, false).unwrap_err();
        assert_eq!(failure.exit_code(), 3);
    }

    #[test]
    fn a_stopped_vm_still_has_its_node() {
        let mut vm = running();
        vm.request.status = ComputeRequestStatus::Stopped;
        assert!(to_node(&vm, &Names::passing(12)).is_ok());
    }
}
