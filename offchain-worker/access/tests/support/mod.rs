//! A node of the test's own, and the system's ssh to knock at its port.

use quarry_access::{
    Directory, Figures, Keys, Limits, Node, PrivateKey, Server, Stats, Unavailable, Vm,
};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command as AsyncCommand, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

pub const LIMITS: Limits = Limits {
    unauthenticated: 64,
    per_source: 4,
    per_vm: 32,
    channels_per_vm: 64,
    idle_timeout: Duration::from_secs(3600),
};

/// What the port is told of the node.
pub struct FakeNode {
    pub key: Mutex<PrivateKey>,
    pub directory: watch::Sender<Arc<Directory>>,
    pub ssh: Option<SocketAddr>,
    pub screen: Option<PathBuf>,
    pub console: Option<PathBuf>,
    pub serial_log: PathBuf,
}

impl Node for FakeNode {
    fn host_key(&self) -> Option<PrivateKey> {
        Some(self.key.lock().unwrap().clone())
    }

    fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.directory.subscribe()
    }

    fn ssh(&self, _: u128) -> Option<SocketAddr> {
        self.ssh
    }

    fn screen(&self, _: u128) -> Result<Option<PathBuf>, Unavailable> {
        Ok(self.screen.clone())
    }

    fn console(&self, _: u128) -> Result<Option<PathBuf>, Unavailable> {
        Ok(self.console.clone())
    }

    fn serial_log(&self, _: u128) -> Option<PathBuf> {
        Some(self.serial_log.clone())
    }

    fn stats(&self, _: u128) -> Result<Stats, Unavailable> {
        Ok(Stats { state: "running", vcpus: 3, ..Stats::default() })
    }
}

/// A port that is open, and what it is told.
pub struct Port {
    pub node: Arc<FakeNode>,
    pub address: SocketAddr,
    /// For the test that hands it streams; the others dial.
    #[allow(dead_code)]
    pub server: Arc<Server>,
    pub figures: Arc<Figures>,
    pub folder: TempDir,
    pub stop: CancellationToken,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Port {
    pub async fn open(change: impl FnOnce(&mut FakeNode, &Path)) -> Self {
        Self::limited(LIMITS, change).await
    }

    pub async fn limited(limits: Limits, change: impl FnOnce(&mut FakeNode, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host_key = key(folder.path(), "host", &["-t", "ed25519"]);
        let mut node = FakeNode {
            key: Mutex::new(private(&host_key)),
            directory: watch::Sender::default(),
            ssh: None,
            screen: None,
            console: None,
            serial_log: folder.path().join("serial.log"),
        };
        change(&mut node, folder.path());
        let (node, stop) = (Arc::new(node), CancellationToken::new());
        let server = Server::new(node.clone(), limits, stop.clone());
        let figures = server.figures();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.clone().serve(listener));
        Self { node, address, server, figures, folder, stop }
    }

    /// A new key pair, and its public line.
    pub fn key(&self, name: &str, kind: &[&str]) -> (PathBuf, String) {
        let file = key(self.folder.path(), name, kind);
        let line = fs::read_to_string(file.with_extension("pub")).unwrap();
        (file, line)
    }

    /// From now on these VMs are there, with these keys.
    pub fn set(&self, vms: &[(u128, &[&str])]) {
        let vm =
            |(id, keys): &(u128, &[&str])| (*id, Vm { keys: Keys::parse(keys.iter().copied()) });
        self.node.directory.send_replace(Arc::new(vms.iter().map(vm).collect()));
    }

    /// ssh with its arguments up to the destination, with no other key and no other host key than ours.
    pub fn ssh(&self, user: &str, key: &Path, options: &[&str]) -> AsyncCommand {
        let known = self.folder.path().join("known_hosts");
        let public = self.node.key.lock().unwrap().public_key().to_openssh().unwrap();
        let port = self.address.port();
        fs::write(&known, format!("[127.0.0.1]:{port} {public}\n")).unwrap();
        let mut ssh = AsyncCommand::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
            .args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg("-i")
            .arg(key)
            .arg("-p")
            .arg(port.to_string())
            .args(options)
            .arg("-l")
            .arg(user)
            .arg("127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        ssh
    }

    pub async fn run(&self, user: &str, key: &Path, command: &str) -> Output {
        self.ssh(user, key, &[]).arg(command).output().await.unwrap()
    }
}

fn key(folder: &Path, name: &str, kind: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", name, "-f"])
        .arg(&file)
        .args(kind)
        .status();
    assert!(made.unwrap().success());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

pub fn private(file: &Path) -> PrivateKey {
    PrivateKey::from_openssh(fs::read_to_string(file).unwrap()).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for what must come.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: it did not come to that");
        sleep(Duration::from_millis(20)).await;
    }
}
