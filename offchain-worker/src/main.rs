//! `quarry-worker`: the daemon beside a hypervisor.

use clap::{Parser, Subcommand};
use quarry_worker::{commands, config::Settings, logs};
use std::{path::PathBuf, process::ExitCode};

/// The config says something that cannot be (sysexits' EX_CONFIG).
const BAD_CONFIG: u8 = 78;

/// Hosts virtual machines for Quarry: reads its node's work from the chain, makes libvirt match it, and
/// reports.
#[derive(Parser)]
#[command(name = "quarry-worker", version, max_term_width = 100)]
struct Cli {
    /// The config. Drop-ins beside it (worker.toml.d/*.toml) and variables such as
    /// QUARRY_WORKER__CHAIN__GENESIS are read over it.
    #[arg(long, global = true, value_name = "FILE", default_value = quarry_worker::config::DEFAULT_PATH)]
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(&cli.config, std::env::vars_os()) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if let Err(error) = logs::start(&settings.logs) {
        eprintln!("quarry-worker: {error}");
        return ExitCode::from(BAD_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("quarry-worker: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(carry_out(cli.command, settings))
}

async fn carry_out(command: Command, settings: Settings) -> ExitCode {
    match command {
        Command::Run { accept_loss } => match commands::run::run(settings, accept_loss).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::from(error.exit_code())
            }
        },
        Command::Status { json } => {
            match commands::status::status(&settings.data_dir, json).await {
                Ok(text) => {
                    println!("{}", text.trim_end());
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("quarry-worker: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
