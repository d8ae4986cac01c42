//! What every command has at hand: the settings, the chain, the key that signs, and where to tell things.

use crate::{
    failure::Failure,
    interrupt::Interrupts,
    output::Output,
    settings::{ChainSettings, Places, Settings},
    signer::{self, Signer},
};
use quarry_client::{At, Chain, ChainOptions, Included, Submitter};
use quarry_primitives::{AccountId, Hash};
use std::{
    cell::{Cell, OnceCell},
    future::Future,
    path::PathBuf,
    time::Duration,
};
use subxt::tx::Payload;
use tokio::{sync::OnceCell as AsyncOnceCell, time::timeout};

/// What stands before a command's own name.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// The chain, by its name in the settings.
    #[arg(long, global = true, value_name = "NAME", env = "QUARRY_CHAIN")]
    pub chain: Option<String>,
    /// The chain node's WebSocket, in place of those in the settings.
    #[arg(long, global = true, value_name = "URL", env = "QUARRY_URL", conflicts_with = "chain")]
    pub url: Option<String>,
    /// The key that signs, by its name in `quarry key list`.
    #[arg(long, global = true, value_name = "NAME", env = "QUARRY_KEY")]
    pub key: Option<String>,
    /// A development key such as //Alice, which everybody has. For development chains only.
    #[arg(long, global = true, value_name = "URI", conflicts_with = "key")]
    pub uri: Option<String>,
    /// A file whose first line is the key's password; QUARRY_PASSWORD may hold the password itself.
    #[arg(long, global = true, value_name = "FILE", env = "QUARRY_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// The result as JSON on standard output, and errors as JSON on standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not ask: yes to everything.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Nothing but the result and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// The settings' file.
    #[arg(long, global = true, value_name = "FILE", env = "QUARRY_CONFIG")]
    pub config: Option<PathBuf>,
    /// How long a chain node may take to answer, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
}

/// What every command has at hand.
pub struct Context {
    /// Where to tell things.
    pub out: Output,
    /// What stood before the command.
    pub global: Global,
    /// Where files are.
    pub places: Places,
    /// What stands in the settings' file.
    pub settings: Settings,
    chain: AsyncOnceCell<Chain>,
    signer: OnceCell<Signer>,
    submitter: OnceCell<Submitter>,
    interrupts: Interrupts,
    interrupted: Cell<bool>,
}

impl Context {
    /// Reads the settings. Nothing is connected yet.
    pub fn new(global: Global) -> Result<Self, Failure> {
        let places = Places::find(global.config.clone())?;
        let settings = Settings::read(&places.config)?;
        Ok(Self {
            out: Output::new(global.json, global.quiet),
            global,
            places,
            settings,
            chain: AsyncOnceCell::new(),
            signer: OnceCell::new(),
            submitter: OnceCell::new(),
            interrupts: Interrupts::default(),
            interrupted: Cell::new(false),
        })
    }

    /// The chain that is meant, by its settings.
    pub fn chain_settings(&self) -> Result<ChainSettings, Failure> {
        if let Some(url) = &self.global.url {
            return Ok(ChainSettings { endpoints: vec![url.clone()], genesis: None, key: None });
        }
        let name = self.global.chain.as_deref().unwrap_or(self.settings.chain_name());
        self.settings.chain(name).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no chain {name:?} in the settings: see `quarry chain list`"
            ))
        })
    }

    /// The chain, connected.
    pub async fn chain(&self) -> Result<&Chain, Failure> {
        self.chain.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Chain, Failure> {
        let ChainSettings { endpoints, genesis, .. } = self.chain_settings()?;
        let mut options = ChainOptions::new(&endpoints);
        options.genesis = genesis.as_deref().map(genesis_of).transpose()?;
        let started = Chain::start(options);
        let chain = started.map_err(|error| Failure::Usage(error.to_string()))?;
        let place = endpoints.join(", ");
        let patience = Duration::from_secs(self.global.timeout);
        let ready = timeout(patience, chain.ready());
        if self.out.waiting(&format!("the chain at {place}"), ready).await.is_err() {
            let last = chain.connection().borrow().last_error.clone();
            let why = last.unwrap_or_else(|| "it says nothing".into());
            return Err(Failure::Unreachable(format!(
                "the chain at {place} does not answer within {} s: {why}; start one with \
                 `scripts/dev`, or name another with --url",
                self.global.timeout
            )));
        }
        Ok(chain)
    }

    /// The state of the latest finalized block.
    pub async fn now(&self) -> Result<At, Failure> {
        let chain = self.chain().await?;
        let (_, finalized) = chain.ready().await;
        Ok(chain.at(finalized.block.hash))
    }

    /// The chain's genesis.
    pub async fn genesis(&self) -> Result<Hash, Failure> {
        Ok(self.chain().await?.ready().await.0)
    }

    /// Whether the chain is one to develop on, whose accounts everybody has the keys of.
    pub async fn is_development(&self) -> Result<bool, Failure> {
        Ok(matches!(self.chain().await?.kind().await?.as_str(), "Development" | "Local"))
    }

    /// The key that signs, its password asked for where it has one.
    pub async fn signer(&self) -> Result<&Signer, Failure> {
        if self.signer.get().is_none() {
            let signer = signer::choose(self).await?;
            // Nothing else sets it: a command does one thing after the other.
            let _ = self.signer.set(signer);
        }
        self.signer.get().ok_or_else(|| Failure::Other("no key was chosen".into()))
    }

    /// The account that is meant, which takes no password.
    pub async fn account(&self) -> Result<AccountId, Failure> {
        match self.signer.get() {
            Some(signer) => Ok(signer.public()),
            None => signer::account(self).await,
        }
    }

    /// Signs a call, sends it, and waits until it is finalized. Once it was sent, Ctrl-C does not end the
    /// wait but is kept for [`until_interrupted`](Self::until_interrupted): what is paid for is never lost.
    /// A second one does.
    pub async fn submit(
        &self,
        what: &str,
        call: impl Payload + Send + Sync + 'static,
    ) -> Result<Included, Failure> {
        let submitter = self.submitter().await?;
        self.interrupts.catch().await?;
        let included = self.uninterrupted(what, submitter.submit(call)).await?;
        Ok(included?)
    }

    /// As [`submit`](Self::submit), several at once: each has its own end, in their order.
    pub async fn submit_all<Call: Payload + Send + Sync + 'static>(
        &self,
        what: &str,
        calls: Vec<Call>,
    ) -> Result<Vec<Result<Included, Failure>>, Failure> {
        let submitter = self.submitter().await?;
        self.interrupts.catch().await?;
        let sent: Vec<_> = calls.into_iter().map(|call| submitter.submit(call)).collect();
        let all = async {
            let mut ends = Vec::with_capacity(sent.len());
            for end in sent {
                ends.push(end.await.map_err(Failure::from));
            }
            ends
        };
        self.uninterrupted(what, all).await
    }

    async fn submitter(&self) -> Result<&Submitter, Failure> {
        let signer = self.signer().await?.clone();
        let chain = self.chain().await?.clone();
        Ok(self.submitter.get_or_init(|| Submitter::spawn(chain, signer)))
    }

    async fn uninterrupted<Answer>(
        &self,
        what: &str,
        sent: impl Future<Output = Answer>,
    ) -> Result<Answer, Failure> {
        let words = format!("the chain to take {what}");
        let waiting = self.out.waiting(&words, sent);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                answer = &mut waiting => return Ok(answer),
                caught = self.interrupts.next() => {
                    caught?;
                    if self.interrupted.replace(true) {
                        return Err(Failure::Interrupted(format!(
                            "left before the chain answered: {what} may still happen; see `quarry vms`"
                        )));
                    }
                    self.out.aside(&format!(
                        "{what} was sent already: waiting for the chain's word on it (Ctrl-C again leaves at once)"
                    ));
                }
            }
        }
    }

    /// Does it until Ctrl-C, and says then what was left; also where that came while a call was under way.
    pub async fn until_interrupted<Answer>(
        &self,
        task: impl Future<Output = Result<Answer, Failure>>,
        left: impl FnOnce() -> Result<Answer, Failure>,
    ) -> Result<Answer, Failure> {
        if self.interrupted.get() {
            return left();
        }
        tokio::select! {
            answer = task => answer,
            caught = self.interrupts.next() => {
                caught?;
                left()
            }
        }
    }

    /// Asks for a yes, which is the default. Without a terminal it must have been given with `--yes`.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        self.ask(question, true)
    }

    /// The same for what cannot be taken back: an empty line is a no.
    pub fn confirm_loss(&self, question: &str) -> Result<(), Failure> {
        self.ask(question, false)
    }

    fn ask(&self, question: &str, default: bool) -> Result<(), Failure> {
        if self.global.yes {
            return Ok(());
        }
        if !self.out.can_ask() {
            return Err(Failure::Usage(format!("{question} Nobody can be asked here: add --yes")));
        }
        match crate::prompt::yes(question, default)? {
            true => Ok(()),
            false => Err(Failure::Interrupted("nothing was done".into())),
        }
    }
}

/// 0x and 64 digits.
pub fn genesis_of(text: &str) -> Result<Hash, Failure> {
    let digits = text.strip_prefix("0x").unwrap_or_default().to_ascii_lowercase();
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok();
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let wrong = || Failure::Usage(format!("the genesis {text:?} is not 0x and 64 digits"));
    bytes.map(Hash::from).ok_or_else(wrong)
}
