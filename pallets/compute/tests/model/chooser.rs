//! Which step comes next.

use crate::{
    kinds::KINDS,
    pick::Gen,
    reference::Model,
    step::{Act, Room, Step},
    world::*,
};
use rand::{rngs::StdRng, Rng};
use std::collections::BTreeMap;

/// After so many live blocks a worker that is there sends a heartbeat.
const SILENCE: u32 = 5;

/// Makes the steps of one sequence.
pub struct Chooser {
    rng: StdRng,
    next_label: Label,
    /// Nodes that are away, and until when.
    away: BTreeMap<u8, u32>,
    /// Until when there is no room for deadlines.
    crowded_until: u32,
}

impl Chooser {
    pub fn new(rng: StdRng) -> Self {
        Self { rng, next_label: 0, away: BTreeMap::new(), crowded_until: 0 }
    }

    pub fn next_step(&mut self, model: &Model) -> Step {
        if let Some(beat) = self.due_beat(model) {
            return beat;
        }
        let all: u32 = KINDS.iter().map(|(weight, _, _)| weight).sum();
        loop {
            let mut at = self.rng.gen_range(0..all);
            let kind = KINDS.iter().find(|(weight, _, _)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            let Some((_, kind, make)) = kind else { continue };
            let label = self.next_label;
            let mut gen = Gen { rng: &mut self.rng, model, label, in_vain: false };
            let (by, act) = make(&mut gen);
            let forged = gen.chance(4);
            let by = if forged { gen.anyone() } else { by };
            let mut step = Step { kind, by, act };
            let passes = matches!(step.act, Act::Pass { .. });
            let refusable = if gen.in_vain { 60 } else { 5 };
            let taken = passes || forged || self.rng.gen_ratio(1, refusable);
            if taken || model.clone().apply(&step).is_ok() {
                self.next_label += 1;
                if let Act::Pass { room, .. } = &mut step.act {
                    self.send_away(model);
                    self.crowd(model, room);
                }
                return step;
            }
        }
    }

    /// The heartbeat of a worker that is there.
    fn due_beat(&mut self, model: &Model) -> Option<Step> {
        let (number, node) = model.nodes.iter().find(|(number, node)| {
            let here = self.away.get(number).is_none_or(|until| *until <= model.now);
            let silent = node.last_beat.is_none_or(|at| model.now - at >= SILENCE);
            here && node.stays() && silent
        })?;
        let act = Act::Beat {
            node: *number,
            accepting: self.rng.gen_ratio(19, 20),
            metrics: model.beat_is_due(*number, true).then_some(true),
        };
        Some(Step { kind: "submit_node_metrics", by: node.worker, act })
            .filter(|_| self.rng.gen_ratio(1, 2))
    }

    fn send_away(&mut self, model: &Model) {
        if self.rng.gen_ratio(1, 10) {
            let for_blocks = self.rng.gen_range(5..60);
            self.away.insert(self.rng.gen_range(0..NODES), model.now + for_blocks);
        }
    }

    /// Now and then blocks are full for a while.
    fn crowd(&mut self, model: &Model, room: &mut Room) {
        if self.rng.gen_ratio(1, 25) {
            self.crowded_until = model.now + self.rng.gen_range(5..20);
        }
        if model.now < self.crowded_until {
            *room = Room::None;
        }
    }
}
