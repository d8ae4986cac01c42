//! Disks of VMs, as QEMU's own tools see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use quarry_images::{
    create_overlay, grow_overlay, overlay_info, ImageError, ImageFormat, OverlayError, OverlayInfo,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

struct Disk {
    _folder: tempfile::TempDir,
    base: PathBuf,
    path: PathBuf,
}

impl Disk {
    fn over(format: ImageFormat) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (base, path) = (folder.path().join("base"), folder.path().join("disk.qcow2"));
        let name = if format == ImageFormat::Raw { "raw" } else { "qcow2" };
        run("qemu-img", &["create", "-q", "-f", name, text(&base), "64M"]);
        run("qemu-io", &["-f", name, "-c", "write -P 7 1M 1M", text(&base)]);
        fs::set_permissions(&base, fs::Permissions::from_mode(0o444)).unwrap();
        Self { _folder: folder, base, path }
    }

    fn io(&self, command: &str) {
        let out = run("qemu-io", &["-f", "qcow2", "-c", command, text(&self.path)]);
        assert!(!out.contains("failed"), "{command}: {out}");
    }

    fn check(&self) {
        run("qemu-img", &["check", "-f", "qcow2", text(&self.path)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn qemu_finds_nothing_wrong_with_an_overlay_of_any_size() {
    for format in [ImageFormat::Qcow2, ImageFormat::Raw] {
        for bytes in [64 * MIB, 64 * MIB + 512, 10 * GIB, 4 << 40, (4 << 40) + 512, 1 << 50] {
            let disk = Disk::over(format);
            create_overlay(&disk.path, &disk.base, format, bytes).unwrap();
            disk.check();
            let info = run("qemu-img", &["info", "--output=json", "-f", "qcow2", text(&disk.path)]);
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            let name = if format == ImageFormat::Raw { "raw" } else { "qcow2" };
            assert_eq!(info["virtual-size"], bytes);
            assert_eq!(info["backing-filename"], text(&disk.base));
            assert_eq!(info["backing-filename-format"], name);
            assert_eq!(info["format-specific"]["data"]["compat"], "1.1");
            let seen = overlay_info(&disk.path).unwrap();
            let backing = Some(disk.base.clone());
            let backing_format = Some(format);
            assert_eq!(seen, OverlayInfo { virtual_bytes: bytes, backing, backing_format });
        }
    }
}

#[test]
fn what_a_guest_writes_is_in_the_overlay_and_the_base_shows_through() {
    for format in [ImageFormat::Qcow2, ImageFormat::Raw] {
        let disk = Disk::over(format);
        let before = fs::read(&disk.base).unwrap();
        create_overlay(&disk.path, &disk.base, format, 10 * GIB).unwrap();
        disk.io("read -P 7 1M 1M");
        disk.io("read -P 0 5G 1M");
        disk.io("write -P 9 1536k 128k");
        disk.io("write -P 8 9G 3M");
        disk.io("read -P 7 1M 512k");
        disk.io("read -P 9 1536k 128k");
        disk.io("read -P 7 1664k 384k");
        disk.io("read -P 8 9G 3M");
        disk.check();
        assert_eq!(overlay_info(&disk.path).unwrap().virtual_bytes, 10 * GIB);
        assert_eq!(fs::read(&disk.base).unwrap(), before);
    }
}

#[test]
fn an_overlay_is_for_its_owner_only_and_never_replaces_a_disk() {
    let disk = Disk::over(ImageFormat::Raw);
    create_overlay(&disk.path, &disk.base, ImageFormat::Raw, GIB).unwrap();
    assert_eq!(fs::metadata(&disk.path).unwrap().permissions().mode() & 0o7777, 0o600);
    disk.io("write -P 9 0 1M");
    let again = create_overlay(&disk.path, &disk.base, ImageFormat::Raw, GIB);
    assert!(matches!(again, Err(OverlayError::Exists(_))));
    disk.io("read -P 9 0 1M");
}

#[test]
fn an_overlay_that_cannot_be_is_refused_and_leaves_nothing() {
    let disk = Disk::over(ImageFormat::Qcow2);
    let make = |base: &Path, format, bytes| create_overlay(&disk.path, base, format, bytes);
    let qcow2 = ImageFormat::Qcow2;
    assert!(matches!(
        make(&disk.base, qcow2, 64 * MIB - 512),
        Err(OverlayError::TooSmall { least, .. }) if least == 64 * MIB
    ));
    assert!(matches!(make(&disk.base, qcow2, u64::MAX), Err(OverlayError::TooLarge(_))));
    let relative = Path::new("base");
    assert!(matches!(make(relative, qcow2, GIB), Err(OverlayError::BasePath(_))));
    let long = Path::new("/").join("x".repeat(1100));
    assert!(matches!(make(&long, qcow2, GIB), Err(OverlayError::BasePath(_))));
    let missing = disk.base.with_extension("missing");
    assert!(matches!(make(&missing, qcow2, GIB), Err(OverlayError::Missing(_))));
    assert!(matches!(
        make(&disk.base, ImageFormat::Raw, GIB),
        Err(OverlayError::Image { error: ImageError::Format { .. }, .. })
    ));
    assert!(!disk.path.exists());
}

#[test]
fn a_disk_that_is_gone_or_damaged_is_told() {
    let disk = Disk::over(ImageFormat::Raw);
    assert!(matches!(overlay_info(&disk.path), Err(OverlayError::Missing(_))));
    create_overlay(&disk.path, &disk.base, ImageFormat::Raw, GIB).unwrap();
    let whole = fs::read(&disk.path).unwrap();
    let zeroed = vec![0; whole.len()];
    for damaged in [&[][..], b"QF", &whole[..50], &whole[..4096], &whole[..70_000], &zeroed] {
        fs::write(&disk.path, damaged).unwrap();
        let told = overlay_info(&disk.path);
        assert!(matches!(told, Err(OverlayError::Image { .. })), "{told:?}");
    }
}

#[tokio::test]
async fn a_disk_grows_and_never_shrinks() {
    let disk = Disk::over(ImageFormat::Qcow2);
    create_overlay(&disk.path, &disk.base, ImageFormat::Qcow2, GIB).unwrap();
    disk.io("write -P 9 512M 1M");
    for bytes in [GIB, 3 * GIB, 3 * GIB, 5 << 40] {
        grow_overlay(&disk.path, bytes).await.unwrap();
        assert_eq!(overlay_info(&disk.path).unwrap().virtual_bytes, bytes);
    }
    let error = grow_overlay(&disk.path, GIB).await.unwrap_err();
    assert!(matches!(error, OverlayError::TooSmall { .. }), "{error}");
    assert!(matches!(grow_overlay(&disk.path, u64::MAX).await, Err(OverlayError::TooLarge(_))));
    let missing = grow_overlay(&disk.base.with_extension("x"), GIB).await;
    assert!(matches!(missing, Err(OverlayError::Missing(_))));
    disk.io("read -P 9 512M 1M");
    disk.io("read -P 7 1M 1M");
    disk.check();
}

#[tokio::test]
async fn a_disk_that_is_open_is_not_resized_behind_its_users_back() {
    use std::io::{BufRead, BufReader, Write};
    let disk = Disk::over(ImageFormat::Qcow2);
    create_overlay(&disk.path, &disk.base, ImageFormat::Qcow2, GIB).unwrap();
    let mut user = Command::new("qemu-io")
        .args(["-f", "qcow2", text(&disk.path)])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = user.stdin.take().unwrap();
    stdin.write_all(b"length\n").unwrap();
    let mut line = String::new();
    BufReader::new(user.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let refused = grow_overlay(&disk.path, 2 * GIB).await;
    drop(stdin);
    user.wait().unwrap();
    assert!(matches!(refused, Err(OverlayError::Tool(_))), "{refused:?}");
    assert_eq!(overlay_info(&disk.path).unwrap().virtual_bytes, GIB);
}
