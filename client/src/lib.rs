//! Typed reads of the chain, and the actor that sends a worker's or a tenant's transactions.
