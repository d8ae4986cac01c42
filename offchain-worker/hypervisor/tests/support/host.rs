use super::{run, until};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// libvirt's folders are this host's own, and so are its network, its processes and its control groups:
/// it has none of the latter, or such as no other host sees.
const PREPARE: &str = r#"
set -e
root=$1 group=$2
for folder in run/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt etc/libvirt; do
    mkdir -p "$root/$folder" "/$folder"
done
cp -a /etc/libvirt/. "$root/etc/libvirt/"
rm -rf "$root/etc/libvirt/qemu"
mkdir -p "$root/etc/libvirt/qemu"
printf '%s\n' 'security_driver = "none"' 'user = "root"' 'group = "root"' >>"$root/etc/libvirt/qemu.conf"
for folder in run/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt etc/libvirt; do
    mount --bind "$root/$folder" "/$folder"
done
mkdir -p "$root/cgroup" /run/netns
mount -t tmpfs tmpfs /run/netns
mount --rbind /sys/fs/cgroup "$root/cgroup"
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
own_group() {
    mkdir -p "$1/keeper"
    echo 1 >"$1/keeper/cgroup.procs"
    mount --bind "$1" "$2"
}
if [ -n "$group" ] && [ -e "$root/cgroup/cgroup.controllers" ]; then
    for controller in $(cat "$root/cgroup/cgroup.controllers"); do
        echo "+$controller" >"$root/cgroup/cgroup.subtree_control" || true
    done
    own_group "$root/cgroup/$group" /sys/fs/cgroup
elif [ -n "$group" ]; then
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for controller in cpu cpuacct memory blkio devices pids; do
        [ -d "$root/cgroup/$controller" ] || continue
        mkdir "/sys/fs/cgroup/$controller"
        own_group "$root/cgroup/$controller/$group" "/sys/fs/cgroup/$controller"
    done
fi
umount --recursive --lazy "$root/cgroup"
ip link set dev lo up
virtlogd --daemon --pid-file /run/libvirt/virtlogd.pid
libvirtd --daemon --pid-file /run/libvirt/libvirtd.pid
# A first process must reap what its children leave.
sleep infinity &
wait
"#;

/// A machine with libvirt and QEMU, as far as they can tell. All of it ends with this value.
pub struct Host {
    root: TempDir,
    keeper: Child,
    group: Option<String>,
}

impl Host {
    /// One without control groups.
    pub fn start() -> Self {
        Self::with(None)
    }

    pub fn with_control_groups() -> Self {
        Self::with(Some(format!("quarry-hypervisor-{}", std::process::id())))
    }

    fn with(group: Option<String>) -> Self {
        let root = tempfile::Builder::new().prefix("qh").tempdir_in("/tmp").unwrap();
        let log = File::create(root.path().join("log")).unwrap();
        let keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--fork", "--kill-child"])
            .args(["--pid", "--mount-proc", "--mount", "--net"])
            .args(["sh", "-c", PREPARE, "sh"])
            .arg(root.path())
            .arg(group.as_deref().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut host = Self { root, keeper, group };
        let socket = host.socket();
        until("libvirt answers on the host", || {
            let end = host.keeper.try_wait().unwrap();
            let log = || fs::read_to_string(host.root.path().join("log")).unwrap();
            assert!(end.is_none(), "the host died: {}", log());
            UnixStream::connect(&socket).is_ok()
        });
        // It lets nobody in before its drivers are there.
        host.virsh(&["version"]);
        host
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("run/libvirt/libvirt-sock")
    }

    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    pub fn virsh(&self, arguments: &[&str]) -> String {
        super::virsh(&self.uri(), arguments)
    }

    /// A folder that the host has too.
    pub fn folder(&self) -> &Path {
        self.root.path()
    }

    /// A file of the host's.
    pub fn file(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.pid()).join("root").join(path.trim_start_matches('/'))
    }

    fn pid(&self) -> String {
        let keeper = self.keeper.id();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
        children.unwrap().split_whitespace().next().unwrap().to_owned()
    }

    /// Runs a program on the host.
    pub fn run(&self, arguments: &[&str]) -> String {
        let pid = self.pid();
        let enter = ["--target", &pid, "--net", "--mount", "--pid"];
        run(Command::new("nsenter").args(enter).args(arguments))
    }

    /// Runs lines of a shell on the host.
    pub fn shell(&self, lines: &str) -> String {
        self.run(&["sh", "-e", "-c", lines])
    }

    pub fn kill_libvirtd(&self) {
        self.shell("kill -9 $(cat /run/libvirt/libvirtd.pid)");
    }

    pub fn start_libvirtd(&self) {
        self.shell("libvirtd --daemon --pid-file /run/libvirt/libvirtd.pid");
    }

    /// The host's network.
    pub fn network(&self) -> Network {
        Network(File::open(Path::new("/proc").join(self.pid()).join("ns/net")).unwrap())
    }

    /// A network that was made on the host by `ip netns add`.
    pub fn network_of(&self, name: &str) -> Network {
        Network(File::open(self.file(&format!("/run/netns/{name}"))).unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let Some(group) = &self.group else { return };
        let trees = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|tree| tree.path());
        for tree in trees.chain([PathBuf::from("/sys/fs/cgroup")]) {
            remove_groups(&tree.join(group));
        }
    }
}

/// The kernel takes its time with the processes in them.
fn remove_groups(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        remove_groups(&entry.path());
    }
    for _ in 0..200 {
        if fs::remove_dir(group).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A network, to speak and to listen in.
pub struct Network(File);

impl Network {
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter_and_work = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.0.as_fd(), kind).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter_and_work).join().unwrap())
    }

    /// Whether a TCP connection comes about.
    pub fn reaches(&self, address: &str) -> bool {
        let address: SocketAddr = address.parse().unwrap();
        self.within(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    }

    /// Answers at a port of all addresses, of both families.
    pub fn listen(&self, port: u16) {
        let listener = self.within(|| TcpListener::bind(("::", port)).unwrap());
        thread::spawn(move || listener.incoming().for_each(drop));
    }
}
