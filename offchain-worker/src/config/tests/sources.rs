use super::*;
use std::os::unix::ffi::OsStringExt;

fn cpu(case: &Case) -> u16 {
    case.settings().thresholds.cpu
}

#[test]
fn a_name_and_an_endpoint_are_enough() {
    let settings = Case::new(LEAST).settings();
    assert_eq!(settings.node_id.as_str(), Some("alpha"));
    assert_eq!(settings.chain.endpoints, ["ws://127.0.0.1:9944"]);
    assert_eq!(settings.key.file, PathBuf::from("/var/lib/quarry-worker/worker.key"));
}

#[test]
fn a_drop_in_is_above_the_file_and_the_last_name_above_the_others() {
    let case = Case::new(&format!("{LEAST}[thresholds]\ncpu_percent = 80\n"));
    assert_eq!(cpu(&case), 800);
    let case = case.drop_in("20-b.toml", "thresholds.cpu_percent = 70");
    assert_eq!(cpu(&case), 700);
    let case = case.drop_in("10-a.toml", "thresholds.cpu_percent = 60");
    assert_eq!(cpu(&case), 700);
}

#[test]
fn a_drop_in_leaves_alone_what_it_does_not_name() {
    let case = Case::new(&format!("{LEAST}[thresholds]\nmemory_percent = 50\n"))
        .drop_in("a.toml", "[thresholds]\ncpu_percent = 70");
    let thresholds = case.settings().thresholds;
    assert_eq!((thresholds.cpu, thresholds.memory, thresholds.storage), (700, 500, 900));
}

#[test]
fn only_files_that_end_in_toml_and_are_not_hidden_are_drop_ins() {
    let text = "thresholds.cpu_percent = 70";
    let case = Case::new(LEAST)
        .drop_in("a.toml.bak", text)
        .drop_in(".hidden.toml", text)
        .drop_in("README", "not TOML at all");
    assert_eq!(cpu(&case), 900);
}

#[test]
fn a_variable_is_above_all_files() {
    let case = Case::new(LEAST)
        .drop_in("a.toml", "thresholds.cpu_percent = 70")
        .variable("QUARRY_WORKER__THRESHOLDS__CPU_PERCENT", "60")
        .variable("QUARRY_WORKER__NODE_ID", "123")
        .variable("QUARRY_WORKER__CLAIMS__ENABLED", "false");
    let settings = case.settings();
    assert_eq!((settings.thresholds.cpu, settings.claims.enabled), (600, false));
    assert_eq!(settings.node_id.as_str(), Some("123"));
}

#[test]
fn a_variable_lists_with_commas_or_as_toml_and_holds_tables_as_toml() {
    let one = Case::new(LEAST).variable("QUARRY_WORKER__CHAIN__ENDPOINTS", "ws://a:1, wss://b");
    assert_eq!(one.settings().chain.endpoints, ["ws://a:1", "wss://b"]);
    let other = Case::new(LEAST)
        .variable("QUARRY_WORKER__CHAIN__ENDPOINTS", "[\"ws://a:1\"]")
        .variable("QUARRY_WORKER__NETWORK__OWN", "{ bridge = \"br0\" }");
    let settings = other.settings();
    assert_eq!(settings.chain.endpoints, ["ws://a:1"]);
    assert!(settings.network.own.is_some());
}

#[test]
fn other_variables_are_none_of_ours() {
    let case = Case::new(LEAST)
        .variable("QUARRY_WORKER_CONFIG", "x")
        .variable("QUARRY_NODE__X", "y")
        .variable("HOME", "/");
    assert_eq!(cpu(&case), 900);
}

#[test]
fn a_variable_that_nobody_knows_is_a_mistake_with_a_hint() {
    let case = Case::new(LEAST).variable("QUARRY_WORKER__CHAIN__ENDPOINT", "ws://a");
    let error = case.error();
    assert!(error.starts_with("the variable QUARRY_WORKER__CHAIN__ENDPOINT: "), "{error}");
    assert!(error.contains("did you mean chain.endpoints?"), "{error}");
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let case = Case::new(LEAST).variable("QUARRY_WORKER__OPERATIONS__PARALLEL", "many");
    let error = case.error();
    assert!(error.contains("QUARRY_WORKER__OPERATIONS__PARALLEL: operations.parallel"), "{error}");
    assert!(error.contains("from 1 to 256"), "{error}");
    let error = Case::new(LEAST).variable("QUARRY_WORKER__NETWORK__OWN", "{ bridge = ").error();
    assert!(error.contains("network.own: not TOML"), "{error}");
}

#[test]
fn a_variable_that_is_no_utf_8_is_named() {
    let mut case = Case::new(LEAST);
    case.variables.push(("QUARRY_WORKER__GEOLOCATION".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(case.error(), "the variable QUARRY_WORKER__GEOLOCATION: is not UTF-8");
}

#[test]
fn a_file_that_is_missing_is_named_and_so_is_what_it_should_have_said() {
    let folder = tempfile::tempdir().unwrap();
    let errors = Settings::load(&folder.path().join("no.toml"), []).unwrap_err().to_string();
    assert!(errors.starts_with("the settings have 3 mistakes:\n"), "{errors}");
    for part in ["no.toml: there is no such file", "node_id: must be set", "chain.endpoints: must"]
    {
        assert!(errors.contains(part), "{part} in {errors}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let error = Case::new(LEAST).drop_in("a.toml", "\n\nx = = 1\n").error();
    assert!(error.starts_with("worker.toml.d/a.toml:3: not TOML: "), "{error}");
}

#[test]
fn a_file_that_is_no_utf_8_is_named() {
    let error = Case::new(LEAST).drop_in("a.toml", b"x = \"\xff\"").error();
    assert_eq!(error, "worker.toml.d/a.toml: is not UTF-8");
}

#[test]
fn a_key_that_stands_twice_in_a_file_is_a_mistake() {
    let error = Case::new(&format!("node_id = \"x\"\n{LEAST}")).errors().join("\n");
    assert!(error.contains("worker.toml:2: not TOML: duplicate key"), "{error}");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let text = "node_id = \"\"\nnode_idd = \"x\"\n\n[chain]\nendpoints = []\ngenesis = \"0x12\"\n";
    let case = Case::new(text)
        .drop_in("a.toml", "[operations]\nparallel = 0\nresync = \"soon\"\n")
        .variable("QUARRY_WORKER__HTTP__LISTEN", "0.0.0.0:80");
    let errors = case.errors();
    let starts = [
        "worker.toml:1: node_id: must not be empty",
        "worker.toml:2: node_idd: there is no such setting; did you mean node_id?",
        "worker.toml:5: chain.endpoints: must have one at least",
        "worker.toml:6: chain.genesis: must be the hash",
        "worker.toml.d/a.toml:2: operations.parallel: must be a whole number",
        "worker.toml.d/a.toml:3: operations.resync: must be a time",
        "the variable QUARRY_WORKER__HTTP__LISTEN: http.listen: must be a loopback",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error:?} does not start with {start:?}");
    }
}

#[test]
fn bad_settings_exit_as_sysexits_has_it() {
    assert_eq!(ConfigErrors::EXIT_CODE, 78);
}
