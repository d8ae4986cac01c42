//! Does what the command line asks.

use crate::{
    cli::{self, Cli, Command},
    preflight,
    problem::Problem,
    service::{self, Block},
};
use sc_cli::{RunCmd, SubstrateCli};
use sc_service::{Configuration, PartialComponents};

/// Does what was asked and comes back when it is done.
pub fn run(cli: Cli) -> Result<(), Problem> {
    match &cli.subcommand {
        None => run_node(&cli, &cli.run),
        Some(Command::Run(command)) => run_node(&cli, command),
        Some(Command::Key(command)) => Ok(command.run(&cli)?),
        Some(Command::ExportChainSpec(command)) => {
            let spec = cli.load_spec(&command.chain).map_err(Problem::Failure)?;
            Ok(command.run(spec)?)
        }
        Some(Command::CheckBlock(command)) => {
            let runner = cli.create_runner(command)?;
            preflight::check_database(runner.config())?;
            Ok(runner.async_run(|config| {
                let PartialComponents { client, task_manager, import_queue, .. } =
                    service::new_partial(&config)?;
                Ok((command.run(client, import_queue), task_manager))
            })?)
        }
        Some(Command::ExportBlocks(command)) => {
            let runner = cli.create_runner(command)?;
            preflight::check_database(runner.config())?;
            Ok(runner.async_run(|config| {
                let PartialComponents { client, task_manager, .. } = service::new_partial(&config)?;
                Ok((command.run(client, config.database), task_manager))
            })?)
        }
        Some(Command::ImportBlocks(command)) => {
            if let Some(path) = &command.input {
                preflight::check_readable(path)?;
            }
            Ok(cli.create_runner(command)?.async_run(|config| {
                let PartialComponents { client, task_manager, import_queue, .. } =
                    service::new_partial(&config)?;
                Ok((command.run(client, import_queue), task_manager))
            })?)
        }
        Some(Command::PurgeChain(command)) => {
            Ok(cli.create_runner(command)?.sync_run(|config| command.run(config.database))?)
        }
        Some(Command::Revert(command)) => {
            let runner = cli.create_runner(command)?;
            preflight::check_database(runner.config())?;
            Ok(runner.async_run(|config| {
                let PartialComponents { client, task_manager, backend, .. } =
                    service::new_partial(&config)?;
                let revert_votes = Box::new(|client, _, blocks| {
                    sc_consensus_grandpa::revert(client, blocks)?;
                    Ok(())
                });
                Ok((command.run(client, backend, Some(revert_votes)), task_manager))
            })?)
        }
        Some(Command::ChainInfo(command)) => {
            let runner = cli.create_runner(command)?;
            preflight::check_database(runner.config())?;
            runner.sync_run(|config| command.run::<Block>(&config))?;
            println!();
            Ok(())
        }
        Some(Command::Completions { shell }) => {
            cli::complete(*shell);
            Ok(())
        }
    }
}

fn run_node(cli: &Cli, command: &RunCmd) -> Result<(), Problem> {
    preflight::check_flags(command)?;
    let runner = cli.create_runner(command)?;
    preflight::check_machine(runner.config())?;
    Ok(runner.run_node_until_exit(|config| async move {
        service::start(settled(config)).map_err(sc_cli::Error::Service)
    })?)
}

/// The configuration with what this chain fixes.
fn settled(mut config: Configuration) -> Configuration {
    config.offchain_worker.enabled = false;
    for endpoint in config.rpc.addr.iter_mut().flatten() {
        // Where a port is asked for, it is that one or none.
        endpoint.retry_random_port &= endpoint.listen_addr.port() == 0;
    }
    config
}
