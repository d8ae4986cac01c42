//! The host's clock.

use super::Finding;
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

/// How far the host's clock and the chain's may be apart: transactions' lifetimes are counted in blocks,
/// but certificates and logs go by the clock.
const APART: Duration = Duration::from_secs(30);

/// By the time of the chain's best block.
pub(super) fn against(chain: Result<SystemTime, String>) -> Finding {
    let name = "clock";
    let remedy =
        "set the clock by NTP: timedatectl set-ntp true; or see why the chain stands still";
    let chain = match chain {
        Ok(chain) => chain,
        Err(error) => return Finding::fail(name, format!("the chain's time: {error}"), remedy),
    };
    let (apart, word) = match SystemTime::now().duration_since(chain) {
        Ok(behind) => (behind, "after"),
        Err(error) => (error.duration(), "before"),
    };
    let found = format!("{} s {word} the chain's last block", apart.as_secs());
    if apart > APART {
        Finding::fail(name, found, remedy)
    } else {
        Finding::ok(name, found)
    }
}

/// By whoever sets it. Only systemd-timesyncd and chrony leave a mark that is read without asking them.
pub(super) fn synchronized(root: &Path) -> Finding {
    let name = "time-sync";
    let is_there = |path: &str| root.join(path).exists();
    if is_there("run/systemd/timesync/synchronized") {
        return Finding::ok(name, "systemd-timesyncd has set the clock");
    }
    if is_there("run/chrony/chronyd.pid") || is_there("run/ntpd.pid") {
        return Finding::ok(name, "an NTP daemon runs");
    }
    Finding::warn(
        name,
        "nothing that is known here sets the clock",
        "apt-get install systemd-timesyncd, or chrony; then timedatectl set-ntp true",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_clock_may_be_half_a_minute_off_either_way() {
        let at = |offset: i64| {
            let now = SystemTime::now();
            let by = Duration::from_secs(offset.unsigned_abs());
            against(Ok(if offset < 0 { now - by } else { now + by }))
        };
        assert!(at(-20).is_ok() && at(20).is_ok() && at(0).is_ok());
        assert!(at(-40).fails() && at(-40).found.contains("s after"), "{:?}", at(-40));
        assert!(at(40).fails() && at(40).found.contains("s before"), "{:?}", at(40));
        assert!(against(Err("no answer".into())).fails());
    }

    #[test]
    fn whoever_sets_the_clock_leaves_a_mark() {
        for mark in ["systemd/timesync/synchronized", "chrony/chronyd.pid"] {
            let root = tempfile::tempdir().unwrap();
            assert!(!synchronized(root.path()).is_ok() && !synchronized(root.path()).fails());
            let path = root.path().join("run").join(mark);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            assert!(synchronized(root.path()).is_ok());
        }
    }
}
