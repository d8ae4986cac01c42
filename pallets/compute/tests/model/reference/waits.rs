//! What the chain waits for, and what it does when it waited long enough.

use super::{Model, Outcome};
use crate::world::Label;
use codec::Encode;
use quarry_primitives::{
    market::Outcome as Fate,
    request::{DeadlineKind, OperationKind},
};

impl Model {
    fn waits(&self, label: Label) -> impl Iterator<Item = (u32, DeadlineKind)> {
        let vm = self.vms.get(&label);
        let operation = vm.and_then(|vm| vm.operation.as_ref()).map(|operation| {
            let kind = match operation.kind {
                OperationKind::Launch => DeadlineKind::Launch,
                OperationKind::Delete => DeadlineKind::Deletion,
                _ => DeadlineKind::Operation,
            };
            (operation.deadline, kind)
        });
        let lease = vm.and_then(|vm| vm.lease.as_ref()?.next_look);
        let lease = lease.map(|at| (at, DeadlineKind::Lease));
        let kept = vm.and_then(|vm| vm.kept_until).map(|until| (until, DeadlineKind::Retention));
        let now = self.now;
        [operation, lease, kept].into_iter().flatten().filter(move |(at, _)| *at <= now)
    }

    /// What is due, in the order in which the chain's storage has it: by block, then by a hash.
    pub fn due(&self) -> Vec<(u32, Label, DeadlineKind)> {
        let mut due = Vec::new();
        for label in self.vms.keys() {
            due.extend(self.waits(*label).map(|(at, kind)| (at, *label, kind)));
        }
        let hash = |bytes: Vec<u8>| sp_io::hashing::twox_64(&bytes);
        due.sort_by_key(|(at, label, kind)| {
            let id = self.id(*label).encode();
            (*at, hash(id), hash(kind.encode()))
        });
        due
    }

    /// What ran before may have ended what is waited for.
    pub(super) fn run_if_due(&mut self, label: Label, kind: DeadlineKind) {
        if self.waits(label).any(|(_, waited_for)| waited_for == kind) {
            self.run(label, kind);
        }
    }

    pub(super) fn expire(&mut self, label: Label) -> Outcome {
        self.vm(label)?;
        let (_, kind) = self.waits(label).min().ok_or("nothing is due")?;
        self.note("expired by somebody");
        self.run(label, kind);
        Ok(())
    }

    fn run(&mut self, label: Label, kind: DeadlineKind) {
        match kind {
            DeadlineKind::Launch => {
                self.note("a launch timed out");
                self.fail_launch(label, Fate::TimedOut, false, super::requests::OF_THE_CHAIN);
            }
            DeadlineKind::Operation => self.time_out_operation(label),
            DeadlineKind::Deletion => {
                self.note("a deletion timed out");
                self.finish_deletion(label);
            }
            DeadlineKind::Lease => {
                self.note("a lease was looked at");
                if let Some(lease) = self.vms.get_mut(&label).and_then(|vm| vm.lease.as_mut()) {
                    lease.next_look = None;
                }
                if let Err(why) = self.look(label) {
                    panic!("a lease that waits for a look cannot be looked at: {why}");
                }
            }
            DeadlineKind::Retention => {
                self.note("a record was forgotten");
                self.forget(label);
            }
        }
    }
}
