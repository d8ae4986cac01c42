//! What is done on the worker's own host: systemd's and the package manager's part, by their own programs.

use super::programs::{self, run_through, Ran};
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The systemd unit.
pub const UNIT: &str = "quarry-worker";
/// The worker's program, and its package.
pub const WORKER: &str = "quarry-worker";

/// How to start it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: sudo quarry miner start --at-boot")]
pub struct StartArgs {
    /// And with the host from now on.
    #[arg(long)]
    at_boot: bool,
}

/// How to stop it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: sudo quarry miner stop")]
pub struct StopArgs {}

/// Which worker.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner status")]
pub struct StatusArgs {
    /// The worker's settings, if not /etc/quarry/worker.toml.
    #[arg(long, value_name = "FILE")]
    pub worker_config: Option<PathBuf>,
}

/// How much of the log.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry miner logs --follow\nWith --json each line is one of the journal's, as JSON."
)]
pub struct LogsArgs {
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// So many lines of what was.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    lines: u32,
}

/// Which worker.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner check-main || quarry miner logs")]
pub struct CheckArgs {
    /// The worker's settings, if not /etc/quarry/worker.toml.
    #[arg(long, value_name = "FILE")]
    pub worker_config: Option<PathBuf>,
}

/// Which version.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  sudo quarry miner update\n  sudo quarry miner update --package quarry-worker_0.2.0_amd64.deb"
)]
pub struct UpdateArgs {
    /// This package's file, in place of what the package manager finds.
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
}

#[derive(Serialize)]
struct Unit {
    unit: &'static str,
    /// As systemd has it: `active`, `inactive`, `failed`.
    state: String,
}

impl Show for Unit {
    fn text(&self, paint: Paint) -> String {
        format!("{} is {}", self.unit, painted(&self.state, paint))
    }
}

fn painted(state: &str, paint: Paint) -> String {
    match state {
        "active" => paint.good(state),
        "failed" => paint.bad(state),
        _ => paint.waiting(state),
    }
}

/// Starts it.
pub async fn start(context: &Context, args: StartArgs) -> Result<(), Failure> {
    linux_only()?;
    match args.at_boot {
        true => run_through(context, "systemctl", &["enable", "--now", UNIT]).await?,
        false => run_through(context, "systemctl", &["start", UNIT]).await?,
    }
    Ok(context.out.show(&Unit { unit: UNIT, state: unit_state().await? })?)
}

/// Stops it.
pub async fn stop(context: &Context, _: StopArgs) -> Result<(), Failure> {
    linux_only()?;
    context.confirm(
        "Stop the worker? VMs run on, but after some blocks without it the node is offline and earns nothing.",
    )?;
    run_through(context, "systemctl", &["stop", UNIT]).await?;
    Ok(context.out.show(&Unit { unit: UNIT, state: unit_state().await? })?)
}

/// What systemd says of the unit; where it cannot say anything, why.
async fn unit_state() -> Result<String, Failure> {
    let Ran { stdout, stderr, .. } = programs::ask("systemctl", &["is-active", UNIT]).await?;
    let said = if stdout.trim().is_empty() { stderr } else { stdout };
    Ok(said.lines().next().unwrap_or("unknown").trim().to_owned())
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    unit: Unit,
    /// As `quarry-worker status --json` has it; none where no worker answers.
    worker: Option<Value>,
    /// Why none does.
    error: Option<String>,
    #[serde(skip)]
    text: String,
}

impl Show for Status {
    fn text(&self, paint: Paint) -> String {
        let worker = match &self.error {
            None => self.text.clone(),
            Some(why) => paint.bad(why),
        };
        format!("unit      {}\n{worker}", painted(&self.unit.state, paint))
    }
}

/// How it does.
pub async fn status(context: &Context, args: StatusArgs) -> Result<(), Failure> {
    linux_only()?;
    let unit = Unit { unit: UNIT, state: unit_state().await? };
    let ran = ask_worker("status", args.worker_config.as_deref(), context.out.is_json()).await?;
    let error = (!ran.ok).then(|| ran.why());
    let worker = serde_json::from_str(&ran.stdout).ok();
    let failed = error.is_some();
    context.out.show(&Status { unit, worker, error, text: ran.stdout })?;
    if failed {
        Err(Failure::Exit(1))
    } else {
        Ok(())
    }
}

/// A verb of the worker's own program.
pub async fn ask_worker(verb: &str, config: Option<&Path>, json: bool) -> Result<Ran, Failure> {
    let mut arguments = vec![verb.to_owned()];
    if let Some(config) = config {
        arguments.extend(["--config".into(), config.display().to_string()]);
    }
    if json {
        arguments.push("--json".into());
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    programs::ask(WORKER, &arguments).await
}

/// Its log.
pub async fn logs(context: &Context, args: LogsArgs) -> Result<(), Failure> {
    linux_only()?;
    let lines = args.lines.to_string();
    let mut arguments = vec!["--unit", UNIT, "--lines", &lines, "--no-pager"];
    if args.follow {
        arguments.push("--follow");
    }
    if context.out.is_json() {
        arguments.push("--output=json");
    }
    programs::become_it("journalctl", &arguments).await
}

/// Whether the main process does its work.
pub async fn check_main(context: &Context, args: CheckArgs) -> Result<(), Failure> {
    linux_only()?;
    super::check_main::run(context, args.worker_config.as_deref()).await
}

/// Brings it up to date.
pub async fn update(context: &Context, args: UpdateArgs) -> Result<(), Failure> {
    linux_only()?;
    let package = args.package.as_deref().map(package_file).transpose()?;
    if !is_root() {
        return Err(Failure::Usage(
            "the package manager needs root: sudo quarry miner update".into(),
        ));
    }
    let what = package.as_deref().unwrap_or(WORKER);
    context.confirm(&format!(
        "Install {what}? The worker is started again if it runs; VMs run on. There is no way back to an \
         older version."
    ))?;
    let mut arguments = vec!["install", "--yes"];
    if package.is_none() {
        arguments.push("--only-upgrade");
    }
    arguments.push(what);
    run_through(context, "apt-get", &arguments).await?;
    Ok(context.out.show(&Unit { unit: UNIT, state: unit_state().await? })?)
}

/// The package manager takes a file only by a path with a slash.
fn package_file(file: &Path) -> Result<String, Failure> {
    let missing = |error| Failure::NotFound(format!("{}: {error}", file.display()));
    let full = fs::canonicalize(file).map_err(missing)?;
    match full.extension().is_some_and(|extension| extension == "deb") {
        true => Ok(full.display().to_string()),
        false => Err(Failure::Usage(format!("{} is no .deb package", file.display()))),
    }
}

/// By Linux's own account of this process.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    user.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

/// Elsewhere there is no worker.
fn linux_only() -> Result<(), Failure> {
    match cfg!(target_os = "linux") {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "this runs on the Linux host of the worker, and not on {}: log in there",
            std::env::consts::OS
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_a_file_that_is_there_and_ends_with_deb() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("worker.deb"), "").unwrap();
        fs::write(file("worker.rpm"), "").unwrap();
        assert!(package_file(&file("worker.deb")).unwrap().starts_with('/'));
        assert_eq!(package_file(&file("worker.rpm")).unwrap_err().exit_code(), 2);
        assert_eq!(package_file(&file("none.deb")).unwrap_err().exit_code(), 3);
    }
}
