//! Sends any call for one who pays for it.

use crate::{
    call::Call,
    chain::{Block, Chain},
    reads::ReadError,
    sender::{self, BlockEvents, Handle, Item, Refusal, SenderStatus, Urgency, Verdict},
    Config,
};
use std::{future::Future, time::Duration};
use subxt::{
    events::DecodeAsEvent,
    tx::{Payload, Signer},
};
use tokio::sync::watch;

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);
const MOST_QUESTIONS: u32 = 30;

/// Why a call had no effect, or nobody can tell which.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The chain refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It stands in a finalized block, but what happened there could not be read.
    #[error("the call is in block {} ({:?}), but its events were not read: {error}", .block.number, .block.hash)]
    Events {
        /// The block.
        block: Block,
        /// Why they were not read.
        error: ReadError,
    },
}

/// A call that was finalized and succeeded.
pub struct Included {
    /// The block that has it.
    pub block: Block,
    events: BlockEvents,
    index: u32,
}

impl Included {
    /// The first event of this kind that the call caused.
    pub fn find<Event: DecodeAsEvent>(&self) -> Option<Event> {
        self.events.of(self.index).find_map(|event| event.decode_fields_as::<Event>()?.ok())
    }

    /// What the call caused, each as `Pallet.Event`.
    pub fn event_names(&self) -> Vec<String> {
        let events = self.events.of(self.index);
        events.map(|event| format!("{}.{}", event.pallet_name(), event.event_name())).collect()
    }
}

/// Sends the calls of one signer. Copies share the nonce.
#[derive(Clone)]
pub struct Submitter {
    chain: Chain,
    sender: Handle,
}

impl Submitter {
    /// Starts the actor behind it, within a tokio runtime.
    pub fn spawn(chain: Chain, signer: impl Signer<Config> + Send + Sync + 'static) -> Self {
        let sender = sender::spawn(chain.clone(), signer, 0);
        Self { chain, sender }
    }

    /// Queues a call, at once; calls of one submitter are sent in the order in which they come. Waits
    /// until it is finalized, for as long as that takes.
    pub fn submit(
        &self,
        call: impl Payload + Send + Sync + 'static,
    ) -> impl Future<Output = Result<Included, SubmitError>> + Send + 'static {
        let verdict = self.sender.send(Item::new(Call::new(call), Urgency::Report));
        let chain = self.chain.clone();
        async move {
            match verdict.await {
                Verdict::Included(inclusion) => events_of(&chain, inclusion).await,
                Verdict::Refused(refusal) => Err(refusal.into()),
                Verdict::Superseded => Err(Refusal::Stopped.into()),
            }
        }
    }

    /// What the actor does.
    pub fn status(&self) -> watch::Receiver<SenderStatus> {
        self.sender.status()
    }
}

async fn events_of(chain: &Chain, at: sender::Inclusion) -> Result<Included, SubmitError> {
    let mut questions = 0;
    loop {
        match BlockEvents::read_again(chain, at.block).await {
            Ok(events) => return Ok(Included { block: at.block, events, index: at.index }),
            Err(error) if questions == MOST_QUESTIONS => {
                return Err(SubmitError::Events { block: at.block, error })
            }
            Err(_) => questions += 1,
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}
