//! Damaged settings. `QUARRY_FUZZ_SECONDS` says how long to go on.
//!
//! An input is the file, a line `%%`, a drop-in, a line `%%`, and variables as `NAME=VALUE` lines; the last two may
//! be missing.

use super::*;
use quarry_fuzz::{damaged, each_file, Fate};
use std::path::Path;
use url::Url;

fn corpus() -> &'static Path {
    Path::new("tests/corpus/config")
}

fn parts(input: &[u8]) -> [Vec<u8>; 3] {
    let mut parts: [Vec<u8>; 3] = Default::default();
    let mut part = 0;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if line == b"%%\n" && part < 2 {
            part += 1;
        } else {
            parts[part].extend_from_slice(line);
        }
    }
    parts
}

/// What every worker relies on.
fn are_sound(settings: &Settings) {
    assert!(!settings.node_id.as_bytes().is_empty());
    assert!(!settings.chain.endpoints.is_empty());
    for endpoint in &settings.chain.endpoints {
        assert!(is_url(endpoint, ["ws", "wss"]), "{endpoint}");
    }
    for path in [&settings.data_dir, &settings.key.file, &settings.access.key] {
        assert!(path.is_absolute() && path.components().count() > 1, "{path:?}");
    }
    assert!(settings.http.listen.is_none_or(|address| address.ip().is_loopback()));
    assert!((1..=256).contains(&settings.operations.parallel));
    assert!(settings.images.max_file_bytes <= settings.images.store_bytes);
    let thresholds = &settings.thresholds;
    let lowest = thresholds.cpu.min(thresholds.memory).min(thresholds.storage);
    assert!(thresholds.hysteresis < lowest && lowest <= 1_000);
    for gateway in &settings.images.gateways {
        assert!(is_url(gateway, ["http", "https"]) && !gateway.ends_with('/'), "{gateway}");
    }
}

/// By the same reader as whoever dials it, which forgives a slash that is missing.
fn is_url(text: &str, schemes: [&str; 2]) -> bool {
    Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.host().is_some())
}

fn judge(folder: &Path, input: &[u8]) -> Fate {
    let [file, drop_in, variables] = parts(input);
    let path = folder.join("worker.toml");
    fs::write(&path, file).unwrap();
    fs::write(folder.join("worker.toml.d/drop-in.toml"), drop_in).unwrap();
    let variables = String::from_utf8_lossy(&variables);
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<(OsString, OsString)> =
        variables.map(|(name, value)| (name.into(), value.into())).collect();
    match Settings::load(&path, variables) {
        Ok(settings) => {
            are_sound(&settings);
            Fate::Taken(String::new())
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a reason");
            for error in &errors.0 {
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "no one line: {text:?}");
            }
            Fate::Refused(errors.0[0].problem.clone())
        }
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("worker.toml.d")).unwrap();
    folder
}

#[test]
fn each_file_of_the_corpus_is_judged_as_its_name_says() {
    let folder = folder();
    each_file(corpus(), |input| judge(folder.path(), input));
}

#[test]
fn damaged_settings_are_refused_with_a_line_or_are_sound() {
    let folder = folder();
    damaged(corpus(), |input| judge(folder.path(), input));
}
