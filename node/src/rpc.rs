//! What the node answers beside the RPC that every Substrate node has.

mod arguments;
mod compute;
mod refusal;
mod settled;
#[cfg(test)]
mod tests;

use crate::service::{Block, Client};
use jsonrpsee::{server::RegisterMethodError, RpcModule};
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_transaction_pool_api::TransactionPool;
use std::sync::Arc;
use substrate_frame_rpc_system::{System, SystemApiServer};

/// The methods of this chain.
pub fn methods<P>(client: Arc<Client>, pool: Arc<P>) -> Result<RpcModule<()>, RegisterMethodError>
where
    P: TransactionPool<Block = Block> + 'static,
{
    let mut module = RpcModule::new(());
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(compute::methods(client.clone())?)?;
    module.merge(TransactionPayment::new(client).into_rpc())?;
    Ok(module)
}
