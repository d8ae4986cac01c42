//! `quarry-worker enroll`: all that a miner needs to register this node from another machine, in a file
//! without a secret.

use crate::{
    access_key,
    config::{ConfigErrors, Settings},
    engine::SPEED_KEEPS,
    signer,
};
use clap::Args;
use codec::Encode;
use data_encoding::HEXLOWER;
use quarry_client::{Chain, ChainOptions, EndpointError, KeyFileError, WorkerKey};
use quarry_guest::{HostKey, HostKeyError};
use quarry_host::{to_metrics, DiskSpeed, Host, HostError, NodeFacts, Sample};
use quarry_hypervisor::{Hypervisor, Libvirt};
use quarry_primitives::{
    node::{Access, NodeMetricsData},
    resources::Resources,
    text::Text,
    AccountId, Hash, Signature, SS58_PREFIX,
};
use serde::Serialize;
use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};

/// How long the chain and libvirt may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the host keeps for itself at least.
const OWN_MEMORY_MIB: u64 = 2_048;

/// Who registers, and where the file goes.
#[derive(Args, Clone, Debug)]
pub struct EnrollArgs {
    /// The miner's address: the account that will register the node and earn. Its key stays where it is.
    #[arg(long, value_name = "ADDRESS", value_parser = account)]
    miner: AccountId,
    /// Where the file goes. One that is there is replaced.
    #[arg(long, value_name = "FILE", default_value = "node.json")]
    out: PathBuf,
    /// The file's content to standard output, and no file.
    #[arg(long)]
    json: bool,
}

/// Why a node cannot be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The worker's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The access port's key.
    #[error("the access port's host key: {0}")]
    AccessKey(#[from] HostKeyError),
    /// Nobody said how tenants reach the node.
    #[error("set access.endpoint to what tenants will dial, as \"node.example:2222\" (or access.relay, for a node that nobody can dial)")]
    NoEndpoint,
    /// The chain's endpoints.
    #[error(transparent)]
    Endpoints(#[from] EndpointError),
    /// No chain said which it is.
    #[error("no chain node answers, and the proof is for one chain: see chain.endpoints, or set chain.genesis (last: {0})")]
    NoChain(String),
    /// The host's figures.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file or a folder.
    #[error("{0:?}: {1}")]
    Io(PathBuf, io::Error),
    /// A task broke off.
    #[error("looking at the host broke off")]
    BrokeOff,
}

impl EnrollError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::NoEndpoint | Self::Endpoints(_) => ConfigErrors::EXIT_CODE,
            _ => 1,
        }
    }
}

/// What the miner registers.
#[derive(Debug, Serialize)]
struct Enrolment {
    /// Of this file's format.
    version: u32,
    node_id: String,
    genesis: String,
    miner: String,
    worker: String,
    worker_proof: Proof,
    access: Access,
    /// What the host has to give, as far as it can tell.
    capacity: Resources,
    hardware: NodeMetricsData,
}

/// As polkadot.js takes a signature.
#[derive(Debug, Serialize)]
struct Proof {
    #[serde(rename = "Sr25519")]
    sr25519: String,
}

/// An address as people write it, or 0x and its 64 digits.
fn account(text: &str) -> Result<AccountId, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        let bytes = HEXLOWER.decode(digits.to_lowercase().as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        return bytes.map(AccountId::new).ok_or_else(|| "must have 64 digits after 0x".into());
    }
    match AccountId::from_ss58check_with_version(text) {
        Ok((account, version)) if version == Ss58AddressFormat::from(u16::from(SS58_PREFIX)) => {
            Ok(account)
        }
        Ok((account, _)) => {
            let ours = address(&account);
            Err(format!("is written for another network; for this one it is {ours}"))
        }
        Err(_) => Err("is no address: copy it from the miner's wallet".into()),
    }
}

fn address(account: &AccountId) -> String {
    account.to_ss58check_with_version(u16::from(SS58_PREFIX).into())
}

/// Makes the keys that are missing, signs the proof, and writes the file. Says what it does on standard
/// error.
pub async fn enroll(args: &EnrollArgs, settings: Settings) -> Result<String, EnrollError> {
    let endpoint = endpoint(&settings).ok_or(EnrollError::NoEndpoint)?;
    let data_dir = &settings.data_dir;
    fs::create_dir_all(data_dir).map_err(|error| EnrollError::Io(data_dir.clone(), error))?;
    let key = worker_key(&settings.key.file)?;
    let host_key = host_key(&settings.access.key)?;
    let genesis = genesis(&settings).await?;
    let hardware = hardware(&settings).await?;
    let enrolment = Enrolment {
        version: 1,
        node_id: settings.node_id.to_string(),
        genesis: format!("0x{}", HEXLOWER.encode(genesis.as_bytes())),
        miner: address(&args.miner),
        worker: key.address(),
        worker_proof: proof(&key.sign_proof(&genesis, &settings.node_id, &args.miner)),
        access: Access { endpoint, host_key: host_key.public() },
        capacity: hardware.capacity,
        hardware: hardware.metrics,
    };
    let text = format!("{:#}\n", serde_json::json!(enrolment));
    if args.json {
        return Ok(text);
    }
    write(&args.out, &text).map_err(|error| EnrollError::Io(args.out.clone(), error))?;
    Ok(summary(&enrolment, &args.out, settings.access.relay.is_some()))
}

/// A worker's keys are of one kind, and its signatures so too: what comes before the bytes names it.
fn proof(signature: &Signature) -> Proof {
    let encoded = signature.encode();
    Proof { sr25519: format!("0x{}", HEXLOWER.encode(encoded.get(1..).unwrap_or_default())) }
}

fn endpoint(settings: &Settings) -> Option<Text<128>> {
    // The relay gives a port of it once the node is registered, and the worker tells the chain then.
    let relay = settings.access.relay.as_ref().map(|relay| &relay.endpoint);
    settings.access.endpoint.as_ref().or(relay).cloned()
}

/// The one that is to be used from now on: the next, where there is one. A new one, where there is none.
fn worker_key(file: &Path) -> Result<WorkerKey, EnrollError> {
    let keys = match signer::keys(file) {
        Err(KeyFileError::NotFound(_)) => Vec::new(),
        keys => keys?,
    };
    if let Some(key) = keys.into_iter().next_back() {
        return Ok(key);
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(|error| EnrollError::Io(folder.to_owned(), error))?;
    eprintln!("making the worker's key: {}", file.display());
    Ok(WorkerKey::create(file)?)
}

fn host_key(file: &Path) -> Result<HostKey, HostKeyError> {
    match access_key::keys(file)?.pop() {
        Some(key) => Ok(key),
        None => access_key::make(file),
    }
}

async fn genesis(settings: &Settings) -> Result<Hash, EnrollError> {
    if let Some(genesis) = settings.chain.genesis {
        return Ok(genesis.into());
    }
    let chain = Chain::start(ChainOptions::new(&settings.chain.endpoints))?;
    match timeout(PATIENCE, chain.ready()).await {
        Ok((genesis, _)) => Ok(genesis),
        Err(_) => {
            let last = chain.connection().borrow().last_error.clone();
            Err(EnrollError::NoChain(last.unwrap_or_else(|| "no answer".into())))
        }
    }
}

struct Hardware {
    metrics: NodeMetricsData,
    capacity: Resources,
}

async fn hardware(settings: &Settings) -> Result<Hardware, EnrollError> {
    eprintln!("looking at the host, and measuring its disk unless that was done lately");
    let data_dir = settings.data_dir.clone();
    let looked = spawn_blocking(move || {
        let sample = Host::new(&data_dir).sample()?;
        let speed = DiskSpeed::known_or_measured(&data_dir, SPEED_KEEPS);
        let speed = speed.inspect_err(|error| eprintln!("the disk's speed is not known: {error}"));
        Ok::<_, HostError>((sample, speed.ok()))
    });
    let (sample, disk_speed) = looked.await.map_err(|_| EnrollError::BrokeOff)??;
    let facts = NodeFacts {
        node_id: settings.node_id.clone(),
        geolocation: settings.geolocation.as_str().unwrap_or_default().to_owned(),
        vm_count: 0,
        hypervisor: hypervisor(&settings.hypervisor.uri).await,
        worker_version: env!("CARGO_PKG_VERSION").to_owned(),
        disk_speed,
    };
    Ok(Hardware { metrics: to_metrics(&sample, &facts), capacity: capacity(&sample) })
}

async fn hypervisor(uri: &str) -> String {
    let uri = uri.to_owned();
    let asked = spawn_blocking(move || {
        let libvirt: Arc<Libvirt> = Libvirt::connect(&uri)?;
        libvirt.host().map(|host| host.hypervisor)
    });
    match timeout(PATIENCE, asked).await {
        Ok(Ok(Ok(hypervisor))) => hypervisor,
        Ok(Ok(Err(error))) => {
            eprintln!("libvirt does not answer, which `quarry-worker check` says more of: {error}");
            String::new()
        }
        _ => String::new(),
    }
}

/// All CPUs, and of memory and free disk what the host can do without.
fn capacity(sample: &Sample) -> Resources {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    let memory = sample.memory.total / MIB;
    let own = OWN_MEMORY_MIB.max(memory / 10);
    let disk = sample.storage.free / GIB * 4 / 5;
    Resources {
        vcpus: sample.cpu_cores.max(1),
        memory_mib: u32::try_from(memory.saturating_sub(own)).unwrap_or(u32::MAX).max(1),
        disk_gib: u32::try_from(disk).unwrap_or(u32::MAX).max(1),
    }
}

/// Whole, or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(&draft, path)
}

fn summary(enrolment: &Enrolment, out: &Path, by_relay: bool) -> String {
    let Enrolment { node_id, miner, worker, access, capacity, .. } = enrolment;
    let endpoint = access.endpoint.as_str().unwrap_or_default();
    let later = if by_relay { ", until the relay gives it a port of its own" } else { "" };
    format!(
        "node      {node_id}\nminer     {miner}\nworker    {worker}\nendpoint  {endpoint}{later}\n\
         capacity  {} vCPUs, {} MiB, {} GiB\n\n\
         {} has all that the miner needs, and no secret: take it to the machine with the miner's key, choose \
         what to\noffer and for how much, and sign registry.registerNode. Then, here: quarry-worker check\n",
        capacity.vcpus,
        capacity.memory_mib,
        capacity.disk_gib,
        out.display(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use quarry_primitives::node::proof_payload;
    use serde_json::Value;
    use sp_core::Pair;

    const BOB: &str = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

    fn settings(folder: &Path, more: &str) -> Settings {
        let file = folder.join("worker.toml");
        let text = format!(
            "node_id = \"alpha\"\ndata_dir = \"{}/data\"\nhypervisor.uri = \"test:///default\"\n\
             chain = {{ endpoints = [\"ws://127.0.0.1:1\"], genesis = \"0x{}\" }}\n{more}",
            folder.display(),
            "07".repeat(32),
        );
        fs::write(&file, text).unwrap();
        Settings::load(&file, []).unwrap()
    }

    fn args(folder: &Path) -> EnrollArgs {
        EnrollArgs { miner: account(BOB).unwrap(), out: folder.join("node.json"), json: false }
    }

    #[tokio::test]
    async fn the_file_has_what_the_chain_asks_for_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "access.endpoint = \"node.example:2222\"\n");
        let told = enroll(&args(folder.path()), settings.clone()).await.unwrap();
        assert!(told.contains("registry.registerNode"), "{told}");
        let text = fs::read_to_string(folder.path().join("node.json")).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["node_id"], "alpha");
        assert_eq!(found["miner"], BOB);
        assert_eq!(found["access"]["endpoint"], "node.example:2222");
        let host_key = HostKey::read(&settings.access.key).unwrap();
        let public = format!("0x{}", HEXLOWER.encode(&host_key.public()));
        assert_eq!(found["access"]["host_key"], public);
        assert!(found["capacity"]["vcpus"].as_u64().unwrap() > 0);
        assert!(found["hardware"]["memory_mb"].as_u64().unwrap() > 0);
        let key = WorkerKey::read(&settings.key.file).unwrap();
        assert_eq!(found["worker"], key.address());
        let proof = found["worker_proof"]["Sr25519"].as_str().unwrap();
        let proof: [u8; 64] = HEXLOWER.decode(&proof.as_bytes()[2..]).unwrap().try_into().unwrap();
        let genesis = Hash::from([7; 32]);
        let payload = proof_payload(&genesis, &settings.node_id, &account(BOB).unwrap());
        let public: [u8; 32] = *key.public().as_ref();
        assert!(sp_core::sr25519::Pair::verify(&proof.into(), payload, &public.into()));
        let secret = fs::read_to_string(&settings.key.file).unwrap();
        assert!(!text.contains(secret.trim()) && !text.contains("PRIVATE KEY"));
    }

    #[tokio::test]
    async fn enrolling_again_makes_no_new_keys() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "access.endpoint = \"node.example:2222\"\n");
        let args = EnrollArgs { json: true, ..args(folder.path()) };
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let first = read(enroll(&args, settings.clone()).await.unwrap());
        let again = read(enroll(&args, settings).await.unwrap());
        assert_eq!(first["worker"], again["worker"]);
        assert_eq!(first["access"], again["access"]);
        assert!(!args.out.exists());
    }

    #[tokio::test]
    async fn the_next_keys_are_enrolled_where_there_are_any() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "access.endpoint = \"node.example:2222\"\n");
        let args = EnrollArgs { json: true, ..args(folder.path()) };
        enroll(&args, settings.clone()).await.unwrap();
        let worker = WorkerKey::create(&signer::next_to(&settings.key.file)).unwrap();
        let port = access_key::make(&signer::next_to(&settings.access.key)).unwrap();
        let found: Value = serde_json::from_str(&enroll(&args, settings).await.unwrap()).unwrap();
        assert_eq!(found["worker"], worker.address());
        let public = format!("0x{}", HEXLOWER.encode(&port.public()));
        assert_eq!(found["access"]["host_key"], public);
    }

    #[tokio::test]
    async fn a_node_that_nobody_would_reach_is_not_enrolled() {
        let folder = tempfile::tempdir().unwrap();
        let error = enroll(&args(folder.path()), settings(folder.path(), "")).await.unwrap_err();
        assert!(matches!(error, EnrollError::NoEndpoint), "{error}");
        assert_eq!(error.exit_code(), 78);
        assert!(!folder.path().join("data").exists());
    }

    #[test]
    fn a_node_behind_a_relay_is_enrolled_by_the_relays_address() {
        let folder = tempfile::tempdir().unwrap();
        let relay = "access = { relay = \"relay.example:2200\", relay_key = \"ssh-ed25519 \
                     AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\" }";
        let found = endpoint(&settings(folder.path(), relay)).unwrap();
        assert_eq!(found.as_str(), Some("relay.example:2200"));
    }

    #[test]
    fn a_miners_address_is_taken_in_the_chains_own_writing() {
        assert_eq!(address(&account(BOB).unwrap()), BOB);
        let hex = format!("0x{}", HEXLOWER.encode(account(BOB).unwrap().as_ref()));
        assert_eq!(account(&hex), account(BOB));
        let polkadot = account(BOB).unwrap().to_ss58check_with_version(0u16.into());
        assert!(account(&polkadot).unwrap_err().contains(BOB));
        for wrong in ["", "0x12", "5FHneW46", "//Bob"] {
            assert!(account(wrong).is_err(), "{wrong}");
        }
    }
}
