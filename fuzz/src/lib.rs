//! For tests of what takes bytes from strangers: it must neither panic nor hang, whatever comes.
//!
//! A corpus is a folder of inputs. The name of each begins with `good` where it must be taken, with `bad` where it
//! must be refused. [`each_file`] judges them as they are; [`damaged`] damages them for as long as
//! `QUARRY_FUZZ_SECONDS` says. What comes to an end that was not seen before is damaged further, so that a run finds
//! its way into what the corpus does not reach. `QUARRY_FUZZ_SEED` repeats a run as far as time allows.
//!
//! An input that breaks something is kept in a file. It belongs into the corpus once its fault is mended.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod damage;
mod watch;

use damage::Damage;
use rand::{rngs::StdRng, SeedableRng};
use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    time::{Duration, Instant},
};
use watch::Watch;

/// More inputs than this are not damaged further.
const POOL: usize = 2_000;
/// So many inputs tell whether the damage is of the right size; a busy machine may not get there in time.
const TELLING: u64 = 200;

/// What became of an input, in words that tell ways to end apart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fate {
    /// It was taken.
    Taken(String),
    /// It was refused.
    Refused(String),
}

impl Fate {
    /// Taken or refused, with the reason.
    pub fn of<T, E: ToString>(judged: Result<T, E>) -> Self {
        match judged {
            Ok(_) => Self::Taken(String::new()),
            Err(error) => Self::Refused(error.to_string()),
        }
    }

    /// Without digits and what is quoted: these tell inputs apart, not ways to end.
    fn way(&self) -> Self {
        let short = |words: &str| {
            let words = words.split(['"', '\'', '`']).next().unwrap_or_default();
            words.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>()
        };
        match self {
            Self::Taken(words) => Self::Taken(short(words)),
            Self::Refused(words) => Self::Refused(short(words)),
        }
    }
}

/// An input, and the name of its file.
type File = (String, Vec<u8>);

fn read(corpus: &Path) -> Vec<File> {
    let entries = fs::read_dir(corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
    let mut files: Vec<File> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{corpus:?} is empty");
    files
}

/// Judges each file of a corpus, whose folder may be relative to the package: tests run there.
pub fn each_file(corpus: &Path, judge: impl Fn(&[u8]) -> Fate) {
    let watch = Watch::new(corpus);
    for (name, input) in read(corpus) {
        let fate = watch.judge(&input, &judge);
        match &fate {
            Fate::Taken(_) => assert!(name.starts_with("good"), "{name} was taken"),
            Fate::Refused(why) => assert!(name.starts_with("bad"), "{name} was refused: {why}"),
        }
    }
}

/// Judges damaged files of a corpus until the time is over.
pub fn damaged(corpus: &Path, judge: impl Fn(&[u8]) -> Fate) {
    let seconds = from_env("QUARRY_FUZZ_SECONDS", 2);
    let seed = from_env("QUARRY_FUZZ_SEED", 1);
    println!("QUARRY_FUZZ_SEED={seed}");
    let watch = Watch::new(corpus);
    let mut damage = Damage::new(read(corpus).into_iter().map(|(_, input)| input).collect());
    let mut rng = StdRng::seed_from_u64(seed);
    let mut ways = BTreeSet::new();
    let (mut taken, mut refused) = (0u64, 0u64);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let input = damage.next(&mut rng);
        let fate = watch.judge(&input, &judge);
        match fate {
            Fate::Taken(_) => taken += 1,
            Fate::Refused(_) => refused += 1,
        }
        if ways.insert(fate.way()) && ways.len() < POOL {
            damage.go_on_from(input);
        }
    }
    println!(
        "ran {} damaged inputs of {}, {taken} taken, {} ways to end",
        taken + refused,
        watch.name(),
        ways.len()
    );
    if taken + refused >= TELLING {
        assert!(taken > 0, "they are so damaged that none is taken");
        assert!(refused > 0, "the damage is so small that all are taken");
    }
}

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[cfg(test)]
mod tests;
