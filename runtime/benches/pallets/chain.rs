//! The state of a chain in a trie in memory.

use quarry_primitives::Hash;
use quarry_runtime::System;
use sp_externalities::set_and_run_with_externalities;
use sp_runtime::{traits::BlakeTwo256, DispatchResult, StateVersion};
use sp_state_machine::{
    new_in_mem, DBValue, DefaultError, Ext, OverlayedChanges, TrieBackendBuilder,
    TrieBackendStorage,
};
use sp_trie::PrefixedMemoryDB;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A call, or what a block does by itself.
pub type Measured = Box<dyn Fn() -> DispatchResult>;

type Nodes = PrefixedMemoryDB<BlakeTwo256>;

/// A state that others share, and the nodes of the trie that came since.
pub struct Chain {
    shared: Arc<Nodes>,
    own: Nodes,
    root: Hash,
}

impl TrieBackendStorage<BlakeTwo256> for Chain {
    fn get(
        &self,
        key: &Hash,
        prefix: (&[u8], Option<u8>),
    ) -> Result<Option<DBValue>, DefaultError> {
        match self.own.get(key, prefix)? {
            Some(node) => Ok(Some(node)),
            None => TrieBackendStorage::get(&*self.shared, key, prefix),
        }
    }
}

impl Chain {
    pub fn new() -> Self {
        let empty = new_in_mem::<BlakeTwo256>();
        let root = *empty.root();
        Self { shared: Arc::new(empty.into_storage()), own: no_nodes(), root }
    }

    /// A chain of its own with the same state.
    pub fn branch(&self) -> Self {
        Self { shared: self.shared.clone(), own: self.own.clone(), root: self.root }
    }

    /// The same state, all of which can be shared.
    pub fn settled(self) -> Self {
        let mut nodes = Arc::try_unwrap(self.shared).unwrap_or_else(|shared| (*shared).clone());
        nodes.consolidate(self.own);
        Self { shared: Arc::new(nodes), own: no_nodes(), root: self.root }
    }

    /// Does something, and writes the changes to the trie.
    pub fn change<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let mut overlay = OverlayedChanges::default();
        let (result, changes) = {
            let backend = TrieBackendBuilder::new(&*self, self.root).build();
            let mut ext = Ext::new(&mut overlay, &backend, None);
            let result = set_and_run_with_externalities(&mut ext, || {
                let result = work();
                // Each block begins without any.
                System::reset_events();
                result
            });
            let changes = overlay.drain_storage_changes(&backend, StateVersion::V1);
            (result, changes.expect("the trie takes the changes"))
        };
        self.own.consolidate(changes.transaction);
        self.root = changes.transaction_storage_root;
        result
    }

    /// How long something takes, and how long the root of the state after it; then it never was.
    pub fn time(&self, work: impl FnOnce()) -> (Duration, Duration) {
        let backend = TrieBackendBuilder::new(self, self.root).build();
        let mut overlay = OverlayedChanges::default();
        let mut ext = Ext::new(&mut overlay, &backend, None);
        let started = Instant::now();
        set_and_run_with_externalities(&mut ext, work);
        let worked = started.elapsed();
        let started = Instant::now();
        overlay.storage_root(&backend, StateVersion::V1);
        (worked, started.elapsed())
    }
}

fn no_nodes() -> Nodes {
    new_in_mem::<BlakeTwo256>().into_storage()
}
