//! `quarry chain`: the chains that the settings name.

use crate::{
    context::Context,
    failure::Failure,
    output::{or_dash, table, Paint, Show},
    settings::{self, DEV_CHAIN},
};
use clap::Subcommand;
use serde::Serialize;
use toml_edit::{value, Array, Item, Table};

/// What to do with them.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the chains.
    List,
    /// Add a chain.
    #[command(after_help = "Example: quarry chain add main wss://rpc.example")]
    Add {
        /// What to call it.
        name: String,
        /// The WebSockets of its chain nodes.
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        /// Its genesis, so that no other chain is taken for it.
        #[arg(long, value_name = "0x…")]
        genesis: Option<String>,
    },
    /// Use a chain where none is named.
    Use {
        /// Which.
        name: String,
    },
    /// Forget a chain.
    Remove {
        /// Which.
        name: String,
    },
}

#[derive(Serialize)]
struct Chains {
    chains: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    endpoints: Vec<String>,
    genesis: Option<String>,
    key: Option<String>,
    default: bool,
}

impl Show for Chains {
    fn text(&self, paint: Paint) -> String {
        let rows = self.chains.iter().map(|chain| {
            let mark = if chain.default { paint.good("*") } else { " ".to_owned() };
            [
                mark,
                chain.name.clone(),
                chain.endpoints.join(" "),
                or_dash(chain.key.as_ref()),
                or_dash(chain.genesis.as_ref()),
            ]
        });
        table(["", "CHAIN", "ENDPOINTS", "KEY", "GENESIS"], rows)
    }
}

/// Does it.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List => {}
        Command::Add { name, urls, genesis } => add(context, &name, &urls, genesis.as_deref())?,
        Command::Use { name } => {
            known(context, &name)?;
            settings::edit(&context.places.config, |document| {
                document.insert("chain", value(name));
            })?;
        }
        Command::Remove { name } => remove(context, &name)?,
    }
    list(context)
}

fn list(context: &Context) -> Result<(), Failure> {
    let settings = settings::Settings::read(&context.places.config)?;
    let chains = settings.chain_names().into_iter().filter_map(|name| {
        let chain = settings.chain(&name)?;
        let default = name == settings.chain_name();
        let settings::ChainSettings { endpoints, genesis, key } = chain;
        Some(Row { name, endpoints, genesis, key, default })
    });
    Ok(context.out.show(&Chains { chains: chains.collect() })?)
}

fn known(context: &Context, name: &str) -> Result<(), Failure> {
    let missing =
        || Failure::NotFound(format!("there is no chain {name:?}: see `quarry chain list`"));
    context.settings.chain(name).map(|_| ()).ok_or_else(missing)
}

fn add(
    context: &Context,
    name: &str,
    urls: &[String],
    genesis: Option<&str>,
) -> Result<(), Failure> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(Failure::Usage("a chain's name is made of a-z, 0-9, - and _".into()));
    }
    if context.settings.chains.contains_key(name) {
        return Err(Failure::Usage(format!("there is a chain {name:?}: remove it first")));
    }
    if let Some(url) =
        urls.iter().find(|url| !url.starts_with("ws://") && !url.starts_with("wss://"))
    {
        return Err(Failure::Usage(format!(
            "{url:?} is no WebSocket: it begins with ws:// or wss://"
        )));
    }
    if let Some(genesis) = genesis {
        crate::context::genesis_of(genesis)?;
    }
    settings::edit(&context.places.config, |document| {
        let chains = document.entry("chains").or_insert_with(|| {
            let mut chains = Table::new();
            chains.set_implicit(true);
            Item::Table(chains)
        });
        let mut chain = Table::new();
        chain.insert("endpoints", value(urls.iter().collect::<Array>()));
        if let Some(genesis) = genesis {
            chain.insert("genesis", value(genesis));
        }
        if let Some(chains) = chains.as_table_like_mut() {
            chains.insert(name, Item::Table(chain));
        }
    })?;
    Ok(())
}

fn remove(context: &Context, name: &str) -> Result<(), Failure> {
    if name == DEV_CHAIN && !context.settings.chains.contains_key(name) {
        return Err(Failure::Usage(format!("the chain {DEV_CHAIN:?} is built in")));
    }
    known(context, name)?;
    settings::edit(&context.places.config, |document| {
        if let Some(chains) = document.get_mut("chains").and_then(Item::as_table_like_mut) {
            chains.remove(name);
        }
        if context.settings.chain.as_deref() == Some(name) {
            document.remove("chain");
        }
    })?;
    Ok(())
}
