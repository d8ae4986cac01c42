use super::{
    fields::Fields, networks, sources::Sources, values as read, AccessSettings, ChainSettings,
    ClaimSettings, ConfigErrors, HttpSettings, HypervisorSettings, ImageSettings, KeySettings,
    LogFormat, LogSettings, NetworkSettings, OperationSettings, RelaySettings, Settings,
    ThresholdSettings,
};
use quarry_hypervisor::Accelerator;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

const GIB: u64 = 1 << 30;
const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9645);
const ACCESS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 2222);
const DNS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))];

impl Settings {
    /// Reads the file, the drop-ins in `PATH.d/*.toml` in the order of their names, and the variables
    /// (of [`std::env::vars_os`]), each above the ones before. Tells all mistakes at once.
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        read_all(path, env).map(|(settings, _)| settings)
    }
}

pub(super) fn read_all(
    path: &Path,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Settings, BTreeSet<&'static str>), ConfigErrors> {
    let mut fields = Fields::new(Sources::read(path, env), path);
    let settings = settings(&mut fields);
    let known = fields.finish()?;
    settings.map(|settings| (settings, known)).ok_or_else(|| ConfigErrors(Vec::new()))
}

/// None only where a required field is missing or wrong, which `fields` then knows.
fn settings(fields: &mut Fields) -> Option<Settings> {
    let node_id = fields.required(
        "node_id",
        read::node_id,
        "the name that the miner registered the node under",
    );
    let data_dir = fields
        .get("data_dir", read::absolute_path)
        .unwrap_or_else(|| PathBuf::from("/var/lib/quarry-worker"));
    let geolocation =
        fields.get("geolocation", |entry| read::bounded(read::text(entry)?)).unwrap_or_default();
    let chain = chain(fields);
    let key = KeySettings {
        file: fields
            .get("key.file", read::absolute_path)
            .unwrap_or_else(|| data_dir.join("worker.key")),
    };
    let hypervisor = hypervisor(fields);
    let operations = operations(fields);
    let claims = ClaimSettings {
        enabled: fields.get("claims.enabled", read::boolean).unwrap_or(true),
        min_price: fields.get("claims.min_price", read::plancks).unwrap_or(0),
    };
    let images = images(fields);
    let network = network(fields);
    let access = access(fields, &data_dir);
    let thresholds = thresholds(fields);
    let http = HttpSettings {
        listen: fields.get("http.listen", read::loopback).unwrap_or(Some(HTTP_LISTEN)),
    };
    let logs = LogSettings {
        format: fields.get("logs.format", read::log_format).unwrap_or(LogFormat::Text),
        filter: fields.get("logs.filter", read::log_filter).unwrap_or_else(|| "info".into()),
    };
    Some(Settings {
        node_id: node_id?,
        data_dir,
        geolocation,
        chain: chain?,
        key,
        hypervisor,
        operations,
        claims,
        images,
        network,
        access,
        thresholds,
        http,
        logs,
    })
}

fn chain(fields: &mut Fields) -> Option<ChainSettings> {
    let name = "chain.endpoints";
    let meaning = "where chain nodes answer, as [\"ws://127.0.0.1:9944\"]";
    let endpoints = fields.required(name, read::list(read::chain_endpoint), meaning);
    let genesis = fields.get("chain.genesis", read::genesis);
    let endpoints = endpoints?;
    if endpoints.is_empty() {
        fields.refuse(name, format!("must have one at least: {meaning}"));
    }
    Some(ChainSettings { endpoints, genesis })
}

fn hypervisor(fields: &mut Fields) -> HypervisorSettings {
    let uri = fields
        .get("hypervisor.uri", read::hypervisor_uri)
        .unwrap_or_else(|| "qemu:///system".into());
    let name = "hypervisor.accelerator";
    let accelerator = fields.get(name, read::accelerator).flatten();
    if accelerator.is_some_and(|how| (how == Accelerator::Test) != uri.starts_with("test")) {
        fields.refuse(name, format!("does not go with {uri}: \"test\" is for libvirt's test driver, and \"auto\" always fits"));
    }
    HypervisorSettings { uri, accelerator }
}

fn seconds(least: u64, most: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(least)..=Duration::from_secs(most)
}

fn operations(fields: &mut Fields) -> OperationSettings {
    let parallel = fields.get("operations.parallel", read::whole(1..=256));
    OperationSettings {
        parallel: parallel.and_then(|number| usize::try_from(number).ok()).unwrap_or(8),
        shutdown_grace: fields
            .get("operations.shutdown_grace", read::duration(seconds(1, 240)))
            .unwrap_or(Duration::from_secs(90)),
        resync: fields
            .get("operations.resync", read::duration(seconds(1, 600)))
            .unwrap_or(Duration::from_secs(30)),
        orphan_disk_delay: fields
            .get("operations.orphan_disk_delay", read::duration(seconds(0, 30 * 86_400)))
            .unwrap_or(Duration::from_secs(86_400)),
    }
}

fn images(fields: &mut Fields) -> ImageSettings {
    let store_bytes = fields.get("images.store_size", read::size).unwrap_or(100 * GIB);
    let max_file = "images.max_file_size";
    let max_file_bytes = fields.get(max_file, read::size).unwrap_or(20 * GIB);
    if max_file_bytes > store_bytes {
        fields.refuse(max_file, "must not be above images.store_size: no such file would fit");
    }
    let allow_http = fields.get("images.allow_http", read::boolean).unwrap_or(false);
    let gateways = fields.get("images.gateways", read::list(read::gateway(allow_http)));
    ImageSettings {
        store_bytes,
        max_file_bytes,
        max_virtual_bytes: fields.get("images.max_virtual_size", read::size).unwrap_or(2_048 * GIB),
        local_dir: fields.get("images.local_dir", read::absolute_path),
        gateways: gateways
            .unwrap_or_else(|| vec!["https://ipfs.io".into(), "https://dweb.link".into()]),
        allow_http,
        stall: fields
            .get("images.stall", read::duration(seconds(1, 600)))
            .unwrap_or(Duration::from_secs(30)),
    }
}

fn network(fields: &mut Fields) -> NetworkSettings {
    NetworkSettings {
        own: fields.get("network.own", networks::attachment),
        global: fields.get("network.global", networks::attachment),
        private: fields.get("network.private", networks::private),
        dns: fields.get("network.dns", read::list(read::address)).unwrap_or_else(|| DNS.into()),
        allow: fields.get("network.allow", read::list(networks::network)).unwrap_or_default(),
        deny: fields.get("network.deny", read::list(networks::network)).unwrap_or_default(),
        filter: fields.get("network.filter", read::boolean).unwrap_or(true),
    }
}

fn access(fields: &mut Fields, data_dir: &Path) -> AccessSettings {
    const RELAY: &str = "access.relay";
    const RELAY_KEY: &str = "access.relay_key";
    let endpoint = fields.get("access.endpoint", read::host_and_port);
    let relay = fields.get(RELAY, read::host_and_port);
    let host_key = fields.get(RELAY_KEY, read::ssh_host_key);
    match (&relay, &host_key) {
        (Some(_), None) if !fields.is_set(RELAY_KEY) => {
            fields.refuse(RELAY, "needs access.relay_key too: the relay's operator tells it");
        }
        (None, Some(_)) if !fields.is_set(RELAY) => {
            fields.refuse(RELAY_KEY, "is the key of a relay, and access.relay names none");
        }
        _ => (),
    }
    let count = |fields: &mut Fields, name, otherwise| {
        let number = fields.get(name, read::whole(1..=4_096));
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(otherwise)
    };
    AccessSettings {
        listen: fields.get("access.listen", read::listen).unwrap_or(Some(ACCESS_LISTEN)),
        key: fields
            .get("access.key", read::absolute_path)
            .unwrap_or_else(|| data_dir.join("access.key")),
        endpoint,
        relay: relay.zip(host_key).map(|(endpoint, host_key)| RelaySettings { endpoint, host_key }),
        unauthenticated: count(fields, "access.unauthenticated", 64),
        per_source: count(fields, "access.per_source", 4),
        idle_timeout: fields
            .get("access.idle_timeout", read::duration(seconds(10, 7 * 86_400)))
            .unwrap_or(Duration::from_secs(3_600)),
    }
}

fn thresholds(fields: &mut Fields) -> ThresholdSettings {
    let name = "thresholds.hysteresis_percent";
    let thresholds = ThresholdSettings {
        cpu: fields.get("thresholds.cpu_percent", read::percent).unwrap_or(900),
        memory: fields.get("thresholds.memory_percent", read::percent).unwrap_or(850),
        storage: fields.get("thresholds.storage_percent", read::percent).unwrap_or(900),
        hysteresis: fields.get(name, read::percent).unwrap_or(50),
    };
    let lowest = thresholds.cpu.min(thresholds.memory).min(thresholds.storage);
    if thresholds.hysteresis >= lowest {
        fields.refuse(
            name,
            format!(
                "must be below {}, the lowest threshold: else the node never takes VMs again",
                lowest / 10
            ),
        );
    }
    thresholds
}
