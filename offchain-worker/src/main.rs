//! `quarry-worker`: the daemon beside a hypervisor.

use clap::{Parser, Subcommand};
use quarry_worker::{
    commands::{check, enroll, key, relay, run, status},
    config::{ConfigErrors, Settings, DEFAULT_PATH},
    logs,
};
use std::{env, fmt::Display, path::PathBuf, process::ExitCode, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// Hosts virtual machines for Quarry: reads its node's work from the chain, makes libvirt match it, and
/// reports.
#[derive(Parser)]
#[command(name = "quarry-worker", version, max_term_width = 100)]
struct Cli {
    /// The config. Drop-ins beside it (worker.toml.d/*.toml) and variables such as
    /// QUARRY_WORKER__CHAIN__GENESIS are read over it.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon, until a signal; VMs go on running without it.
    Run {
        /// Report VMs as lost whose disks are gone, although the data folder is new.
        #[arg(long)]
        accept_loss: bool,
    },
    /// Show what the running worker does: the chain, libvirt, its VMs.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look for what keeps this host from serving, and say what to do about it.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write what the miner needs to register this node from another machine; no secret is in it.
    Enroll(enroll::EnrollArgs),
    /// Make a key of this host, or show its public part.
    Key(key::KeyArgs),
    /// Give nodes that can only dial out a port that tenants can dial. Needs no settings file and no libvirt.
    Relay(relay::RelayArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    let code = carry_out(&runtime, cli);
    // A call of libvirt that hangs is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

fn carry_out(runtime: &Runtime, cli: Cli) -> ExitCode {
    let settings = || Settings::load(&cli.config, env::vars_os());
    match cli.command {
        Command::Run { accept_loss } => runtime.block_on(daemon(settings(), accept_loss)),
        Command::Status { json } => match settings() {
            Ok(settings) => match runtime.block_on(status::status(&settings.data_dir, json)) {
                Ok(text) => told(&text),
                Err(error) => failed(&error, 1),
            },
            Err(errors) => failed(&errors, ConfigErrors::EXIT_CODE),
        },
        Command::Check { json } => {
            let findings = runtime.block_on(check::check(&cli.config, &settings()));
            let render = if json { check::render_json } else { check::render };
            told(&render(&findings));
            ExitCode::from(u8::from(!check::all_ok(&findings)))
        }
        Command::Enroll(args) => match settings() {
            Ok(settings) => match runtime.block_on(enroll::enroll(&args, settings)) {
                Ok(text) => told(&text),
                Err(error) => failed(&error, error.exit_code()),
            },
            Err(errors) => failed(&errors, ConfigErrors::EXIT_CODE),
        },
        Command::Relay(args) => match runtime.block_on(relay::relay(args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, error.exit_code()),
        },
        Command::Key(args) => match key::key(&args, settings) {
            Ok(text) => told(&text),
            Err(error) => failed(&error, error.exit_code()),
        },
    }
}

async fn daemon(settings: Result<Settings, ConfigErrors>, accept_loss: bool) -> ExitCode {
    let settings = match settings {
        Ok(settings) => settings,
        Err(errors) => return failed(&errors, ConfigErrors::EXIT_CODE),
    };
    if let Err(error) = logs::start(&settings.logs) {
        return failed(&error, ConfigErrors::EXIT_CODE);
    }
    match run::run(settings, accept_loss).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn told(text: &str) -> ExitCode {
    println!("{}", text.trim_end());
    ExitCode::SUCCESS
}

fn failed(error: &dyn Display, code: u8) -> ExitCode {
    eprintln!("quarry-worker: {error}");
    ExitCode::from(code)
}
