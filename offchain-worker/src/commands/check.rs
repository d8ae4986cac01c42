//! `quarry-worker check`: whether this host can work as a node, and what to do if not.
//!
//! Each check stands for itself and says what to do next. The formatter knows none of them. Nothing is
//! changed, and a worker that runs meanwhile is not disturbed.

mod access;
mod chain;
mod clock;
mod encryption;
mod folders;
mod guests;
mod keys;
mod libvirt;
mod network;
mod registration;
mod running;
mod shutdown;
mod store;

use crate::config::{ConfigErrors, Settings};
use serde::Serialize;
use std::{path::Path, time::Duration};

/// How long a check may wait for somebody's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How grave it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// The node works, but not as tenants or operators would wish.
    Warning,
    /// The node does not work, or not for long.
    Failure,
}

/// What one check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// Whether all is well.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where it is not well.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failure, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Whether all is well.
    pub fn is_ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }

    /// Whether the node does not work.
    pub fn fails(&self) -> bool {
        self.verdict == Verdict::Failure
    }
}

/// All checks, in the order in which an operator puts things right. Where the settings are wrong there
/// is nothing else to check.
pub async fn check(path: &Path, settings: &Result<Settings, ConfigErrors>) -> Vec<Finding> {
    let settings = match settings {
        Err(errors) => return errors.0.iter().map(config_error).collect(),
        Ok(settings) => settings,
    };
    let keys = keys::Keys::read(settings);
    let (store, qemu_img, libvirt, chain) = tokio::join!(
        store::checks(settings),
        folders::qemu_img(),
        libvirt::checks(settings),
        chain::checks(settings, &keys)
    );
    let mut findings = vec![Finding::ok("config", path.display().to_string())];
    findings.push(folders::data_dir(&settings.data_dir));
    findings.push(encryption::check(&settings.data_dir, Path::new("/")));
    findings.extend(store);
    findings.push(folders::local_images(settings));
    findings.push(qemu_img);
    findings.extend(libvirt);
    findings.push(shutdown::check(Path::new("/")));
    findings.extend(network::switches(settings, Path::new("/")));
    findings.push(keys.worker_finding(settings));
    findings.extend(access::checks(settings, &keys));
    findings.push(clock::synchronized(Path::new("/")));
    findings.extend(chain);
    findings
}

fn config_error(error: &crate::config::ConfigError) -> Finding {
    Finding::fail(
        "config",
        error.to_string(),
        "correct it there; worker.example.toml explains all settings",
    )
}

/// Whether nothing fails.
pub fn all_ok(findings: &[Finding]) -> bool {
    !findings.iter().any(Finding::fails)
}

/// One line a finding, and what to do below it.
pub fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "WARN",
            Verdict::Failure => "FAIL",
        };
        text.push_str(&format!("{mark}  {:width$}  {}\n", finding.check, finding.found));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("      {:width$}  to do: {remedy}\n", ""));
        }
    }
    text
}

/// The same for programs.
pub fn render_json(findings: &[Finding]) -> String {
    let told = serde_json::json!({ "ok": all_ok(findings), "checks": findings });
    format!("{told:#}\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok("config", "worker.toml"),
            Finding::warn("clock", "not set", "set it"),
            Finding::fail("key", "no file", "make one"),
        ]
    }

    #[test]
    fn a_line_says_how_it_is_and_what_to_do_stands_below() {
        let text = "ok    config  worker.toml\n\
                    WARN  clock   not set\n              to do: set it\n\
                    FAIL  key     no file\n              to do: make one\n";
        assert_eq!(render(&findings()), text);
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn programs_read_the_same() {
        let expected = json!({
            "ok": false,
            "checks": [
                { "check": "config", "verdict": "ok", "found": "worker.toml", "remedy": null },
                { "check": "clock", "verdict": "warning", "found": "not set", "remedy": "set it" },
                { "check": "key", "verdict": "failure", "found": "no file", "remedy": "make one" },
            ],
        });
        assert_eq!(serde_json::from_str::<Value>(&render_json(&findings())).unwrap(), expected);
    }

    #[test]
    fn one_failure_fails_all_and_a_warning_does_not() {
        assert!(!all_ok(&findings()) && all_ok(&findings()[..2]));
    }

    #[tokio::test]
    async fn wrong_settings_are_all_there_is_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        std::fs::write(&path, "node_id = 3\n").unwrap();
        let findings = check(&path, &Settings::load(&path, [])).await;
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.check == "config" && finding.fails()));
        assert!(findings[1].found.contains("worker.toml:1: node_id"), "{findings:?}");
    }

    /// Settings of a test, in that folder.
    pub(super) fn settings_in(folder: &Path, more: &str) -> Settings {
        let path = folder.join("worker.toml");
        let text = format!(
            "node_id = \"alpha\"\ndata_dir = \"{}/data\"\nchain.endpoints = [\"ws://127.0.0.1:9\"]\n{more}",
            folder.display()
        );
        std::fs::write(&path, text).unwrap();
        Settings::load(&path, []).unwrap()
    }
}
