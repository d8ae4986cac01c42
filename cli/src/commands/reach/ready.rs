//! Waits until a VM's guest answers by ssh.

use super::{
    client::{not_started, Attended, Client},
    identity::Identities,
    route::{self, guest_name, Names, USER},
};
use crate::{context::Context, failure::Failure};
use quarry_primitives::{api::VmView, RequestId};
use std::{
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// A guest that is emulated takes minutes to boot.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const EVERY: Duration = Duration::from_secs(1);
/// For one try, from the node's port to the guest's shell.
const ONE_TRY: Duration = Duration::from_secs(45);

/// sshd is there before cloud-init is through, which starts it once more to tell it about passwords: whoever
/// comes in between is turned away. In its own file cloud-init says how far it is.
const SETTLED: &str = r#"! test -e /run/cloud-init/status.json || \
tr -d ' \n' </run/cloud-init/status.json | grep -q '"modules-config":{[^}]*"finished":[0-9]'"#;
/// A guest that answers for so long is ready, whatever it says of itself.
const SURELY_SETTLED: Duration = Duration::from_secs(90);
/// What ssh ends with where it is ssh itself that failed.
const SSH_FAILED: i32 = 255;

/// What a try came to.
enum Tried {
    Ready,
    /// The guest let us in, and has not settled.
    LetIn,
    /// Not yet, and what ssh said last.
    NotYet(String),
}

/// Waits until a VM's guest answers by ssh.
pub async fn until_ready(context: &Context, id: RequestId) -> Result<(), Failure> {
    let begun = Instant::now();
    let vm = now(context, id).await?;
    let identities = Identities::of(context, &vm, None).await?;
    if !identities.work_alone() {
        return Err(Failure::Other(format!(
            "nobody tried: its key has a passphrase, or wants to be touched; `quarry ssh {id}` asks for that"
        )));
    }
    let mut let_in = None;
    loop {
        let tried = match now(context, id).await {
            Ok(vm) => attempt(&vm, &identities).await?,
            Err(Failure::Unreachable(why)) => Tried::NotYet(why),
            Err(failure) => return Err(failure),
        };
        let said = match tried {
            Tried::Ready => return Ok(()),
            Tried::LetIn if let_in.get_or_insert_with(Instant::now).elapsed() > SURELY_SETTLED => {
                return Ok(())
            }
            Tried::LetIn => "nothing amiss".into(),
            Tried::NotYet(said) => said,
        };
        if begun.elapsed() > PATIENCE {
            let minutes = PATIENCE.as_secs() / 60;
            return Err(Failure::Unreachable(format!(
                "not within {minutes} minutes; ssh said: {said}"
            )));
        }
        sleep(EVERY).await;
    }
}

async fn now(context: &Context, id: RequestId) -> Result<VmView, Failure> {
    let vm = context.now().await?.vm(id).await?;
    vm.ok_or_else(|| Failure::NotFound(format!("VM {id} is gone")))
}

async fn attempt(vm: &VmView, identities: &Identities) -> Result<Tried, Failure> {
    let id = vm.request.request_id;
    let hops = match route::to_guest(vm, &Names::passing(id), USER, false) {
        Ok(hops) => hops,
        Err(failure) => return Ok(Tried::NotYet(failure.to_string())),
    };
    let client = Client::new(&[(hops, identities.clone())], Attended::ByNobody)?;
    let mut command = client.command("ssh");
    command.args(["-T", &guest_name(id), SETTLED]).stdin(Stdio::null());
    let output = match timeout(ONE_TRY, command.output()).await {
        Ok(output) => output.map_err(|error| not_started("ssh".as_ref(), &error))?,
        Err(_) => return Ok(Tried::NotYet(format!("nothing for {} s", ONE_TRY.as_secs()))),
    };
    match output.status.code() {
        Some(0) => return Ok(Tried::Ready),
        Some(SSH_FAILED) | None => {}
        Some(_) => return Ok(Tried::LetIn),
    }
    Ok(Tried::NotYet(last_words(&String::from_utf8_lossy(&output.stderr))))
}

/// What ssh said, without the guest's own control over a terminal.
fn last_words(said: &str) -> String {
    let lines = said.lines().map(|line| line.replace(char::is_control, ""));
    let lines: Vec<_> = lines.filter(|line| !line.trim().is_empty()).collect();
    let last: Vec<_> = lines.iter().rev().take(2).rev().map(String::as_str).collect();
    match last.is_empty() {
        true => "nothing".into(),
        false => last.join("; "),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The command, with another file in the place of cloud-init's.
    #[cfg(unix)]
    fn is_settled(status: Option<&str>) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("status.json");
        if let Some(status) = status {
            std::fs::write(&file, status).unwrap();
        }
        let command = SETTLED.replace("/run/cloud-init/status.json", file.to_str().unwrap());
        std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success()
    }

    #[test]
    #[cfg(unix)]
    fn a_guest_has_settled_once_cloud_init_configured_it_or_where_there_is_none() {
        let status = |finished: &str| {
            format!(
                "{{\n \"v1\": {{\n  \"init\": {{\n   \"finished\": 12.5\n  }},\n  \"modules-config\": {{\n   \
                 \"errors\": [],\n   \"finished\": {finished},\n   \"start\": 13.5\n  }},\n  \
                 \"modules-final\": {{\n   \"finished\": null\n  }}\n }}\n}}"
            )
        };
        assert!(is_settled(None));
        assert!(is_settled(Some(&status("17.25"))));
        assert!(!is_settled(Some(&status("null"))));
        assert!(!is_settled(Some("")), "it is just being written");
    }

    #[test]
    fn the_last_two_lines_are_told_and_move_no_cursor() {
        assert_eq!(last_words("first\r\n\nsecond\u{1b}[2J\r\nthird\r\n"), "second[2J; third");
        assert_eq!(last_words("\n"), "nothing");
    }
}
