#![allow(clippy::unwrap_used)]

use super::*;
use crate::{envelope::Work, AccountKey, Meta, Password};
use std::{sync::Barrier, thread};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn store() -> (TempDir, KeyStore) {
    let home = tempfile::tempdir().unwrap();
    let store = KeyStore::at(home.path().join("quarry/keys"));
    (home, store)
}

fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

fn password() -> Password {
    Password::new(Zeroizing::new("four words".into())).unwrap()
}

fn sealed(uri: &str) -> SealedKey {
    let key = AccountKey::from_uri(uri).unwrap();
    let little = Work { n: 1 << 10, p: 1, r: 8 };
    SealedKey::seal_with(&key, &password(), Meta::now("key"), [1; 32], little, [2; 24]).unwrap()
}

fn names(store: &KeyStore) -> Vec<String> {
    store.list().unwrap().iter().map(|entry| entry.name.to_string()).collect()
}

#[test]
fn a_key_that_was_added_is_read_and_listed() {
    let (_home, store) = store();
    let (alice, bob) = (sealed("//Alice"), sealed("//Bob"));
    assert!(!store.has(&name("main")));
    assert_eq!(store.add(&name("main"), &alice).unwrap(), store.path_of(&name("main")));
    store.add(&name("cold"), &bob).unwrap();
    assert!(store.has(&name("main")));
    let read = store.read(&name("main")).unwrap();
    assert_eq!((read.public(), read.meta()), (alice.public(), alice.meta()));
    assert_eq!(read.open(&password()).unwrap().public(), *alice.public());
    assert_eq!(names(&store), ["cold", "main"]);
}

#[test]
fn a_store_that_was_never_used_is_empty_and_is_not_made_by_looking() {
    let (home, store) = store();
    assert_eq!(names(&store), Vec::<String>::new());
    let error = store.read(&name("main")).unwrap_err();
    assert!(matches!(&error, StoreError::NotFound(missing) if *missing == name("main")), "{error}");
    assert!(!home.path().join("quarry").exists());
}

#[test]
fn a_key_is_never_overwritten() {
    let (_home, store) = store();
    store.add(&name("main"), &sealed("//Alice")).unwrap();
    let before = fs::read(store.path_of(&name("main"))).unwrap();
    let error = store.add(&name("main"), &sealed("//Bob")).unwrap_err();
    assert!(matches!(&error, StoreError::Exists(taken) if *taken == name("main")), "{error}");
    assert_eq!(fs::read(store.path_of(&name("main"))).unwrap(), before);
    assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 1, "nothing else stays");
}

#[test]
fn of_many_at_once_one_gets_the_name() {
    let (_home, store) = store();
    let keys: Vec<SealedKey> = (0..8).map(|each| sealed(&format!("//{each}"))).collect();
    let together = Barrier::new(keys.len());
    let added: Vec<bool> = thread::scope(|scope| {
        let add = |key| {
            let (store, together) = (&store, &together);
            scope.spawn(move || {
                together.wait();
                store.add(&name("main"), key).is_ok()
            })
        };
        let threads: Vec<_> = keys.iter().map(add).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<_> = keys.iter().zip(added).filter(|(_, added)| *added).collect();
    assert_eq!(winners.len(), 1);
    let read = store.read(&name("main")).unwrap();
    assert!(winners.iter().all(|(key, _)| key.public() == read.public()));
}

#[test]
fn a_key_that_cannot_be_read_is_named_and_does_not_hide_the_others() {
    let (_home, store) = store();
    store.add(&name("good"), &sealed("//Alice")).unwrap();
    store.add(&name("bad"), &sealed("//Bob")).unwrap();
    fs::write(store.path_of(&name("bad")), "{}").unwrap();
    let entries = store.list().unwrap();
    let error = entries.iter().find(|entry| entry.name == name("bad")).unwrap().key.as_ref();
    assert!(matches!(
        error.unwrap_err(),
        StoreError::Format { path, error: FormatError::NotAnAccount } if *path == store.path_of(&name("bad"))
    ));
    assert!(entries.iter().any(|entry| entry.name == name("good") && entry.key.is_ok()));
}

#[test]
fn other_files_and_what_a_crash_left_are_passed_over() {
    let (_home, store) = store();
    store.add(&name("main"), &sealed("//Alice")).unwrap();
    for other in [".new-a1B2c3", ".json", "Main.json", "a b.json", "main.json.bak", "notes"] {
        fs::write(store.folder.join(other), "half").unwrap();
    }
    assert_eq!(names(&store), ["main"]);
}

#[test]
fn a_file_of_other_bytes_or_without_end_is_refused() {
    let (_home, store) = store();
    let path = store.add(&name("main"), &sealed("//Alice")).unwrap();
    let long = vec![b' '; SealedKey::MOST_BYTES + 1];
    for (content, reason) in
        [(vec![0xff; 40], FormatError::NotAnAccount), (long, FormatError::TooLong)]
    {
        fs::write(&path, content).unwrap();
        let error = store.read(&name("main")).unwrap_err();
        assert!(matches!(&error, StoreError::Format { error, .. } if *error == reason), "{error}");
    }
}

#[test]
fn a_folder_in_a_keys_place_and_a_file_in_the_stores_are_refused() {
    let (home, store) = store();
    store.add(&name("other"), &sealed("//Alice")).unwrap();
    fs::create_dir(store.path_of(&name("main"))).unwrap();
    assert!(matches!(store.read(&name("main")), Err(StoreError::NotAFile(_))));
    assert!(matches!(store.add(&name("main"), &sealed("//Bob")), Err(StoreError::Exists(_))));
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let store = KeyStore::at(file);
    assert!(matches!(store.list(), Err(StoreError::NotAFolder(_))));
    assert!(matches!(store.add(&name("main"), &sealed("//Bob")), Err(StoreError::NotAFolder(_))));
}

#[cfg(unix)]
mod with_modes {
    use super::*;
    use std::os::unix::fs::{chown, symlink, PermissionsExt};

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_closed_to_others() {
        let (home, store) = store();
        let path = store.add(&name("main"), &sealed("//Alice")).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&store.folder), 0o700);
        assert_eq!(mode(&home.path().join("quarry")), 0o700);
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        let (_home, store) = store();
        let path = store.add(&name("main"), &sealed("//Alice")).unwrap();
        for wrong in [0o644, 0o640, 0o604, 0o602, 0o620, 0o610] {
            set_mode(&path, wrong);
            let error = store.read(&name("main")).unwrap_err();
            assert!(
                matches!(error, StoreError::NotPrivate { mode, wanted: 0o600, .. } if mode == wrong),
                "{error}"
            );
            assert!(error.to_string().ends_with("chmod 600 it"), "{error}");
        }
        for right in [0o600, 0o400] {
            set_mode(&path, right);
            assert!(store.read(&name("main")).is_ok(), "{right:o}");
        }
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let (_home, store) = store();
        store.add(&name("main"), &sealed("//Alice")).unwrap();
        let other = sealed("//Bob");
        for wrong in [0o755, 0o770, 0o701] {
            set_mode(&store.folder, wrong);
            for error in [
                store.read(&name("main")).unwrap_err(),
                store.list().unwrap_err(),
                store.add(&name("other"), &other).unwrap_err(),
            ] {
                assert!(
                    matches!(error, StoreError::NotPrivate { mode, wanted: 0o700, .. } if mode == wrong),
                    "{error}"
                );
            }
        }
        set_mode(&store.folder, 0o700);
        assert_eq!(names(&store), ["main"]);
    }

    #[test]
    fn a_link_is_neither_read_nor_replaced() {
        let (home, store) = store();
        let path = store.add(&name("main"), &sealed("//Alice")).unwrap();
        symlink(&path, store.path_of(&name("link"))).unwrap();
        assert!(matches!(store.read(&name("link")), Err(StoreError::SymbolicLink(_))));
        let target = home.path().join("target");
        symlink(&target, store.path_of(&name("dangling"))).unwrap();
        assert!(matches!(store.read(&name("dangling")), Err(StoreError::SymbolicLink(_))));
        assert!(store.has(&name("dangling")));
        let added = store.add(&name("dangling"), &sealed("//Bob"));
        assert!(matches!(added, Err(StoreError::Exists(_))));
        assert!(!target.exists());
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let (_home, store) = store();
        store.add(&name("main"), &sealed("//Alice")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            store.path_of(&name("pipe")),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(matches!(store.read(&name("pipe")), Err(StoreError::NotAFile(_))));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        const ANOTHER: u32 = 65_534;
        if !rustix::process::geteuid().is_root() {
            // The root folder is another's for sure.
            assert!(matches!(KeyStore::at("/").list(), Err(StoreError::NotOurs { owner: 0, .. })));
            return;
        }
        let (_home, store) = store();
        let path = store.add(&name("main"), &sealed("//Alice")).unwrap();
        chown(&path, Some(ANOTHER), None).unwrap();
        let read = store.read(&name("main"));
        assert!(matches!(read, Err(StoreError::NotOurs { owner: ANOTHER, .. })));
        chown(&store.folder, Some(ANOTHER), None).unwrap();
        assert!(matches!(store.list(), Err(StoreError::NotOurs { owner: ANOTHER, .. })));
    }
}
