//! A development chain of its own for a test, and the market on it.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)]

use quarry_client::{
    bindings, bindings::runtime_types, Chain, ChainOptions, Included, SubmitError, Submitter,
    WorkerKey,
};
use quarry_primitives::{
    node::{Access, Country, NodeId, Offer},
    request::{ImageFormat, ImageMetadata, IpWish, Placement, PlanId},
    resources::{Rates, Resources},
    AccountId, Hash, RequestId, MILLISECS_PER_BLOCK,
};
use sp_core::{Blake2Hasher, Hasher};
use std::{
    env,
    future::Future,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use subxt::utils::AccountId32;
use tempfile::TempDir;

/// Far longer than anything takes; it only ends what would hang.
pub const PATIENCE: Duration = Duration::from_secs(200);
pub const BLOCK_TIME: Duration = Duration::from_millis(MILLISECS_PER_BLOCK);

/// Waits for something that must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for the next block: there is time until the one after it.
pub async fn next_block(chain: &Chain) {
    let mut best = chain.best();
    best.borrow_and_update();
    soon("a block", best.changed()).await.unwrap();
}

fn program() -> PathBuf {
    let built = |folder: PathBuf| folder.join("release/quarry-node");
    let cache = PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/quarry/target");
    let named = env::var_os("QUARRY_NODE").map(PathBuf::from);
    let targets = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).into_iter().chain([cache]);
    let found = named.or_else(|| targets.map(built).find(|program| program.exists()));
    found.expect(
        "no chain node: build it (cargo build --release -p quarry-node), or set QUARRY_NODE",
    )
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A chain node that makes blocks alone. It ends with its value, its data does with `folder`.
pub struct ChainNode {
    process: Child,
    pub port: u16,
}

impl ChainNode {
    pub fn start(folder: &Path, port: u16) -> Self {
        Self::start_with(folder, port, &[])
    }

    pub fn start_with(folder: &Path, port: u16, options: &[&str]) -> Self {
        Self::spawn(folder, port, &[&["--dev"], options].concat())
    }

    /// One that should have a peer, has none, and makes blocks all the same.
    pub fn cut_off(folder: &Path) -> Self {
        let nobody = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let peer = format!("/ip4/127.0.0.1/tcp/{}/p2p/{nobody}", free_port());
        Self::start_with(folder, 0, &["--bootnodes", &peer])
    }

    /// One that makes no blocks, and takes those of a peer.
    pub fn follow(folder: &Path, peer: &str) -> Self {
        Self::spawn(folder, 0, &["--chain", "dev", "--bootnodes", peer])
    }

    fn spawn(folder: &Path, port: u16, options: &[&str]) -> Self {
        let mut process = Command::new(program())
            .args(["--port", "0", "--no-prometheus", "--no-telemetry"])
            .args(["--rpc-port", &port.to_string(), "--base-path"])
            .arg(folder)
            .args(options)
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut node = Self { process, port: 0 };
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = log.lines().map_while(Result::ok);
            let mut said = String::new();
            for line in lines.by_ref() {
                if let Some((_, rest)) = line.split_once("Running JSON-RPC server: addr=") {
                    let _ = told.send(rest.split(',').next().map(str::to_owned));
                    break;
                }
                said.push_str(&line);
                said.push('\n');
            }
            // Read to the end, or the chain node could not write any more.
            let ended = lines.last();
            if env::var_os("QUARRY_SHOW_NODE").is_some() {
                eprintln!("{said}{ended:?}");
            }
        });
        let address = address.recv_timeout(PATIENCE).unwrap().unwrap();
        node.port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        node
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// As when the power goes.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for ChainNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Shows what the client logs, as `RUST_LOG` asks for; a test that passes shows nothing.
fn show_log() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

pub fn temporary() -> TempDir {
    show_log();
    tempfile::Builder::new().prefix("quarry-client-").tempdir().unwrap()
}

/// A development chain with an image, a node of //Alice's, and a worker without funds.
pub struct Market {
    pub chain: Chain,
    pub genesis: Hash,
    pub miner: Submitter,
    pub worker: WorkerKey,
    pub node_id: NodeId,
}

pub fn worker_key(name: &str) -> WorkerKey {
    WorkerKey::from_uri(&format!("//worker/{name}")).unwrap()
}

pub fn alice() -> WorkerKey {
    WorkerKey::from_uri("//Alice").unwrap()
}

pub fn subxt_account(account: &AccountId) -> AccountId32 {
    AccountId32(*account.as_ref())
}

impl Market {
    /// Follows the chain there, registers the node and adds the image.
    pub async fn open(options: ChainOptions, name: &str) -> Self {
        let chain = Chain::start(options).unwrap();
        let (genesis, _) = soon("the chain", chain.ready()).await;
        let miner = Submitter::spawn(chain.clone(), alice());
        let (worker, node_id) = (worker_key(name), NodeId::try_from(name).unwrap());
        let market = Self { chain, genesis, miner, worker, node_id };
        let registered = market.miner.submit(market.registration());
        let image = market.miner.submit(bindings::tx().sudo().sudo(image_added()));
        let (registered, image) = tokio::join!(soon("the node", registered), soon("image", image));
        let registered = registered.unwrap();
        let registered = registered.find::<bindings::registry::events::NodeRegistered>();
        assert_eq!(
            registered.unwrap().worker.0,
            *AsRef::<[u8; 32]>::as_ref(&market.worker.public())
        );
        assert!(image.unwrap().event_names().contains(&"Sudo.Sudid".to_owned()));
        market
    }

    fn registration(&self) -> impl subxt::tx::Payload + Send + Sync + 'static {
        let offer = Offer {
            capacity: Resources { vcpus: 1_000, memory_mib: 1 << 20, disk_gib: 10_000 },
            rates: Rates { vcpu: 1_000, memory_gib: 500, disk_gib: 10, ip: 250 },
            country: Country(*b"SE"),
            max_vms: 1_000,
            global_ips: false,
        };
        let proof = self.worker.sign_proof(&self.genesis, &self.node_id, &alice().public());
        bindings::tx().registry().register_node(
            (&self.node_id).into(),
            offer.into(),
            access("first.example:2222").into(),
            subxt_account(&self.worker.public()),
            proof.into(),
        )
    }

    /// Rents so many VMs on the node: their numbers.
    pub async fn rent(&self, count: usize) -> Vec<RequestId> {
        let before = self.next_request_id().await;
        let calls = (0..count).map(|_| rent_on(&self.node_id)).collect();
        let rented = self.miner.submit(bindings::tx().utility().batch_all(calls));
        soon("the rent", rented).await.unwrap();
        (before..before + count as RequestId).collect()
    }

    pub async fn next_request_id(&self) -> RequestId {
        self.now().next_request_id().await.unwrap()
    }

    /// The state of the latest finalized block.
    pub fn now(&self) -> quarry_client::At {
        let finalized = (*self.chain.finalized().borrow()).unwrap();
        self.chain.at(finalized.block.hash)
    }

    pub async fn submit(
        &self,
        call: impl subxt::tx::Payload + Send + Sync + 'static,
    ) -> Result<Included, SubmitError> {
        soon("a call", self.miner.submit(call)).await
    }
}

pub fn access(endpoint: &str) -> Access {
    Access { endpoint: endpoint.try_into().unwrap(), host_key: [7; 32] }
}

type RuntimeCall = runtime_types::quarry_runtime::RuntimeCall;

fn image_added() -> RuntimeCall {
    let image = ImageMetadata {
        name: "debian-12".try_into().unwrap(),
        image_url: "https://images.example/debian-12.qcow2".try_into().unwrap(),
        digest: [0xd1; 32],
        format: ImageFormat::Qcow2,
        virtual_size_gib: 3,
        supersedes: None,
        enabled: true,
    };
    RuntimeCall::Compute(runtime_types::pallet_compute::pallet::Call::add_image {
        image: Box::new(image.into()),
    })
}

fn rent_on(node_id: &NodeId) -> RuntimeCall {
    let placement = Placement { miner_id: Some(node_id.clone()), country: None };
    RuntimeCall::Compute(runtime_types::pallet_compute::pallet::Call::create_compute_request {
        name: quarry_primitives::request::VmName::try_from("vm").unwrap().into(),
        plan_id: nano(),
        image: quarry_primitives::request::ImageName::try_from("debian-12").unwrap().into(),
        ssh_keys: runtime_types::bounded_collections::bounded_vec::BoundedVec(Vec::new()),
        cloud_init_cid: None,
        placement: placement.into(),
        max_price: 1_000_000,
        prepaid_blocks: 1_000,
        ip: IpWish::None.into(),
    })
}

pub fn nano() -> PlanId {
    Blake2Hasher::hash(b"nano")
}
