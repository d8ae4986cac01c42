//! What to do about what the chain refuses, in words of this program.

/// The remedy of an error, by its name as `Compute.LeaseTooShort`; nothing for one that nobody knows.
pub fn of(error: &str) -> &'static str {
    match error {
        "Payment" => "the account cannot pay the fee: send it some QRY",
        "Token.FundsUnavailable" => {
            "the account has not as much that is free: rent for a shorter time (--for), or send it some QRY"
        }
        "Token.BelowMinimum" | "Token.CannotCreate" => "the amount is below the least that an account holds",
        "Dispatch.BadOrigin" => "only the chain's admin may do that",
        "System.CallFiltered" => "the chain, or this proxy, is closed for such calls now",
        _ => match error.split_once('.') {
            Some(("Compute", error)) => of_compute(error),
            Some(("Registry", error)) => of_registry(error),
            _ => "",
        },
    }
}

fn of_compute(error: &str) -> &'static str {
    match error {
        "NoAvailableIp" => "no address is free there: take another node, or --ip prefer",
        "VmAlreadyHasIp" => "release its address first",
        "VmHasNoIp" => "it has no address",
        "IpAlreadyExists" => "the pool has one of these addresses: take another range",
        "IpNotFound" => "the pool has not all of these addresses",
        "IpInUse" => "a VM has one of these addresses: take another",
        "IpQuarantined" => "one of these addresses rests after its last VM: take another, or wait",
        "InvalidIp" => "no guest in the pool's network can have that address",
        "InvalidIpCount" => "1 to 256 addresses at a time",
        "InvalidPrefixLength" => "a prefix is 1 to 32 bits long, of IPv6 to 128",
        "InvalidGateway" | "InvalidDns" => "no host can have that address",
        "IpPoolNotFound" => "set the pool's network first",
        "IpPoolInUse" => "remove the pool's addresses first",
        "InvalidSignature" => "sign with the key of the node's miner (--key)",
        "StaleGeneration" => "something changed since: try again",
        "ComputeRequestNotFound" => "it is not yours, or gone: see `quarry vms`",
        "ComputeDeletionRequestNotFound"
        | "ComputeStopRequestNotFound"
        | "ComputeBootRequestNotFound"
        | "ComputeRebootRequestNotFound"
        | "ComputeResizeRequestNotFound"
        | "ComputeLaunchRequestNotFound"
        | "OperationNotFound" => "that is not under way any more: see `quarry show`",
        "ComputeStopRequestAlreadyExists" => "it is being stopped already: see `quarry show`",
        "OperationPending" => "something else is under way: wait for it (`quarry show`), or delete the VM",
        "AlreadyStarted" => "the worker said so before",
        "NotPending" => "a node has it already, or it ended: `quarry delete` instead",
        "NotRunning" => "it does not run: `quarry boot` first",
        "NotStopped" => "it is not stopped: `quarry stop` first",
        "NotLaunched" => "it is not there yet: wait for its launch (`quarry show`)",
        "NotAssigned" => "no node has it: `quarry cancel` takes it back",
        "RequestEnded" => "it ended: rent a new one",
        "NodeNotFound" => "there is no such node: see `quarry nodes`",
        "OtherNodeNamed" => "its tenant named another node",
        "NodeLeaving" => "the node leaves the market: take another (`quarry nodes`)",
        "NodeOffline" => "the node does not report: take another (`quarry nodes`), or wait",
        "NodeNotGone" => "its node is there, or not gone for long enough: wait, or delete the VM",
        "NodeNotAccepting" => "the node takes no new VMs now: take another (`quarry nodes`)",
        "BondTooSmall" => "a penalty took a part of the node's bond: its miner fills it with `quarry miner set-offer`",
        "WrongCountry" => "the node stands in another country",
        "MinerExcluded" => "that miner failed this VM before: take another's node",
        "NodeFull" => "the node has less room: take a smaller plan or another node (`quarry nodes`)",
        "TooManyVms" => "the node has as many VMs as it takes: take another (`quarry nodes`)",
        "PriceAboveMax" => "it would cost more than was agreed on: rent with a higher --max-price, which leaves room for resizes",
        "RatesRaisedLately" => "the node raised its rates a short while ago: wait",
        "TooManyClaims" => "the node launches as many claimed VMs as it may: wait",
        "PlanNotFound" => "there is no such plan: see `quarry plans`",
        "PlanDisabled" => "the plan cannot be rented now: see `quarry plans`",
        "PlanAlreadyExists" => "take another name",
        "PlanMismatch" => "something changed since: try again",
        "SamePlan" => "it has that plan",
        "DiskCannotShrink" => "a disk never shrinks: take a plan with as much disk (`quarry plans`)",
        "ImageNotFound" => "there is no such image: see `quarry images`",
        "ImageDisabled" => "new VMs cannot have that image: see `quarry images`",
        "ImageAlreadyExists" => "there is an image of that name: take another",
        "ImageTooLarge" => "the image needs a larger disk: take a larger plan (`quarry plans`)",
        "InvalidPlanName" => "a plan's name has 1 to 32 bytes",
        "InvalidPlanDescription" => "a description is text without control characters",
        "InvalidResources" => "at least one of each",
        "InvalidImageName" => "an image's name has 1 to 64 bytes",
        "InvalidImageUrl" => "an image's URL begins with https://, ipfs:// or file://",
        "InvalidDigest" => "the digest is the file's SHA-256",
        "InvalidVirtualSize" => "an image's size is at least 1 GiB",
        "InvalidVmName" => "a VM's name has 1 to 64 bytes, without control characters",
        "InvalidSshKey" => "a key is the one line of an id_….pub file",
        "InvalidCloudInitCid" => "the CID is one of version 1, raw, SHA-256: --cloud-init makes it of a file",
        "InvalidCountry" => "a country is two capital letters, as SE",
        "InvalidMaxPrice" => "the highest price is more than nothing",
        "InvalidBlocks" => "a time is longer than nothing",
        "InvalidJobId" | "InvalidReason" => "1 to 64 bytes, of a reason 128, without control characters",
        "InvalidHypervisorIp" | "InvalidVncPort" => "the worker reports nonsense: tell its developers",
        "InvalidLaunchTimeout"
        | "InvalidOperationTimeout"
        | "InvalidDeleteTimeout"
        | "InvalidRetention"
        | "InvalidGracePeriod"
        | "InvalidMaxClaims" => "it must be more than nothing",
        "InvalidMaxPrepaid" => "it must cover the grace period and the least lease",
        "InvalidMaxAttempts" => "1 to 8",
        "PriceOverflow" => "that is more than any balance holds",
        "PrepaidTooShort" => "rent for a longer time (--for)",
        "PrepaidTooLong" => "that is more time than can be paid in advance: rent for less (--for), top up later",
        "LeaseTooShort" => "too little is prepaid for that: `quarry top-up` first",
        "LeaseExhausted" => "the prepaid rent is used up: `quarry top-up` first",
        "LeaseClosed" => "it ended, is being deleted, or nothing is left of its rent: rent a new one",
        "LeaseIsEnding" => "the miner ends the lease before that: take less time",
        "NothingToExpire" => "nothing of it is due",
        "NoCredit" => "the account has none",
        _ => "",
    }
}

fn of_registry(error: &str) -> &'static str {
    match error {
        "NodeNotFound" => "there is no such node: see `quarry miner view-compute`",
        "NodeAlreadyRegistered" => "a node has this name, or had it and its bond still rests: take another name",
        "NotNodeOwner" => "the node is another miner's: sign with that one's key (--key)",
        "InvalidSignature" => "the signer does not speak for this node",
        "NodeLeaving" => "the node was deregistered: register it anew once its bond is back",
        "NodeNotLeaving" => "deregister it first: `quarry miner deregister`",
        "UnbondingNotOver" => "the bond still rests: see `quarry miner view-compute`",
        "NodeInUse" => "it has VMs: `quarry miner drain`, and `quarry miner end-lease` for each",
        "PoolNotEmpty" => "its pool has addresses: remove them first (compute.removeIps)",
        "InvalidNodeId" => "a node's name has 1 to 64 bytes, without control characters",
        "InvalidCapacity" => "at least one of each",
        "InvalidCountry" => "a country is two capital letters, as SE",
        "InvalidMaxVms" => "at least one VM",
        "RatesOverflow" => "the whole capacity would cost more than any balance holds: lower the rates",
        "CapacityBelowReserved" => "its VMs take more than that: see `quarry miner view-compute`",
        "MaxVmsBelowCount" => "it has more VMs than that",
        "BondOverflow" => "the bond would be more than any balance holds: offer less",
        "InvalidEndpoint" => "an endpoint is host:port, an IPv6 address in brackets",
        "InvalidHostKey" => "the host key is missing in node.json: run `quarry-worker enroll` again",
        "InvalidWorkerProof" => {
            "the proof is for another chain, node or miner: run `quarry-worker enroll --miner` with this miner's address"
        }
        "WorkerTaken" => "that worker's key works on another node: make a new one on the host",
        "WorkerIsMiner" => "the miner's own key cannot be a worker's",
        "MetricsOfAnotherNode" => "the metrics name another node",
        "InvalidGeolocation" | "InvalidCpuModel" | "InvalidDisk" | "InvalidNetworkInterface"
        | "InvalidGpuName" | "InvalidHypervisor" | "InvalidWorkerVersion" => {
            "the worker reports text that is none: tell its developers"
        }
        "InvalidCpuLoad" => "a load is thousandths of all processors",
        "NodeFull" | "TooManyVms" | "ReservedUnderflow" => "the chain contradicts itself: report it",
        _ => "",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Each error that the market's pallets have, as the chain's guide lists them.
    fn listed(pallet: &str) -> Vec<String> {
        let guide = include_str!("../../docs/chain.md");
        let from =
            guide.split(&format!("### Errors of {}\n", pallet.to_lowercase())).nth(1).unwrap();
        let table = from.split("\n## ").next().unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        rows.map(|name| format!("{pallet}.{name}")).collect()
    }

    #[test]
    fn every_error_of_the_market_has_a_remedy() {
        let all = [listed("Compute"), listed("Registry")].concat();
        assert!(all.len() > 100, "{}", all.len());
        let missing: Vec<_> = all.iter().filter(|error| of(error).is_empty()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
