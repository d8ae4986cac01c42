//! Whether a chain's runtime still speaks as the one that this program was built for.

use codec::Decode;
use std::sync::OnceLock;
use subxt::metadata::Metadata;

/// What the bindings are generated from.
pub(crate) const COMMITTED: &[u8] = include_bytes!("../../metadata.scale");

/// The chain speaks another language than this program in something that it uses.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this program is too {} for the chain's runtime: {what} differs between the chain's version \
     {chain} and {ours}, which it was built for; {}",
    self.age(),
    self.remedy()
)]
pub(crate) struct Incompatible {
    /// What differs.
    pub(crate) what: String,
    /// The version of the chain's runtime.
    pub(crate) chain: u32,
    /// The version that this program was built for.
    pub(crate) ours: u32,
}

impl Incompatible {
    fn is_outdated(&self) -> bool {
        self.chain >= self.ours
    }

    fn age(&self) -> &'static str {
        if self.is_outdated() {
            "old"
        } else {
            "new"
        }
    }

    fn remedy(&self) -> &'static str {
        if self.is_outdated() {
            "install a newer one"
        } else {
            "wait for the chain's upgrade, or install an older one"
        }
    }
}

const CALLS: Named = &[
    (
        "Compute",
        &[
            "submit_compute_request_assignment",
            "update_miner_compute_request",
            "mark_compute_request_fulfilled",
            "handle_miner_compute_request_failure",
            "submit_compute_boot_request_fulfillment",
            "mark_miner_compute_stop_request_fulfilled",
            "submit_compute_reboot_request_fulfillment",
            "submit_compute_resize_request_fulfillment",
            "submit_compute_deletion_request",
            "report_operation_failure",
        ],
    ),
    ("Registry", &["submit_node_metrics", "set_access"]),
];

const STORAGE: Named = &[
    ("Compute", &["NextRequestId", "Params"]),
    ("LiveBlocks", &["Count"]),
    ("System", &["Account"]),
];

const CONSTANTS: Named =
    &[("Registry", &["AccessEvery", "HeartbeatEvery", "MetricsEvery", "OfflineAfter"])];

const RUNTIME_APIS: Named = &[
    (
        "ComputeApi",
        &[
            "get_node_metrics",
            "get_node",
            "find_nodes",
            "get_user_vms",
            "get_vm",
            "quote",
            "why_pending",
            "work_for",
            "open_for",
        ],
    ),
    ("AccountNonceApi", &["account_nonce"]),
];

/// Fails with the first thing that differs among those that this program uses.
pub(crate) fn check(chain: &Metadata, spec_version: u32) -> Result<(), Incompatible> {
    let Some(ours) = committed() else { return Ok(()) };
    match difference(chain, ours) {
        None => Ok(()),
        Some(what) => {
            Err(Incompatible { what, chain: spec_version, ours: committed_spec_version(ours) })
        }
    }
}

fn committed() -> Option<&'static Metadata> {
    static DECODED: OnceLock<Option<Metadata>> = OnceLock::new();
    DECODED.get_or_init(|| Metadata::decode_from(COMMITTED).ok()).as_ref()
}

fn committed_spec_version(ours: &Metadata) -> u32 {
    let version = ours.pallet_by_name("System").and_then(|system| {
        let version = system.constant_by_name("Version")?.value();
        // spec_name, impl_name, authoring_version, spec_version
        <(String, String, u32, u32)>::decode(&mut &*version).ok()
    });
    version.map_or(0, |(_, _, _, spec_version)| spec_version)
}

type Named = &'static [(&'static str, &'static [&'static str])];
type HashOf = fn(&Metadata, &str, &str) -> Option<[u8; 32]>;

fn difference(chain: &Metadata, ours: &Metadata) -> Option<String> {
    let kinds: [(&str, Named, HashOf); 4] = [
        ("the call", CALLS, |metadata, pallet, name| {
            metadata.pallet_by_name(pallet)?.call_hash(name)
        }),
        ("the storage item", STORAGE, |metadata, pallet, name| {
            metadata.pallet_by_name(pallet)?.storage_hash(name)
        }),
        ("the constant", CONSTANTS, |metadata, pallet, name| {
            metadata.pallet_by_name(pallet)?.constant_hash(name)
        }),
        ("the runtime call", RUNTIME_APIS, |metadata, api, name| {
            Some(metadata.runtime_api_trait_by_name(api)?.method_by_name(name)?.hash())
        }),
    ];
    for (kind, used, hash_of) in kinds {
        for (place, names) in used {
            for name in *names {
                if hash_of(chain, place, name) != hash_of(ours, place, name) {
                    return Some(format!("{kind} {place}.{name}"));
                }
            }
        }
    }
    (extensions(chain) != extensions(ours)).then(|| "the list of transaction extensions".into())
}

fn extensions(metadata: &Metadata) -> Vec<&str> {
    let extensions = metadata.extrinsic().transaction_extensions_by_version(0);
    extensions.into_iter().flatten().map(|extension| extension.identifier()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hash::hash_of;

    /// Of `ComputeApi`, by its name.
    const ID: [u8; 8] = [0x2e, 0x3e, 0x35, 0xf4, 0x07, 0x28, 0x51, 0x1a];

    /// A chain node knows by that version alone whether it can read what the runtime answers.
    #[test]
    fn the_version_of_the_runtime_api_is_raised_with_each_change_in_it() {
        let ours = committed().unwrap();
        let version = ours.pallet_by_name("System").unwrap().constant_by_name("Version").unwrap();
        // As in `committed_spec_version`, then impl_version and the APIs with their versions.
        type Version = (String, String, u32, u32, u32, Vec<([u8; 8], u32)>);
        let apis = Version::decode(&mut version.value()).unwrap().5;
        let (_, version) = apis.iter().find(|(id, _)| *id == ID).unwrap();
        let methods = ours.runtime_api_trait_by_name("ComputeApi").unwrap().methods();
        let hash = hash_of(&methods.flat_map(|method| method.hash()).collect::<Vec<_>>());
        assert_eq!(
            (*version, hash.to_low_u64_be()),
            (1, 0xd754_1b81_13c5_46e8),
            "give `ComputeApi` in primitives/src/api.rs another `#[api_version]`, and note both here"
        );
    }

    #[test]
    fn all_that_is_used_stands_in_the_committed_metadata() {
        let ours = committed().unwrap();
        for (pallet, names) in CALLS {
            for name in *names {
                assert!(ours.pallet_by_name(pallet).unwrap().call_hash(name).is_some(), "{name}");
            }
        }
        for (pallet, names) in STORAGE {
            for name in *names {
                assert!(
                    ours.pallet_by_name(pallet).unwrap().storage_hash(name).is_some(),
                    "{name}"
                );
            }
        }
        for (pallet, names) in CONSTANTS {
            for name in *names {
                assert!(
                    ours.pallet_by_name(pallet).unwrap().constant_hash(name).is_some(),
                    "{name}"
                );
            }
        }
        for (api, names) in RUNTIME_APIS {
            for name in *names {
                let api = ours.runtime_api_trait_by_name(api).unwrap();
                assert!(api.method_by_name(name).is_some(), "{name}");
            }
        }
        assert!(extensions(ours).contains(&"CheckNonce"));
        assert!(committed_spec_version(ours) > 0);
    }

    #[test]
    fn the_committed_metadata_fits_itself() {
        assert_eq!(check(committed().unwrap(), 1), Ok(()));
    }

    #[test]
    fn a_runtime_that_takes_another_heartbeat_is_named_as_newer_or_older() {
        // Renames a field of the heartbeat's call, which all that is used of the call hashes over.
        let mut other = COMMITTED.to_vec();
        let call = b"submit_node_metrics";
        let at = other.windows(call.len()).position(|window| window == call).unwrap();
        let field = b"accepting";
        let field = at + other[at..].windows(field.len()).position(|w| w == field).unwrap();
        other[field] = b'A';
        let other = Metadata::decode_from(&other).unwrap();

        let newer = check(&other, u32::MAX).unwrap_err();
        assert_eq!(newer.what, "the call Registry.submit_node_metrics");
        assert!(newer.to_string().contains("too old for the chain's runtime"), "{newer}");
        let older = check(&other, 0).unwrap_err();
        assert!(older.to_string().contains("too new for the chain's runtime"), "{older}");
    }
}
