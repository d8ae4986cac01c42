use super::*;
use crate::{LiveBlocks, Runtime, RuntimeCall};
use frame_support::traits::Hooks;
use pallet_migrations::{ActiveCursor, Cursor, MigrationCursor};
use pallet_safe_mode::EnteredUntil;
use sp_runtime::traits::BlockNumberProvider;

fn next_block() -> u32 {
    let number = System::block_number() + 1;
    System::set_block_number(number);
    LiveBlocks::on_initialize(number);
    LiveBlocks::current_block_number()
}

#[test]
fn live_blocks_rise_once_a_block() {
    dev_chain().execute_with(|| {
        assert_eq!([next_block(), next_block(), next_block()], [1, 2, 3]);
    });
}

#[test]
fn live_blocks_stand_still_while_a_migration_runs() {
    dev_chain().execute_with(|| {
        next_block();
        let running = ActiveCursor { index: 0, inner_cursor: None, started_at: 1 };
        Cursor::<Runtime>::put(MigrationCursor::Active(running));
        assert_eq!([next_block(), next_block()], [1, 1]);
        Cursor::<Runtime>::kill();
        assert_eq!(next_block(), 2);
    });
}

#[test]
fn live_blocks_stand_still_while_a_migration_is_stuck() {
    dev_chain().execute_with(|| {
        Cursor::<Runtime>::put(MigrationCursor::Stuck);
        assert_eq!([next_block(), next_block()], [0, 0]);
    });
}

#[test]
fn live_blocks_stand_still_while_safe_mode_is_on() {
    dev_chain().execute_with(|| {
        next_block();
        EnteredUntil::<Runtime>::put(u32::MAX);
        assert_eq!([next_block(), next_block()], [1, 1]);
        EnteredUntil::<Runtime>::kill();
        assert_eq!(next_block(), 2);
    });
}

#[test]
fn a_call_stays_small_in_memory() {
    assert!(core::mem::size_of::<RuntimeCall>() <= 1_024);
}
