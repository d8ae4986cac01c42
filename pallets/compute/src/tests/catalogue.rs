use super::acts::*;
use crate::{mock::*, Error, Event, Images, Params, Plans};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::request::{ComputeRequestStatus, ImageMetadata, Plan};
use sp_runtime::{traits::BadOrigin, DispatchResult};

fn root() -> RuntimeOrigin {
    RuntimeOrigin::root()
}

fn add_plan(name: &str) -> DispatchResult {
    Compute::add_plan(root(), text(name), text("much room"), LARGE)
}

fn add_image(image: ImageMetadata) -> DispatchResult {
    Compute::add_image(root(), Box::new(image))
}

#[test]
fn a_plan_stands_under_the_hash_of_its_name() {
    run_test(|| {
        assert_ok!(add_plan("vast"));
        let id = sp_core::H256::from(sp_io::hashing::blake2_256(b"vast"));
        let plan = Plan {
            name: text("vast"),
            technical_description: text("much room"),
            resources: LARGE,
            enabled: true,
        };
        assert_eq!(Plans::<Test>::get(id), Some(plan));
        assert_happened(Event::PlanAdded { plan_id: id, name: text("vast") });
    });
}

#[test]
fn a_plan_may_have_no_description() {
    run_test(|| {
        assert_ok!(Compute::add_plan(root(), text("vast"), text(""), LARGE));
    });
}

#[test]
fn two_plans_do_not_share_a_name() {
    run_test(|| {
        assert_noop!(add_plan("small"), Error::<Test>::PlanAlreadyExists);
    });
}

#[test]
fn a_disabled_plan_can_be_rented_again_once_it_is_enabled() {
    run_test(|| {
        let small = plan_id("small");
        assert_ok!(Compute::set_plan_enabled(root(), small, false));
        assert_happened(Event::PlanEnabled { plan_id: small, enabled: false });
        assert_noop!(submit(ask()), Error::<Test>::PlanDisabled);
        assert_ok!(Compute::set_plan_enabled(root(), small, true));
        assert_happened(Event::PlanEnabled { plan_id: small, enabled: true });
        assert_ok!(submit(ask()));
    });
}

#[test]
fn a_plan_that_is_not_there_cannot_be_enabled() {
    run_test(|| {
        assert_noop!(
            Compute::set_plan_enabled(root(), plan_id("huge"), true),
            Error::<Test>::PlanNotFound
        );
    });
}

#[test]
fn an_image_stands_under_its_name() {
    run_test(|| {
        assert_ok!(add_image(image("alpine")));
        assert_eq!(Images::<Test>::get(text::<64>("alpine")), Some(image("alpine")));
        assert_happened(Event::ImageAdded { name: text("alpine") });
    });
}

#[test]
fn two_images_do_not_share_a_name() {
    run_test(|| {
        assert_noop!(add_image(image("debian")), Error::<Test>::ImageAlreadyExists);
    });
}

#[test]
fn an_image_takes_the_place_of_one_that_is_there() {
    run_test(|| {
        let mut newer = image("debian-13");
        newer.supersedes = Some(text("debian-12"));
        assert_noop!(add_image(newer.clone()), Error::<Test>::ImageNotFound);
        newer.supersedes = Some(text("debian"));
        assert_ok!(add_image(newer));
    });
}

#[test]
fn an_image_that_is_not_there_cannot_be_enabled() {
    run_test(|| {
        assert_noop!(
            Compute::set_image_enabled(root(), text("beos"), true),
            Error::<Test>::ImageNotFound
        );
    });
}

#[test]
fn a_disabled_image_can_be_had_again_once_it_is_enabled() {
    run_test(|| {
        for enabled in [false, true] {
            assert_ok!(Compute::set_image_enabled(root(), text("debian"), enabled));
            assert_happened(Event::ImageEnabled { name: text("debian"), enabled });
            assert_eq!(submit(ask()).is_ok(), enabled);
        }
    });
}

#[test]
fn a_vm_outlives_the_end_of_its_plan_and_its_image() {
    run_test(|| {
        let vm = pending();
        assert_ok!(Compute::set_plan_enabled(root(), plan_id("small"), false));
        assert_ok!(Compute::set_image_enabled(root(), text("debian"), false));
        assert_ok!(MIA_1.claims(vm));
        assert_ok!(MIA_1.launches(vm));
        assert_eq!(status(vm), ComputeRequestStatus::Running);
    });
}

#[test]
fn the_parameters_can_be_set() {
    run_test(|| {
        let mut other = params();
        other.grace_period = 7;
        assert_ok!(Compute::set_params(root(), other.clone()));
        assert_eq!(Params::<Test>::get(), other);
        assert_happened(Event::ParamsSet);
    });
}

#[test]
fn what_is_waited_for_keeps_its_deadline_when_the_parameters_change() {
    run_test(|| {
        let vm = launching();
        let before = request(vm).operation;
        let mut other = params();
        other.launch_timeout = 1;
        assert_ok!(Compute::set_params(root(), other));
        pass(5);
        assert_eq!(request(vm).operation, before);
    });
}

#[test]
fn the_parameters_before_they_are_set_are_the_default_ones() {
    run_test(|| assert_eq!(Params::<Test>::get(), params()));
}

#[test]
fn nobody_but_the_admin_keeps_plans_images_and_parameters() {
    run_test(|| {
        let vm = pending();
        for who in [TINA, MIA, MIA_1.worker, STRANGER] {
            assert_noop!(Compute::add_plan(by(who), text("vast"), text(""), LARGE), BadOrigin);
            assert_noop!(Compute::set_plan_enabled(by(who), plan_id("small"), true), BadOrigin);
            assert_noop!(Compute::add_image(by(who), Box::new(image("alpine"))), BadOrigin);
            assert_noop!(Compute::set_image_enabled(by(who), text("debian"), true), BadOrigin);
            assert_noop!(Compute::set_params(by(who), params()), BadOrigin);
            assert_noop!(Compute::force_close(by(who), vm), BadOrigin);
        }
    });
}
