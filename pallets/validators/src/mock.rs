//! A chain of session and validators pallets: accounts are numbers, accounts 1 to 3 validate at genesis,
//! 1 to 5 have session keys, and a session has [`SESSION`] blocks.

use crate as pallet_validators;
use frame_support::{derive_impl, traits::Hooks};
use frame_system::EnsureRoot;
use sp_core::ConstU32;
use sp_runtime::{impl_opaque_keys, testing::UintAuthorityId, traits::ConvertInto, BuildStorage};

pub const SESSION: u64 = 5;

type Block = frame_system::mocking::MockBlock<Test>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeTask,
        RuntimeHoldReason,
        RuntimeFreezeReason
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Validators = pallet_validators;
    #[runtime::pallet_index(3)]
    pub type Session = pallet_session;
}

impl_opaque_keys! {
    pub struct MockSessionKeys {
        pub dummy: UintAuthorityId,
    }
}

impl From<UintAuthorityId> for MockSessionKeys {
    fn from(dummy: UintAuthorityId) -> Self {
        Self { dummy }
    }
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u64>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
}

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = u64;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession =
        pallet_session::PeriodicSessions<pallet_validators::SessionPeriod<Test>, NoOffset>;
    type NextSessionRotation = Self::ShouldEndSession;
    type SessionManager = Validators;
    type SessionHandler = pallet_session::TestSessionHandler;
    type Keys = MockSessionKeys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = NoOffset;
}

pub type NoOffset = sp_core::ConstU64<0>;

impl pallet_validators::Config for Test {
    type AdminOrigin = EnsureRoot<u64>;
    type MaxValidators = ConstU32<5>;
    type DefaultSessionLength = sp_core::ConstU64<100>;
    type WeightInfo = ();
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let genesis = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=5).map(|id| (id, 100)).collect(),
            ..Default::default()
        },
        validators: pallet_validators::GenesisConfig {
            validators: vec![1, 2, 3],
            session_length: Some(SESSION),
        },
        session: pallet_session::GenesisConfig {
            keys: (1..=5).map(|id| (id, id, UintAuthorityId(id).into())).collect(),
            non_authority_keys: vec![],
        },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities =
        genesis.build_storage().expect("genesis is sound").into();
    ext.execute_with(|| System::set_block_number(1));
    ext
}

/// Runs a test and checks the invariants after it.
pub fn run_test(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        Validators::do_try_state().expect("the invariants hold");
    });
}

/// Goes on to the end of this session and of `sessions - 1` more.
pub fn end_sessions(sessions: u64) {
    let now = System::block_number();
    for block in now + 1..=(now / SESSION + sessions) * SESSION {
        System::set_block_number(block);
        Session::on_initialize(block);
    }
}
