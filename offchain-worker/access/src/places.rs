//! How much of one kind each VM has at once.

use crate::server::lock;
use quarry_primitives::request::RequestId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// So many places for each VM.
pub(crate) struct Places {
    per_vm: usize,
    taken: Mutex<HashMap<RequestId, usize>>,
}

/// One of a VM's places, until this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    vm: RequestId,
}

impl Places {
    pub(crate) fn new(per_vm: usize) -> Arc<Self> {
        Arc::new(Self { per_vm, taken: Mutex::default() })
    }

    /// A place; none if the VM has all of its own.
    pub(crate) fn take(self: &Arc<Self>, vm: RequestId) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(vm).or_default();
        if *count >= self.per_vm {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), vm })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        match taken.get_mut(&self.vm) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.vm)),
        }
    }
}
