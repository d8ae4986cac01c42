use super::*;
use proptest::prelude::*;
use quarry_hypervisor::{Accelerator, Attachment};
use std::time::Duration;

fn with(line: &str) -> Case {
    Case::new(&format!("{LEAST}{line}\n"))
}

fn refused(line: &str, part: &str) {
    let case = with(line);
    let errors = case.load().err().unwrap_or_else(|| panic!("{line} is taken")).to_string();
    assert!(errors.contains(part), "{line}: {part:?} in {errors}");
    assert!(errors.contains("worker.toml:3: "), "{line}: its line in {errors}");
}

#[test]
fn what_is_unknown_is_told_with_the_nearest_name() {
    refused("chian.endpoints = []", "did you mean chain.endpoints?");
    refused("operations.paralel = 3", "did you mean operations.parallel?");
    refused("images.paralel = 3", "did you mean operations.parallel?");
    refused("shutdown_grace = \"9s\"", "did you mean operations.shutdown_grace?");
    refused("zzz = 1", "worker.example.toml has them all");
    refused("[zzz]", "zzz: there is no such setting");
    refused("claims = true", "is a section: write [claims] and then enabled, min_price");
    refused("[[images]]\nstall = \"9s\"", "images: is a section");
}

#[test]
fn what_a_terminal_would_act_on_is_told_as_it_is_written() {
    refused("\"\\u001b[2J\\nx\" = 1", "\\u{1b}[2J\\nx: there is no such setting");
}

#[test]
fn a_node_id_is_one_line_of_64_bytes() {
    for name in ["\"\"", "\"a\\nb\"", "3", "[\"alpha\"]", &format!("{:?}", "x".repeat(65))] {
        let case = Case::new(&format!("node_id = {name}\nchain.endpoints = [\"ws://a\"]"));
        let error = case.error();
        assert!(error.starts_with("worker.toml:1: node_id: "), "{error}");
    }
    let case =
        Case::new(&format!("node_id = \"{}\"\nchain.endpoints = [\"ws://a\"]", "x".repeat(64)));
    assert_eq!(case.settings().node_id.as_bytes().len(), 64);
}

#[test]
fn a_path_is_absolute_and_plain() {
    for path in ["", "var", "./x", "/", "/var/../etc", "a\\u0000b", "/a\\nb"] {
        refused(&format!("data_dir = \"{path}\""), "data_dir: must be a path from /");
    }
    assert_eq!(
        with("data_dir = \"/srv/q\"").settings().key.file,
        PathBuf::from("/srv/q/worker.key")
    );
    refused("key.file = \"worker.key\"", "key.file");
    refused("images.local_dir = \"images\"", "images.local_dir");
}

#[test]
fn an_endpoint_is_a_websocket_and_its_secret_is_not_repeated() {
    for url in ["http://a", "wss://", "a:1", "", "ws//a", "https://secret@a"] {
        let case = Case::new(&format!("node_id = \"a\"\nchain.endpoints = [\"{url}\"]"));
        let error = case.error();
        assert!(error.contains("ws:// or wss://") && !error.contains("secret"), "{error}");
    }
    let error = Case::new("node_id = \"a\"\nchain.endpoints = \"ws://a\"").error();
    assert!(error.contains("must be a list"), "{error}");
    let error = Case::new("node_id = \"a\"\nchain.endpoints = [7]").error();
    assert!(error.contains("must list texts"), "{error}");
}

#[test]
fn a_genesis_is_64_digits() {
    let digits = "aB".repeat(32);
    let settings = with(&format!("chain.genesis = \"0x{digits}\"")).settings();
    assert_eq!(settings.chain.genesis, Some([0xab; 32]));
    for wrong in
        [digits.clone(), format!("0x{digits}0"), "0x".into(), format!("0x{}", "zz".repeat(32))]
    {
        refused(&format!("chain.genesis = {wrong:?}"), "64 hexadecimal digits");
    }
}

#[test]
fn the_hypervisor_is_on_this_host() {
    for uri in ["qemu:///session", "test:///default", "test+unix:///default?socket=/run/x"] {
        assert_eq!(with(&format!("hypervisor.uri = \"{uri}\"")).settings().hypervisor.uri, uri);
    }
    for uri in ["qemu+ssh://host/system", "qemu://host/system", "lxc:///", "", "qemu:///a\\u0000b"]
    {
        refused(&format!("hypervisor.uri = \"{uri}\""), "a libvirt of this host");
    }
}

#[test]
fn an_accelerator_goes_with_the_driver() {
    let kvm = with("hypervisor.accelerator = \"kvm\"").settings();
    assert_eq!(kvm.hypervisor.accelerator, Some(Accelerator::Kvm));
    let test =
        with("hypervisor = { uri = \"test:///default\", accelerator = \"test\" }").settings();
    assert_eq!(test.hypervisor.accelerator, Some(Accelerator::Test));
    assert_eq!(with("hypervisor.accelerator = \"auto\"").settings().hypervisor.accelerator, None);
    refused("hypervisor.accelerator = \"fast\"", "\"kvm\", \"emulation\"");
    refused("hypervisor.accelerator = \"test\"", "does not go with qemu:///system");
    refused(
        "hypervisor = { uri = \"test:///default\", accelerator = \"kvm\" }",
        "does not go with test:///default",
    );
}

#[test]
fn a_time_has_a_unit_and_stays_within_its_bounds() {
    let settings = with("operations.shutdown_grace = \"2m 5s\"").settings();
    assert_eq!(settings.operations.shutdown_grace, Duration::from_secs(125));
    for (field, wrong) in [
        ("operations.shutdown_grace", ["\"5m\"", "\"0s\"", "90", "\"90\""]),
        ("operations.resync", ["\"11m\"", "\"500ms\"", "true", "\"often\""]),
        ("operations.orphan_disk_delay", ["\"31days\"", "\"-1s\"", "1.5", "\"\""]),
        ("images.stall", ["\"1h\"", "\"0s\"", "[]", "\"s\""]),
    ] {
        for value in wrong {
            refused(&format!("{field} = {value}"), "must be a time with its unit");
        }
    }
}

#[test]
fn a_size_has_a_unit() {
    let images = with("images = { store_size = \"1.5 TiB\", max_file_size = \"10MB\" }").settings();
    assert_eq!(images.images.store_bytes, 3 << 39);
    assert_eq!(images.images.max_file_bytes, 10_000_000);
    for wrong in ["100", "\"100\"", "\"0 GiB\"", "\"GiB\"", "\"-1 GiB\"", "\"100 GiX\"", "\"1 G\""]
    {
        refused(&format!("images.store_size = {wrong}"), "must be a size with its unit");
        refused(&format!("images.max_virtual_size = {wrong}"), "must be a size with its unit");
    }
}

#[test]
fn a_file_that_would_not_fit_the_store_is_no_limit() {
    refused("images = { max_file_size = \"101 GiB\" }", "must not be above images.store_size");
}

#[test]
fn a_count_is_within_its_bounds() {
    assert_eq!(with("operations.parallel = 256").settings().operations.parallel, 256);
    for wrong in ["0", "257", "-1", "1.0", "\"8\"", "9223372036854775807"] {
        refused(&format!("operations.parallel = {wrong}"), "a whole number from 1 to 256");
    }
}

#[test]
fn a_price_may_be_larger_than_tomls_numbers() {
    assert_eq!(with("claims.min_price = 5").settings().claims.min_price, 5);
    let huge = with(&format!("claims.min_price = \"{}\"", u128::MAX)).settings();
    assert_eq!(huge.claims.min_price, u128::MAX);
    for wrong in
        ["-1", "\"1 QRY\"", "1.5", "true", "\"\"", "\"340282366920938463463374607431768211456\""]
    {
        refused(&format!("claims.min_price = {wrong}"), "a number of plancks");
    }
    refused("claims.enabled = \"true\"", "must be true or false, not a text");
}

#[test]
fn a_gateway_is_https_or_on_this_host() {
    let gateways = |line: &str| with(line).settings().images.gateways;
    assert_eq!(gateways("images.gateways = [\"https://a.example/\"]"), ["https://a.example"]);
    assert_eq!(
        gateways("images.gateways = [\"http://127.0.0.1:8080\"]"),
        ["http://127.0.0.1:8080"]
    );
    assert_eq!(gateways("images = { gateways = [\"http://a\"], allow_http = true }"), ["http://a"]);
    for wrong in ["http://a.example", "ftp://a", "https://a?x=1", "https://a#x", "a"] {
        refused(&format!("images.gateways = [\"{wrong}\"]"), "images.gateways: each must be");
    }
}

#[test]
fn guests_are_plugged_into_a_bridge_a_network_or_the_user_mode() {
    let own = |value: &str| with(&format!("network.own = {value}")).settings().network.own;
    assert_eq!(own("{ bridge = \"br0\" }"), Some(Attachment::Bridge("br0".into())));
    assert_eq!(own("{ network = \"my net\" }"), Some(Attachment::Network("my net".into())));
    assert_eq!(own("{ user = true }"), Some(Attachment::User));
    let section = with("[network.global]\nbridge = \"br1\"").settings();
    assert_eq!(section.network.global, Some(Attachment::Bridge("br1".into())));
    for wrong in [
        "{}",
        "\"br0\"",
        "{ bridge = \"\" }",
        "{ bridge = \"a/b\" }",
        "{ bridge = \"an-interface-too-long\" }",
        "{ bridge = 3 }",
        "{ network = \"a/b\" }",
        "{ network = \"\" }",
        "{ user = false }",
        "{ bridge = \"a\", network = \"b\" }",
        "{ bridge = \"a\", gateway = \"10.0.0.1/8\" }",
        "{ brigde = \"a\" }",
    ] {
        refused(&format!("network.own = {wrong}"), "network.own: must be { bridge");
        refused(&format!("network.global = {wrong}"), "network.global: must be { bridge");
    }
}

#[test]
fn a_private_network_has_the_hosts_address_in_it() {
    let private =
        |value: &str| with(&format!("network.private = {value}")).settings().network.private;
    let network = private("{ network = \"quarry\", gateway = \"10.130.0.1/20\" }").unwrap();
    assert_eq!(network.attachment, Attachment::Network("quarry".into()));
    assert_eq!((network.gateway, network.prefix_len), ([10, 130, 0, 1].into(), 20));
    let user = private("{ user = true }").unwrap();
    assert_eq!((user.gateway, user.prefix_len), ([10, 0, 2, 2].into(), 24));
    for wrong in ["{ network = \"quarry\" }", "{ gateway = \"10.0.0.1/8\" }", "{}", "7"] {
        refused(&format!("network.private = {wrong}"), "network.private: must be as");
    }
    for gateway in [
        "10.130.0.0/20",
        "10.130.15.255/20",
        "10.130.0.1",
        "10.130.0.1/31",
        "10.130.0.1/7",
        "fd00::1/64",
        "127.0.0.1/8",
    ] {
        let line = format!("network.private = {{ bridge = \"b\", gateway = \"{gateway}\" }}");
        refused(&line, "gateway must be the host's IPv4 address");
    }
}

#[test]
fn networks_have_no_host_bits_and_name_servers_are_addresses() {
    let network = with("network = { allow = [\"10.0.0.0/8\", \"fd00::/8\"], dns = [\"::1\"] }");
    let network = network.settings().network;
    assert_eq!(network.allow, [("10.0.0.0".parse().unwrap(), 8), ("fd00::".parse().unwrap(), 8)]);
    assert_eq!(network.dns, ["::1".parse::<std::net::IpAddr>().unwrap()]);
    refused("network.allow = [\"10.0.0.1/8\"]", "did you mean 10.0.0.0/8?");
    refused("network.deny = [\"10.0.0.0\"]", "is no network");
    refused("network.deny = [\"10.0.0.0/33\"]", "is no network");
    refused("network.dns = [\"one.one.one.one\"]", "is no IP address");
    refused("network.filter = 1", "true or false");
}

#[test]
fn thresholds_are_per_cent_and_leave_room_for_the_hysteresis() {
    let thresholds =
        with("thresholds = { memory_percent = 100, hysteresis_percent = 10 }").settings();
    assert_eq!((thresholds.thresholds.memory, thresholds.thresholds.hysteresis), (1_000, 100));
    for wrong in ["0", "101", "90.5", "\"90 %\""] {
        refused(&format!("thresholds.storage_percent = {wrong}"), "a whole number from 1 to 100");
    }
    refused("thresholds.hysteresis_percent = 85", "must be below 85");
}

#[test]
fn http_stays_on_loopback() {
    for (text, expected) in [("127.0.0.1:0", true), ("[::1]:9645", true), ("none", false)] {
        let settings = with(&format!("http.listen = \"{text}\"")).settings();
        assert_eq!(settings.http.listen.is_some(), expected);
    }
    for wrong in ["0.0.0.0:9645", "[::]:1", "192.0.2.1:80", "127.0.0.1", "localhost:80", ""] {
        refused(&format!("http.listen = \"{wrong}\""), "must be a loopback address");
    }
}

#[test]
fn tenants_reach_a_port_of_the_hosts_choice() {
    let settings = with("").settings();
    assert_eq!(settings.access.listen, Some("[::]:2222".parse().unwrap()));
    assert_eq!(settings.access.key, settings.data_dir.join("access.key"));
    let text =
        "access = { listen = \"192.0.2.1:22\", endpoint = \"[2001:db8::7]:22\", per_source = 1 }";
    let access = with(text).settings().access;
    assert_eq!(access.listen, Some("192.0.2.1:22".parse().unwrap()));
    assert_eq!(access.endpoint.unwrap().as_str(), Some("[2001:db8::7]:22"));
    assert_eq!(with("access.listen = \"none\"").settings().access.listen, None);
    for wrong in ["2222", "node.example:22", "0.0.0.0", ""] {
        refused(&format!("access.listen = \"{wrong}\""), "must be an address and a port");
    }
    for wrong in ["node.example", "-x:22", "node.example:0", "a b:22", ""] {
        refused(&format!("access.endpoint = \"{wrong}\""), "must be a host and a port");
    }
    for name in ["unauthenticated", "per_source"] {
        refused(&format!("access.{name} = 0"), "must be a whole number from 1 to 4096");
    }
    refused("access.idle_timeout = \"1s\"", "must be a time with its unit");
    refused("access.key = \"access.key\"", "must be a path from /");
}

#[test]
fn a_relay_has_a_key_that_it_is_known_by() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    let relay =
        |key: &str| format!("access = {{ relay = \"r.example:22\", relay_key = \"{key}\" }}");
    let found = with(&relay(&format!("{KEY} a comment"))).settings().access.relay.unwrap();
    assert_eq!(found.endpoint.as_str(), Some("r.example:22"));
    assert_eq!(found.host_key, std::array::from_fn(|at| at as u8));
    for wrong in
        ["", "ssh-ed25519", "ssh-ed25519 AAAA", &KEY.replace("ssh-ed25519", "ssh-rsa"), &KEY[..40]]
    {
        refused(&relay(wrong), "must be an Ed25519 host key");
    }
    refused("access.relay = \"relay.example\"", "must be a host and a port");
    refused("access.relay = \"relay.example:22\"", "needs access.relay_key too");
    refused(&format!("access.relay_key = \"{KEY}\""), "access.relay names none");
}

#[test]
fn logs_have_a_format_and_a_filter_that_is_understood() {
    let logs =
        with("logs = { format = \"json\", filter = \"warn,quarry_worker=debug\" }").settings();
    assert_eq!(logs.logs.format, LogFormat::Json);
    refused("logs.format = \"xml\"", "\"text\" or \"json\"");
    refused("logs.filter = \"quarry_worker=loud\"", "logs.filter: must be a filter");
    refused("logs.filter = \" \"", "logs.filter: must be a filter");
    refused("logs.filter = \"\"", "must not be empty");
}

#[test]
fn a_place_is_a_short_line() {
    let place = with("geolocation = \"59.3, 18.1\"").settings().geolocation;
    assert_eq!(place.as_str(), Some("59.3, 18.1"));
    refused(&format!("geolocation = {:?}", "x".repeat(65)), "has 65 bytes, and may have 64");
    refused("geolocation = \"a\\tb\"", "without control characters");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_and_no_variable_breaks_the_reader(
        text in "([a-z_.\\[\\]]{1,12}( = ([0-9]{1,20}|\"[^\"\\\\\n]{0,9}\"|\\[\\]|\\{\\}))?\n){0,6}",
        name in "[A-Z_]{0,20}",
        value in "\\PC{0,20}",
    ) {
        let case = Case::new(&text).variable(&format!("QUARRY_WORKER__{name}"), &value);
        let errors = case.load().unwrap_err();
        prop_assert!(!errors.0.is_empty());
    }
}
