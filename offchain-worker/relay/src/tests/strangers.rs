//! Whoever else comes to the relay, with the system's ssh.

use super::stage::{ends, key, Stage};
use crate::{Limits, PrivateKey};
use russh::keys::ssh_key::LineEnding;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output};
use tokio::process::Command;

impl Stage {
    fn key_file(&self, key: &PrivateKey) -> PathBuf {
        let file = self.folder.path().join("id");
        fs::write(&file, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    async fn ssh(&self, user: &str, key: &PrivateKey, args: &[&str]) -> Output {
        let known = self.folder.path().join("known_hosts");
        let line = self.host_key.public_key().to_openssh().unwrap();
        let host = format!("[{}]:{}", self.endpoint.ip(), self.endpoint.port());
        fs::write(&known, format!("{host} {line}\n")).unwrap();
        let options = [
            format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=/dev/null".into(),
            "StrictHostKeyChecking=yes".into(),
            "IdentitiesOnly=yes".into(),
            "BatchMode=yes".into(),
            "ConnectTimeout=10".into(),
        ];
        let options = options.iter().flat_map(|option| ["-o", option]);
        let port = self.endpoint.port().to_string();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &port, "-l", user, "-i"]).arg(self.key_file(key));
        ssh.args(options).args(args).kill_on_drop(true);
        ssh.output().await.unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_logs_in_at_the_relays_own_port_is_refused() {
    let stage = Stage::new().await;
    let (_link, _) = stage.node("alpha").await;
    let host = stage.endpoint.ip().to_string();
    for user in ["42", "alpha", "root", "quarry"] {
        let out = stage.ssh(user, &key(), &[&host, "true"]).await;
        assert_eq!(out.status.code(), Some(255), "{user}");
        assert!(said(&out).contains("Permission denied (publickey)"), "{user}: {}", said(&out));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_nothing_but_its_port() {
    let stage = Stage::new().await;
    let own = key();
    stage.chain.register("alpha", &own);
    let host = stage.endpoint.ip().to_string();
    let shell = stage.ssh("alpha", &own, &[&host, "true"]).await;
    assert_eq!(shell.status.code(), Some(255), "{}", said(&shell));
    let target = format!("{}:{}", stage.endpoint.ip(), stage.endpoint.port());
    let jump = stage.ssh("alpha", &own, &["-W", &target, &host]).await;
    assert_eq!(jump.status.code(), Some(255), "{}", said(&jump));
    assert!(jump.stdout.is_empty());
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_in_the_meantime_takes_no_others_place() {
    let limits = Limits { unauthenticated_per_source: 2, ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let port = stage.endpoint.port();
    let first = stage.tenant(port).await;
    let second = stage.tenant(port).await;
    let mut greeting = [0; 8];
    for silent in [&first, &second] {
        silent.readable().await.unwrap();
        silent.try_read(&mut greeting).unwrap();
        assert_eq!(&greeting, b"SSH-2.0-");
    }
    assert_eq!(ends(stage.tenant(port).await).await, 0, "a third one");
    ends(first).await;
    ends(second).await;
    let (_link, _) = stage.node("alpha").await;
}
