//! Opens the chain's database, and refuses one that is damaged or another chain's before anything is
//! written to it.

use crate::{
    problem::Problem,
    service::{Block, Executor},
};
use sc_chain_spec::{BuildGenesisBlock, GenesisBlockBuilder};
use sc_client_api::{Backend, HeaderBackend};
use sc_consensus_grandpa::GrandpaPruningFilter;
use sc_service::Configuration;
use sp_runtime::{traits::Block as _, Storage};
use std::{
    fs, io, panic,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The chain's blocks and states.
pub type Database = sc_service::TFullBackend<Block>;
/// Makes the first block where the database is new.
pub type Genesis = GenesisBlockBuilder<Block, Database, Executor>;

const REMEDY: &str =
    "stop whatever else uses it; if it is damaged, restore a backup, or remove it \
                      with `quarry-node purge-chain` and let the node sync again";

/// Opens the database, or makes it, for the chain of the configuration.
pub fn open(
    config: &Configuration,
    executor: &Executor,
) -> Result<(Arc<Database>, Genesis), Problem> {
    check_folder(config)?;
    check_metadata(config)?;
    let mut settings = config.db_config();
    settings.pruning_filters = vec![Arc::new(GrandpaPruningFilter)];
    let database = quietly(|| sc_service::new_db_backend::<Block>(settings))
        .map_err(|error| unusable(config, &error))?;

    let storage = config
        .chain_spec
        .as_storage_builder()
        .build_storage()
        .map_err(|error| wrong_genesis(config, &error))?;
    let first = database.blockchain().info().genesis_hash;
    if first != Default::default() && first != genesis_hash(&storage, &database, executor)? {
        return Err(Problem::new(
            format!("the database at {} holds another chain than the one asked for", path(config)),
            "check --chain and --base-path, or remove it with `quarry-node purge-chain`",
        ));
    }
    let genesis = Genesis::new_with_storage(
        storage,
        !config.no_genesis(),
        database.clone(),
        executor.clone(),
    )?;
    Ok((database, genesis))
}

/// Refuses to look into a database that is not there, rather than make an empty one.
pub fn check_exists(config: &Configuration) -> Result<(), Problem> {
    check_folder(config)?;
    match config.database.path() {
        Some(path) if !path.is_dir() => Err(Problem::new(
            format!("there is no database at {}", path.display()),
            "check --chain and --base-path, or start the node once to make it",
        )),
        _ => Ok(()),
    }
}

fn check_folder(config: &Configuration) -> Result<(), Problem> {
    let Some(path) = config.database.path() else { return Ok(()) };
    if let Some(file) = path.ancestors().find(|part| part.exists() && !part.is_dir()) {
        return Err(Problem::new(
            format!("{} is a file, not a folder", file.display()),
            "choose another --base-path",
        ));
    }
    Ok(())
}

/// A database without its metadata would be taken for none, and a new chain begun in its files.
pub fn check_metadata(config: &Configuration) -> Result<(), Problem> {
    match config.database.path() {
        Some(path) if holds_files(path) && !path.join("metadata").is_file() => {
            Err(unusable(config, "its file `metadata` is missing"))
        }
        _ => Ok(()),
    }
}

/// How long what still runs in the background may write into a folder that shall go.
const SETTLING: Duration = Duration::from_secs(5);

/// Removes the folder of a chain that was for one run. The SDK tries it once as the process ends, and
/// leaves the folder where a file is made in it meanwhile.
pub fn remove_temporary(folder: &Path) -> Result<(), Problem> {
    let begun = Instant::now();
    while let Err(error) = fs::remove_dir_all(folder) {
        if error.kind() == io::ErrorKind::NotFound {
            break;
        }
        if begun.elapsed() > SETTLING {
            return Err(Problem::new(
                format!("the temporary folder {} stays ({error})", folder.display()),
                "remove it",
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn holds_files(path: &Path) -> bool {
    path.read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

/// ParityDb panics over some kinds of damage; here that is an error like any other.
fn quietly<T>(open: impl FnOnce() -> Result<T, sp_blockchain::Error>) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(open));
    panic::set_hook(hook);
    match outcome {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "damaged".into())),
    }
}

fn genesis_hash(
    storage: &Storage,
    database: &Arc<Database>,
    executor: &Executor,
) -> Result<<Block as sp_runtime::traits::Block>::Hash, Problem> {
    let builder =
        Genesis::new_with_storage(storage.clone(), false, database.clone(), executor.clone())?;
    Ok(builder.build_genesis_block()?.0.hash())
}

fn path(config: &Configuration) -> String {
    config.database.path().map_or("memory".into(), |path| path.display().to_string())
}

fn unusable(config: &Configuration, why: &str) -> Problem {
    Problem::new(format!("the database at {} cannot be opened ({why})", path(config)), REMEDY)
}

fn wrong_genesis(config: &Configuration, why: &str) -> Problem {
    Problem::new(
        format!("the genesis of chain `{}` cannot be built ({why})", config.chain_spec.id()),
        "mend its specification, or ask the chain's operators for it",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::remove_temporary;
    use std::{
        fs,
        sync::mpsc,
        thread,
        time::{Duration, Instant},
    };

    #[test]
    fn a_temporary_folder_goes_although_something_writes_into_it_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("chain/db");
        fs::create_dir_all(&inside).unwrap();
        let (writes, wrote) = mpsc::channel();
        let writer = thread::spawn(move || {
            let begun = Instant::now();
            let mut files = 0_u32;
            while begun.elapsed() < Duration::from_millis(300)
                && fs::write(inside.join(files.to_string()), "x").is_ok()
            {
                files = files.saturating_add(1);
                writes.send(()).ok();
            }
            files
        });
        wrote.recv().unwrap();
        remove_temporary(folder.path()).unwrap();
        assert!(writer.join().unwrap() > 0);
        assert!(!folder.path().exists());
    }
}
