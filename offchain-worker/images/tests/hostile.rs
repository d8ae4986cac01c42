//! Images as `qemu-img` makes them, sound and hostile, through the whole of a fetch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use quarry_images::{FetchError, ImageError, ImageFormat, Store, Wanted};
use std::{fs, os::unix::fs::FileExt, path::Path, process::Command};
use support::*;

struct Bench {
    local: tempfile::TempDir,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let local = tempfile::tempdir().unwrap();
        let (dir, store) = store_with(|settings| settings.local_dir = Some(local.path().into()));
        Self { local, store, _dir: dir }
    }

    /// Makes `disk` by `qemu-img create`.
    fn create(&self, options: &[&str], size: &str) {
        let mut arguments = vec!["create", "-q", "-f", "qcow2"];
        arguments.extend(options);
        arguments.extend(["disk", size]);
        qemu("qemu-img", self.local.path(), &arguments);
    }

    fn write(&self, command: &str) {
        qemu("qemu-io", self.local.path(), &["-f", "qcow2", "-c", command, "disk"]);
    }

    fn patch(&self, at: u64, bytes: &[u8]) {
        let file = fs::OpenOptions::new().write(true).open(self.local.path().join("disk"));
        file.unwrap().write_all_at(bytes, at).unwrap();
    }

    fn wanted(&self, format: ImageFormat) -> Wanted {
        let digest = sha256(&fs::read(self.local.path().join("disk")).unwrap());
        Wanted { url: "file:disk".into(), digest, format, virtual_size_gib: 10 }
    }

    async fn refusal(&self, format: ImageFormat) -> ImageError {
        let error = self.store.get(&self.wanted(format)).await.unwrap_err();
        assert!(error.is_terminal(), "{error}");
        assert_eq!(self.store.bytes(), 0);
        match error {
            FetchError::Image(error) => error,
            other => panic!("{other}"),
        }
    }
}

fn qemu(program: &str, folder: &Path, arguments: &[&str]) {
    let made = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{arguments:?}: {made:?}");
}

#[tokio::test]
async fn sound_images_of_all_kinds_are_taken() {
    for options in [
        &[][..],
        &["-o", "compat=0.10"],
        &["-o", "cluster_size=512"],
        &["-o", "cluster_size=2M"],
        &["-o", "compression_type=zstd"],
        &["-o", "extended_l2=on,cluster_size=128k"],
        &["-o", "lazy_refcounts=on"],
        &["-o", "refcount_bits=1"],
    ] {
        let bench = Bench::new();
        bench.create(options, "1G");
        bench.write("write -P 7 0 1M");
        let held = bench.store.get(&bench.wanted(ImageFormat::Qcow2)).await;
        assert_eq!(held.map(|held| held.virtual_bytes()).ok(), Some(GIB), "{options:?}");
    }
}

#[tokio::test]
async fn a_compressed_image_is_taken() {
    let bench = Bench::new();
    fs::write(bench.local.path().join("raw"), bytes(1, 3 * MIB)).unwrap();
    let arguments = ["convert", "-c", "-f", "raw", "-O", "qcow2", "raw", "disk"];
    qemu("qemu-img", bench.local.path(), &arguments);
    bench.store.get(&bench.wanted(ImageFormat::Qcow2)).await.unwrap();
}

#[tokio::test]
async fn an_image_that_leans_on_a_file_of_the_host_is_refused() {
    let bench = Bench::new();
    bench.create(&["-u", "-b", "/etc/passwd", "-F", "raw"], "1G");
    assert_eq!(bench.refusal(ImageFormat::Qcow2).await, ImageError::BackingFile);
    let bench = Bench::new();
    bench.create(&["-u", "-o", "compat=0.10", "-b", "nbd://127.0.0.1/x", "-F", "raw"], "1G");
    assert_eq!(bench.refusal(ImageFormat::Qcow2).await, ImageError::BackingFile);
}

#[tokio::test]
async fn an_image_whose_data_are_in_another_file_is_refused() {
    let bench = Bench::new();
    bench.create(&["-o", "data_file=other,data_file_raw=on"], "1G");
    assert_eq!(bench.refusal(ImageFormat::Qcow2).await, ImageError::DataFile);
}

#[tokio::test]
async fn an_encrypted_image_is_refused() {
    let bench = Bench::new();
    let secret =
        ["--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s"];
    let cheap = [&secret[..], &["-o", "encrypt.iter-time=10"]].concat();
    bench.create(&cheap, "1M");
    assert_eq!(bench.refusal(ImageFormat::Qcow2).await, ImageError::Encrypted);
}

#[tokio::test]
async fn an_image_larger_than_the_chain_says_is_refused_for_good() {
    let bench = Bench::new();
    bench.create(&[], "11G");
    let error = bench.refusal(ImageFormat::Qcow2).await;
    assert_eq!(error, ImageError::LargerThanClaimed { bytes: 11 * GIB, gib: 10 });
}

#[tokio::test]
async fn an_image_larger_than_this_node_takes_is_left_to_others() {
    let bench = Bench::new();
    bench.create(&[], "1T");
    let mut wanted = bench.wanted(ImageFormat::Qcow2);
    wanted.virtual_size_gib = 1024;
    let error = bench.store.get(&wanted).await.unwrap_err();
    assert!(matches!(error, FetchError::DiskTooLarge { .. }) && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn an_image_with_snapshots_or_bitmaps_is_refused() {
    let bench = Bench::new();
    bench.create(&[], "1G");
    qemu("qemu-img", bench.local.path(), &["snapshot", "-c", "one", "disk"]);
    let error = bench.refusal(ImageFormat::Qcow2).await;
    assert_eq!(error, ImageError::Unwanted("internal snapshots"));
    let bench = Bench::new();
    bench.create(&[], "1G");
    qemu("qemu-img", bench.local.path(), &["bitmap", "--add", "-f", "qcow2", "disk", "b"]);
    let error = bench.refusal(ImageFormat::Qcow2).await;
    assert_eq!(error, ImageError::Unwanted("persistent bitmaps"));
}

#[tokio::test]
async fn an_image_that_is_cut_off_is_refused_wherever_it_is_cut() {
    for length in [0, 3, 50, 110, 1000, 70_000, 140_000, 200_000, 300_000, 2_000_000] {
        let bench = Bench::new();
        bench.create(&[], "1G");
        bench.write("write -P 7 0 4M");
        let file = fs::OpenOptions::new().write(true).open(bench.local.path().join("disk"));
        file.unwrap().set_len(length).unwrap();
        let error = bench.store.get(&bench.wanted(ImageFormat::Qcow2)).await.unwrap_err();
        assert!(error.is_terminal(), "{length}: {error}");
    }
}

#[tokio::test]
async fn headers_with_impossible_figures_are_refused() {
    let range = ImageError::Range;
    for (at, bytes, refusal) in [
        (4, &[0, 0, 0, 4][..], ImageError::Version(4)),
        (20, &[0, 0, 0, 8], range("cluster size")),
        (20, &[0, 0, 0, 63], range("cluster size")),
        (24, &[0xff; 8], range("disk size")),
        (24, &[0; 8], range("disk size")),
        (32, &[0, 0, 0, 2], ImageError::Encrypted),
        (36, &[0xff; 4], range("L1 table")),
        (36, &[0, 0, 0, 0], range("L1 table")),
        (40, &[0xff; 8], range("L1 table")),
        (40, &[0, 0, 0, 1, 0, 0, 0, 0], ImageError::CutOff("L1 table")),
        (48, &[0, 0, 0, 0, 0, 0, 0, 1], range("reference count table")),
        (56, &[0xff; 4], range("reference count table")),
        (72, &[0, 0, 0, 0, 0, 0, 0, 1], ImageError::Marked("as not closed")),
        (72, &[0, 0, 0, 0, 0, 0, 0, 2], ImageError::Marked("as corrupt")),
        (72, &[0, 0, 0, 0, 0, 0, 0, 4], ImageError::DataFile),
        (72, &[0, 0, 0, 0, 0, 0, 0, 8], range("compression type")),
        (72, &[0, 0, 0, 1, 0, 0, 0, 0], ImageError::Features(1 << 32)),
        (96, &[0, 0, 0, 7], range("reference count width")),
        (100, &[0, 0, 0, 8], range("header length")),
        (100, &[0xff; 4], range("header length")),
        (112, &[0xe2, 0x79, 0x2a, 0xca, 0, 0, 0, 3], ImageError::BackingFile),
        (112, &[0x44, 0x41, 0x54, 0x41, 0, 0, 0, 3], ImageError::DataFile),
        (112, &[1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff], range("header extension")),
    ] {
        let bench = Bench::new();
        bench.create(&[], "1G");
        bench.patch(at, bytes);
        assert_eq!(bench.refusal(ImageFormat::Qcow2).await, refusal, "{at}: {bytes:?}");
    }
}

#[tokio::test]
async fn an_image_whose_tables_contradict_each_other_is_refused_by_qemu_img() {
    let bench = Bench::new();
    bench.create(&[], "1G");
    bench.write("write -P 7 0 4M");
    // The first reference count: nothing uses the header's cluster.
    bench.patch(0x20000, &[0; 16]);
    assert!(matches!(bench.refusal(ImageFormat::Qcow2).await, ImageError::Damaged(_)));
}

#[tokio::test]
async fn a_format_that_the_chain_does_not_name_is_refused() {
    let bench = Bench::new();
    bench.create(&[], "1G");
    let error = bench.refusal(ImageFormat::Raw).await;
    assert_eq!(error, ImageError::Format { expected: "raw", found: "qcow2" });
    for (format, found) in [("vmdk", "VMDK"), ("vdi", "VDI"), ("vhdx", "VHDX"), ("qcow", "qcow2")] {
        let bench = Bench::new();
        qemu("qemu-img", bench.local.path(), &["create", "-q", "-f", format, "disk", "1M"]);
        for (expected, wanted) in [("raw", ImageFormat::Raw), ("qcow2", ImageFormat::Qcow2)] {
            let error = bench.refusal(wanted).await;
            match (format, expected) {
                ("qcow", "qcow2") => assert_eq!(error, ImageError::Version(1)),
                _ => assert_eq!(error, ImageError::Format { expected, found }),
            }
        }
    }
}

#[tokio::test]
async fn a_raw_image_of_half_a_sector_is_refused() {
    let bench = Bench::new();
    fs::write(bench.local.path().join("disk"), bytes(1, 700)).unwrap();
    assert_eq!(bench.refusal(ImageFormat::Raw).await, ImageError::Range("length"));
}
