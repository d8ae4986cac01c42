//! Signs, sends, and sends again.

use super::{
    actor::Actor,
    item::{Item, Verdict},
    pool::{self, Delivery},
    window::Flight,
    Refusal,
};
use crate::{
    call::{Binding, Signed},
    chain::{Block, Session},
    reads::ReadError,
};
use codec::Encode;
use quarry_primitives::{BlockNumber, Nonce};
use sp_runtime::transaction_validity::TransactionSource;

/// How many may wait for a block at once. The pool keeps some 8,000 of all accounts.
const MOST_WAITING: usize = 512;
/// If finality is so far behind, a transaction is bound to the best block: it would not live long.
const MOST_BEHIND: BlockNumber = 16;
/// Signatures in a row that the chain takes for wrong.
const MOST_MISFITS: u32 = 8;
const LONGEST_HOLD: BlockNumber = 8;
/// After so many blocks without a step, what the pool says that it has is signed anew.
const STUCK: BlockNumber = 4;

/// What to do next with the queue.
enum Next {
    GoOn,
    WaitForABlock,
}

/// What new transactions are bound to.
#[derive(Clone, Copy)]
struct Tip {
    best: Block,
    finalized: Block,
}

impl Tip {
    fn binding(&self, nonce: Nonce, tip: u8) -> Binding {
        let behind = self.best.number.saturating_sub(self.finalized.number);
        let block = if behind > MOST_BEHIND { self.best } else { self.finalized };
        Binding { nonce, number: block.number, hash: block.hash, tip }
    }
}

impl Actor {
    /// With each best block: what was lost is sent again, gaps are filled, and what waits is sent.
    pub(super) async fn advance(
        &mut self,
        session: &Session,
        best: Block,
        finalized: Block,
    ) -> Result<(), ReadError> {
        let tip = Tip { best, finalized };
        let is_new = self.position.best != Some(best);
        if is_new {
            self.take_position(session, best).await?;
            self.sign_expired_anew(session, tip);
            self.probe(session, tip).await?;
        }
        self.send_new(session, tip).await?;
        if is_new {
            self.close_gaps(session, tip).await?;
        }
        self.send_again(session, tip).await
    }

    async fn take_position(&mut self, session: &Session, best: Block) -> Result<(), ReadError> {
        let next = self.nonce_at(session, best.hash).await?;
        let position = &mut self.position;
        if next != position.next || self.window.waiting(next) == 0 {
            position.moved_at = best.number;
        }
        position.next = next;
        position.best = Some(best);
        Ok(())
    }

    /// Where nothing moved for a block, asks the runtime what it thinks of what should go next.
    async fn probe(&mut self, session: &Session, tip: Tip) -> Result<(), ReadError> {
        let next = self.position.next;
        if tip.best.number <= self.position.moved_at {
            return Ok(());
        }
        // Whoever has it in the pool does not get it into a block.
        self.position.pool_next = next;
        let Some(flight) = self.window.get_mut(next) else { return Ok(()) };
        let question = (TransactionSource::External, &Raw(&flight.signed.bytes), tip.best.hash);
        const WHAT: &str = "TaggedTransactionQueue_validate_transaction";
        let answer =
            session.rpc().state_call(WHAT, Some(&question.encode()), Some(tip.best.hash)).await?;
        let judged = pool::judge_validity(&answer);
        match judged.map_err(|error| ReadError::Decode { what: WHAT, error })? {
            Delivery::Taken => self.offer_again(session, tip, next).await?,
            Delivery::Payment => self.give_up(next, Refusal::Payment),
            Delivery::Refused(words) => self.give_up(next, Refusal::Invalid(words)),
            Delivery::Misfit(words) => {
                self.sign_misfit_anew(session, tip, next, words);
                self.window.distrust(next);
            }
            Delivery::Closed(words) => self.let_others_by(tip, next, &words),
            _ => return Ok(()),
        }
        Ok(())
    }

    /// What the chain does not take now makes room for those after it, which else had to wait for its nonce.
    fn let_others_by(&mut self, tip: Tip, nonce: Nonce, words: &str) {
        if !self.window.get_mut(nonce).is_some_and(|flight| flight.item.counts_once()) {
            return;
        }
        if let Some(flight) = self.window.remove(nonce) {
            self.put_off(tip, flight.item, words);
        }
        self.window.distrust(nonce);
    }

    /// What is good and does not come into a block, the pool may have lost, with all that depends on it.
    async fn offer_again(
        &mut self,
        session: &Session,
        tip: Tip,
        nonce: Nonce,
    ) -> Result<(), ReadError> {
        let Some(flight) = self.window.get_mut(nonce) else { return Ok(()) };
        let stuck_for = tip.best.number.saturating_sub(self.position.moved_at);
        match submit(session, &flight.signed).await? {
            Delivery::Known | Delivery::Occupied if !stuck_for.is_multiple_of(STUCK) => {}
            Delivery::Taken => self.window.distrust(nonce.saturating_add(1)),
            _ => {
                // The pool has what the others dropped, and does not send it to them again.
                flight.item.raised = flight.item.raised.saturating_add(1);
                self.sign_anew(session, tip, nonce);
                self.window.distrust(nonce);
            }
        }
        Ok(())
    }

    /// Those after it had to wait for it, and the pool may have dropped them with it.
    fn give_up(&mut self, nonce: Nonce, refusal: Refusal) {
        if let Some(flight) = self.window.remove(nonce) {
            self.resolve(flight.item, Verdict::Refused(refusal));
        }
        self.window.distrust(nonce);
    }

    fn sign_expired_anew(&mut self, session: &Session, tip: Tip) {
        let soon = tip.best.number.saturating_add(1);
        let next = self.position.next;
        for nonce in self.window.expired(next, soon).into_iter().rev() {
            if nonce > self.window.free(next.max(self.position.pool_next)) {
                // A lower one is free.
                let expired = self.window.remove(nonce);
                expired.into_iter().for_each(|flight| self.queue.put_back(flight.item));
            } else {
                self.sign_anew(session, tip, nonce);
            }
        }
    }

    /// Gives the same nonce to another transaction of the same call: only one of them can come to pass.
    fn sign_anew(&mut self, session: &Session, tip: Tip, nonce: Nonce) {
        let Some(flight) = self.window.remove(nonce) else { return };
        if let Some(flight) = self.sign(session, tip, nonce, flight.item) {
            self.window.insert(nonce, flight);
        }
    }

    fn sign_misfit_anew(&mut self, session: &Session, tip: Tip, nonce: Nonce, words: String) {
        let Some(flight) = self.window.get_mut(nonce) else { return };
        flight.item.misfits += 1;
        if flight.item.misfits > MOST_MISFITS {
            self.give_up(nonce, Refusal::Invalid(words));
        } else {
            self.sign_anew(session, tip, nonce);
        }
    }

    /// Resolves what cannot be signed.
    fn sign(
        &mut self,
        session: &Session,
        tip: Tip,
        nonce: Nonce,
        mut item: Item,
    ) -> Option<Flight> {
        match item.call.sign(
            &session.runtime(),
            tip.binding(nonce, item.raised),
            self.signer.as_ref(),
        ) {
            Ok(signed) => {
                self.ledger.note_sent(signed.hash, nonce, signed.expires);
                item.transactions.push(signed.hash);
                Some(Flight { item, signed, taken: false })
            }
            Err(error) => {
                self.resolve(item, Verdict::Refused(error.into()));
                None
            }
        }
    }

    /// Sends once more, in the order of nonces, what the chain node does not seem to have.
    async fn send_again(&mut self, session: &Session, tip: Tip) -> Result<(), ReadError> {
        for nonce in self.window.untaken(self.position.next) {
            // Once more with another signature, where the bytes are not good any more.
            for _ in 0..2 {
                let Some(flight) = self.window.get_mut(nonce) else { break };
                let delivery = submit(session, &flight.signed).await?;
                // What else has its nonce or subject will come to pass, or the runtime will tell.
                flight.taken = matches!(
                    delivery,
                    Delivery::Taken | Delivery::Known | Delivery::Occupied | Delivery::Outdated
                );
                self.tell(|status| status.sent_again += 1);
                match delivery {
                    Delivery::Misfit(words) => self.sign_misfit_anew(session, tip, nonce, words),
                    Delivery::Payment => self.give_up(nonce, Refusal::Payment),
                    Delivery::Refused(words) => self.give_up(nonce, Refusal::Invalid(words)),
                    Delivery::Later(_) => return Ok(()),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// Sends what waits, each with the first nonce that is free.
    async fn send_new(&mut self, session: &Session, tip: Tip) -> Result<(), ReadError> {
        if tip.best.number < self.position.held_until {
            return Ok(());
        }
        let mut occupied: Vec<Vec<u8>> = Vec::new();
        while self.window.waiting(self.position.next) < MOST_WAITING {
            let (window, next) = (&self.window, self.position.next);
            let may_go = |item: &Item| {
                let busy = item.subject.as_ref().is_some_and(|subject| {
                    window.is_busy(subject, next) || occupied.contains(subject)
                });
                item.not_before <= tip.best.number && !busy
            };
            let Some(item) = self.queue.take(may_go) else { return Ok(()) };
            let nonce = self.window.free(next.max(self.position.pool_next));
            let Some(flight) = self.sign(session, tip, nonce, item) else { continue };
            match self.send_first(session, tip, nonce, flight, &mut occupied).await? {
                Next::GoOn => {}
                Next::WaitForABlock => return Ok(()),
            }
        }
        Ok(())
    }

    async fn send_first(
        &mut self,
        session: &Session,
        tip: Tip,
        nonce: Nonce,
        mut flight: Flight,
        occupied: &mut Vec<Vec<u8>>,
    ) -> Result<Next, ReadError> {
        let delivery = match submit(session, &flight.signed).await {
            Ok(delivery) => delivery,
            Err(error) => {
                // The pool may have it, so it keeps its nonce.
                self.window.insert(nonce, flight);
                return Err(error);
            }
        };
        match delivery {
            Delivery::Taken | Delivery::Known => {
                flight.taken = true;
                flight.item.misfits = 0;
                self.window.insert(nonce, flight);
                self.position.hold = 1;
            }
            Delivery::Payment => self.resolve(flight.item, Verdict::Refused(Refusal::Payment)),
            Delivery::Refused(words) => {
                self.resolve(flight.item, Verdict::Refused(Refusal::Invalid(words)));
            }
            Delivery::Occupied => {
                let subject = flight.item.subject.clone();
                self.queue.put_back(flight.item);
                let pool_next = self.pool_next(session).await?;
                match subject {
                    // Somebody's report on the same subject comes first.
                    Some(subject) if pool_next <= nonce => occupied.push(subject),
                    _ => self.position.pool_next = pool_next.max(nonce.saturating_add(1)),
                }
            }
            Delivery::Outdated => {
                self.queue.put_back(flight.item);
                return Ok(Next::WaitForABlock);
            }
            Delivery::Closed(words) => self.put_off(tip, flight.item, &words),
            Delivery::Misfit(words) => {
                flight.item.misfits += 1;
                if flight.item.misfits > MOST_MISFITS {
                    self.resolve(flight.item, Verdict::Refused(Refusal::Invalid(words)));
                } else {
                    self.put_off(tip, flight.item, &words);
                }
            }
            Delivery::Later(words) => {
                tracing::info!(words, "the pool takes nothing now");
                let position = &mut self.position;
                position.held_until = tip.best.number.saturating_add(position.hold.max(1));
                position.hold = position.hold.max(1).saturating_mul(2).min(LONGEST_HOLD);
                self.queue.put_back(flight.item);
                return Ok(Next::WaitForABlock);
            }
        }
        Ok(Next::GoOn)
    }

    /// Tries this one again in a few blocks, and goes on with the others.
    fn put_off(&mut self, tip: Tip, mut item: Item, words: &str) {
        tracing::info!(call = item.call.name(), words, "the chain does not take it now");
        item.waits = item.waits.max(1).saturating_mul(2).min(LONGEST_HOLD);
        item.not_before = tip.best.number.saturating_add(item.waits / 2);
        self.queue.put_back(item);
    }

    /// Where the queue had nothing for a nonce that the next ones wait for, the last one takes it; but not one that is
    /// paid for each time, as its former transaction may come to pass, too, until that expires.
    async fn close_gaps(&mut self, session: &Session, tip: Tip) -> Result<(), ReadError> {
        let next = self.position.next;
        let stuck_for = tip.best.number.saturating_sub(self.position.moved_at);
        while self.position.pool_next <= next {
            let Some(last) = self.window.beyond_gap(next) else { break };
            let gap = self.window.free(next);
            let Some(flight) = self.window.remove(last) else { break };
            let before = (flight.signed.clone(), flight.taken);
            let Some(mut moved) = self.sign(session, tip, gap, flight.item) else { continue };
            let delivery = submit(session, &moved.signed).await;
            match delivery {
                Ok(Delivery::Taken | Delivery::Known) | Err(_) => {
                    moved.taken = delivery.is_ok();
                    self.window.insert(gap, moved);
                    delivery?;
                }
                Ok(Delivery::Payment) => {
                    self.resolve(moved.item, Verdict::Refused(Refusal::Payment));
                }
                Ok(delivery) => {
                    if delivery == Delivery::Occupied && stuck_for >= STUCK {
                        // A former run left it, and only this pool still has it: the next one comes before it.
                        moved.item.raised = moved.item.raised.saturating_add(1);
                    }
                    (moved.signed, moved.taken) = before;
                    self.window.insert(last, moved);
                    break;
                }
            }
        }
        Ok(())
    }
}

async fn submit(session: &Session, signed: &Signed) -> Result<Delivery, ReadError> {
    Ok(pool::judge(session.rpc().author_submit_extrinsic(&signed.bytes).await)?)
}

/// Bytes that are encoded already.
struct Raw<'a>(&'a [u8]);

impl Encode for Raw<'_> {
    fn encode_to<Output: codec::Output + ?Sized>(&self, output: &mut Output) {
        output.write(self.0);
    }
}
