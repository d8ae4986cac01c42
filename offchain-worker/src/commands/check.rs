//! `quarry-worker check`: whether this host can work as a node, and what to do if not.
//!
//! Each check stands for itself and says what to do next. The formatter knows none of them.

mod chain;
mod host;
mod libvirt;

use crate::config::{ConfigErrors, Settings};
use serde::Serialize;
use std::{path::Path, time::Duration};

/// How long a check may wait for somebody's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// Whether all is well.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, where it is not well.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, ok: true, found: found.into(), remedy: None }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, ok: false, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// All checks, in the order in which an operator puts things right. Where the settings are wrong there
/// is nothing else to check.
pub async fn check(path: &Path, settings: &Result<Settings, ConfigErrors>) -> Vec<Finding> {
    let settings = match settings {
        Err(errors) => return errors.0.iter().map(config_error).collect(),
        Ok(settings) => settings,
    };
    let mut findings = vec![Finding::ok("config", path.display().to_string())];
    let (key, key_finding) = host::key(settings);
    findings.push(host::data_dir(&settings.data_dir));
    findings.push(host::storage(settings));
    findings.push(host::images(settings));
    findings.push(host::qemu_img().await);
    let (libvirt, chain) =
        tokio::join!(libvirt::checks(settings), chain::checks(settings, key.as_ref()));
    findings.extend(libvirt);
    findings.push(key_finding);
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

/// Whether all is well.
pub fn all_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.ok)
}

/// One line a finding, and what to do below it.
pub fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = if finding.ok { "ok  " } else { "FAIL" };
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
        vec![Finding::ok("config", "worker.toml"), Finding::fail("key", "no file", "make one")]
    }

    #[test]
    fn a_line_says_ok_or_fail_and_what_to_do_stands_below() {
        let text =
            "ok    config  worker.toml\nFAIL  key     no file\n              to do: make one\n";
        assert_eq!(render(&findings()), text);
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn programs_read_the_same() {
        let expected = json!({
            "ok": false,
            "checks": [
                { "check": "config", "ok": true, "found": "worker.toml", "remedy": null },
                { "check": "key", "ok": false, "found": "no file", "remedy": "make one" },
            ],
        });
        assert_eq!(serde_json::from_str::<Value>(&render_json(&findings())).unwrap(), expected);
    }

    #[test]
    fn one_failure_fails_all() {
        assert!(!all_ok(&findings()) && all_ok(&findings()[..1]));
    }

    #[tokio::test]
    async fn wrong_settings_are_all_there_is_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        std::fs::write(&path, "node_id = 3\n").unwrap();
        let findings = check(&path, &Settings::load(&path, [])).await;
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.check == "config" && !finding.ok));
        assert!(findings[1].found.contains("worker.toml:1: node_id"), "{findings:?}");
    }
}
