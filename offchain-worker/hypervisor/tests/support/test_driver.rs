use super::until;
use std::{
    fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A libvirtd with nothing but the test driver, whose state lives while somebody is connected.
pub struct TestLibvirtd {
    folder: TempDir,
    process: Option<Child>,
}

impl TestLibvirtd {
    /// The place for one, which does not run yet.
    pub fn prepare() -> Self {
        let folder = tempfile::Builder::new().prefix("qh").tempdir_in("/tmp").unwrap();
        fs::create_dir(folder.path().join("no-drivers")).unwrap();
        let settings = format!(
            "unix_sock_dir = \"{}\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n\
             unix_sock_rw_perms = \"0700\"\n",
            folder.path().display()
        );
        fs::write(folder.path().join("libvirtd.conf"), settings).unwrap();
        Self { folder, process: None }
    }

    pub fn start() -> Self {
        let mut libvirtd = Self::prepare();
        libvirtd.run();
        libvirtd
    }

    pub fn run(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "libvirtd", "--config"])
            .arg(path("libvirtd.conf"))
            .arg("--pid-file")
            .arg(path("libvirtd.pid"))
            // The drivers that would touch the machine are modules; the test driver is built in.
            .env("LIBVIRT_DRIVER_DIR", path("no-drivers"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let socket = self.socket();
        until("the test libvirtd answers", || UnixStream::connect(&socket).is_ok());
        // It lets nobody in before its drivers are there.
        self.virsh(&["version"]);
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("libvirt-sock")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.socket().display())
    }

    pub fn virsh(&self, arguments: &[&str]) -> String {
        super::virsh(&self.uri(), arguments)
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lets it hang, as a machine in trouble does.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        super::run(Command::new("kill").args(["-s", name, &pid]));
    }
}

impl Drop for TestLibvirtd {
    fn drop(&mut self) {
        self.kill();
    }
}
