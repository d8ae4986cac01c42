//! The chains that the node knows by name, and those it reads from a file.

use quarry_primitives::{SS58_PREFIX, TOKEN_DECIMALS, TOKEN_SYMBOL};
use quarry_runtime::WASM_BINARY;
use sc_service::{ChainType, GenericChainSpec, Properties};
use std::path::Path;

/// A chain that this node can run.
pub type ChainSpec = GenericChainSpec;

/// The chain of that name, or the one described in the file of that name.
pub fn load(id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
    Ok(Box::new(match id {
        "dev" => {
            built_in("Quarry Development", "quarry_dev", ChainType::Development, "development")?
        }
        "local" => built_in("Quarry Local", "quarry_local", ChainType::Local, "local")?,
        "" => {
            return Err("no chain is named: pass --dev for a development chain of one node, \
                 --chain local for a test network, or --chain FILE to join another"
                .into())
        }
        path => from_file(Path::new(path))?,
    }))
}

fn built_in(name: &str, id: &str, kind: ChainType, preset: &str) -> Result<ChainSpec, String> {
    let wasm = WASM_BINARY
        .ok_or("this node was built without a runtime: build it again without SKIP_WASM_BUILD")?;
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("ss58Format".into(), SS58_PREFIX.into());
    Ok(ChainSpec::builder(wasm, None)
        .with_name(name)
        .with_id(id)
        .with_chain_type(kind)
        .with_protocol_id("qry")
        .with_genesis_config_preset_name(preset)
        .with_properties(properties)
        .build())
}

fn from_file(path: &Path) -> Result<ChainSpec, String> {
    let shown = path.display();
    if !path.is_file() {
        return Err(format!(
            "unknown chain `{shown}`: it is neither `dev` nor `local` nor a chain specification file"
        ));
    }
    ChainSpec::from_json_file(path.into()).map_err(|error| {
        format!(
            "{shown} is not a chain specification ({error}): ask the chain's operators for it, or \
             make one with `quarry-node export-chain-spec`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_must_be_named() {
        assert!(load("").err().unwrap().contains("--dev"));
    }

    #[test]
    fn an_unknown_chain_is_refused_with_the_known_ones() {
        let error = load("nonsense").err().unwrap();
        assert!(error.contains("`nonsense`") && error.contains("`local`"), "{error}");
    }

    #[test]
    fn a_file_that_describes_no_chain_is_refused_by_name() {
        let manifest = "Cargo.toml";
        let error = load(manifest).err().unwrap();
        assert!(error.contains(manifest) && error.contains("export-chain-spec"), "{error}");
    }
}
