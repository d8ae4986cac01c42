#![allow(clippy::unwrap_used)]

use super::*;
use sp_runtime::traits::Verify;

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const PHRASE: &str = "assault dust forest parent fold device theory beef destroy frown juice soul";
const SEED: &str = "0x9f8ab2dbb0ef1b6a1c5f7a3b24a7b54d2f3c8e9d0a1b2c3d4e5f60718293a4b5";

fn ed25519_key(seed: [u8; 32]) -> AccountKey {
    let public = ed25519::Pair::from_seed(&seed).public();
    AccountKey { secret: Secret::Ed25519 { seed: Zeroizing::new(seed), public } }
}

#[test]
fn a_new_key_is_that_of_its_twelve_words() {
    let (key, phrase) = AccountKey::generate();
    assert_eq!(phrase.split(' ').count(), 12);
    assert_eq!(AccountKey::from_secret(&phrase).unwrap().public(), key.public());
    assert_ne!(AccountKey::generate().0.public(), key.public());
}

#[test]
fn a_phrase_may_be_pasted_over_several_lines() {
    let pasted = format!("\n {}\r\n", PHRASE.replace(' ', "\n\t"));
    let plain = AccountKey::from_secret(PHRASE).unwrap();
    assert_eq!(AccountKey::from_secret(&pasted).unwrap().public(), plain.public());
}

#[test]
fn what_is_no_key_is_refused_with_its_reason() {
    let refused = |text: &str| AccountKey::from_secret(text).err();
    assert_eq!(refused(""), Some(KeyError::Empty));
    assert_eq!(refused(" \n"), Some(KeyError::Empty));
    assert_eq!(refused("assault dust forest"), Some(KeyError::Phrase));
    assert_eq!(refused(&PHRASE.replace("beef", "beefs")), Some(KeyError::Phrase));
    assert_eq!(refused(&PHRASE.replace("juice soul", "soul juice")), Some(KeyError::Phrase));
    assert_eq!(refused("0x00"), Some(KeyError::Seed));
    assert_eq!(refused(&SEED.replace("9f8a", "zzzz")), Some(KeyError::Seed));
    assert!(AccountKey::from_secret(SEED).is_ok());
}

#[test]
fn keys_that_everyone_has_are_for_development_only() {
    assert_eq!(AccountKey::from_uri("//Alice").unwrap().address(), ALICE);
    for text in ["//Alice", "/soft", DEV_PHRASE, &format!(" {DEV_PHRASE}//Alice")] {
        assert_eq!(AccountKey::from_secret(text).err(), Some(KeyError::Development), "{text}");
    }
}

#[test]
fn both_kinds_sign_for_their_account_with_and_without_the_chain() {
    for key in [AccountKey::from_secret(PHRASE).unwrap(), ed25519_key([7; 32])] {
        assert!(key.sign(b"message").verify(&b"message"[..], &key.public()));
        assert!(!key.sign(b"message").verify(&b"another"[..], &key.public()));
        let signer: &dyn subxt::tx::Signer<Config> = &key;
        assert_eq!(AccountId::new(signer.account_id().0), key.public());
        let signature = match signer.sign(b"payload") {
            MultiSignature::Sr25519(bytes) => Signature::Sr25519(bytes.into()),
            MultiSignature::Ed25519(bytes) => Signature::Ed25519(bytes.into()),
            MultiSignature::Ecdsa(_) => unreachable!("no key is of that kind"),
        };
        assert!(signature.verify(&b"payload"[..], &key.public()), "{:?}", key.kind());
    }
}

#[test]
fn what_wallets_write_of_a_secret_is_the_same_key() {
    let derived = AccountKey::from_secret(&format!("{PHRASE}//hard/soft")).unwrap();
    for key in [AccountKey::from_secret(PHRASE).unwrap(), derived, ed25519_key([7; 32])] {
        let again = AccountKey::from_wallet_secret(key.kind(), &key.to_wallet_secret()).unwrap();
        assert_eq!(again.public(), key.public());
        assert!(again.sign(b"message").verify(&b"message"[..], &key.public()));
    }
}

#[test]
fn bytes_that_are_no_secret_are_refused() {
    // More than the order of the group, even after the division.
    assert!(AccountKey::from_wallet_secret(KeyKind::Sr25519, &[0xff; 64]).is_none());
    let mut torn = ed25519_key([7; 32]).to_wallet_secret();
    torn[63] ^= 1;
    assert!(AccountKey::from_wallet_secret(KeyKind::Ed25519, &torn).is_none());
}

#[test]
fn nothing_of_the_secret_is_shown() {
    for key in [AccountKey::from_secret(PHRASE).unwrap(), ed25519_key([7; 32])] {
        assert_eq!(format!("{key:?}"), format!("AccountKey({})", key.address()));
    }
}
