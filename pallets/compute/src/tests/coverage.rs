//! That no error and no event is left without a test.

use crate::{mock::Test, Error, Event};
use scale_info::{TypeDef, TypeInfo};

const TESTS: [&str; 24] = [
    include_str!("addresses.rs"),
    include_str!("api.rs"),
    include_str!("attacks.rs"),
    include_str!("catalogue.rs"),
    include_str!("claims.rs"),
    include_str!("creation.rs"),
    include_str!("credits.rs"),
    include_str!("deadlines.rs"),
    include_str!("deletion.rs"),
    include_str!("ending.rs"),
    include_str!("evacuation.rs"),
    include_str!("exhaustion.rs"),
    include_str!("failures.rs"),
    include_str!("feeless.rs"),
    include_str!("genesis.rs"),
    include_str!("histories.rs"),
    include_str!("input.rs"),
    include_str!("launch.rs"),
    include_str!("lease.rs"),
    include_str!("operations.rs"),
    include_str!("params.rs"),
    include_str!("placement.rs"),
    include_str!("pools.rs"),
    include_str!("resize.rs"),
];

fn variants<T: TypeInfo>() -> Vec<&'static str> {
    match T::type_info().type_def {
        TypeDef::Variant(of) => of.variants.iter().map(|variant| variant.name).collect(),
        _ => vec![],
    }
}

/// Those that no test names.
fn untested(of: &str, names: Vec<&'static str>) -> Vec<&'static str> {
    let named = |name: &str| {
        let path = format!("{of}{name}");
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        TESTS.iter().any(|test| test.split(&path).skip(1).any(ends))
    };
    names.into_iter().filter(|name| !name.starts_with("__") && !named(name)).collect()
}

#[test]
fn each_error_is_reached_by_a_test() {
    assert_eq!(untested("Error::<Test>::", variants::<Error<Test>>()), Vec::<&str>::new());
}

#[test]
fn each_event_is_seen_by_a_test() {
    assert_eq!(untested("Event::", variants::<Event<Test>>()), Vec::<&str>::new());
}
