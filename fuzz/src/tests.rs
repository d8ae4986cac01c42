use super::*;
use std::{panic, thread};

/// A corpus of one good and one bad file.
fn corpus(name: &str) -> std::path::PathBuf {
    let folder = env::temp_dir().join(format!("quarry-fuzz-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("good"), b"number=17;").unwrap();
    fs::write(folder.join("bad"), b"numbr=1;").unwrap();
    folder
}

fn judge(input: &[u8]) -> Fate {
    Fate::of(input.starts_with(b"number").then_some(()).ok_or("another word"))
}

fn is_found(name: &str, judge: impl Fn(&[u8]) -> Fate + panic::RefUnwindSafe) -> bool {
    let folder = corpus(name);
    let found = panic::catch_unwind(|| damaged(&folder, &judge)).is_err();
    let kept = format!("quarry-fuzz-{}-", folder.file_name().unwrap().to_string_lossy());
    for entry in fs::read_dir(env::temp_dir()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with(&kept) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::remove_dir_all(folder).unwrap();
    found
}

#[test]
fn what_breaks_nothing_passes() {
    assert!(!is_found("sound", judge));
}

#[test]
fn a_panic_is_found_behind_a_word_of_the_corpus_and_a_number() {
    assert!(is_found("panic", |input| {
        let is_deep = input.starts_with(b"number=") && input.ends_with(b"\xff\xff;");
        assert!(!is_deep, "found");
        judge(input)
    }));
}

#[test]
fn a_panic_in_another_thread_is_found() {
    assert!(is_found("thread", |input| {
        let is_deep = input.contains(&0x7f);
        thread::spawn(move || assert!(!is_deep, "found")).join().ok();
        judge(input)
    }));
}

#[test]
fn a_corpus_that_is_all_refused_is_no_corpus() {
    assert!(is_found("refused", |_| Fate::Refused("always".into())));
}

#[test]
fn a_file_that_is_judged_otherwise_than_its_name_says_is_told() {
    let folder = corpus("names");
    each_file(&folder, judge);
    let turned = panic::catch_unwind(|| each_file(&folder, |_| Fate::Taken("all".into())));
    assert!(turned.is_err());
    fs::remove_dir_all(folder).unwrap();
}
