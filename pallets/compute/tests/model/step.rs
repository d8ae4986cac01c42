//! What can be done to the chain.

use crate::world::{Label, OfferKind, Pool, Who};
use quarry_primitives::request::{IpWish, OperationKind};

#[derive(Clone, Debug)]
pub struct Step {
    /// The kind by which steps are counted.
    pub kind: &'static str,
    pub by: Who,
    pub act: Act,
}

/// The room that a block has left for deadlines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    Ample,
    None,
    /// For about so many.
    Little(u8),
}

/// What a report is on. `age` is added to the generation that the request has.
#[derive(Clone, Copy, Debug)]
pub struct On {
    pub vm: Label,
    pub node: u8,
    pub age: i8,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// Live blocks pass; in the last of them there may be room for deadlines.
    Pass {
        blocks: u8,
        room: Room,
    },
    /// Sends all that can be sent, or a part.
    Pay {
        to: Who,
        all: bool,
    },

    Register {
        node: u8,
        worker: Who,
        offer: OfferKind,
        proof_for: Who,
    },
    Offer {
        node: u8,
        offer: OfferKind,
    },
    Accept {
        node: u8,
        accepting: bool,
    },
    SetWorker {
        node: u8,
        worker: Who,
        proof_for: Who,
    },
    SetAccess {
        node: u8,
        sound: bool,
    },
    Deregister {
        node: u8,
    },
    /// The heartbeat; `metrics` may be there, and sound.
    Beat {
        node: u8,
        accepting: bool,
        metrics: Option<bool>,
    },
    Withdraw {
        node: u8,
    },

    EnablePlan {
        plan: u8,
        enabled: bool,
    },
    EnableImage {
        image: u8,
        enabled: bool,
    },
    SetParams {
        variant: u8,
    },
    ForceClose {
        vm: Label,
    },

    Create {
        vm: Label,
        new: New,
    },
    Cancel {
        vm: Label,
    },
    Assign {
        vm: Label,
        node: u8,
        plan: u8,
        owner: Who,
    },
    Boot {
        vm: Label,
    },
    Stop {
        vm: Label,
    },
    Reboot {
        vm: Label,
    },
    Resize {
        vm: Label,
        plan: u8,
    },
    Delete {
        vm: Label,
    },
    SetKeys {
        vm: Label,
        keys: u8,
        sound: bool,
    },
    TopUp {
        vm: Label,
        blocks: u32,
    },
    Evacuate {
        vm: Label,
    },
    EndLease {
        vm: Label,
    },
    Settle {
        vm: Label,
    },
    Expire {
        vm: Label,
    },
    Claim {
        account: Who,
    },

    Start {
        on: On,
        sound: bool,
    },
    Launched {
        on: On,
        sound: bool,
    },
    Fail {
        on: On,
        terminal: bool,
        sound: bool,
    },
    Done {
        on: On,
        what: OperationKind,
    },
    OperationFailed {
        on: On,
        sound: bool,
    },

    SetPool {
        pool: Pool,
        network: u8,
    },
    AddIps {
        pool: Pool,
        first: u8,
        count: u32,
    },
    RemoveIps {
        pool: Pool,
        first: u8,
        count: u32,
    },
    AssignIp {
        vm: Label,
        pool: Pool,
        host: u8,
    },
    ReleaseIp {
        vm: Label,
    },
}

#[derive(Clone, Debug)]
pub struct New {
    pub plan: u8,
    pub image: u8,
    pub keys: u8,
    pub node: Option<u8>,
    /// The country asked for, if any: home or abroad.
    pub abroad: Option<bool>,
    pub max_price: u128,
    pub blocks: u32,
    pub ip: IpWish,
    pub sound: bool,
}
