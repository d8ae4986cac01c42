use crate::{identity::Identity, reconcile::Shape};
use quarry_primitives::request::RequestId;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The file's name.
pub(super) const MANIFEST: &str = "vm.json";

/// What a folder says of the VM in it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The chain.
    #[serde(with = "hex_bytes")]
    pub genesis: [u8; 32],
    /// The request's birth.
    #[serde(with = "hex_bytes")]
    pub birth: [u8; 32],
    /// The generation of the assignment.
    pub assignment: u64,
    /// The request's number, in decimal: JSON's numbers are too small.
    #[serde(with = "decimal_text")]
    pub request_id: RequestId,
    /// SHA-256 of the image under the disk.
    #[serde(with = "hex_bytes")]
    pub image: [u8; 32],
    /// The address that the worker gave it, where the chain gave none.
    pub private_address: Option<Ipv4Addr>,
    /// What disk and seed were made for.
    pub shape: Shape,
    /// What the domain was defined for.
    pub defined: Option<Shape>,
    /// How many seeds it had: a guest takes new addresses only as a new instance.
    pub seeds: u32,
    /// Whether it was ever started.
    pub started: bool,
    /// When it was first seen that the chain no longer has it here.
    pub orphan_since: Option<SystemTime>,
    /// The tenant's SSH keys that the worker gave the guest; none where it was made before this was noted.
    #[serde(default)]
    pub guest_keys: Option<GuestKeys>,
}

/// SSH keys in a guest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GuestKeys {
    /// All that the worker may have put there and not taken away again.
    pub may_have: Vec<String>,
    /// Whether the guest has just these.
    pub settled: bool,
}

impl Manifest {
    /// Whose folder it is.
    pub fn identity(&self) -> Identity {
        Identity { genesis: self.genesis, birth: self.birth, assignment: self.assignment }
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        self.identity().name(self.request_id)
    }

    /// What cloud-init tells instances apart by.
    pub fn instance_id(&self) -> String {
        format!("{}-{}", self.identity().uuid(), self.seeds)
    }

    /// How long the VM has been an orphan.
    pub fn orphan_for(&self) -> Option<Duration> {
        // A clock that was set back makes it younger, never older.
        self.orphan_since.map(|since| since.elapsed().unwrap_or_default())
    }

    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let text = std::fs::read(folder.join(MANIFEST))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Whole or not at all, also over a loss of power: without it nobody knows whose disk this is.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let draft: PathBuf = folder.join(".vm.json");
        let mut file = File::create(&draft)?;
        file.write_all(&text)?;
        file.sync_data()?;
        std::fs::rename(&draft, folder.join(MANIFEST))
    }
}

mod hex_bytes {
    use data_encoding::HEXLOWER;
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("not 32 bytes"))
    }
}

mod decimal_text {
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
