//! The tenant's keys in the guest, which follow the chain as far as the guest's agent lets them.
//!
//! A guest is given its keys by its seed, once. What the tenant puts there by hand is never touched: only what the
//! worker gave is taken away, so that is noted in `vm.json` before it is given.

use crate::{
    engine::{Engine, Tenancy},
    folders::GuestKeys,
    reconcile::Power,
};
use quarry_primitives::request::RequestId;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Whose keys the seed sets.
const USER: &str = "quarry";
/// How often it is looked whether there is something to do.
const EVERY: Duration = Duration::from_secs(3);
/// Before an agent that did not answer is asked again: at first, and at most.
const AGAIN: Duration = Duration::from_secs(10);
const AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// Agents that are waited for at once.
const AT_ONCE: usize = 4;

/// What a guest lacks, and what it has too much.
#[derive(Debug, Eq, PartialEq)]
struct Change {
    add: Vec<String>,
    remove: Vec<String>,
}

/// What has to be done in a guest, by what is noted of it.
fn change(noted: &GuestKeys, wanted: &[String]) -> Option<Change> {
    let is_new = |key: &&String| !noted.settled || !noted.may_have.contains(key);
    let add: Vec<String> = wanted.iter().filter(is_new).cloned().collect();
    let is_old = |key: &&String| !wanted.contains(key);
    let remove: Vec<String> = noted.may_have.iter().filter(is_old).cloned().collect();
    let is_needed = !noted.settled || !add.is_empty() || !remove.is_empty();
    is_needed.then_some(Change { add, remove })
}

/// What is noted before that is done.
fn before(noted: &GuestKeys, change: &Change) -> GuestKeys {
    let mut may_have = noted.may_have.clone();
    let new = change.add.iter().filter(|key| !noted.may_have.contains(key));
    may_have.extend(new.cloned());
    GuestKeys { may_have, settled: false }
}

/// A guest whose agent did not answer.
struct Trouble {
    /// The keys that it was to have: others are tried at once.
    keys: Vec<String>,
    times: u32,
    until: Instant,
}

impl Trouble {
    fn keeps(&self, keys: &[String]) -> bool {
        self.keys == keys && self.until > Instant::now()
    }
}

/// Goes on until it is told to stop.
pub(super) async fn follow(engine: Arc<Engine>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut troubles: HashMap<Uuid, Trouble> = HashMap::new();
    let mut under_way: JoinSet<(Tenancy, Result<(), String>)> = JoinSet::new();
    let mut asked: Vec<Uuid> = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => (),
            Some(done) = under_way.join_next() => {
                let Ok((tenancy, outcome)) = done else { continue };
                asked.retain(|other| *other != tenancy.uuid);
                let (uuid, request) = (tenancy.uuid, tenancy.item.request_id);
                note(&mut troubles, uuid, request, tenancy.keys(), outcome);
                continue;
            }
        }
        let tenancies = engine.tenancies();
        troubles.retain(|uuid, _| tenancies.iter().any(|tenancy| tenancy.uuid == *uuid));
        for tenancy in tenancies {
            let trouble = troubles.get(&tenancy.uuid);
            let waits = trouble.is_some_and(|trouble| trouble.keeps(&tenancy.keys()));
            let runs = tenancy.power == Some(Power::On);
            if !runs
                || waits
                || asked.contains(&tenancy.uuid)
                || wanting(&engine, &tenancy).is_none()
            {
                continue;
            }
            asked.push(tenancy.uuid);
            let (engine, places) = (engine.clone(), places.clone());
            under_way.spawn(async move {
                let _place = places.acquire_owned().await;
                let of = tenancy.clone();
                let done = tokio::task::spawn_blocking(move || give(&engine, &of)).await;
                (tenancy, done.unwrap_or_else(|error| Err(error.to_string())))
            });
        }
    }
}

fn wanting(engine: &Engine, tenancy: &Tenancy) -> Option<(GuestKeys, Change)> {
    let manifest = engine.folders().get(tenancy.uuid).filter(|manifest| manifest.started)?;
    let noted = manifest.guest_keys.unwrap_or_default();
    let change = change(&noted, &tenancy.keys())?;
    Some((noted, change))
}

fn give(engine: &Engine, tenancy: &Tenancy) -> Result<(), String> {
    let Some((noted, change)) = wanting(engine, tenancy) else { return Ok(()) };
    let uuid = tenancy.uuid;
    let note = |keys: GuestKeys| {
        let changed = engine.folders().change(uuid, |manifest| manifest.guest_keys = Some(keys));
        changed.map(drop).map_err(|error| error.to_string())
    };
    let before = before(&noted, &change);
    if before != noted {
        note(before)?;
    }
    let given = engine.hypervisor().change_guest_keys(uuid, USER, &change.add, &change.remove);
    given.map_err(|error| error.to_string())?;
    note(GuestKeys { may_have: tenancy.keys(), settled: true })
}

fn note(
    troubles: &mut HashMap<Uuid, Trouble>,
    uuid: Uuid,
    request: RequestId,
    keys: Vec<String>,
    outcome: Result<(), String>,
) {
    let Err(error) = outcome else {
        troubles.remove(&uuid);
        tracing::info!(request, "the guest lets in whom the chain names");
        return;
    };
    let first = Trouble { keys: Vec::new(), times: 0, until: Instant::now() };
    let trouble = troubles.entry(uuid).or_insert(first);
    if trouble.keys != keys {
        (trouble.keys, trouble.times) = (keys, 0);
    }
    let wait = AGAIN.saturating_mul(1 << trouble.times.min(8)).min(AGAIN_AT_MOST);
    trouble.until = Instant::now() + wait;
    trouble.times = trouble.times.saturating_add(1);
    match trouble.times {
        1 => {
            tracing::warn!(request, %error, "the keys in the guest are not yet as the chain has them: its agent is asked again and again")
        }
        _ => {
            tracing::debug!(request, %error, ?wait, "the guest's agent still did not change the keys")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn keys(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    fn noted(names: &str, settled: bool) -> GuestKeys {
        GuestKeys { may_have: keys(names), settled }
    }

    fn changed(noted: &GuestKeys, wanted: &str) -> Option<(String, String)> {
        change(noted, &keys(wanted)).map(|change| (change.add.concat(), change.remove.concat()))
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        assert_eq!(changed(&noted("ab", true), "ab"), None);
        assert_eq!(changed(&noted("ab", true), "ba"), None);
    }

    #[test]
    fn only_what_differs_is_changed() {
        assert_eq!(changed(&noted("ab", true), "bc"), Some(("c".into(), "a".into())));
        assert_eq!(changed(&noted("ab", true), ""), Some(("".into(), "ab".into())));
    }

    #[test]
    fn what_may_not_have_come_through_is_done_again_whole() {
        assert_eq!(changed(&noted("", false), "ab"), Some(("ab".into(), "".into())));
        let noted = noted("ab", true);
        let first = change(&noted, &keys("bc")).unwrap();
        let broken_off = before(&noted, &first);
        assert_eq!(broken_off, GuestKeys { may_have: keys("abc"), settled: false });
        assert_eq!(changed(&broken_off, "bc"), Some(("bc".into(), "a".into())));
        // Changed again on chain meanwhile: what may have come through goes.
        assert_eq!(changed(&broken_off, "d"), Some(("d".into(), "abc".into())));
    }

    #[test]
    fn an_agent_that_does_not_answer_is_asked_ever_more_seldom() {
        let mut troubles = HashMap::new();
        let mut waits = Vec::new();
        for _ in 0..9 {
            note(&mut troubles, Uuid::nil(), 1, keys("a"), Err("no agent".into()));
            waits.push(troubles[&Uuid::nil()].until.duration_since(Instant::now()));
        }
        assert!(waits.windows(2).all(|two| two[0] <= two[1] + Duration::from_secs(1)));
        assert!(waits[0] <= AGAIN && waits[8] <= AGAIN_AT_MOST && waits[8] > AGAIN);
        assert!(troubles[&Uuid::nil()].keeps(&keys("a")));
        assert!(!troubles[&Uuid::nil()].keeps(&keys("ab")), "other keys are tried at once");
        note(&mut troubles, Uuid::nil(), 1, keys("ab"), Err("no agent".into()));
        assert!(troubles[&Uuid::nil()].until <= Instant::now() + AGAIN);
        note(&mut troubles, Uuid::nil(), 1, keys("ab"), Ok(()));
        assert!(troubles.is_empty());
    }
}
