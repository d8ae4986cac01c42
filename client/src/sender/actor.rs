//! What the actor holds, and what wakes it.

use super::{
    item::{Item, Verdict},
    queue::Queue,
    recent::Recent,
    settle::Ledger,
    window::Window,
    Refusal, SenderStatus,
};
use crate::{
    call::AnySigner,
    chain::{Block, Chain, Session, Standing},
    reads::ReadError,
};
use codec::{Decode, Encode};
use quarry_primitives::{AccountId, BlockNumber, Hash, Nonce};
use std::sync::Arc;
use subxt::utils::AccountId32;
use tokio::sync::{mpsc, watch};

pub(super) struct Actor {
    pub(super) chain: Chain,
    pub(super) signer: Arc<AnySigner>,
    pub(super) account: AccountId32,
    inbox: mpsc::UnboundedReceiver<Item>,
    status: watch::Sender<SenderStatus>,
    pub(super) queue: Queue,
    pub(super) window: Window,
    recent: Recent,
    /// The last block that was seen before this run.
    seen: BlockNumber,
    pub(super) ledger: Ledger,
    /// The connection by which the ledger was last looked after; none before the first.
    session: Option<Arc<Session>>,
    /// Which chain of this run the ledger is about.
    chain_number: u32,
    pub(super) position: Position,
}

/// What is known of the account by the best block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub(super) best: Option<Block>,
    /// The account's next nonce.
    pub(super) next: Nonce,
    /// The block in which `next` last rose, or since when something waits.
    pub(super) moved_at: BlockNumber,
    /// The pool has others of this account before this nonce, as far as is known.
    pub(super) pool_next: Nonce,
    /// Until this block nothing new is sent: the pool wants nothing.
    pub(super) held_until: BlockNumber,
    /// How long it is held the next time.
    pub(super) hold: BlockNumber,
}

impl Actor {
    pub(super) fn new(
        chain: Chain,
        signer: Arc<AnySigner>,
        seen: BlockNumber,
        inbox: mpsc::UnboundedReceiver<Item>,
        status: watch::Sender<SenderStatus>,
    ) -> Self {
        Self {
            chain,
            account: signer.account_id(),
            signer,
            inbox,
            status,
            queue: Queue::default(),
            window: Window::default(),
            recent: Recent::default(),
            seen,
            ledger: Ledger::new(0, 0, 0),
            session: None,
            chain_number: 0,
            position: Position::default(),
        }
    }

    /// Goes on until nobody can give it anything more and nothing is left to do.
    pub(super) async fn run(mut self) {
        let (mut best, mut finalized) = (self.chain.best(), self.chain.finalized());
        let mut sessions = self.chain.sessions();
        let mut open = true;
        while open || self.queue.len() + self.window.len() > 0 {
            tokio::select! {
                item = self.inbox.recv(), if open => match item {
                    Some(item) => self.accept(item),
                    None => open = false,
                },
                _ = best.changed() => {}
                _ = finalized.changed() => {}
                _ = sessions.changed() => {}
            }
            while let Ok(item) = self.inbox.try_recv() {
                self.accept(item);
            }
            if let Err(error) = self.step().await {
                tracing::debug!(%error, "transactions wait for the chain");
            }
            self.publish();
        }
    }

    /// Brings what is under way in line with the chain, and sends what waits.
    async fn step(&mut self) -> Result<(), ReadError> {
        let Some(finalized) = *self.chain.finalized().borrow() else { return Ok(()) };
        let Some(best) = *self.chain.best().borrow() else { return Ok(()) };
        if matches!(finalized.standing, Standing::Behind { .. }) {
            // Whatever this chain node says of nonces is of the past.
            return Ok(());
        }
        if finalized.chain_number != self.chain_number {
            self.start_anew(finalized.chain_number);
        }
        let session = self.chain.session()?;
        self.meet(&session, best, finalized.block).await?;
        if self.settle(&session, finalized.block).await? > 0 {
            // Of two that sign with one key the one that finds out first sends no more for now, so that
            // the other does not find out too.
            return Ok(());
        }
        self.advance(&session, best, finalized.block).await
    }

    /// On another chain nothing that was under way means anything.
    fn start_anew(&mut self, chain_number: u32) {
        self.chain_number = chain_number;
        self.session = None;
        let mut gone = self.window.take_all();
        gone.extend(self.queue.remove(|_| true));
        for item in gone {
            self.resolve(item, Verdict::Refused(Refusal::ChainReplaced));
        }
        self.recent = Recent::default();
        self.seen = 0;
    }

    /// Takes up a connection: its pool may have nothing of ours.
    async fn meet(
        &mut self,
        session: &Arc<Session>,
        best: Block,
        finalized: Block,
    ) -> Result<(), ReadError> {
        if self.session.as_ref().is_some_and(|known| Arc::ptr_eq(known, session)) {
            return Ok(());
        }
        let pool_next = self.pool_next(session).await?;
        if self.session.is_none() {
            let next = self.nonce_at(session, finalized.hash).await?;
            self.ledger = Ledger::new(finalized.number, next, best.number.max(self.seen));
            self.position = Position::default();
        }
        self.position.best = None;
        self.position.pool_next = pool_next;
        self.window.distrust(0);
        self.session = Some(session.clone());
        Ok(())
    }

    fn accept(&mut self, mut item: Item) {
        let Some(identity) = item.identity.clone() else { return self.enqueue(item) };
        if let Some(inclusion) = self.recent.get(&identity) {
            return item.tell(Verdict::Included(inclusion));
        }
        let queued = self.queue.find(|other| other.is(&identity));
        match queued.or_else(|| self.window.find(|other| other.is(&identity))) {
            Some(same) => same.waiting.append(&mut item.waiting),
            None => self.enqueue(item),
        }
    }

    fn enqueue(&mut self, item: Item) {
        for needless in self.queue.push(item) {
            self.resolve(needless, Verdict::Superseded);
        }
    }

    pub(super) fn resolve(&mut self, item: Item, verdict: Verdict) {
        tracing::debug!(call = item.call.name(), ?verdict, "resolved");
        match &verdict {
            Verdict::Included(inclusion) => {
                self.tell(|status| status.finalized += 1);
                if let Some(identity) = item.identity.clone().filter(|_| item.lasts) {
                    self.recent.insert(identity, *inclusion);
                }
            }
            Verdict::Refused(refusal) => self.tell(|status| {
                status.refused += 1;
                status.last_refusal = Some(format!("{}: {refusal}", item.call.name()));
            }),
            Verdict::Superseded => self.tell(|status| status.superseded += 1),
        }
        item.tell(verdict);
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut SenderStatus)) {
        self.status.send_modify(change);
    }

    fn publish(&self) {
        let (queued, under_way) = (self.queue.len(), self.window.len());
        let nonce = self.position.next;
        self.status.send_if_modified(|status| {
            let before = (status.queued, status.under_way, status.nonce);
            (status.queued, status.under_way, status.nonce) = (queued, under_way, nonce);
            before != (queued, under_way, nonce)
        });
    }

    pub(super) async fn nonce_at(&self, session: &Session, hash: Hash) -> Result<Nonce, ReadError> {
        const WHAT: &str = "AccountNonceApi_account_nonce";
        let account = AccountId::new(self.account.0).encode();
        let answer = session.rpc().state_call(WHAT, Some(&account), Some(hash)).await?;
        Nonce::decode(&mut &*answer).map_err(|error| ReadError::Decode { what: WHAT, error })
    }

    /// The account's next nonce behind what the pool has of it.
    pub(super) async fn pool_next(&self, session: &Session) -> Result<Nonce, ReadError> {
        let next = session.rpc().system_account_next_index(&self.account).await?;
        Ok(Nonce::try_from(next).unwrap_or(Nonce::MAX))
    }
}
