//! Calls into the runtime's wasm, each on a development chain's genesis.

use frame_benchmarking::benchmarking::HostFunctions as BenchmarkHostFunctions;
use sc_chain_spec::GenesisConfigBuilderRuntimeCaller;
use sc_client_db::BenchmarkingState;
use sc_executor::WasmExecutor;
use sp_core::traits::{CallContext, ReadRuntimeVersionExt};
use sp_externalities::Extensions;
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{
    backend::{BackendRuntimeCode, TryPendingCode},
    OverlayedChanges, StateMachine,
};
use sp_storage::{well_known_keys::CODE, Storage};
use std::error::Error;

type Executor = WasmExecutor<(sp_io::SubstrateHostFunctions, BenchmarkHostFunctions)>;

/// Whether the state counts which of its keys are read and written, which costs time.
#[derive(Clone, Copy, PartialEq)]
pub enum Counting {
    On,
    Off,
}

pub struct Machine {
    genesis: Storage,
    executor: Executor,
}

impl Machine {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let wasm =
            quarry_runtime::WASM_BINARY.ok_or("this was built without the runtime's wasm")?;
        let mut genesis = GenesisConfigBuilderRuntimeCaller::<BenchmarkHostFunctions>::new(wasm)
            .get_storage_for_named_preset(Some(&"development".into()))?;
        genesis.top.insert(CODE.to_vec(), wasm.to_vec());
        Ok(Self { genesis, executor: Executor::builder().build() })
    }

    pub fn call(
        &self,
        method: &str,
        data: &[u8],
        counting: Counting,
    ) -> Result<Vec<u8>, Box<dyn Error>> {
        let counts = counting == Counting::On;
        let state =
            BenchmarkingState::<BlakeTwo256>::new(self.genesis.clone(), None, false, counts)?;
        let mut extensions = Extensions::default();
        extensions.register(KeystoreExt::new(MemoryKeystore::new()));
        extensions.register(ReadRuntimeVersionExt::new(self.executor.clone()));
        let code = BackendRuntimeCode::new(&state, TryPendingCode::No);
        let runtime = code.runtime_code()?;
        let mut changes = OverlayedChanges::default();
        let mut machine = StateMachine::new(
            &state,
            &mut changes,
            &self.executor,
            method,
            data,
            &mut extensions,
            &runtime,
            CallContext::Offchain,
        );
        machine.execute().map_err(|error| format!("{method} failed: {error}").into())
    }
}
