use super::acts::*;
use crate::{mock::*, Call, Error};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    ip::IpAddress,
    node::Country,
    request::{ImageMetadata, OperationKind, RequestId, VmAccess},
    resources::Resources,
    text::Text,
};
use sp_runtime::DispatchResult;

/// What is no text: nothing, not UTF-8, and what moves a terminal's cursor.
const RUBBISH: [&[u8]; 4] = [b"", b"\xff", b"a\nb", b"\x1b[2J"];

fn raw<const MAX: u32>(bytes: &[u8]) -> Text<MAX> {
    bytes.to_vec().try_into().expect("it is short enough")
}

fn add_plan(name: &[u8], description: &[u8], size: Resources) -> DispatchResult {
    Compute::add_plan(RuntimeOrigin::root(), raw(name), raw(description), size)
}

#[test]
fn a_plans_name_is_a_text() {
    run_test(|| {
        for name in RUBBISH {
            assert_noop!(add_plan(name, b"", SMALL), Error::<Test>::InvalidPlanName);
        }
    });
}

#[test]
fn a_plans_description_is_clean() {
    run_test(|| {
        for text in RUBBISH.into_iter().filter(|text| !text.is_empty()) {
            assert_noop!(add_plan(b"vast", text, SMALL), Error::<Test>::InvalidPlanDescription);
        }
    });
}

#[test]
fn a_plan_has_one_of_each_at_least() {
    run_test(|| {
        for size in [
            Resources { vcpus: 0, ..SMALL },
            Resources { memory_mib: 0, ..SMALL },
            Resources { disk_gib: 0, ..SMALL },
        ] {
            assert_noop!(add_plan(b"vast", b"", size), Error::<Test>::InvalidResources);
        }
    });
}

fn add_image(change: impl FnOnce(&mut ImageMetadata)) -> DispatchResult {
    let mut image = image("alpine");
    change(&mut image);
    Compute::add_image(RuntimeOrigin::root(), Box::new(image))
}

#[test]
fn an_images_name_is_a_text() {
    run_test(|| {
        for name in RUBBISH {
            assert_noop!(
                add_image(|image| image.name = raw(name)),
                Error::<Test>::InvalidImageName
            );
        }
    });
}

#[test]
fn an_image_is_where_a_worker_can_get_it() {
    run_test(|| {
        for url in [
            "",
            "https://",
            "http://images.example/a",
            "HTTPS://images.example/a",
            "ftp://images.example/a",
            "https://images.example/a b",
            "https://images.example/\u{e9}",
            "https://images.example/a\n",
            "images.example",
        ] {
            assert_noop!(
                add_image(|image| image.image_url = text(url)),
                Error::<Test>::InvalidImageUrl
            );
        }
        assert_noop!(
            add_image(|image| image.image_url = raw(b"https://\xff")),
            Error::<Test>::InvalidImageUrl
        );
        for (name, url) in
            [("a", "https://images.example/a"), ("b", "ipfs://bafy"), ("c", "file:///c.raw")]
        {
            assert_ok!(add_image(|image| {
                image.name = text(name);
                image.image_url = text(url);
            }));
        }
    });
}

#[test]
fn an_image_has_a_digest_and_a_size() {
    run_test(|| {
        assert_noop!(add_image(|image| image.digest = [0; 32]), Error::<Test>::InvalidDigest);
        assert_noop!(
            add_image(|image| image.virtual_size_gib = 0),
            Error::<Test>::InvalidVirtualSize
        );
    });
}

#[test]
fn a_vms_name_is_a_text() {
    run_test(|| {
        for name in RUBBISH {
            assert_noop!(submit(Ask { name, ..ask() }), Error::<Test>::InvalidVmName);
        }
    });
}

#[test]
fn each_ssh_key_is_one_line_of_a_known_type() {
    run_test(|| {
        let vm = pending();
        for key in [
            vec![],
            b"\xff".to_vec(),
            b"ssh-dss AAAAB3NzaC1kc3MAAAAEAAAAAA==".to_vec(),
            format!("{SSH_KEY}\n{SSH_KEY}").into(),
            format!("command=\"sh\" {SSH_KEY}").into(),
        ] {
            let lines = vec![SSH_KEY.into(), key];
            assert_noop!(
                Compute::set_ssh_keys(by(TINA), vm, keys(&lines)),
                Error::<Test>::InvalidSshKey
            );
            assert_noop!(submit(Ask { keys: lines, ..ask() }), Error::<Test>::InvalidSshKey);
        }
    });
}

#[test]
fn a_vm_may_have_no_key_or_eight() {
    run_test(|| {
        create(Ask { keys: vec![], ..ask() });
        create(Ask { keys: vec![SSH_KEY.into(); 8], ..ask() });
    });
}

#[test]
fn user_data_is_named_by_a_raw_cid() {
    run_test(|| {
        let cid = |cid: &[u8]| submit(Ask { cid: Some(raw(cid)), ..ask() });
        for wrong in [
            &b""[..],
            b"\xff",
            b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
            b"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
        ] {
            assert_noop!(cid(wrong), Error::<Test>::InvalidCloudInitCid);
        }
        assert_ok!(cid(b"bafkreiaha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4"));
    });
}

#[test]
fn a_country_has_two_capital_letters() {
    run_test(|| {
        for country in [*b"de", *b"D1", *b"  ", [0xff; 2]] {
            let wanted = Ask { country: Some(Country(country)), ..ask() };
            assert_noop!(submit(wanted), Error::<Test>::InvalidCountry);
        }
    });
}

#[test]
fn a_highest_price_is_one_at_least() {
    run_test(|| {
        let free = Ask { max_price: 0, ..ask() };
        assert_noop!(submit(free), Error::<Test>::InvalidMaxPrice);
    });
}

fn launch(vm: RequestId, change: impl FnOnce(&mut VmAccess)) -> DispatchResult {
    let mut call = done(OperationKind::Launch, &MIA_1, vm, generation(vm));
    if let Call::mark_compute_request_fulfilled { access, .. } = &mut call {
        change(access);
    }
    send(MIA_1.worker, call)
}

#[test]
fn a_job_id_is_a_text() {
    run_test(|| {
        let vm = launching();
        for job in RUBBISH {
            assert_noop!(
                launch(vm, |access| access.job_id = raw(job)),
                Error::<Test>::InvalidJobId
            );
            let mut call = start(&MIA_1, vm, generation(vm));
            if let Call::update_miner_compute_request { job_id, .. } = &mut call {
                *job_id = raw(job);
            }
            assert_noop!(send(MIA_1.worker, call), Error::<Test>::InvalidJobId);
        }
    });
}

#[test]
fn a_hypervisor_has_an_address_that_a_host_can_have() {
    run_test(|| {
        let vm = launching();
        for ip in [[127, 0, 0, 1], [224, 0, 0, 1], [0, 0, 0, 0]] {
            assert_noop!(
                launch(vm, |access| access.hypervisor_ip = Some(IpAddress::V4(ip))),
                Error::<Test>::InvalidHypervisorIp
            );
        }
        assert_ok!(launch(vm, |access| {
            access.hypervisor_ip = Some(IpAddress::V4([192, 0, 2, 1]));
        }));
    });
}

#[test]
fn a_screen_has_a_port() {
    run_test(|| {
        let vm = launching();
        assert_noop!(launch(vm, |access| access.vnc_port = Some(0)), Error::<Test>::InvalidVncPort);
        assert_ok!(launch(vm, |access| access.vnc_port = None));
    });
}

#[test]
fn a_reason_is_a_text() {
    run_test(|| {
        let (vm, stopping) = (launching(), running());
        assert_ok!(Compute::request_compute_stop(by(TINA), stopping));
        for words in RUBBISH {
            let mut call = failure(&MIA_1, vm, generation(vm), RETRYABLE);
            if let Call::handle_miner_compute_request_failure { reason, .. } = &mut call {
                *reason = raw(words);
            }
            assert_noop!(send(MIA_1.worker, call), Error::<Test>::InvalidReason);
            let mut call = trouble(&MIA_1, stopping, generation(stopping));
            if let Call::report_operation_failure { reason, .. } = &mut call {
                *reason = raw(words);
            }
            assert_noop!(send(MIA_1.worker, call), Error::<Test>::InvalidReason);
        }
    });
}
