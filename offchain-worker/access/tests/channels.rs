//! What is carried, with a real ssh.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use quarry_access::Refusal;
use russh::{
    client::{self, Handle, Handler},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use rustix::{
    fs::{Mode, OFlags},
    pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags},
};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use support::{private, text, until, Port, LIMITS};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, UnixListener, UnixStream},
    process::Child,
    time::{sleep, timeout},
};

const ED25519: [&str; 2] = ["-t", "ed25519"];

/// Sends back, when its peer is through, how much that sent, and then closes.
async fn counting_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                stream.write_all(&all).await.unwrap();
                stream.write_all(format!("{}", all.len()).as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn port_22_is_carried_both_ways_and_an_end_is_passed_on() {
    let server = counting_server().await;
    let port = Port::open(|node, _| node.ssh = Some(server)).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let megabytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    for host in ["vm", "localhost", "127.0.0.1", "[::1]", "7"] {
        let mut ssh = port.ssh("7", &key, &["-W", &format!("{host}:22")]);
        let mut ssh = ssh.stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, sent) = (ssh.stdin.take().unwrap(), megabytes.clone());
        tokio::spawn(async move {
            stdin.write_all(&sent).await.unwrap();
        });
        let output = ssh.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{host}: {}", text(&output.stderr));
        let (back, count) = output.stdout.split_at(megabytes.len());
        assert!(back == megabytes, "{host}");
        assert_eq!(text(count), "5000000");
    }
    until("the bytes are counted", || port.figures.bytes() == (25_000_000, 25_000_035)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_port_and_host_is_refused() {
    let server = counting_server().await;
    let port = Port::open(|node, _| node.ssh = Some(server)).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line]), (8, &[&line])]);
    let elsewhere =
        ["vm:80", "vm:2222", "8:22", "example.com:22", "10.0.0.1:22", "vm.:22", "07:22"];
    for target in elsewhere {
        let output = port.ssh("7", &key, &["-W", target]).output().await.unwrap();
        let said = text(&output.stderr);
        assert!(said.contains("administratively prohibited"), "{target}: {said}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(port.figures.refused(Refusal::Channel), elsewhere.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_does_not_answer_is_said_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let port = Port::open(|node, _| node.ssh = Some(free)).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    for target in ["vm:22", "vm:5900"] {
        let output = port.ssh("7", &key, &["-W", target]).output().await.unwrap();
        assert!(text(&output.stderr).contains("connect failed"), "{}", text(&output.stderr));
    }
    assert_eq!(port.figures.refused(Refusal::Channel), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn port_5900_is_the_screen() {
    let mut screen = None;
    let port = Port::open(|node, folder| {
        let path = folder.join("vnc");
        screen = Some(UnixListener::bind(&path).unwrap());
        node.screen = Some(path);
    })
    .await;
    let screen = screen.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = screen.accept().await.unwrap();
        stream.write_all(b"RFB 003.008\n").await.unwrap();
    });
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let output = port.ssh("7", &key, &["-W", "vm:5900"]).output().await.unwrap();
    assert_eq!(text(&output.stdout), "RFB 003.008\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_gets_the_usage_and_nothing_else_is_carried() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let unknown = port.run("7", &key, "bash -c id").await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty() && text(&unknown.stderr).starts_with("Usage: "));
    let none = port.ssh("7", &key, &["-tt"]).output().await.unwrap();
    assert_eq!(none.status.code(), Some(0));
    assert!(text(&none.stdout).starts_with("Usage: "));
    let sftp = port.ssh("7", &key, &["-s"]).arg("sftp").output().await.unwrap();
    assert!(text(&sftp.stderr).contains("subsystem request failed"), "{}", text(&sftp.stderr));
    let forward = ["-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1"];
    let remote = port.ssh("7", &key, &forward).output().await.unwrap();
    assert!(text(&remote.stderr).contains("forwarding failed"), "{}", text(&remote.stderr));
}

/// The guest's side of a serial console, and the path of the other.
fn serial() -> (File, PathBuf) {
    let guest = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&guest).unwrap();
    unlockpt(&guest).unwrap();
    let path = PathBuf::from(ptsname(&guest, Vec::new()).unwrap().into_string().unwrap());
    // As QEMU does, so that the terminal is not hung up between two who have it open.
    let keep = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    std::mem::forget(keep);
    (File::from(guest), path)
}

async fn console(port: &Port, key: &Path) -> (Child, BufReader<tokio::process::ChildStderr>) {
    let mut ssh = port.ssh("7", key, &[]);
    let mut ssh = ssh.arg("console").stdin(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(ssh.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).await.unwrap();
    assert!(line.contains("To leave: Enter, then ~."), "{line}");
    (ssh, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_goes_both_ways_and_the_newest_has_it() {
    let (mut guest, path) = serial();
    let port = Port::open(|node, _| node.console = Some(path)).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let (mut first, mut said) = console(&port, &key).await;
    guest.write_all(b"login: \r\n").unwrap();
    let mut seen = [0; 9];
    first.stdout.as_mut().unwrap().read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"login: \r\n");
    first.stdin.as_mut().unwrap().write_all(b"\x03root\r").await.unwrap();
    let mut typed = [0; 6];
    guest.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"\x03root\r", "raw");
    let (mut second, _said) = console(&port, &key).await;
    let mut why = String::new();
    said.read_line(&mut why).await.unwrap();
    assert!(why.contains("Another session took the console"), "{why}");
    assert_eq!(first.wait().await.unwrap().code(), Some(1));
    guest.write_all(b"again").unwrap();
    let mut seen = [0; 5];
    second.stdout.as_mut().unwrap().read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_does_not_read_never_holds_the_guest_up() {
    let (mut guest, path) = serial();
    let port = Port::open(|node, _| node.console = Some(path)).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let (mut ssh, _said) = console(&port, &key).await;
    let pid = ssh.id().unwrap().to_string();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    // More than all buffers on the way take together.
    let written = tokio::task::spawn_blocking(move || {
        (0..4096).try_for_each(|_| guest.write_all(&[b'x'; 4096]))
    });
    written.await.unwrap().unwrap();
    signal("-CONT");
    ssh.start_kill().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_shown_and_followed() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    std::fs::write(port.node.serial_log.with_extension("log.0"), "older\n").unwrap();
    std::fs::write(&port.node.serial_log, "one\ntwo\n").unwrap();
    let all = port.run("7", &key, "log --no-follow").await;
    assert_eq!(text(&all.stdout), "older\none\ntwo\n");
    let last = port.run("7", &key, "log --lines 1 --no-follow").await;
    assert_eq!(text(&last.stdout), "two\n");
    let mut ssh = port.ssh("7", &key, &[]);
    let mut ssh = ssh.arg("log --lines 1").spawn().unwrap();
    let mut out = BufReader::new(ssh.stdout.take().unwrap()).lines();
    assert_eq!(out.next_line().await.unwrap().unwrap(), "two");
    let mut log = File::options().append(true).open(&port.node.serial_log).unwrap();
    log.write_all(b"three\n").unwrap();
    assert_eq!(out.next_line().await.unwrap().unwrap(), "three");
    ssh.start_kill().unwrap();
    let off = port.run("7", &key, "console").await;
    assert_eq!((off.status.code(), text(&off.stderr).as_str()), (Some(1), "The VM is off.\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_the_host_is_not_carried() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let here = port.folder.path().join("here");
    let forward = format!("{}:/run/libvirt/libvirt-sock", here.display());
    let mut ssh = port.ssh("7", &key, &["-N", "-L", &forward]).spawn().unwrap();
    // Its file is there a moment before it listens.
    let mut stream = loop {
        match UnixStream::connect(&here).await {
            Ok(stream) => break stream,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    until("it is counted", || port.figures.refused(Refusal::Channel) == 1).await;
    ssh.start_kill().unwrap();
}

/// A client that opens what the test says and takes any server's key.
struct Client;

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn connect(port: &Port, key: &Path) -> Handle<Client> {
    let mut handle = client::connect(Arc::default(), port.address, Client).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(private(key)), None);
    assert!(handle.authenticate_publickey("7", key).await.unwrap().success());
    handle
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_has_so_many_channels_over_all_its_connections() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line]), (8, &[&line])]);
    let connections = [connect(&port, &key).await, connect(&port, &key).await];
    let mut held = Vec::new();
    for connection in &connections {
        for _ in 0..LIMITS.channels_per_vm / 2 {
            held.push(connection.channel_open_session().await.unwrap());
        }
    }
    let refused = port.ssh("7", &key, &["-W", "vm:22"]).output().await.unwrap();
    let said = text(&refused.stderr);
    assert!(said.contains("the VM has too many channels"), "{said}");
    assert_eq!(port.figures.refused(Refusal::Channel), 1);
    assert!(port.run("8", &key, "stats").await.status.success(), "another VM has its own");
    held.pop().unwrap().close().await.unwrap();
    let again = async {
        while connections[1].channel_open_session().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), again).await.expect("room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_opens_so_many_channels_in_its_life() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(7, &[&line])]);
    let connection = connect(&port, &key).await;
    for _ in 0..1_024 {
        connection.channel_open_session().await.unwrap().close().await.unwrap();
    }
    assert!(connection.channel_open_session().await.is_err());
    assert_eq!(port.figures.refused(Refusal::Channel), 1);
    assert!(port.run("7", &key, "stats").await.status.success(), "a new one begins anew");
}
