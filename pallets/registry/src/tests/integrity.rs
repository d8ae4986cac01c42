use crate::mock::*;
use frame_support::traits::Hooks;

#[test]
fn sound_constants_pass() {
    Registry::integrity_test();
}

#[test]
#[should_panic(expected = "a heartbeat in each block")]
fn heartbeats_in_every_block_are_refused() {
    HeartbeatEvery::set(0);
    Registry::integrity_test();
}

#[test]
#[should_panic(expected = "a node must not be Offline between beats")]
fn heartbeats_that_come_too_late_are_refused() {
    HeartbeatEvery::set(8);
    Registry::integrity_test();
}
