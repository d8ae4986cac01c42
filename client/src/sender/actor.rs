//! Stub: the final signatures.
use super::{item::Item, SenderStatus};
use crate::{call::AnySigner, chain::Chain};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

pub(super) struct Actor {
    _chain: Chain,
    _signer: Arc<AnySigner>,
    inbox: mpsc::UnboundedReceiver<Item>,
    _status: watch::Sender<SenderStatus>,
}

impl Actor {
    pub(super) fn new(
        chain: Chain,
        signer: Arc<AnySigner>,
        inbox: mpsc::UnboundedReceiver<Item>,
        status: watch::Sender<SenderStatus>,
    ) -> Self {
        Self { _chain: chain, _signer: signer, inbox, _status: status }
    }

    pub(super) async fn run(mut self) {
        while self.inbox.recv().await.is_some() {}
    }
}
