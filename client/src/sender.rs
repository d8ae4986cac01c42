//! The actor that signs, sends and sends again, until what it was given is finalized or refused.
//!
//! It trusts nothing that it was told once. With every block it compares the account's nonce on chain with
//! what it sent: what has no number yet is sent, what was lost is sent again, a gap is filled. Only a
//! finalized block that has a transaction settles it.

mod actor;
mod blocks;
mod deliver;
mod item;
mod pool;
mod queue;
mod recent;
mod settle;
mod window;

pub(crate) use blocks::BlockEvents;
pub(crate) use item::{Inclusion, Item, Urgency, Verdict};

use crate::{call::CallError, chain::Chain, Config};
use quarry_primitives::{BlockNumber, Nonce};
use std::{future::Future, sync::Arc};
use subxt::tx::Signer;
use tokio::sync::{mpsc, oneshot, watch};

/// Why a call was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It stands in a block and failed there.
    #[error("the chain refused the call with {pallet}.{error}")]
    Dispatch {
        /// The pallet whose error it is; for one of no pallet, its kind, as `Token`.
        pallet: String,
        /// The error.
        error: String,
    },
    /// The account cannot pay for it, and it is not free, or not any more.
    #[error("the account cannot pay for the call, and it is not free (any more)")]
    Payment,
    /// It can stand in no block.
    #[error("the chain takes no such transaction: {0}")]
    Invalid(String),
    /// The runtime has no such call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A launch is told by `Launched`, not by `Done`.
    #[error("a launch that is done is reported as Launched, with how to reach the VM")]
    NotAReport,
    /// The chain was reset: what the call is about is gone.
    #[error("the chain was reset while the call was under way")]
    ChainReplaced,
    /// The chain node does not keep what would tell.
    #[error(
        "nobody can tell what became of the call, as the chain node keeps nothing that is so old: \
         look at what it was to change before you send it again"
    )]
    Unknown,
    /// The actor ended.
    #[error("the program ends")]
    Stopped,
}

/// What an actor does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SenderStatus {
    /// Not sent yet.
    pub queued: usize,
    /// Sent, and not finalized.
    pub under_way: usize,
    /// Finalized, and succeeded.
    pub finalized: u64,
    /// Refused, whether by the pool or in a block.
    pub refused: u64,
    /// Given up for a later one.
    pub superseded: u64,
    /// Sent once more.
    pub sent_again: u64,
    /// Nonces of this account that somebody else used since the actor started: another instance has the
    /// same key.
    pub foreign_nonce_seen: u64,
    /// The account's next nonce, by the best block.
    pub nonce: Nonce,
    /// The last refusal.
    pub last_refusal: Option<String>,
}

/// Takes calls for an actor.
#[derive(Clone)]
pub(crate) struct Handle {
    inbox: mpsc::UnboundedSender<Item>,
    status: watch::Receiver<SenderStatus>,
}

impl Handle {
    /// Queues at once.
    pub(crate) fn send(&self, mut item: Item) -> impl Future<Output = Verdict> + Send + 'static {
        let (told, verdict) = oneshot::channel();
        item.waiting.push(told);
        // Where the actor is gone, `told` is dropped with the item.
        let _ = self.inbox.send(item);
        async move { verdict.await.unwrap_or(Verdict::Refused(Refusal::Stopped)) }
    }

    pub(crate) fn status(&self) -> watch::Receiver<SenderStatus> {
        self.status.clone()
    }
}

/// Starts an actor. What is bound to no later block than `seen` was signed before.
pub(crate) fn spawn(
    chain: Chain,
    signer: impl Signer<Config> + Send + Sync + 'static,
    seen: BlockNumber,
) -> Handle {
    let (inbox, received) = mpsc::unbounded_channel();
    let told = watch::Sender::new(SenderStatus::default());
    let status = told.subscribe();
    tokio::spawn(actor::Actor::new(chain, Arc::new(signer), seen, received, told).run());
    Handle { inbox, status }
}
