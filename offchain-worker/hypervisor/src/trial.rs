//! A guest for a moment: whether this host runs any.

use crate::{
    domain::Accelerator,
    error::{Error, Result},
    fault,
    markup::Markup,
    sound, xml,
};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::{Duration, Instant},
};
use virt::{connect::Connect, domain::Domain, error::Error as VirtError};
use virt_sys as sys;

const FOLDER: &str = ".check-";
const MEMORY_MIB: &str = "32";
const DISK_BYTES: u64 = 1 << 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the guest writes to its console.
const WORDS: &[u8] = b"quarry: the guest runs\r\n\0";

/// What the firmware loads to 0x7c00 and jumps to: it enters protected mode, returns there as from an
/// interrupt, writes the words that stand behind it to the first serial port, each byte as soon as that
/// takes one, and halts. There is KVM, as within some clouds' machines, which runs firmware and breaks off
/// at what any kernel does after it.
#[rustfmt::skip]
const CODE: [u8; 105] = [
    0xfa, // cli
    0x31, 0xc0, 0x8e, 0xd8, // xor ax, ax; mov ds, ax
    0x0f, 0x01, 0x16, 0x63, 0x7c, // lgdt [0x7c63]
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1; mov cr0, eax
    0xea, 0x17, 0x7c, 0x08, 0x00, // jmp 8:0x7c17, which is what comes next
    0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, // mov ax, 16; mov ds, ax; mov ss, ax
    0xbc, 0x00, 0x7c, 0x00, 0x00, // mov esp, 0x7c00
    0x9c, 0x0e, 0x68, 0x2c, 0x7c, 0x00, 0x00, 0xcf, // pushfd; push cs; push 0x7c2c, the next; iretd
    0xbe, 0x69, 0x7c, 0x00, 0x00, // mov esi, words
    0xac, 0x84, 0xc0, 0x74, 0x12, 0x88, 0xc4, // next: lodsb; test al, al; jz halt; mov ah, al
    0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
    0xec, 0xa8, 0x20, 0x74, 0xfb, // wait: in al, dx; test al, 0x20; jz wait
    0xb2, 0xf8, 0x88, 0xe0, 0xee, 0xeb, 0xe9, // mov dl, 0xf8; mov al, ah; out dx, al; jmp next
    0xf4, 0xeb, 0xfd, // halt: hlt; jmp halt
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // the descriptors: none,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, // code,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00, // data
    0x17, 0x00, 0x4b, 0x7c, 0x00, 0x00, // their size and place
];

/// Starts a guest of its own without a network, whose files lie in `folder` for so long, and ends it: how
/// long it took until it spoke, or none if it did not within `patience`.
///
/// It is transient, carries no tag, and goes with the connection even when this process is killed.
pub fn try_guest(
    uri: &str,
    accelerator: Accelerator,
    folder: &Path,
    patience: Duration,
) -> Result<Option<Duration>> {
    let named = |error: VirtError| fault::named(&error, uri, true);
    sweep(folder);
    let files = Files::make(folder).map_err(|error| Error::Files(error.to_string()))?;
    let xml = definition(accelerator, &files)?;
    virt::error::clear_error_callback();
    let connection = Connect::open(Some(uri)).map_err(|error| fault::named(&error, uri, false))?;
    let flags = sys::VIR_DOMAIN_START_AUTODESTROY;
    let guest = Guest(connection.create_domain_xml(&xml, flags).map_err(named)?);
    let begun = Instant::now();
    let spoke = loop {
        let since = begun.elapsed();
        if files.have_words() {
            break Some(since);
        }
        if since > patience || guest.stands_still() {
            break None;
        }
        sleep(LOOK_AGAIN);
    };
    drop(guest);
    Ok(spoke)
}

struct Guest(Domain);

impl Guest {
    /// KVM gave up on it, or it ended.
    fn stands_still(&self) -> bool {
        self.0.info().map_or(true, |info| info.state.to_raw() != sys::VIR_DOMAIN_RUNNING)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Err(error) = self.0.destroy() {
            tracing::warn!(%error, "the guest of the check could not be ended");
        }
    }
}

struct Files {
    folder: PathBuf,
    disk: PathBuf,
    console: PathBuf,
}

impl Files {
    fn make(within: &Path) -> io::Result<Self> {
        let folder = within.join(format!("{FOLDER}{}", process::id()));
        fs::DirBuilder::new().mode(0o711).create(&folder)?;
        let files =
            Self { disk: folder.join("disk.img"), console: folder.join("console.log"), folder };
        let mut disk =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&files.disk)?;
        disk.write_all(&boot_sector())?;
        disk.set_len(DISK_BYTES)?;
        disk.sync_all()?;
        Ok(files)
    }

    fn have_words(&self) -> bool {
        let words = WORDS.strip_suffix(b"\r\n\0").unwrap_or(WORDS);
        fs::read(&self.console)
            .is_ok_and(|said| said.windows(words.len()).any(|part| part == words))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the check's files stay");
        }
    }
}

/// Files of a check that was killed.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER));
        let is_dead = process.is_some_and(|id| !Path::new("/proc").join(id).exists());
        if is_dead && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    let bytes = CODE.iter().chain(WORDS);
    sector.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let [.., before_last, last] = &mut sector;
    (*before_last, *last) = (0x55, 0xaa);
    sector
}

fn definition(accelerator: Accelerator, files: &Files) -> Result<String> {
    let (disk, console) = (sound::path(&files.disk)?, sound::path(&files.console)?);
    let name = format!("quarry-check-{}", process::id());
    Markup::document(|markup| {
        markup.nest("domain", &[("type", xml::kind(accelerator))], |domain| {
            domain.text("name", &[], &name)?;
            domain.text("memory", &[("unit", "MiB")], MEMORY_MIB)?;
            domain.text("vcpu", &[], "1")?;
            domain.nest("os", &[], |os| {
                os.text("type", &[("arch", "x86_64"), ("machine", "q35")], "hvm")
            })?;
            domain.text("on_reboot", &[], "destroy")?;
            domain.text("on_crash", &[], "destroy")?;
            xml::machine(domain, accelerator)?;
            domain.nest("devices", &[], |devices| self::devices(devices, disk, console))
        })
    })
    .map_err(|error| Error::Unsound(error.to_string()))
}

fn devices(devices: &mut Markup, disk: &str, console: &str) -> io::Result<()> {
    devices.nest("disk", &[("type", "file"), ("device", "disk")], |device| {
        device.empty("driver", &[("name", "qemu"), ("type", "raw")])?;
        device.empty("source", &[("file", disk)])?;
        device.empty("backingStore", &[])?;
        device.empty("target", &[("dev", xml::DISK), ("bus", "virtio")])?;
        device.empty("boot", &[("order", "1")])
    })?;
    devices.empty("controller", &[("type", "usb"), ("model", "none")])?;
    devices.nest("serial", &[("type", "file")], |serial| {
        serial.empty("source", &[("path", console)])?;
        serial.empty("target", &[("type", "isa-serial"), ("port", "0")])
    })?;
    devices.empty("audio", &[("id", "1"), ("type", "none")])?;
    devices.empty("memballoon", &[("model", "none")])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_code_points_to_the_words_behind_it_and_the_firmware_takes_it() {
        let sector = boot_sector();
        let address = u16::from_le_bytes([CODE[45], CODE[46]]);
        let words = usize::from(address) - 0x7c00;
        assert_eq!(&sector[words..words + WORDS.len()], WORDS);
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }

    #[test]
    fn files_of_a_check_that_was_killed_go_and_those_of_one_that_runs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let dead = folder.path().join(format!("{FOLDER}4194999"));
        fs::create_dir(&dead).unwrap();
        let alive = Files::make(folder.path()).unwrap();
        sweep(folder.path());
        assert!(!dead.exists() && alive.disk.exists());
        assert!(!alive.have_words());
        fs::write(&alive.console, b"\x1bcSeaBIOS\r\nquarry: the guest runs\r\n").unwrap();
        assert!(alive.have_words());
        drop(alive);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_libvirt_that_is_not_there_leaves_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock";
        let error =
            try_guest(uri, Accelerator::Emulation, folder.path(), Duration::ZERO).unwrap_err();
        assert!(error.is_silence(), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
