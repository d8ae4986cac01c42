use super::*;
use crate::config::load::read_all;

const EXAMPLE: &str = include_str!("../../../worker.example.toml");

/// What the example can only show, for there is no default.
const EXAMPLES: [&str; 8] =
    ["genesis", "local_dir", "own", "global", "private", "endpoint", "relay", "relay_key"];

fn shown(line: &str) -> Option<&str> {
    let setting = line.strip_prefix('#')?;
    let name = setting.split(' ').next()?;
    (setting.contains(" = ") && !name.is_empty()).then_some(setting)
}

fn uncommented(with_examples: bool) -> String {
    let keep = |setting: &str| {
        with_examples || !EXAMPLES.contains(&setting.split(' ').next().unwrap_or_default())
    };
    let lines = EXAMPLE.lines().map(|line| match shown(line) {
        Some(setting) if keep(setting) => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_sound_as_it_stands() {
    let settings = Case::new(EXAMPLE).settings();
    assert_eq!(settings.node_id.as_str(), Some("my-node"));
}

#[test]
fn what_the_example_shows_as_defaults_are_the_defaults() {
    assert_eq!(Case::new(&uncommented(false)).settings(), Case::new(EXAMPLE).settings());
}

#[test]
fn the_example_names_every_field_once_and_every_value_in_it_is_sound() {
    let case = Case::new(&uncommented(true));
    let (_, known) = read_all(&case.path(), []).unwrap_or_else(|errors| panic!("{errors}"));
    let document = toml_edit::ImDocument::parse(uncommented(true)).unwrap();
    for name in &known {
        let item = match name.split_once('.') {
            Some((section, field)) => document.get(section).and_then(|item| item.get(field)),
            None => document.get(name),
        };
        assert!(item.is_some(), "worker.example.toml lacks {name}");
    }
}

#[test]
fn every_field_of_the_example_is_explained() {
    let mut before = "";
    for line in EXAMPLE.lines() {
        let is_setting = shown(line).is_some() || line.contains(" = ") && !line.starts_with('#');
        if is_setting {
            let is_explained = before.starts_with("# ") || shown(before).is_some();
            assert!(is_explained, "nothing explains {line}");
        }
        before = line;
    }
}
