//! One connection to the relay, from the first key that is offered to the end.

use crate::{
    ed25519,
    line::Queue,
    server::{Held, Registry, Relay, TRIES},
};
use quarry_access::Pass;
use russh::{
    keys::PublicKey,
    server::{Auth, Handler, PublicKeyOffer, Session, VerifiedPublicKey},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What of a name that somebody offered stands in the log.
const SHOWN: usize = 40;

pub(crate) struct Login<R: Registry> {
    relay: Arc<Relay<R>>,
    source: SocketAddr,
    queue: Arc<Queue>,
    cut: CancellationToken,
    offers: usize,
    offered_as: Option<String>,
    /// Until it is let in: its place at the gate, and who waits for that.
    waiting: Option<(Pass, oneshot::Sender<()>)>,
    node: Option<(String, [u8; 32])>,
    held: Option<Arc<Held>>,
}

impl<R: Registry> Login<R> {
    pub fn new(
        relay: Arc<Relay<R>>,
        source: SocketAddr,
        queue: Arc<Queue>,
        cut: CancellationToken,
        waiting: (Pass, oneshot::Sender<()>),
    ) -> Self {
        Self {
            relay,
            source,
            queue,
            cut,
            offers: 0,
            offered_as: None,
            waiting: Some(waiting),
            node: None,
            held: None,
        }
    }

    /// The node, if it is registered with exactly this key.
    async fn node(&self, user: &str, key: &PublicKey) -> Option<(String, [u8; 32])> {
        let key = ed25519(key);
        let registered = match self.relay.registry.host_key(user).await {
            Ok(registered) => registered,
            Err(error) => {
                tracing::warn!(%error, "nobody is let in meanwhile");
                None
            }
        };
        key.filter(|key| registered == Some(*key)).map(|key| (user.to_owned(), key))
    }
}

impl<R: Registry> Handler for Login<R> {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.offers += 1;
        if self.offers > TRIES {
            return Err(russh::Error::Disconnect);
        }
        self.offered_as = Some(shown(user));
        Ok(match self.node(user, offer.public_key).await {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.offered_as = Some(shown(user));
        self.node = self.node(user, key.public_key).await;
        Ok(if self.node.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn tcpip_forward(
        &mut self,
        _address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let Some((node, key)) = &self.node else { return Ok(false) };
        if self.held.is_some() {
            return Ok(false);
        }
        let (handle, queue) = (session.handle(), self.queue.clone());
        let admitted = self.relay.admit((node, *key), handle, queue, self.cut.clone()).await;
        let held = match admitted {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(node, source = %self.source, %error, "refused");
                return Ok(false);
            }
        };
        *port = held.port.into();
        tracing::info!(node, source = %self.source, port = held.port, "node in");
        self.held = Some(held);
        if let Some((_, admitted)) = self.waiting.take() {
            admitted.send(()).ok();
        }
        Ok(true)
    }
}

impl<R: Registry> Drop for Login<R> {
    fn drop(&mut self) {
        let source = self.source;
        match (&self.held, &self.node, &self.offered_as) {
            (Some(held), _, _) => {
                self.relay.leave(held);
                tracing::info!(node = held.node, %source, "node out");
            }
            (None, Some((node, _)), _) => tracing::info!(node, %source, "left without a port"),
            (None, None, Some(user)) => {
                tracing::info!(user, %source, "refused: not the access key of a node of that name");
            }
            (None, None, None) => tracing::debug!(%source, "left without a login"),
        }
    }
}

fn shown(user: &str) -> String {
    user.chars().take(SHOWN).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_logged_in_part_and_without_what_a_terminal_would_act_on() {
        assert_eq!(super::shown("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(super::shown(&"x".repeat(500)).len(), 40);
    }
}
