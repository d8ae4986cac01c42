//! Open requests: claimed when all that their launch needs is here, and not by all nodes at once. Those that wait for
//! this node by name are claimed whatever the settings say of others.

mod tries;

use super::{fetch::wanted, lock, Engine};
use crate::metrics;
use quarry_client::{Outcome, ReadError, Report};
use quarry_images::{FetchError, Held};
use quarry_primitives::{
    api::OpenRequest,
    request::{ComputeRequest, IpWish, RequestId},
    Hash,
};
use rand::{seq::SliceRandom, Rng};
use std::{
    sync::{atomic::Ordering, Arc, Mutex},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tries::{arrange, Ended, Known, Turn};

/// The wait before a claim is random and up to this: nodes that all took the first request they see
/// would all but one have worked in vain.
const UP_TO: Duration = Duration::from_secs(18);
/// How long its user data is waited for.
const USER_DATA_WAIT: Duration = Duration::from_secs(20);
/// Of how many the chain is asked in a block whether they wait for this node by name.
const ASKED_OF: usize = 100;

/// Why a request was not claimed.
#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("its launch would fail: {0}")]
    Fetch(#[from] FetchError),
    #[error("its user data did not come within {} seconds", USER_DATA_WAIT.as_secs())]
    NoUserData,
    #[error("this host has no network for it: set network.{0} in the config")]
    NoNetwork(&'static str),
    #[error("it names another node or none, and the settings do not want it")]
    Unwanted,
    #[error("it is not open to this node any more")]
    Gone,
    #[error("the chain gave it to somebody else, or took it back")]
    Late,
}

impl ClaimError {
    fn ended(&self) -> Ended {
        match self {
            Self::Fetch(_) | Self::NoUserData | Self::NoNetwork(_) | Self::Unwanted => {
                Ended::InVain
            }
            Self::Read(_) | Self::Gone | Self::Late => Ended::Missed,
        }
    }
}

/// Ends a try, however that goes.
struct UnderWay {
    engine: Arc<Engine>,
    known: Arc<Mutex<Known>>,
    id: RequestId,
    ended: Ended,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.known).end(self.id, self.ended, self.engine.now());
    }
}

impl Engine {
    /// Claims until it is told to stop.
    pub(super) async fn claim(self: Arc<Self>, stop: CancellationToken) {
        let mut finalized = self.chain.finalized();
        let known = Arc::new(Mutex::new(Known::default()));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = finalized.changed() => if changed.is_err() { return },
            }
            let Some(latest) = *finalized.borrow_and_update() else { continue };
            // What may not be started is not taken either.
            let may_start = self.table().is_of_now(self.now());
            if !self.accepting.load(Ordering::Relaxed) || !latest.may_act() || !may_start {
                continue;
            }
            match self.open_requests(latest.block.hash).await {
                Ok(open) => self.consider(open, &known).await,
                Err(error) => tracing::debug!(%error, "open requests cannot be read"),
            }
        }
    }

    async fn open_requests(&self, hash: Hash) -> Result<Vec<OpenRequest>, ReadError> {
        self.chain.at(hash).open_for(&self.settings.node_id).await
    }

    fn wants(&self, request: &OpenRequest) -> bool {
        let claims = &self.settings.claims;
        claims.enabled && request.price >= claims.min_price
    }

    async fn consider(self: &Arc<Self>, mut open: Vec<OpenRequest>, known: &Arc<Mutex<Known>>) {
        let ids = open.iter().map(|request| request.request_id).collect();
        lock(known).keep(&ids, self.now());
        self.ask_for_names(&open, known).await;
        let is_named =
            |request: &OpenRequest| lock(known).is_named(request.request_id) == Some(true);
        arrange(&mut open, is_named, &mut rand::thread_rng());
        for request in open {
            if self.wants(&request) || is_named(&request) {
                self.begin(request, known);
            }
        }
    }

    /// Asks which of them wait for this node by name: once for each, and of many in the blocks to come.
    async fn ask_for_names(&self, open: &[OpenRequest], known: &Mutex<Known>) {
        let ids = open.iter().map(|request| request.request_id);
        let mut unknown: Vec<RequestId> =
            ids.filter(|id| lock(known).is_named(*id).is_none()).collect();
        unknown.shuffle(&mut rand::thread_rng());
        for id in unknown.into_iter().take(ASKED_OF) {
            match self.asked(id).await {
                Ok(asked) => lock(known).set_named(id, asked.named_node),
                Err(error) => {
                    tracing::debug!(request = %id, %error, "whom it waits for is asked again");
                    return;
                }
            }
        }
    }

    /// Tries it in the background, if it is its turn.
    fn begin(self: &Arc<Self>, request: OpenRequest, known: &Arc<Mutex<Known>>) {
        let id = request.request_id;
        let turn = match self.images.contains(&request.image.digest) {
            true => Turn::Stored,
            false => Turn::Fetch(request.image.digest),
        };
        if !lock(known).begin(id, turn, self.now()) {
            return;
        }
        let engine = self.clone();
        let (known, ended) = (known.clone(), Ended::InVain);
        let under_way = UnderWay { engine: self.clone(), known, id, ended };
        tokio::spawn(async move {
            let mut under_way = under_way;
            let tried = engine.try_claim(request).await;
            under_way.ended = tried.as_ref().err().map_or(Ended::Missed, ClaimError::ended);
            match tried {
                Ok(()) => tracing::info!(request = %id, "claimed"),
                Err(error @ ClaimError::Unwanted) => {
                    tracing::debug!(request = %id, %error, "not claimed");
                }
                Err(error) => tracing::info!(request = %id, %error, "not claimed"),
            }
        });
    }

    async fn try_claim(&self, request: OpenRequest) -> Result<(), ClaimError> {
        let id = request.request_id;
        // It is open to this node, so that a node that it names is this one.
        if !self.wants(&request) && !self.asked(id).await?.named_node {
            return Err(ClaimError::Unwanted);
        }
        let wait = rand::thread_rng().gen_range(Duration::ZERO..UP_TO);
        sleep(wait).await;
        // Held until the claim is decided, so that the store does not drop it meanwhile.
        let _image = self.provide(&request).await?;
        let latest = self.chain.finalized().borrow().ok_or(ClaimError::Gone)?;
        if !self.open_requests(latest.block.hash).await?.iter().any(|open| open.request_id == id) {
            return Err(ClaimError::Gone);
        }
        let claim =
            Report::Claim { plan_id: request.plan_id, request_id: id, owner: request.owner };
        match self.signer.now().reports.send(claim).await {
            Outcome::Finalized { .. } => {
                self.metrics.report("claim", metrics::Outcome::Done);
                Ok(())
            }
            _ => {
                self.metrics.report("claim", metrics::Outcome::Dropped);
                Err(ClaimError::Late)
            }
        }
    }

    /// What the tenant asked for.
    async fn asked(&self, id: RequestId) -> Result<ComputeRequest, ClaimError> {
        let latest = self.chain.finalized().borrow().ok_or(ClaimError::Gone)?;
        let vm = self.chain.at(latest.block.hash).vm(id).await?;
        Ok(vm.ok_or(ClaimError::Gone)?.request)
    }

    async fn provide(&self, request: &OpenRequest) -> Result<Held, ClaimError> {
        let asked = self.asked(request.request_id).await?;
        self.can_plug_in(asked.ip)?;
        if let Some(cid) = asked.cloud_init_cid.as_ref().and_then(|cid| cid.as_str()) {
            // A tenant may name what nobody serves: the node that claimed it would pay for the failure,
            // and one that waited for it would claim nothing else.
            let fetched = timeout(USER_DATA_WAIT, self.images.user_data(cid)).await;
            fetched.map_err(|_| ClaimError::NoUserData)??;
        }
        Ok(self.images.get(&wanted(&request.image)).await?)
    }

    /// Whether the config has a network for such a VM.
    fn can_plug_in(&self, wish: IpWish) -> Result<(), ClaimError> {
        let network = &self.settings.network;
        let public = network.own.is_some() || network.global.is_some();
        match wish {
            IpWish::None if network.private.is_none() => Err(ClaimError::NoNetwork("private")),
            IpWish::Require if !public => Err(ClaimError::NoNetwork("own")),
            IpWish::Prefer if !public && network.private.is_none() => {
                Err(ClaimError::NoNetwork("private"))
            }
            _ => Ok(()),
        }
    }
}
