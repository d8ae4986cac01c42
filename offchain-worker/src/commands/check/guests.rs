//! Whether guests run here: one does, for a moment.

use super::Finding;
use crate::config::Settings;
use quarry_hypervisor::{try_guest, Accelerator, Error, HostInfo};
use std::time::Duration;

/// How long a guest may take until its firmware has read one sector and that has spoken.
const PATIENCE: Duration = Duration::from_secs(20);

const NAME: &str = "guests";

/// It blocks for as long as the guest takes.
pub(super) fn check(settings: &Settings, info: &HostInfo) -> Finding {
    let wanted = settings.hypervisor.accelerator;
    let accelerator = wanted.unwrap_or(info.accelerator);
    match (accelerator, info.accelerator) {
        (Accelerator::Test, _) | (_, Accelerator::Test) => {
            Finding::ok(NAME, "do not run: this is libvirt's test driver")
        }
        (Accelerator::Kvm, Accelerator::Emulation) => Finding::fail(
            NAME,
            "libvirt offers no KVM",
            "turn on virtualization in the firmware and load kvm_amd or kvm_intel; or set \
             hypervisor.accelerator = \"emulation\", which is slow",
        ),
        (accelerator, offered) => {
            let uri = &settings.hypervisor.uri;
            let outcome = try_guest(uri, accelerator, &settings.data_dir, PATIENCE);
            told(accelerator, offered, outcome)
        }
    }
}

fn told(
    accelerator: Accelerator,
    offered: Accelerator,
    outcome: Result<Option<Duration>, Error>,
) -> Finding {
    let way = if accelerator == Accelerator::Kvm { "by KVM" } else { "emulated" };
    match outcome {
        Ok(Some(_)) if accelerator == Accelerator::Kvm => {
            Finding::ok(NAME, "run by KVM: one did just now")
        }
        Ok(Some(_)) => {
            let remedy = match offered {
                Accelerator::Kvm => "hypervisor.accelerator = \"kvm\": libvirt offers it",
                _ => "turn on virtualization in the firmware and load kvm_amd or kvm_intel",
            };
            Finding::warn(NAME, "are emulated, which is slow: one ran just now", remedy)
        }
        Ok(None) if accelerator == Accelerator::Kvm => Finding::fail(
            NAME,
            "one started by KVM, and did not execute",
            "KVM breaks off or hangs here, as in a virtual machine whose host does not nest it: dmesg \
             and /var/log/libvirt/qemu say more; or set hypervisor.accelerator = \"emulation\"",
        ),
        Ok(None) => Finding::fail(
            NAME,
            "one started, emulated, and did not execute",
            "the host is overloaded, or QEMU is broken: /var/log/libvirt/qemu says more",
        ),
        Err(Error::Files(error)) => Finding::fail(
            NAME,
            format!("the files of one cannot be opened: {error}"),
            "the user of QEMU must get through to data_dir: chmod 755 it and what is above it; \
             AppArmor's refusals are in the kernel's log",
        ),
        Err(error) => Finding::fail(
            NAME,
            format!("one does not start, {way}: {error}"),
            if accelerator == Accelerator::Kvm {
                "see /var/log/libvirt/qemu and the log of libvirtd; where KVM itself does not work, turn on \
                 virtualization in the firmware, or set hypervisor.accelerator = \"emulation\""
            } else {
                "see /var/log/libvirt/qemu and the log of libvirtd"
            },
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{
        super::{tests::settings_in, Verdict},
        *,
    };
    use Accelerator::{Emulation, Kvm, Test};

    fn info(accelerator: Accelerator) -> HostInfo {
        HostInfo {
            hypervisor: "QEMU".into(),
            accelerator,
            cpus: 1,
            memory_mib: 1,
            cpu_model: "x".into(),
        }
    }

    #[test]
    fn kvm_must_be_offered_where_it_is_wanted_and_the_test_driver_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let set = |name: &str| {
            settings_in(folder.path(), &format!("hypervisor.accelerator = \"{name}\""))
        };
        let found = check(&set("kvm"), &info(Emulation));
        assert!(found.fails() && found.remedy.unwrap().contains("emulation"));
        let auto = settings_in(folder.path(), "hypervisor.uri = \"test:///default\"");
        assert!(check(&auto, &info(Test)).is_ok());
    }

    #[test]
    fn only_a_guest_that_spoke_ran() {
        let spoke = || Ok(Some(Duration::from_secs(1)));
        assert_eq!(told(Kvm, Kvm, spoke()).verdict, Verdict::Ok);
        assert_eq!(told(Emulation, Kvm, spoke()).verdict, Verdict::Warning);
        assert_eq!(told(Emulation, Emulation, spoke()).verdict, Verdict::Warning);
        let silent = told(Kvm, Kvm, Ok(None));
        assert!(silent.fails() && silent.remedy.unwrap().contains("emulation"));
        assert!(told(Emulation, Emulation, Ok(None)).fails());
    }

    #[test]
    fn what_keeps_one_from_starting_is_named() {
        let files = told(Kvm, Kvm, Err(Error::Files("Permission denied".into())));
        assert!(files.fails() && files.remedy.unwrap().contains("chmod 755"));
        let refused = || Err(Error::WrongState("so".into()));
        let by_kvm = told(Kvm, Kvm, refused());
        assert!(by_kvm.fails() && by_kvm.found.contains("by KVM"), "{by_kvm:?}");
        assert!(by_kvm.remedy.unwrap().contains("emulation"));
        let emulated = told(Emulation, Kvm, refused());
        assert!(emulated.fails() && emulated.found.contains("emulated"), "{emulated:?}");
        assert!(!emulated.remedy.unwrap().contains("KVM"));
    }
}
