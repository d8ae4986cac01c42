//! Does what the command line asks.

use crate::{
    cli::{self, Cli, Command},
    database, preflight,
    problem::Problem,
    service::{self, Block, Parts},
};
use sc_cli::{CliConfiguration, KeySubcommand, RunCmd, Runner, SubstrateCli};
use sc_service::Configuration;

/// Does what was asked and comes back when it is done.
pub fn run(mut cli: Cli) -> Result<(), Problem> {
    hush_shutdown(&mut cli);
    match &cli.subcommand {
        None => run_node(&cli, &cli.run),
        Some(Command::Run(command)) => run_node(&cli, command),
        // Only below a base path does a node key's place depend on the chain.
        Some(Command::Key(KeySubcommand::GenerateNodeKey(command))) if command.chain.is_none() => {
            Ok(command.common.run()?)
        }
        Some(Command::Key(command)) => Ok(command.run(&cli)?),
        Some(Command::ExportChainSpec(command)) => {
            let spec = cli.load_spec(&command.chain).map_err(Problem::Usage)?;
            Ok(command.run(spec)?)
        }
        Some(Command::CheckBlock(command)) => {
            on_existing_database(&cli, command)?.async_run(|config| {
                let Parts { client, task_manager, import_queue, .. } =
                    service::new_partial(&config)?;
                let check = async move {
                    command.run(client, import_queue).await.map_err(|error| {
                        Problem::new(
                            format!("cannot check this block ({})", Problem::from(error)),
                            "see `quarry-node chain-info` for the blocks that the database holds",
                        )
                    })
                };
                Ok((check, task_manager))
            })
        }
        Some(Command::ExportBlocks(command)) => {
            on_existing_database(&cli, command)?.async_run(|config| {
                let Parts { client, task_manager, .. } = service::new_partial(&config)?;
                let export = command.run(client, config.database);
                Ok((async move { Ok(export.await?) }, task_manager))
            })
        }
        Some(Command::ImportBlocks(command)) => {
            let source = match &command.input {
                Some(path) => {
                    preflight::check_readable(path)?;
                    path.display().to_string()
                }
                None => "standard input".into(),
            };
            cli.create_runner(command)?.async_run(|config| {
                let Parts { client, task_manager, import_queue, .. } =
                    service::new_partial(&config)?;
                let import = async move {
                    command.run(client, import_queue).await.map_err(|error| {
                        Problem::new(
                            format!(
                                "cannot import blocks from {source} ({})",
                                Problem::from(error)
                            ),
                            "it takes what `quarry-node export-blocks` wrote of this chain, with \
                             --binary in both or in neither",
                        )
                    })
                };
                Ok((import, task_manager))
            })
        }
        Some(Command::PurgeChain(command)) => on_existing_database(&cli, command)?
            .sync_run(|config| Ok(command.run(config.database)?)),
        Some(Command::Revert(command)) => {
            on_existing_database(&cli, command)?.async_run(|config| {
                let Parts { client, task_manager, backend, .. } = service::new_partial(&config)?;
                let revert_votes = Box::new(|client, _, blocks| {
                    sc_consensus_grandpa::revert(client, blocks)?;
                    Ok(())
                });
                let revert = command.run(client, backend, Some(revert_votes));
                Ok((async move { Ok(revert.await?) }, task_manager))
            })
        }
        Some(Command::ChainInfo(command)) => {
            on_existing_database(&cli, command)?.sync_run(|config| -> Result<(), Problem> {
                database::check_metadata(&config)?;
                command.run::<Block>(&config)?;
                println!();
                Ok(())
            })
        }
        Some(Command::Completions { shell }) => {
            cli::complete(*shell).map_err(|error| Problem::Failure(error.to_string()))
        }
    }
}

/// Work on the database ends while the service's tasks still run; the SDK logs each as failed.
fn hush_shutdown(cli: &mut Cli) {
    let params = match &mut cli.subcommand {
        Some(Command::CheckBlock(command)) => &mut command.shared_params,
        Some(Command::ExportBlocks(command)) => &mut command.shared_params,
        Some(Command::ImportBlocks(command)) => &mut command.shared_params,
        Some(Command::Revert(command)) => &mut command.shared_params,
        _ => return,
    };
    params.log.push("sc_service::task_manager=off".into());
}

fn on_existing_database<C: CliConfiguration>(
    cli: &Cli,
    command: &C,
) -> Result<Runner<Cli>, Problem> {
    let runner = cli.create_runner(command)?;
    database::check_exists(runner.config())?;
    Ok(runner)
}

fn run_node(cli: &Cli, command: &RunCmd) -> Result<(), Problem> {
    preflight::check_flags(command)?;
    let runner = cli.create_runner(command)?;
    preflight::check_machine(runner.config())?;
    let folder = runner.config().base_path.path().to_owned();
    let outcome =
        runner.run_node_until_exit(|config| async move { service::start(settled(config)) });
    if is_temporary(command) {
        outcome.and(database::remove_temporary(&folder))
    } else {
        outcome
    }
}

/// Whether the SDK made a base path for this run alone.
fn is_temporary(command: &RunCmd) -> bool {
    let shared = &command.shared_params;
    command.tmp || shared.is_dev() && shared.base_path.is_none()
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
