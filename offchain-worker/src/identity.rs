//! What a VM is called on its host. All of it derives from the chain, the request's birth and the
//! generation of the assignment, so that a VM is never taken for another one: not after an evacuation
//! and a return, and not after a chain began anew.

use quarry_hypervisor::Tag;
use quarry_primitives::{api::WorkItem, request::RequestId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// One assignment of one request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity {
    /// The chain.
    pub genesis: [u8; 32],
    /// The request's birth.
    pub birth: [u8; 32],
    /// The generation of the assignment.
    pub assignment: u64,
}

impl Identity {
    /// That of a VM in the node's work.
    pub fn of(genesis: [u8; 32], item: &WorkItem) -> Self {
        Self { genesis, birth: item.birth.0, assignment: item.assigned_generation }
    }

    /// That of a domain.
    pub fn of_tag(tag: &Tag) -> Self {
        Self { genesis: tag.genesis, birth: tag.birth, assignment: tag.assignment }
    }

    /// libvirt's id, which cloud-init has as the instance's id too.
    pub fn uuid(&self) -> Uuid {
        let digest = self.derive(b"uuid");
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The network card's address: local, for one station, and none that libvirt keeps for its own
    /// ends of the wire (`fe`).
    pub fn mac(&self) -> [u8; 6] {
        let [a, b, c, d, e, ..] = self.derive(b"mac");
        [0x52, a, b, c, d, e]
    }

    /// The domain's and the folder's name; the number is for people.
    pub fn name(&self, request_id: RequestId) -> String {
        let [a, b, c, d, ..] = self.derive(b"name");
        format!("quarry-{request_id}-{a:02x}{b:02x}{c:02x}{d:02x}")
    }

    fn derive(&self, what: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"quarry-vm")
            .chain_update(self.genesis)
            .chain_update(self.birth)
            .chain_update(self.assignment.to_le_bytes())
            .chain_update(what)
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Identity = Identity { genesis: [1; 32], birth: [2; 32], assignment: 3 };

    #[test]
    fn each_part_makes_another_vm() {
        for other in [
            Identity { genesis: [9; 32], ..ONE },
            Identity { birth: [9; 32], ..ONE },
            Identity { assignment: 9, ..ONE },
        ] {
            assert_ne!(other.uuid(), ONE.uuid());
            assert_ne!(other.mac(), ONE.mac());
            assert_ne!(other.name(7), ONE.name(7));
        }
    }

    #[test]
    fn the_mac_is_local_and_of_one_station() {
        assert_eq!(ONE.mac()[0] & 0b11, 0b10);
    }

    #[test]
    fn names_last_over_releases() {
        // VMs of an older release must be found again: a change here orphans them all.
        assert_eq!(ONE.uuid().to_string(), "bbdf1441-4518-8a32-a4f1-1f5478de2d84");
        assert_eq!(ONE.name(7), "quarry-7-dcb5fac8");
    }
}
