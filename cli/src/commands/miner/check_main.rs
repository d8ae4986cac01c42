//! `quarry miner check-main`: whether the worker's main process is there, moves, and follows the chain.

use super::{
    host::{ask_worker, UNIT},
    node_id,
    programs::{self, Ran},
};
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    units::rough,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const CONFIG: &str = "/etc/quarry/worker.toml";
const DATA_DIR: &str = "/var/lib/quarry-worker";
/// Finalized blocks come every six seconds, and a minute may pass over a change of validators.
const FRESH: Duration = Duration::from_secs(60);
/// How far behind the chain the worker's finalized block may be.
const BEHIND: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// How grave it is, as the worker's own check has it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failure,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Finding {
    check: String,
    verdict: Verdict,
    found: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warn(check: &str, found: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    fn fail(check: &str, found: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Verdict::Failure, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }
}

#[derive(Serialize)]
struct Checked {
    ok: bool,
    checks: Vec<Finding>,
}

impl Show for Checked {
    fn text(&self, paint: Paint) -> String {
        let width = self.checks.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let lines = self.checks.iter().map(|Finding { check, verdict, found, remedy }| {
            let mark = match verdict {
                Verdict::Ok => paint.good("ok  "),
                Verdict::Warning => paint.waiting("WARN"),
                Verdict::Failure => paint.bad("FAIL"),
            };
            let line = format!("{mark}  {check:width$}  {found}");
            match remedy {
                None => line,
                Some(todo) => format!("{line}\n      {:width$}  to do: {todo}", ""),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// What is used of `quarry-worker status --json`.
#[derive(Clone, Debug, Default, Deserialize)]
struct WorkerStatus {
    node_id: String,
    registered: bool,
    chain: ChainStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ChainStatus {
    connected: bool,
    genesis: Option<String>,
    finalized: Option<u32>,
    finalized_at: Option<String>,
}

/// Checks it.
pub async fn run(context: &Context, config: Option<&Path>) -> Result<(), Failure> {
    let mut checks = vec![process().await?, main_loop(config).await];
    let ran = ask_worker("status", config, true).await?;
    match serde_json::from_str::<WorkerStatus>(&ran.stdout) {
        Ok(status) if ran.ok => {
            checks.push(finalized(&status.chain, SystemTime::now()));
            checks.push(registered(&status));
            checks.push(on_the_chain(context, &status).await);
        }
        _ => {
            checks.push(Finding::fail("status", ran.why(), "`quarry miner logs` says why it ended"))
        }
    }
    checks.extend(own_checks(config).await?);
    let ok = !checks.iter().any(|finding| finding.verdict == Verdict::Failure);
    context.out.show(&Checked { ok, checks })?;
    if ok {
        Ok(())
    } else {
        Err(Failure::Exit(1))
    }
}

/// By systemd.
async fn process() -> Result<Finding, Failure> {
    let properties = ["show", UNIT, "--property=ActiveState,SubState,MainPID"];
    Ok(judge_unit(&programs::ask("systemctl", &properties).await?))
}

fn judge_unit(ran: &Ran) -> Finding {
    let name = "process";
    if !ran.ok {
        let remedy = "this host does not run its services by systemd: see that the worker runs";
        return Finding::warn(name, ran.why(), remedy);
    }
    let value = |key: &str| {
        let found = ran.stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().trim()
    };
    match (value("ActiveState"), value("MainPID")) {
        ("active", pid) if !pid.is_empty() && pid != "0" => {
            Finding::ok(name, format!("runs as process {pid}"))
        }
        ("failed", _) => {
            Finding::fail(name, "has failed", "`quarry miner logs`, then `quarry miner start`")
        }
        (state, _) => Finding::fail(
            name,
            format!("is {state} ({})", value("SubState")),
            "`quarry miner start`; if it does not stay up, `quarry miner logs`",
        ),
    }
}

/// By the worker's HTTP server, which answers from another thread.
async fn main_loop(config: Option<&Path>) -> Finding {
    let name = "main loop";
    let data_dir = data_dir(config.unwrap_or(Path::new(CONFIG)));
    let file = data_dir.join("http-address");
    let Ok(address) = fs::read_to_string(&file) else {
        return Finding::fail(
            name,
            format!("no worker runs with {}", data_dir.display()),
            "`quarry miner start`; with other settings, name them with --worker-config",
        );
    };
    let address = address.trim().to_owned();
    let asked = timeout(PATIENCE, livez(&address)).await;
    let answer = asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    match answer {
        Err(error) => Finding::fail(name, format!("{address} does not answer: {error}"), STUCK),
        Ok(answer) => judge_livez(&answer),
    }
}

const STUCK: &str =
    "systemd starts it again if it stays so; else `quarry miner stop`, `quarry miner start`";

async fn livez(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(4_096).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn judge_livez(answer: &str) -> Finding {
    let name = "main loop";
    let code = answer.split(' ').nth(1).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    match code {
        "200" => Finding::ok(name, body),
        _ => Finding::fail(name, if body.is_empty() { "it says nothing" } else { body }, STUCK),
    }
}

/// Where the worker of these settings keeps things.
fn data_dir(config: &Path) -> PathBuf {
    let text = fs::read_to_string(config).unwrap_or_default();
    let settings = text.parse::<toml_edit::DocumentMut>().unwrap_or_default();
    let named = settings.get("data_dir").and_then(|named| named.as_str());
    PathBuf::from(named.unwrap_or(DATA_DIR))
}

fn finalized(chain: &ChainStatus, now: SystemTime) -> Finding {
    let name = "finalized";
    let seen = chain.finalized_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
    let (Some(number), Some(seen)) = (chain.finalized, seen) else {
        return Finding::fail(name, "it has seen no finalized block", CHAIN_NODE);
    };
    let age = now.duration_since(seen).unwrap_or_default();
    let found = format!("block {number}, {} ago", rough(age));
    match age <= FRESH && chain.connected {
        true => Finding::ok(name, found),
        false => Finding::fail(name, found, CHAIN_NODE),
    }
}

const CHAIN_NODE: &str =
    "see that its chain node answers and is in step: chain.endpoints in its settings";

fn registered(status: &WorkerStatus) -> Finding {
    let name = "registered";
    match status.registered {
        true => Finding::ok(name, format!("{}, with this worker's key", status.node_id)),
        false => Finding::fail(
            name,
            format!("the chain does not know {} by this worker's key", status.node_id),
            "`quarry-worker enroll` here, then `quarry miner register` or `rotate-worker` by its miner",
        ),
    }
}

/// Compares with what this program sees of the chain.
async fn on_the_chain(context: &Context, status: &WorkerStatus) -> Finding {
    let name = "on chain";
    match compared(context, status).await {
        Ok(finding) => finding,
        Err(failure) => Finding::warn(
            name,
            format!("not compared: {failure}"),
            "name a chain node with --url, or a chain with --chain",
        ),
    }
}

async fn compared(context: &Context, status: &WorkerStatus) -> Result<Finding, Failure> {
    let name = "on chain";
    let (genesis, finalized) = context.chain().await?.ready().await;
    let seen = format!("{genesis:?}");
    if status.chain.genesis.as_ref().is_some_and(|its| *its != seen) {
        return Ok(Finding::fail(
            name,
            "the worker is on another chain than this program",
            "name the worker's chain with --chain or --url, or correct chain.endpoints there",
        ));
    }
    let behind = finalized.block.number.saturating_sub(status.chain.finalized.unwrap_or_default());
    if behind > BEHIND {
        let found = format!("the worker is {behind} blocks behind");
        return Ok(Finding::fail(name, found, CHAIN_NODE));
    }
    let now = context.now().await?;
    let view = match node_id(&status.node_id) {
        Ok(node_id) => now.node(&node_id).await?,
        Err(_) => None,
    };
    Ok(match view {
        Some(view) if view.online => Finding::ok(name, format!("{} is online", status.node_id)),
        Some(_) => Finding::fail(
            name,
            format!("the chain has not heard of {} lately", status.node_id),
            "`quarry miner logs` says what became of its heartbeats",
        ),
        None => Finding::fail(
            name,
            format!("the chain has no node {}", status.node_id),
            "`quarry miner register`",
        ),
    })
}

#[derive(Deserialize)]
struct OwnChecks {
    checks: Vec<Finding>,
}

/// What the worker's program finds on its host.
async fn own_checks(config: Option<&Path>) -> Result<Vec<Finding>, Failure> {
    let ran = ask_worker("check", config, true).await?;
    match serde_json::from_str::<OwnChecks>(&ran.stdout) {
        Ok(own) => Ok(own.checks),
        Err(_) => Ok(vec![Finding::fail("check", ran.why(), "run `quarry-worker check` here")]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ran(stdout: &str) -> Ran {
        Ran { ok: true, stdout: stdout.into(), stderr: String::new() }
    }

    #[test]
    fn systemd_says_whether_the_process_is_there() {
        let verdict = |text| judge_unit(&ran(text)).verdict;
        assert_eq!(verdict("ActiveState=active\nSubState=running\nMainPID=7\n"), Verdict::Ok);
        assert_eq!(verdict("ActiveState=active\nSubState=running\nMainPID=0\n"), Verdict::Failure);
        assert_eq!(verdict("ActiveState=failed\nSubState=failed\nMainPID=0\n"), Verdict::Failure);
        assert_eq!(verdict("ActiveState=inactive\nSubState=dead\nMainPID=0\n"), Verdict::Failure);
        assert_eq!(verdict(""), Verdict::Failure);
        let none = Ran { ok: false, stdout: String::new(), stderr: "no bus".into() };
        assert_eq!(judge_unit(&none).verdict, Verdict::Warning);
    }

    #[test]
    fn the_main_loop_is_alive_or_says_for_how_long_it_is_not() {
        let answer = |code: &str, body: &str| format!("HTTP/1.1 {code} X\r\na: b\r\n\r\n{body}\n");
        assert_eq!(judge_livez(&answer("200", "alive")), Finding::ok("main loop", "alive"));
        let stuck = judge_livez(&answer("503", "stuck for 40 seconds"));
        assert_eq!(
            (stuck.verdict, stuck.found.as_str()),
            (Verdict::Failure, "stuck for 40 seconds")
        );
        assert_eq!(judge_livez("").verdict, Verdict::Failure);
    }

    #[test]
    fn a_finalized_block_is_fresh_for_a_minute() {
        let chain = ChainStatus {
            connected: true,
            genesis: None,
            finalized: Some(7),
            finalized_at: Some("2026-01-01T00:00:00Z".into()),
        };
        let seen = humantime::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let after = |seconds| finalized(&chain, seen + Duration::from_secs(seconds)).verdict;
        assert_eq!((after(0), after(60), after(61)), (Verdict::Ok, Verdict::Ok, Verdict::Failure));
        let cut_off = ChainStatus { connected: false, ..chain.clone() };
        assert_eq!(finalized(&cut_off, seen).verdict, Verdict::Failure);
        let none = ChainStatus { finalized: None, ..chain };
        assert_eq!(finalized(&none, seen).verdict, Verdict::Failure);
    }

    #[test]
    fn the_data_folder_is_that_of_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.toml");
        assert_eq!(data_dir(&file), Path::new(DATA_DIR));
        fs::write(&file, "node_id = 'a'\ndata_dir = '/srv/quarry'\n").unwrap();
        assert_eq!(data_dir(&file), Path::new("/srv/quarry"));
    }
}
