//! On libvirt's test driver, in a libvirtd of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use quarry_hypervisor::{Accelerator, DomainSpec, DomainState, Error, Hypervisor, Libvirt, Tag};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use support::{counter::Counter, test_driver::TestLibvirtd, until, NAMESPACE};

fn spec(number: u128) -> DomainSpec {
    support::spec(Accelerator::Test, number, Path::new("/nowhere"))
}

fn wakes(libvirt: &Libvirt) -> Arc<AtomicUsize> {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let wake = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    libvirt.on_change(Box::new(wake)).unwrap();
    wakes
}

#[test]
fn a_domain_lives_from_definition_to_oblivion_and_every_step_may_be_repeated() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let spec = spec(1);
    let seen = || libvirt.domain(spec.uuid).unwrap().unwrap();
    for _ in 0..2 {
        libvirt.define(&spec).unwrap();
    }
    assert_eq!((seen().state, seen().live), (DomainState::Off, None));
    assert_eq!(seen().stored, Some(spec.tag.clone()));
    for _ in 0..2 {
        libvirt.start(spec.uuid).unwrap();
    }
    assert_eq!(seen().state, DomainState::Running);
    assert_eq!(seen().live, Some(spec.tag.clone()));
    assert!(matches!(libvirt.undefine(spec.uuid), Err(Error::WrongState(_))));
    assert_eq!(libvirt.vnc_socket(spec.uuid).unwrap(), None);
    assert_eq!(libvirt.stats().unwrap().len(), 1);
    libvirtd.virsh(&["suspend", &spec.name]);
    assert_eq!(libvirt.domains().unwrap()[0].state, DomainState::Paused);
    for _ in 0..2 {
        libvirt.resume(spec.uuid).unwrap();
    }
    assert_eq!(seen().state, DomainState::Running);
    for _ in 0..2 {
        libvirt.shut_down(spec.uuid).unwrap();
    }
    until("it is off", || seen().state == DomainState::Off);
    assert!(matches!(libvirt.resume(spec.uuid), Err(Error::WrongState(_))));
    libvirt.start(spec.uuid).unwrap();
    for _ in 0..2 {
        libvirt.destroy(spec.uuid).unwrap();
    }
    assert_eq!(seen().state, DomainState::Off);
    for _ in 0..2 {
        libvirt.undefine(spec.uuid).unwrap();
    }
    assert_eq!(libvirt.domain(spec.uuid).unwrap(), None);
    assert_eq!(libvirt.domains().unwrap(), []);
    libvirt.destroy(spec.uuid).unwrap();
    libvirt.shut_down(spec.uuid).unwrap();
    let missing = [libvirt.start(spec.uuid), libvirt.retag(spec.uuid, &spec.tag)];
    assert!(missing.iter().all(|refused| matches!(refused, Err(Error::NoDomain(_)))));
}

#[test]
fn a_new_tag_reaches_the_running_config_with_the_next_start_only() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let spec = spec(1);
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    let newer = Tag { generation: 2, seen: 20, ..spec.tag.clone() };
    libvirt.retag(spec.uuid, &newer).unwrap();
    let tags = || {
        let domain = libvirt.domains().unwrap().remove(0);
        (domain.stored.unwrap(), domain.live)
    };
    assert_eq!(tags(), (newer.clone(), Some(spec.tag.clone())));
    libvirt.destroy(spec.uuid).unwrap();
    assert_eq!(tags(), (newer.clone(), None));
    libvirt.start(spec.uuid).unwrap();
    assert_eq!(tags(), (newer.clone(), Some(newer)));
}

#[test]
fn a_domain_without_its_stored_config_has_a_running_tag_alone() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let spec = spec(1);
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    libvirt.domains().unwrap();
    libvirtd.virsh(&["undefine", &spec.name]);
    until("it is seen to be transient", || libvirt.domains().unwrap()[0].stored.is_none());
    assert_eq!(libvirt.domains().unwrap()[0].live, Some(spec.tag.clone()));
    libvirt.destroy(spec.uuid).unwrap();
    assert_eq!(libvirt.domains().unwrap(), []);
}

#[test]
fn foreign_domains_are_neither_seen_nor_touched() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    assert_eq!(libvirt.domains().unwrap(), [], "the test driver's own domain is foreign");
    let taken = spec(1);
    let xml = libvirtd.folder().join("foreign.xml");
    let foreign = format!(
        "<domain type='test'><name>theirs</name><uuid>{}</uuid><memory>1024</memory>
         <metadata><q:vm xmlns:q='{NAMESPACE}' genesis='broken'/></metadata>
         <os><type>hvm</type></os></domain>",
        taken.uuid
    );
    std::fs::write(&xml, foreign).unwrap();
    libvirtd.virsh(&["define", xml.to_str().unwrap()]);
    libvirtd.virsh(&["start", "theirs"]);
    assert_eq!(libvirt.domains().unwrap(), []);
    assert_eq!(libvirt.domain(taken.uuid).unwrap(), None);
    assert_eq!(libvirt.stats().unwrap(), []);
    let by_name = DomainSpec { name: "theirs".into(), ..spec(2) };
    let refused = [
        libvirt.define(&taken),
        libvirt.define(&by_name),
        libvirt.start(taken.uuid),
        libvirt.resume(taken.uuid),
        libvirt.shut_down(taken.uuid),
        libvirt.destroy(taken.uuid),
        libvirt.undefine(taken.uuid),
        libvirt.retag(taken.uuid, &taken.tag),
        libvirt.grow_disk(taken.uuid, 1),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::Foreign(_))), "{outcome:?}");
    }
    assert!(libvirtd.virsh(&["domstate", "theirs"]).contains("running"));
}

#[test]
fn what_others_do_to_a_domain_is_seen() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let spec = spec(1);
    libvirt.define(&spec).unwrap();
    libvirt.domains().unwrap();
    let wakes = wakes(&libvirt);
    libvirtd.virsh(&["start", &spec.name]);
    until("a start wakes", || wakes.load(Ordering::SeqCst) > 0);
    assert_eq!(libvirt.domains().unwrap()[0].live, Some(spec.tag.clone()));
    let metadata = |arguments: &[&str]| {
        let to = ["metadata", &spec.name, "--uri", NAMESPACE, "--config"];
        libvirtd.virsh(&[to.as_slice(), arguments].concat())
    };
    metadata(&["--key", "quarry", "--set", "<vm genesis='nonsense'/>"]);
    until("a broken tag makes it foreign", || libvirt.domains().unwrap().is_empty());
    assert!(matches!(libvirt.destroy(spec.uuid), Err(Error::Foreign(_))));
}

#[test]
fn one_call_lists_a_thousand_domains() {
    let libvirtd = TestLibvirtd::start();
    let counter = Counter::before(&libvirtd.socket(), libvirtd.folder());
    let libvirt = Libvirt::connect(&counter.uri()).unwrap();
    let started = Instant::now();
    for number in 1..=1000 {
        libvirt.define(&spec(number)).unwrap();
        libvirt.start(spec(number).uuid).unwrap();
    }
    println!("1,000 launches: {:?}, {} calls", started.elapsed(), counter.take());
    let started = Instant::now();
    assert_eq!(libvirt.domains().unwrap().len(), 1000);
    println!("first list: {:?}, {} calls", started.elapsed(), counter.take());
    until("the news of the launches are in", || {
        libvirt.domains().unwrap();
        counter.take() == 1
    });
    let started = Instant::now();
    assert_eq!(libvirt.domains().unwrap().len(), 1000);
    println!("next list: {:?}", started.elapsed());
    assert_eq!(counter.take(), 1);
    libvirt.retag(spec(7).uuid, &support::tag(7)).unwrap();
    counter.take();
    libvirt.domains().unwrap();
    assert!(counter.take() <= 3, "one domain's two tags are read again, and no others");
}

#[test]
fn a_libvirtd_that_comes_late_goes_and_comes_back_is_used_whenever_it_is_there() {
    let mut libvirtd = TestLibvirtd::prepare();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let wakes = wakes(&libvirt);
    let woken = |what: &str| until(what, || wakes.swap(0, Ordering::SeqCst) > 0);
    assert!(libvirt.domains().unwrap_err().is_silence());
    libvirtd.run();
    woken("the connection wakes");
    libvirt.define(&spec(1)).unwrap();
    libvirtd.kill();
    woken("the loss wakes");
    for _ in 0..3 {
        assert!(libvirt.domains().unwrap_err().is_silence());
        assert!(libvirt.define(&spec(1)).unwrap_err().is_silence());
    }
    libvirtd.run();
    woken("the return wakes");
    until("calls are answered again", || libvirt.domains().is_ok());
    assert_eq!(libvirt.domains().unwrap(), [], "what was known of before is forgotten");
    libvirt.define(&spec(1)).unwrap();
    libvirt.start(spec(1).uuid).unwrap();
}

#[test]
fn a_libvirtd_that_hangs_holds_up_no_call_for_long() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    libvirt.define(&spec(1)).unwrap();
    libvirtd.freeze();
    for attempt in ["the call that finds out", "the next one"] {
        let started = Instant::now();
        assert!(libvirt.domains().unwrap_err().is_silence());
        println!("{attempt}: {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    libvirtd.thaw();
    until("it is used again", || libvirt.domains().is_ok());
}

#[test]
fn the_test_driver_says_what_it_is_and_what_it_cannot_do() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    let host = libvirt.host().unwrap();
    assert_eq!(host.accelerator, Accelerator::Test);
    assert!(host.cpus > 0 && host.memory_mib > 0);
    assert!(host.hypervisor.starts_with("TEST "), "{}", host.hypervisor);
    assert!(!libvirt.supports_filters().unwrap());
    let policy = quarry_hypervisor::FilterPolicy { name: "quarry".into(), ..Default::default() };
    libvirt.ensure_filter(&policy).unwrap();
    libvirt.remove_filter("quarry").unwrap();
    libvirt.define(&spec(1)).unwrap();
    libvirt.start(spec(1).uuid).unwrap();
    let outcome = libvirt.grow_disk(spec(1).uuid, 1 << 30);
    assert!(matches!(outcome, Err(Error::Unsupported(_) | Error::Unsound(_))), "{outcome:?}");
}

#[test]
fn a_launch_takes_two_calls_and_what_came_of_it_is_known_without_another() {
    let libvirtd = TestLibvirtd::start();
    let counter = Counter::before(&libvirtd.socket(), libvirtd.folder());
    let libvirt = Libvirt::connect(&counter.uri()).unwrap();
    libvirt.domains().unwrap();
    for number in 1..=20 {
        counter.take();
        libvirt.define(&spec(number)).unwrap();
        libvirt.start(spec(number).uuid).unwrap();
        assert_eq!(counter.take(), 2);
    }
    let domains = libvirt.domains().unwrap();
    assert_eq!(counter.take(), 1);
    assert_eq!(domains.len(), 20);
    assert!(domains.iter().all(|domain| domain.live.is_some() && domain.live == domain.stored));
}

#[test]
fn a_definition_of_somebody_elses_is_told_from_our_own() {
    let libvirtd = TestLibvirtd::start();
    let libvirt = Libvirt::connect(&libvirtd.uri()).unwrap();
    libvirt.domains().unwrap();
    let (ours, taken) = (spec(1), spec(2));
    libvirt.define(&ours).unwrap();
    let define = |xml: String| {
        let path = libvirtd.folder().join("changed.xml");
        std::fs::write(&path, xml).unwrap();
        libvirtd.virsh(&["define", path.to_str().unwrap()]);
    };
    let dump = || libvirtd.virsh(&["dumpxml", "--inactive", &ours.name]);
    define(dump().replace("generation=\"1\"", "generation=\"9\""));
    let stored = || libvirt.domains().unwrap()[0].stored.clone().unwrap();
    until("another's definition is seen", || stored().generation == 9);
    let foreign = dump()
        .replace(&ours.uuid.to_string(), &taken.uuid.to_string())
        .replace(&ours.name, &taken.name)
        .replace("quarry:vm", "quarry:cattle");
    define(foreign);
    assert_eq!(libvirt.domains().unwrap().len(), 1);
    assert!(matches!(libvirt.define(&taken), Err(Error::Foreign(_))));
}
