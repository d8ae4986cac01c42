//! What was finalized lately, so that it is not sent again.

use super::item::Inclusion;
use std::collections::{HashMap, VecDeque};

const MOST: usize = 8_192;

#[derive(Default)]
pub(super) struct Recent {
    inclusions: HashMap<Vec<u8>, Inclusion>,
    order: VecDeque<Vec<u8>>,
}

impl Recent {
    pub(super) fn get(&self, identity: &[u8]) -> Option<Inclusion> {
        self.inclusions.get(identity).copied()
    }

    pub(super) fn insert(&mut self, identity: Vec<u8>, inclusion: Inclusion) {
        if self.inclusions.insert(identity.clone(), inclusion).is_none() {
            self.order.push_back(identity);
        }
        if self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.inclusions.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Block;
    use quarry_primitives::Hash;

    fn inclusion(index: u32) -> Inclusion {
        let block = Block { number: 1, hash: Hash::zero(), parent: Hash::zero() };
        Inclusion { block, index }
    }

    #[test]
    fn what_was_finalized_is_known_until_many_others_were() {
        let mut recent = Recent::default();
        let name = |number: usize| number.to_le_bytes().to_vec();
        for number in 0..=MOST {
            recent.insert(name(number), inclusion(number as u32));
        }
        assert_eq!(recent.get(&name(0)), None);
        assert_eq!(recent.get(&name(1)), Some(inclusion(1)));
        assert_eq!(recent.get(&name(MOST)), Some(inclusion(MOST as u32)));
    }
}
