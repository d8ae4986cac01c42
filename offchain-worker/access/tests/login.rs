//! Who gets in, with a real ssh.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use quarry_access::{Limits, Refusal};
use std::{
    process::Stdio,
    time::{Duration, Instant},
};
use support::{private, text, until, Port, LIMITS};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const ED25519: [&str; 2] = ["-t", "ed25519"];

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_key_that_the_chain_takes_lets_in() {
    let port = Port::open(|_, _| ()).await;
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &ED25519),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
    ];
    for (name, kind) in kinds {
        let (file, line) = port.key(name, kind);
        port.set(&[(42, &[&line])]);
        let output = port.run("42", &file, "stats --json").await;
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("\"vcpus\":3"), "{}", text(&output.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_in_and_all_get_the_same_answer() {
    let port = Port::open(|_, _| ()).await;
    let (tenant, line) = port.key("tenant", &ED25519);
    let (other, other_line) = port.key("other", &ED25519);
    port.set(&[(42, &[&line]), (43, &[&other_line])]);
    let refused =
        [("42", &other), ("43", &tenant), ("44", &tenant), ("root", &tenant), ("042", &tenant)];
    let mut answers = Vec::new();
    for (user, key) in refused {
        let output = port.run(user, key, "stats").await;
        assert_eq!(output.status.code(), Some(255), "{user}");
        assert!(output.stdout.is_empty());
        answers.push(text(&output.stderr).replace(user, "USER"));
    }
    answers.dedup();
    assert_eq!(answers, ["USER@127.0.0.1: Permission denied (publickey).\r\n"]);
    until("they are counted", || port.figures.refused(Refusal::Key) == 5).await;
    assert_eq!(port.figures.logins(), 0);
    assert!(port.run("42", &tenant, "stats").await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_sha1_is_refused() {
    let port = Port::open(|_, _| ()).await;
    let (rsa, line) = port.key("rsa", &["-t", "rsa", "-b", "2048"]);
    port.set(&[(1, &[&line])]);
    let mut ssh = port.ssh("1", &rsa, &["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"]);
    assert_eq!(ssh.arg("stats").output().await.unwrap().status.code(), Some(255));
    assert!(port.run("1", &rsa, "stats").await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_ends_with_its_key_or_its_vm() {
    let port = Port::open(|_, _| ()).await;
    let (one, one_line) = port.key("one", &ED25519);
    let (two, two_line) = port.key("two", &ED25519);
    let follow = |user: &str, key| {
        let mut ssh = port.ssh(user, key, &[]);
        let mut ssh = ssh.arg("stats --json --follow").spawn().unwrap();
        let out = BufReader::new(ssh.stdout.take().unwrap());
        (ssh, out)
    };
    port.set(&[(1, &[&one_line, &two_line]), (2, &[&two_line])]);
    let (mut leaves, mut out) = follow("1", &one);
    let (mut goes, mut goes_out) = follow("2", &two);
    let (mut stays, mut stays_out) = follow("1", &two);
    let mut line = String::new();
    for out in [&mut out, &mut goes_out, &mut stays_out] {
        out.read_line(&mut line).await.unwrap();
    }
    port.set(&[(1, &[&two_line])]);
    for ssh in [&mut leaves, &mut goes] {
        let mut said = String::new();
        let status = ssh.wait().await.unwrap();
        ssh.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(status.code(), Some(255));
        assert!(said.contains("no longer lets in"), "{said}");
    }
    line.clear();
    stays_out.read_line(&mut line).await.unwrap();
    assert!(line.contains("running"), "the other key’s session goes on: {line}");
    stays.start_kill().unwrap();
    let refused = port.run("1", &one, "stats").await;
    assert!(text(&refused.stderr).contains("Permission denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_client_takes_nothing_ends_with_its_key_too() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    std::fs::write(&port.node.serial_log, vec![b'x'; 1 << 20]).unwrap();
    port.set(&[(1, &[&line])]);
    let mut ssh = port.ssh("1", &key, &[]);
    let mut ssh = ssh.arg("log").stdout(Stdio::piped()).spawn().unwrap();
    until("it logged in", || port.figures.sessions() == 1).await;
    let stopped =
        std::process::Command::new("kill").args(["-STOP", &ssh.id().unwrap().to_string()]).status();
    assert!(stopped.unwrap().success());
    port.set(&[]);
    until("the session is over", || port.figures.sessions() == 0).await;
    ssh.start_kill().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_wrong_key_is_the_last() {
    let port = Port::open(|_, _| ()).await;
    let (right, line) = port.key("right", &ED25519);
    port.set(&[(1, &[&line])]);
    let wrong: Vec<_> = (0..6).map(|n| port.key(&format!("wrong{n}"), &ED25519).0).collect();
    let identities = |count: usize| -> Vec<String> {
        let paths = wrong[1..count].iter().chain([&right]);
        paths.flat_map(|path| ["-i".into(), path.display().to_string()]).collect()
    };
    let enter = |count: usize| {
        let identities = identities(count);
        let options: Vec<_> = identities.iter().map(String::as_str).collect();
        let mut ssh = port.ssh("1", &wrong[0], &options);
        ssh.arg("stats");
        ssh
    };
    let fifth = enter(5).output().await.unwrap();
    assert!(fifth.status.success(), "{}", text(&fifth.stderr));
    let sixth = enter(6).output().await.unwrap();
    assert_eq!(sixth.status.code(), Some(255));
    assert!(text(&sixth.stderr).contains("Too many authentication"), "{}", text(&sixth.stderr));
    until("it is counted", || port.figures.refused(Refusal::Tries) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_log_in_is_thrown_out_and_keeps_nobody_else_out_for_long() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(1, &[&line])]);
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let mut greeting = [0; 16];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"SSH-2.0-Quarry\r\n");
        silent.push(stream);
    }
    let mut fifth = TcpStream::connect(port.address).await.unwrap();
    assert_eq!(fifth.read(&mut [0; 16]).await.unwrap_or(0), 0, "four places for one source");
    assert_eq!(port.figures.refused(Refusal::Busy), 1);
    silent[0].write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    for stream in &mut silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    until("the places are free", || {
        port.figures.refused(Refusal::Time) + port.figures.refused(Refusal::Left) == 4
    })
    .await;
    assert!(port.run("1", &key, "stats").await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_on_all_places_keep_nobody_out() {
    let limits = Limits { unauthenticated: 2, per_source: 2, ..LIMITS };
    let port = Port::limited(limits, |_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(1, &[&line])]);
    let mut silent = [
        TcpStream::connect(port.address).await.unwrap(),
        TcpStream::connect(port.address).await.unwrap(),
    ];
    for stream in &mut silent {
        stream.read_exact(&mut [0; 16]).await.unwrap();
    }
    let mut ssh = port.ssh("1", &key, &["-o", "BindAddress=127.0.0.2"]);
    let output = ssh.arg("stats").output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(port.figures.refused(Refusal::Busy), 1, "one of the silent ones went");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_is_not_kept_out_by_any_number_of_silent_connections() {
    let limits = Limits { unauthenticated: 2, per_source: 2, ..LIMITS };
    let port = Port::limited(limits, |_, _| ()).await;
    let mut greeting = [0; 16];
    let begun = Instant::now();
    let mut speaker = TcpStream::connect(port.address).await.unwrap();
    speaker.write_all(b"SSH-2.0-slow\r\n").await.unwrap();
    speaker.read_exact(&mut greeting).await.unwrap();
    // What follows the greeting shows that the speaker's own was read.
    speaker.read_exact(&mut [0; 5]).await.unwrap();
    let mut others = Vec::new();
    for number in 2..10 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, number], 0).into()).unwrap();
        let mut silent = socket.connect(port.address).await.unwrap();
        silent.read_exact(&mut greeting).await.unwrap();
        others.push(silent);
    }
    until("the silent ones push each other out", || port.figures.refused(Refusal::Busy) == 7).await;
    let still_there = timeout(Duration::from_millis(100), async {
        let mut rest = Vec::new();
        speaker.read_to_end(&mut rest).await
    });
    let is_there = still_there.await.is_err();
    // Ten seconds are all that anybody has to log in.
    assert!(is_there || begun.elapsed() > Duration::from_secs(9), "the speaker was thrown out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_key_changes_without_a_stop() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    let (next, _) = port.key("next", &ED25519);
    port.set(&[(1, &[&line])]);
    let mut before = port.ssh("1", &key, &[]);
    *port.node.key.lock().unwrap() = private(&next);
    let output = before.arg("stats").output().await.unwrap();
    assert!(text(&output.stderr).contains("Host key verification failed"));
    assert!(port.run("1", &key, "stats").await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_has_so_many_connections() {
    let port = Port::limited(Limits { per_vm: 2, ..LIMITS }, |_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(1, &[&line]), (2, &[&line])]);
    let idle = || port.ssh("1", &key, &["-N"]).spawn().unwrap();
    let held = [idle(), idle()];
    until("both are in", || port.figures.sessions() == 2).await;
    let third = port.run("1", &key, "stats").await;
    assert!(text(&third.stderr).contains("too many connections"), "{}", text(&third.stderr));
    assert!(port.run("2", &key, "stats").await.status.success());
    for mut ssh in held {
        ssh.kill().await.unwrap();
    }
    until("they are gone", || port.figures.sessions() == 0).await;
    assert!(port.run("1", &key, "stats").await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_ends() {
    let limits = Limits { idle_timeout: Duration::from_secs(2), ..LIMITS };
    let port = Port::limited(limits, |_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(1, &[&line])]);
    let output = port.ssh("1", &key, &["-N"]).output().await.unwrap();
    assert!(text(&output.stderr).contains("too long"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_with_the_port() {
    let port = Port::open(|_, _| ()).await;
    let (key, line) = port.key("tenant", &ED25519);
    port.set(&[(1, &[&line])]);
    let ssh = port.ssh("1", &key, &["-N"]).spawn().unwrap();
    until("it is in", || port.figures.sessions() == 1).await;
    port.stop.cancel();
    let output = ssh.wait_with_output().await.unwrap();
    assert!(text(&output.stderr).contains("stopping"), "{}", text(&output.stderr));
    until("the port is shut", || std::net::TcpStream::connect(port.address).is_err()).await;
}
