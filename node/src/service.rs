//! Puts a node together: database, executor, pool, network, consensus, RPC.

use crate::{
    database::{self, Database},
    problem::Problem,
    rpc,
};
use quarry_runtime::apis::RuntimeApi;
use sc_client_api::BlockBackend;
use sc_consensus_aura::{CompatibilityMode, ImportQueueParams, SlotProportion, StartAuraParams};
use sc_consensus_grandpa::SharedVoterState;
use sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging;
use sc_network::{Litep2pNetworkBackend, NetworkBackend};
use sc_service::{error::Error, Configuration, TaskManager, WarpSyncConfig};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_aura::sr25519::AuthorityPair;
use std::{sync::Arc, time::Duration};

/// The chain's block; the node does not look into transactions.
pub use quarry_runtime::opaque::Block;

/// The host functions that the runtime may call.
pub type Executor = sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>;
/// Reads and executes the chain.
pub type Client = sc_service::TFullClient<Block, RuntimeApi, Executor>;
type SelectChain = sc_consensus::LongestChain<Database, Block>;
type GrandpaImport = sc_consensus_grandpa::GrandpaBlockImport<Database, Block, Client, SelectChain>;
type GrandpaLink = sc_consensus_grandpa::LinkHalf<Block, Client, SelectChain>;
type Hash = <Block as sp_runtime::traits::Block>::Hash;
type Network = Litep2pNetworkBackend;

/// What GRANDPA justifies at least, so that a node that syncs by warp needs few proofs.
const JUSTIFICATION_PERIOD: u32 = 512;

/// What running a node and working on its database have in common.
pub type Parts = sc_service::PartialComponents<
    Client,
    Database,
    SelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    sc_transaction_pool::TransactionPoolHandle<Block, Client>,
    (GrandpaImport, GrandpaLink, Option<Telemetry>),
>;

/// Opens the database and makes what every command needs of it.
pub fn new_partial(config: &Configuration) -> Result<Parts, Problem> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()
        .map_err(Error::from)?;

    let executor = sc_service::new_wasm_executor(&config.executor);
    let (database, genesis) = database::open(config, &executor)?;
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts_with_genesis_builder::<Block, RuntimeApi, _, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor,
            database,
            genesis,
            false,
        )?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let telemetry_handle = telemetry.as_ref().map(Telemetry::handle);

    let select_chain = sc_consensus::LongestChain::new(backend.clone());
    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (grandpa_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry_handle.clone(),
    )?;

    let inherents_client = client.clone();
    let import_queue =
        sc_consensus_aura::import_queue::<AuthorityPair, _, _, _, _, _>(ImportQueueParams {
            block_import: grandpa_import.clone(),
            justification_import: Some(Box::new(grandpa_import.clone())),
            client: client.clone(),
            create_inherent_data_providers: move |parent, ()| {
                let client = inherents_client.clone();
                async move { inherents(&client, parent) }
            },
            spawner: &task_manager.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            check_for_equivocation: Default::default(),
            telemetry: telemetry_handle,
            compatibility_mode: CompatibilityMode::None,
        })
        .map_err(Error::from)?;

    Ok(Parts {
        client,
        backend,
        task_manager,
        keystore_container,
        select_chain,
        import_queue,
        transaction_pool,
        other: (grandpa_import, grandpa_link, telemetry),
    })
}

type Inherents =
    (sp_consensus_aura::inherents::InherentDataProvider, sp_timestamp::InherentDataProvider);

/// The slot and the time that a block on top of `parent` carries.
fn inherents(
    client: &Client,
    parent: Hash,
) -> Result<Inherents, Box<dyn std::error::Error + Send + Sync>> {
    let slot_duration = sc_consensus_aura::standalone::slot_duration_at(client, parent)?;
    let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
    let slot = sp_consensus_aura::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
        *timestamp,
        slot_duration,
    );
    Ok((slot, timestamp))
}

/// Starts a node; it runs as long as the task manager lives.
pub fn start(config: Configuration) -> Result<TaskManager, Problem> {
    let Parts {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (block_import, grandpa_link, mut telemetry),
    } = new_partial(&config)?;

    let mut net_config = sc_network::config::FullNetworkConfiguration::<Block, _, Network>::new(
        &config.network,
        config.prometheus_registry().cloned(),
    );
    let metrics = <Network as NetworkBackend<Block, Hash>>::register_notification_metrics(
        config.prometheus_registry(),
    );
    let genesis =
        client.block_hash(0)?.ok_or(Error::Other("the database holds no genesis block".into()))?;
    let grandpa_protocol =
        sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (grandpa_peers, grandpa_notifications) =
        sc_consensus_grandpa::grandpa_peers_set_config::<Block, Network>(
            grandpa_protocol.clone(),
            metrics.clone(),
            net_config.peer_store_handle(),
        );
    net_config.add_notification_protocol(grandpa_peers);

    let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        grandpa_link.shared_authority_set().clone(),
        Vec::new(),
    ));
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    let role = config.role;
    let force_authoring = config.force_authoring;
    let grandpa_enabled = !config.disable_grandpa;
    let name = config.network.node_name.clone();
    let registry = config.prometheus_registry().cloned();

    let rpc_client = client.clone();
    let rpc_pool = transaction_pool.clone();
    sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool: transaction_pool.clone(),
        rpc_builder: Box::new(move |_| {
            rpc::methods(rpc_client.clone(), rpc_pool.clone())
                .map_err(|error| Error::Other(error.to_string()))
        }),
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    let telemetry_handle = telemetry.as_ref().map(Telemetry::handle);

    if role.is_authority() {
        let proposer_factory = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            registry.as_ref(),
            telemetry_handle.clone(),
        );
        let inherents_client = client.clone();
        let aura = sc_consensus_aura::start_aura::<AuthorityPair, _, _, _, _, _, _, _, _, _, _>(
            StartAuraParams {
                slot_duration: sc_consensus_aura::slot_duration(&*client)?,
                client,
                select_chain,
                block_import,
                proposer_factory,
                create_inherent_data_providers: move |parent, ()| {
                    let client = inherents_client.clone();
                    async move { inherents(&client, parent) }
                },
                force_authoring,
                // Slower and slower while nothing is finalized, so that a long split stays small.
                backoff_authoring_blocks: (!force_authoring)
                    .then(BackoffAuthoringOnFinalizedHeadLagging::default),
                keystore: keystore_container.keystore(),
                sync_oracle: sync_service.clone(),
                justification_sync_link: sync_service.clone(),
                block_proposal_slot_portion: SlotProportion::new(2f32 / 3f32),
                max_block_proposal_slot_portion: None,
                telemetry: telemetry_handle.clone(),
                compatibility_mode: CompatibilityMode::None,
            },
        )
        .map_err(Error::from)?;
        task_manager.spawn_essential_handle().spawn_blocking("aura", Some("block-authoring"), aura);
    }

    if grandpa_enabled {
        let config = sc_consensus_grandpa::Config {
            gossip_duration: Duration::from_millis(333),
            justification_generation_period: JUSTIFICATION_PERIOD,
            name: Some(name),
            observer_enabled: false,
            keystore: role.is_authority().then(|| keystore_container.keystore()),
            local_role: role,
            telemetry: telemetry_handle.clone(),
            protocol_name: grandpa_protocol,
        };
        let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config,
            link: grandpa_link,
            network,
            sync: sync_service,
            notification_service: grandpa_notifications,
            voting_rule: sc_consensus_grandpa::VotingRulesBuilder::default().build(),
            prometheus_registry: registry,
            shared_voter_state: SharedVoterState::empty(),
            telemetry: telemetry_handle,
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking("grandpa-voter", None, voter);
    }

    Ok(task_manager)
}
