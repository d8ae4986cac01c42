#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{identity::Identity, reconcile::Shape};
use tempfile::TempDir;

fn manifest(assignment: u64) -> Manifest {
    Manifest {
        genesis: [1; 32],
        birth: [2; 32],
        assignment,
        request_id: u128::MAX,
        image: [3; 32],
        private_address: Some(Ipv4Addr::new(10, 0, 0, 7)),
        shape: Shape { vcpus: 1, memory_mib: 512, disk_gib: 5, address: None },
        defined: None,
        seeds: 1,
        started: false,
        orphan_since: None,
        guest_keys: None,
    }
}

fn uuid(assignment: u64) -> Uuid {
    Identity { genesis: [1; 32], birth: [2; 32], assignment }.uuid()
}

fn write_disk(paths: &Paths) -> Result<()> {
    fs::write(paths.disk(), "disk").at(&paths.disk())?;
    fs::write(paths.seed(), "seed").at(&paths.seed())
}

fn with_one() -> (TempDir, Folders) {
    let dir = tempfile::tempdir().unwrap();
    let folders = Folders::open(dir.path()).unwrap();
    folders.make(manifest(3), write_disk).unwrap();
    (dir, folders)
}

#[test]
fn what_is_made_is_found_by_the_next_process() {
    let (dir, folders) = with_one();
    drop(folders);
    let folders = Folders::open(dir.path()).unwrap();
    assert_eq!(folders.get(uuid(3)), Some(manifest(3)));
    assert!(folders.paths(&manifest(3)).has_disk());
}

#[test]
fn a_folder_that_could_not_be_filled_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let folders = Folders::open(dir.path()).unwrap();
    let failed = folders.make(manifest(3), |paths| {
        write_disk(paths)?;
        Err(FolderError::NoFolder(uuid(3)))
    });
    assert!(failed.is_err());
    assert_eq!(folders.list(), []);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_a_crash_left_half_made_is_cleared() {
    let (dir, folders) = with_one();
    drop(folders);
    let draft = dir.path().join(format!("{DRAFT}quarry-9-00000000"));
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join(DISK), "half").unwrap();
    let folders = Folders::open(dir.path()).unwrap();
    assert!(!draft.exists());
    assert_eq!(folders.list().len(), 1);
}

#[test]
fn a_disk_is_never_made_twice() {
    let (_dir, folders) = with_one();
    let again: Result<()> = folders.make(manifest(3), |_| panic!("filled again"));
    again.unwrap();
}

#[test]
fn a_folder_that_nobody_knew_of_is_known_once_it_should_be_made() {
    let (_dir, folders) = with_one();
    lock(&folders.manifests).clear();
    let again: Result<()> = folders.make(manifest(3), |_| panic!("filled again"));
    again.unwrap();
    assert_eq!(folders.get(uuid(3)), Some(manifest(3)));
}

#[test]
fn a_folder_whose_name_may_not_last_is_a_draft_again() {
    let (dir, mut folders) = with_one();
    let path = dir.path().join(manifest(4).name());
    let draft = dir.path().join(format!("{DRAFT}{}", manifest(4).name()));
    fs::create_dir(&draft).unwrap();
    write_disk(&Paths(draft.clone())).unwrap();
    // What is not there cannot be synced.
    folders.root = dir.path().join("gone");
    assert!(folders.settle(&draft, &path, manifest(4)).is_err());
    assert!(draft.exists() && !path.exists());
    folders.root = dir.path().to_owned();
    folders.make(manifest(4), write_disk).unwrap();
    assert_eq!(folders.get(uuid(4)), Some(manifest(4)));
}

#[test]
fn a_folder_without_its_disk_is_made_anew() {
    let (_dir, folders) = with_one();
    fs::remove_file(folders.paths(&manifest(3)).disk()).unwrap();
    folders.make(manifest(3), write_disk).unwrap();
    assert!(folders.paths(&manifest(3)).has_disk());
}

#[test]
fn an_empty_file_is_no_disk() {
    let (_dir, folders) = with_one();
    fs::write(folders.paths(&manifest(3)).disk(), "").unwrap();
    assert!(!folders.paths(&manifest(3)).has_disk());
}

#[test]
fn what_says_nothing_sound_of_itself_is_left_alone() {
    let (dir, folders) = with_one();
    drop(folders);
    let strange = dir.path().join("somebody-elses");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("vm.json"), "{}").unwrap();
    let moved = dir.path().join("quarry-8-00000000");
    fs::rename(dir.path().join(manifest(3).name()), &moved).unwrap();
    let folders = Folders::open(dir.path()).unwrap();
    assert_eq!(folders.list(), []);
    assert!(strange.exists() && moved.exists());
    assert!(folders.has_stray_disk("quarry-8-00000000"));
    assert!(!folders.has_stray_disk("somebody-elses"));
}

#[test]
fn a_change_lasts() {
    let (dir, folders) = with_one();
    folders.change(uuid(3), |manifest| manifest.started = true).unwrap();
    drop(folders);
    assert!(Folders::open(dir.path()).unwrap().get(uuid(3)).unwrap().started);
}

#[test]
fn of_changes_by_many_threads_none_is_lost() {
    let (dir, folders) = with_one();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    folders.change(uuid(3), |manifest| manifest.seeds += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(folders.get(uuid(3)).unwrap().seeds, 81);
    assert_eq!(Folders::open(dir.path()).unwrap().get(uuid(3)).unwrap().seeds, 81);
}

#[test]
fn a_change_of_what_is_not_there_is_refused() {
    let (_dir, folders) = with_one();
    assert!(matches!(folders.change(uuid(4), |_| ()), Err(FolderError::NoFolder(_))));
}

#[test]
fn the_manifest_outlives_the_files_and_goes_with_the_folder() {
    let (dir, folders) = with_one();
    folders.remove_files(&manifest(3).name()).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path().join(manifest(3).name())).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert!(folders.get(uuid(3)).is_some());
    folders.remove(uuid(3), &manifest(3).name()).unwrap();
    folders.remove(uuid(3), &manifest(3).name()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(folders.get(uuid(3)).is_none());
}

#[test]
fn an_address_is_given_once_while_it_is_promised_or_used() {
    let (_dir, folders) = with_one();
    let range = || (7..10).map(|host| Ipv4Addr::new(10, 0, 0, host));
    let first = folders.take_address(range()).unwrap();
    assert_eq!(first.address, Ipv4Addr::new(10, 0, 0, 8));
    let second = folders.take_address(range()).unwrap();
    assert_eq!(second.address, Ipv4Addr::new(10, 0, 0, 9));
    assert!(folders.take_address(range()).is_none());
    drop(first);
    assert_eq!(folders.take_address(range()).unwrap().address, Ipv4Addr::new(10, 0, 0, 8));
}

#[test]
fn what_nobody_can_read_is_removed_by_its_name() {
    let (dir, folders) = with_one();
    drop(folders);
    let folder = dir.path().join(manifest(3).name());
    fs::write(folder.join("vm.json"), "damaged").unwrap();
    let folders = Folders::open(dir.path()).unwrap();
    folders.remove_files(&manifest(3).name()).unwrap();
    assert!(!folder.join(DISK).exists());
    folders.remove(uuid(3), &manifest(3).name()).unwrap();
    assert!(!folder.exists());
}

#[test]
fn a_folder_is_new_until_it_is_marked() {
    let (dir, folders) = with_one();
    assert!(folders.is_new && !folders.are_there());
    folders.mark().unwrap();
    assert!(folders.are_there());
    assert!(!Folders::open(dir.path()).unwrap().is_new);
}

#[test]
fn a_disk_of_which_nothing_is_known_is_not_gone() {
    let (_dir, folders) = with_one();
    let paths = folders.paths(&manifest(3));
    fs::remove_file(paths.disk()).unwrap();
    // A loop of links cannot be followed, which says nothing of what would be at its end.
    std::os::unix::fs::symlink(paths.disk(), paths.disk()).unwrap();
    assert!(paths.has_disk());
}
