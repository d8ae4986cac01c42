//! Makes of sound inputs such that are nearly sound.

use rand::{rngs::StdRng, seq::SliceRandom, Rng};

/// What often lies at the edge of what is taken.
const EDGES: [&[u8]; 26] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{}",
    b"[]",
    b"null",
    b"-1",
    b"0",
    b"00",
    b"1e999",
    b"../",
    b"/",
    b"%n",
    b" ",
    b"--",
    b"18446744073709551616",
    b"340282366920938463463374607431768211456",
    b"0x",
    b"::1",
    "\u{202e}\u{e9}".as_bytes(),
];
const NUMBERS: [u64; 12] = [
    0,
    1,
    7,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX - 511,
    u64::MAX,
];
/// A word has so many bytes at least and at most.
const WORD: std::ops::RangeInclusive<usize> = 2..=40;

/// Inputs to go on from, and the words that stand in them.
pub(crate) struct Damage {
    pool: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Damage {
    pub(crate) fn new(pool: Vec<Vec<u8>>) -> Self {
        let mut words: Vec<Vec<u8>> = pool.iter().flat_map(|input| words(input)).collect();
        words.extend(EDGES.map(<[u8]>::to_vec));
        words.sort();
        words.dedup();
        let longest = pool.iter().map(Vec::len).max().unwrap_or_default() * 2 + 1_024;
        Self { pool, words, longest }
    }

    pub(crate) fn go_on_from(&mut self, input: Vec<u8>) {
        self.pool.push(input);
    }

    pub(crate) fn next(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut input = self.any(rng);
        let times = 1 << rng.gen_range(0..4);
        for _ in 0..rng.gen_range(1..=times) {
            self.change(&mut input, rng);
        }
        input.truncate(self.longest);
        input
    }

    fn any(&self, rng: &mut StdRng) -> Vec<u8> {
        self.pool.choose(rng).cloned().unwrap_or_default()
    }

    fn word(&self, rng: &mut StdRng) -> Vec<u8> {
        self.words.choose(rng).cloned().unwrap_or_default()
    }

    fn change(&self, input: &mut Vec<u8>, rng: &mut StdRng) {
        // Most of what matters stands at the beginning.
        let reach = if rng.gen_ratio(1, 3) { input.len().min(128) } else { input.len() };
        let at = rng.gen_range(0..=reach);
        let end = (at + (1 << rng.gen_range(0..7))).min(input.len());
        match rng.gen_range(0..10) {
            0 if at < input.len() => input[at] ^= 1 << rng.gen_range(0..8),
            1 if at < input.len() => input[at] = rng.gen(),
            2 => overwrite(input, at, rng),
            3 => drop(input.splice(at..at, self.word(rng))),
            4 => drop(input.splice(at..end, self.word(rng))),
            5 => drop(input.drain(at..end)),
            6 => {
                let again: Vec<u8> = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            7 => {
                let other = self.any(rng);
                let from = rng.gen_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            8 if rng.gen_ratio(1, 4) => input.truncate(at),
            9 if rng.gen_ratio(1, 4) => input.resize(input.len() + rng.gen_range(1..600), 0),
            _ => {}
        }
    }
}

/// A number at the edge of its kind, of one to eight bytes, in either order.
fn overwrite(input: &mut [u8], at: usize, rng: &mut StdRng) {
    let width = 1 << rng.gen_range(0..4);
    let number = NUMBERS.choose(rng).copied().unwrap_or_default();
    let mut bytes = number.to_be_bytes()[8 - width..].to_vec();
    if rng.gen() {
        bytes.reverse();
    }
    // Tables and fields begin at multiples of their width.
    let at = if rng.gen() { at - at % width } else { at };
    for (place, byte) in input.iter_mut().skip(at).zip(bytes) {
        *place = byte;
    }
}

fn words(input: &[u8]) -> Vec<Vec<u8>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let words = input.split(|byte| !is_part(byte));
    words.filter(|word| WORD.contains(&word.len())).map(<[u8]>::to_vec).collect()
}
