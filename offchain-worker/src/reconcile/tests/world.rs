//! A host and a chain in small, on which actions and reports have the effects that they should.

use crate::reconcile::*;
use quarry_primitives::{
    api::Desired,
    request::{FailureKind, OperationKind},
};
use std::time::Duration;

pub const GRACE: Duration = Duration::from_secs(90);
pub const ORPHAN_DELAY: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub struct World {
    pub wanted: Option<Wanted>,
    pub found: Found,
    pub memory: Memory,
    pub now: Time,
    pub authority: bool,
    pub synced: bool,
    /// Whether guests power off when they are asked.
    pub polite: bool,
    /// What was done, in order.
    pub done: Vec<Action>,
}

pub fn shape(disk_gib: u32) -> Shape {
    Shape { vcpus: 1, memory_mib: 512, disk_gib, address: None }
}

pub fn wanted(desired: Desired, operation: Option<OperationKind>) -> Wanted {
    Wanted {
        request_id: 1,
        generation: 5,
        desired,
        operation,
        blocks_left: operation.map(|_| 50),
        launched: desired != Desired::Launch,
        shape: shape(5),
    }
}

pub fn folder(disk: bool) -> Folder {
    Folder { disk, started: true, shape: shape(5), orphan_for: None }
}

pub fn domain(power: Power, live: Option<u64>) -> Domain {
    Domain { power, stored: Some(4), live, shape: Some(shape(5)) }
}

impl World {
    pub fn new(wanted: Option<Wanted>, found: Found) -> Self {
        Self {
            wanted,
            found,
            memory: Memory::default(),
            now: Time::ZERO,
            authority: true,
            synced: true,
            polite: true,
            done: Vec::new(),
        }
    }

    pub fn running(wanted: Option<Wanted>) -> Self {
        let found = Found { folder: Some(folder(true)), domain: Some(domain(Power::On, Some(4))) };
        Self::new(wanted, found)
    }

    pub fn off(wanted: Option<Wanted>) -> Self {
        let found = Found { folder: Some(folder(true)), domain: Some(domain(Power::Off, None)) };
        Self::new(wanted, found)
    }

    pub fn empty(wanted: Option<Wanted>) -> Self {
        Self::new(wanted, Found::default())
    }

    pub fn next(&self) -> Next {
        let context = Context {
            now: self.now,
            authority: self.authority,
            synced: self.synced,
            shutdown_grace: GRACE,
            orphan_disk_delay: ORPHAN_DELAY,
        };
        next(self.wanted.as_ref(), &self.found, &self.memory, &context)
    }

    /// Does what is to do until there is nothing, and tells what was done.
    pub fn settle(&mut self) -> Vec<Action> {
        let from = self.done.len();
        for _ in 0..200 {
            match self.next() {
                Next::Rest => return self.done[from..].to_vec(),
                Next::Wait(due) => {
                    assert!(due > self.now, "a wait for what is past: {self:?}");
                    let passed = due - self.now;
                    self.now = due;
                    if let Some(Folder { orphan_for: Some(age), .. }) = &mut self.found.folder {
                        *age += passed;
                    }
                }
                Next::Do(action) => self.apply(action),
            }
        }
        panic!("it never ends: {self:#?}");
    }

    /// The worker starts anew: what it had in mind is gone.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
    }

    pub fn apply(&mut self, action: Action) {
        self.done.push(action.clone());
        let generation = self.wanted.as_ref().map(|wanted| wanted.generation);
        let shape = self.wanted.as_ref().map(|wanted| wanted.shape.clone());
        match action {
            Action::Fetch => self.memory.provisions = true,
            Action::MakeFolder => {
                assert!(!self.found.folder.as_ref().is_some_and(|f| f.disk), "a disk made twice");
                self.memory.provisions = false;
                self.found.folder = Some(Folder {
                    disk: true,
                    started: false,
                    shape: shape.unwrap(),
                    orphan_for: None,
                });
            }
            Action::MarkStarted => self.folder().started = true,
            Action::Reseed => self.folder().shape.address = shape.unwrap().address,
            Action::Define => {
                let (power, live) = self
                    .found
                    .domain
                    .as_ref()
                    .map_or((Power::Off, None), |domain| (domain.power, domain.live));
                self.found.domain = Some(Domain { power, live, stored: generation, shape });
            }
            Action::Retag => self.domain().stored = generation,
            Action::Start => {
                assert!(self.found.folder.as_ref().unwrap().disk, "started without a disk");
                let domain = self.domain();
                assert_eq!(domain.power, Power::Off, "started twice");
                (domain.power, domain.live) = (Power::On, domain.stored);
                self.memory.shutdown = None;
            }
            Action::Resume => self.domain().power = Power::On,
            Action::ShutDown => {
                let generation = generation.unwrap();
                let since = self.memory.shutdown.map_or(self.now, |shutdown| shutdown.since);
                self.memory.shutdown = Some(Shutdown { generation, since, asked: self.now });
                if self.polite && self.domain().power == Power::On {
                    (self.domain().power, self.domain().live) = (Power::Off, None);
                }
            }
            Action::Destroy => {
                assert_ne!(self.domain().power, Power::Off, "destroyed what is off");
                (self.domain().power, self.domain().live) = (Power::Off, None);
                self.memory.shutdown = None;
            }
            Action::Grow => self.folder().shape.disk_gib = shape.unwrap().disk_gib,
            Action::MarkOrphan => self.folder().orphan_for = Some(Duration::ZERO),
            Action::RemoveDisk => self.folder().disk = false,
            Action::Undefine => {
                assert_eq!(self.domain().power, Power::Off, "undefined what runs");
                self.found.domain = None;
            }
            Action::RemoveFolder => {
                assert!(self.found.domain.is_none(), "nobody knows whose the domain is");
                self.found.folder = None;
            }
            Action::Report(outcome) => self.report(outcome),
        }
    }

    /// What the chain makes of a report.
    fn report(&mut self, outcome: Outcome) {
        let wanted = self.wanted.as_mut().expect("a report on an orphan");
        self.memory.reported =
            Some(Reported { generation: wanted.generation, outcome: outcome.clone(), again: None });
        let operation = wanted.operation;
        match outcome {
            Outcome::Working => (),
            Outcome::Launched => {
                assert_eq!(operation, Some(OperationKind::Launch));
                wanted.launched = true;
                (wanted.desired, wanted.operation) = (Desired::Running, None);
            }
            Outcome::LaunchFailed | Outcome::Lost => self.wanted = None,
            Outcome::Done(OperationKind::Delete) => {
                assert!(self.found.is_nothing(), "reported as deleted and is not");
                self.wanted = None;
            }
            Outcome::Done(kind) | Outcome::Failed(kind) => {
                assert_eq!(operation, Some(kind), "a report on what was not asked");
                if kind != OperationKind::Delete {
                    wanted.operation = None;
                    wanted.generation += 1;
                }
            }
        }
    }

    fn folder(&mut self) -> &mut Folder {
        self.found.folder.as_mut().expect("no folder")
    }

    fn domain(&mut self) -> &mut Domain {
        self.found.domain.as_mut().expect("no domain")
    }

    pub fn fail(&mut self, kind: FailureKind) {
        self.memory.failures += 1;
        self.memory.last_failure = Some((kind, "it broke".into()));
    }
}
