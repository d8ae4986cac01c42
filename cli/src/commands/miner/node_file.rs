//! The file that `quarry-worker enroll` writes: all that a miner needs to register a node, and no secret.

use crate::{failure::Failure, signer};
use data_encoding::HEXLOWER_PERMISSIVE;
use quarry_primitives::{
    node::{proof_payload, Access, NodeMetricsData},
    resources::Resources,
    AccountId, Hash, NodeId, Signature,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sp_core::{sr25519, Pair};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The version of the format that this program reads.
const VERSION: u64 = 1;
/// No such file is larger.
const MOST_BYTES: u64 = 1 << 20;

/// What a host says of itself.
#[derive(Clone, Debug)]
pub struct NodeFile {
    /// The file.
    pub path: PathBuf,
    /// The node's name.
    pub node_id: NodeId,
    /// The chain that the proof is for.
    pub genesis: Hash,
    /// The miner that it is for.
    pub miner: AccountId,
    /// The worker's key.
    pub worker: AccountId,
    /// The worker's word that it works on this node for this miner.
    pub proof: sr25519::Signature,
    /// Where tenants reach the node's SSH port.
    pub access: Access,
    /// What it has to give, as far as it can tell.
    pub capacity: Resources,
    /// What the worker measured.
    pub hardware: NodeMetricsData,
}

impl NodeFile {
    /// Reads a file, and says what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| {
            Failure::Usage(format!(
                "{}: {why}; `quarry-worker enroll` on the host writes it anew",
                path.display()
            ))
        };
        let missing =
            |error: std::io::Error| Failure::NotFound(format!("{}: {error}", path.display()));
        if fs::metadata(path).map_err(missing)?.len() > MOST_BYTES {
            return Err(wrong("this is no file of enroll's: it is too large".into()));
        }
        let text = fs::read(path).map_err(missing)?;
        Self::parse(path, &text).map_err(wrong)
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, String> {
        let file: Value =
            serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
        if !file.is_object() {
            return Err("no JSON object".into());
        }
        match file.get("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            None => return Err("this is no file of enroll's: it has no version".into()),
            Some(other) => {
                return Err(format!("it is of version {other}, and this program reads {VERSION}"))
            }
        }
        let node_id: NodeId = field(&file, "node_id")?;
        if !node_id.is_text() {
            return Err("node_id is empty, or has control characters".into());
        }
        let access: Access = field(&file, "access")?;
        if !access.is_sound() {
            return Err(format!("access.endpoint {:?} is not host:port", access.endpoint));
        }
        if access.host_key == [0; 32] {
            return Err("access.host_key is no key".into());
        }
        let capacity: Resources = field(&file, "capacity")?;
        if !capacity.is_sound() {
            return Err("capacity is not at least one of each".into());
        }
        Ok(Self {
            path: path.to_owned(),
            node_id,
            genesis: bytes(file.get("genesis"), "genesis").map(Hash::from)?,
            miner: account(&file, "miner")?,
            worker: account(&file, "worker")?,
            proof: bytes(file.pointer("/worker_proof/Sr25519"), "worker_proof.Sr25519")
                .map(sr25519::Signature::from_raw)?,
            access,
            capacity,
            hardware: field(&file, "hardware")?,
        })
    }

    /// Whether it is for this chain and this miner, and the worker said so.
    pub fn is_for(&self, genesis: Hash, miner: &AccountId) -> Result<(), Failure> {
        let Self { node_id, .. } = self;
        let path = self.path.display();
        if self.genesis != genesis {
            return Err(Failure::Usage(format!(
                "{path} is for the chain with the genesis {:?}, and this one has {genesis:?}: name the \
                 other with --chain or --url, or enrol the host anew",
                self.genesis
            )));
        }
        if self.miner != *miner {
            let (meant, signs) = (signer::address_of(&self.miner), signer::address_of(miner));
            return Err(Failure::Usage(format!(
                "{path} is for the miner {meant}, and {signs} would sign: name the other's key with \
                 --key, or on the host `quarry-worker enroll --miner {signs}`"
            )));
        }
        if self.worker == self.miner {
            return Err(Failure::refused("Registry.WorkerIsMiner"));
        }
        let payload = proof_payload(&genesis, node_id, miner);
        let worker = sr25519::Public::from_raw(*self.worker.as_ref());
        match sr25519::Pair::verify(&self.proof, payload, &worker) {
            true => Ok(()),
            false => Err(Failure::refused("Registry.InvalidWorkerProof")),
        }
    }

    /// The proof, as calls take it.
    pub fn signature(&self) -> Signature {
        Signature::Sr25519(self.proof)
    }
}

fn field<T: DeserializeOwned>(file: &Value, name: &str) -> Result<T, String> {
    match file.get(name) {
        None => Err(format!("it has no {name}")),
        Some(value) => T::deserialize(value).map_err(|error| format!("{name}: {error}")),
    }
}

fn account(file: &Value, name: &str) -> Result<AccountId, String> {
    let text: String = field(file, name)?;
    signer::address(&text).map_err(|error| format!("{name} {text:?} {error}"))
}

/// 0x and the digits of so many bytes.
fn bytes<const LENGTH: usize>(value: Option<&Value>, name: &str) -> Result<[u8; LENGTH], String> {
    let digits = value.and_then(|value| value.as_str()?.strip_prefix("0x"));
    let bytes = digits.and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{name} is not 0x and {} digits", LENGTH * 2))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub mod tests {
    use super::*;
    use quarry_client::WorkerKey;
    use serde_json::json;

    pub const GENESIS: [u8; 32] = [7; 32];

    pub fn miner() -> AccountId {
        WorkerKey::from_uri("//Bob").unwrap().public()
    }

    /// A file as enroll writes it.
    pub fn written() -> Value {
        let worker = WorkerKey::from_uri("//worker/alpha").unwrap();
        let node_id = NodeId::try_from("alpha").unwrap();
        let Signature::Sr25519(proof) = worker.sign_proof(&GENESIS.into(), &node_id, &miner())
        else {
            unreachable!("workers sign so")
        };
        let hardware = NodeMetricsData { cpu_cores: 8, ..Default::default() };
        let hex = |bytes: &[u8]| format!("0x{}", HEXLOWER_PERMISSIVE.encode(bytes));
        json!({
            "version": 1,
            "node_id": "alpha",
            "genesis": hex(&GENESIS),
            "miner": signer::address_of(&miner()),
            "worker": worker.address(),
            "worker_proof": { "Sr25519": hex(&proof.0) },
            "access": { "endpoint": "alpha.example:2222", "host_key": hex(&[9; 32]) },
            "capacity": { "vcpus": 8, "memory_mib": 16_384, "disk_gib": 200 },
            "hardware": hardware,
        })
    }

    pub fn parsed(file: &Value) -> Result<NodeFile, String> {
        NodeFile::parse(Path::new("node.json"), file.to_string().as_bytes())
    }

    #[test]
    fn what_enroll_wrote_is_read_and_its_proof_holds() {
        let file = parsed(&written()).unwrap();
        assert_eq!(file.node_id.as_str(), Some("alpha"));
        assert_eq!(file.capacity.vcpus, 8);
        assert_eq!(file.hardware.cpu_cores, 8);
        file.is_for(GENESIS.into(), &miner()).unwrap();
    }

    #[test]
    fn each_field_that_is_missing_or_malformed_is_named() {
        for name in [
            "node_id",
            "genesis",
            "miner",
            "worker",
            "worker_proof",
            "access",
            "capacity",
            "hardware",
        ] {
            for broken in
                [None, Some(json!(null)), Some(json!("")), Some(json!(7)), Some(json!({}))]
            {
                let mut file = written();
                let fields = file.as_object_mut().unwrap();
                match broken {
                    None => fields.remove(name),
                    Some(value) => fields.insert(name.into(), value),
                };
                let error = parsed(&file).unwrap_err();
                assert!(error.contains(name), "{name}: {error}");
            }
        }
        for (pointer, value) in [
            ("/node_id", json!("a\nb")),
            ("/node_id", json!("a".repeat(65))),
            ("/genesis", json!("0x07")),
            ("/miner", json!("5FHneW46")),
            ("/worker", json!("0x12")),
            ("/worker_proof/Sr25519", json!("0x12")),
            ("/access/endpoint", json!("alpha.example")),
            ("/access/host_key", json!(format!("0x{}", "0".repeat(64)))),
            ("/access/host_key", json!("0x12")),
            ("/capacity/vcpus", json!(0)),
            ("/capacity/disk_gib", json!(-1)),
            ("/hardware/disks", json!("none")),
        ] {
            let mut file = written();
            *file.pointer_mut(pointer).unwrap() = value;
            let error = parsed(&file).unwrap_err();
            let name = pointer.split('/').nth(1).unwrap();
            assert!(error.contains(name), "{pointer}: {error}");
        }
    }

    #[test]
    fn another_version_and_what_is_no_file_of_enrolls_is_refused() {
        let mut file = written();
        file["version"] = json!(2);
        assert!(parsed(&file).unwrap_err().contains("version 2"));
        file["version"] = json!("1");
        assert!(parsed(&file).is_err());
        assert!(parsed(&json!({})).unwrap_err().contains("no version"));
        assert!(parsed(&json!([])).is_err());
        assert!(NodeFile::parse(Path::new("x"), b"not JSON").is_err());
        assert_eq!(NodeFile::read(Path::new("/nowhere/node.json")).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn it_is_for_one_chain_one_miner_and_one_node() {
        let file = parsed(&written()).unwrap();
        let error = file.is_for([8; 32].into(), &miner()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("genesis"), "{error}");
        let alice = WorkerKey::from_uri("//Alice").unwrap().public();
        let error = file.is_for(GENESIS.into(), &alice).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--miner"), "{error}");
        let other = NodeFile { node_id: NodeId::try_from("beta").unwrap(), ..file.clone() };
        let error = other.is_for(GENESIS.into(), &miner()).unwrap_err();
        assert_eq!(error.json()["error"]["name"], "Registry.InvalidWorkerProof");
        let own = NodeFile { worker: miner(), ..file };
        let error = own.is_for(GENESIS.into(), &miner()).unwrap_err();
        assert_eq!(error.json()["error"]["name"], "Registry.WorkerIsMiner");
    }
}
