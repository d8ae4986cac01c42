#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::{json, Value};
use std::{fs, path::Path};

/// What polkadot.js wrote: see make.mjs there.
fn fixture(name: &str) -> String {
    let folder = Path::new("../../e2e/fixtures/keyring");
    fs::read_to_string(folder.join(name).with_extension("json")).unwrap()
}

fn secret(name: &str) -> String {
    let secrets: Value = serde_json::from_str(&fixture("secrets")).unwrap();
    secrets.get(name).and_then(Value::as_str).unwrap().into()
}

fn password(name: &str) -> Password {
    Password::new(Zeroizing::new(secret(name))).unwrap()
}

fn account(path: &str) -> AccountKey {
    AccountKey::from_secret(&format!("{}{path}", secret("phrase"))).unwrap()
}

/// What polkadot.js wrote of an account, with a change.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut json = serde_json::from_str(&fixture("sr25519")).unwrap();
    change(&mut json);
    json.to_string()
}

fn refused(json: &str) -> FormatError {
    SealedKey::from_json(json).unwrap_err()
}

const LITTLE_WORK: Work = Work { n: 1 << 10, p: 1, r: 8 };

/// A key with a change in what is sealed.
fn sealed_with(change: impl FnOnce(&mut Vec<u8>)) -> SealedKey {
    let (key, password) = (account(""), password("password"));
    let mut plain = plain_of(&key);
    change(&mut plain);
    let envelope = Envelope::seal(&plain, &password, [1; 32], LITTLE_WORK, [2; 24]).unwrap();
    SealedKey { kind: key.kind(), account: key.public(), envelope, meta: Meta::default() }
}

#[test]
fn every_export_of_polkadot_js_opens_to_its_account() {
    for (name, path, with) in [
        ("sr25519", "", "password"),
        ("sr25519-derived", "//hard/soft", "password"),
        ("sr25519-polkadot", "", "password"),
        ("sr25519-hex-password", "", "hexPassword"),
        ("sr25519-less-work", "", "password"),
    ] {
        let sealed = SealedKey::from_json(&fixture(name)).unwrap();
        let key = sealed.open(&password(with)).unwrap();
        assert_eq!(key.public(), account(path).public(), "{name}");
        // A soft part of a path draws half of the secret at random.
        if path.is_empty() {
            assert_eq!(*key.to_wallet_secret(), *account(path).to_wallet_secret(), "{name}");
        }
        assert_eq!((sealed.public(), sealed.kind()), (&key.public(), KeyKind::Sr25519), "{name}");
    }
}

#[test]
fn an_ed25519_key_opens_too() {
    let json = fixture("ed25519");
    let sealed = SealedKey::from_json(&json).unwrap();
    let key = sealed.open(&password("password")).unwrap();
    assert_eq!((key.kind(), sealed.kind()), (KeyKind::Ed25519, KeyKind::Ed25519));
    let named: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(named.get("address"), Some(&json!(key.address())));
}

#[test]
fn what_is_written_is_byte_for_byte_what_polkadot_js_writes() {
    for (name, with) in [
        ("sr25519", "password"),
        ("sr25519-derived", "password"),
        ("sr25519-hex-password", "hexPassword"),
        ("ed25519", "password"),
    ] {
        let theirs = SealedKey::from_json(&fixture(name)).unwrap();
        let key = theirs.open(&password(with)).unwrap();
        let Envelope { salt, nonce, .. } = theirs.envelope;
        let meta = theirs.meta.clone();
        let ours =
            SealedKey::seal_with(&key, &password(with), meta, salt, Work::NEW, nonce).unwrap();
        assert_eq!(serde_json::to_string(&ours).unwrap(), fixture(name).trim_end(), "{name}");
    }
}

#[test]
fn two_seals_of_a_key_have_nothing_in_common_and_the_work_of_today() {
    let password = password("password");
    let seal = || SealedKey::seal(&account(""), &password, Meta::default()).unwrap();
    let (one, two) = (seal(), seal());
    assert_ne!(one.envelope.salt, two.envelope.salt);
    assert_ne!(one.envelope.nonce, two.envelope.nonce);
    assert_ne!(one.envelope.content, two.envelope.content);
    assert_eq!(one.envelope.work, Work::NEW);
    assert_eq!(two.open(&password).unwrap().public(), account("").public());
}

#[test]
fn what_a_wallet_says_of_a_key_is_kept() {
    let sealed = SealedKey::from_json(&fixture("sr25519-polkadot")).unwrap();
    let polkadot = "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3";
    let meta = Meta {
        name: Some("sr25519".into()),
        created: Some(1_763_750_400_000),
        genesis: polkadot.parse().ok(),
    };
    assert_eq!(*sealed.meta(), meta);
    let json = serde_json::to_string(&sealed).unwrap();
    assert!(json.contains(polkadot));
    assert_eq!(*SealedKey::from_json(&json).unwrap().meta(), meta);
    // The address is that of this chain now.
    assert!(json.contains(&account("").address()));
}

#[test]
fn odd_things_beside_a_key_do_not_stand_in_its_way() {
    for meta in [json!({}), json!({"name": 7, "whenCreated": "now", "genesisHash": ""})] {
        let json = changed(|json| json["meta"] = meta);
        assert_eq!(*SealedKey::from_json(&json).unwrap().meta(), Meta::default());
    }
    let json = changed(|json| drop(json.as_object_mut().unwrap().remove("meta")));
    assert_eq!(*SealedKey::from_json(&json).unwrap().meta(), Meta::default());
}

#[test]
fn another_password_does_not_open() {
    let sealed = SealedKey::from_json(&fixture("sr25519")).unwrap();
    assert_eq!(sealed.open(&password("phrase")).unwrap_err(), OpenError::Password);
    let with = Password::new(Zeroizing::new(format!("{} ", secret("password")))).unwrap();
    assert_eq!(sealed.open(&with).unwrap_err(), OpenError::Password);
}

#[test]
fn a_damaged_file_does_not_open() {
    let sealed = sealed_with(|_| ());
    let bytes = sealed.envelope.to_bytes();
    for place in [0, 31, 44, 67, 68, 84, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        *damaged.get_mut(place).unwrap() ^= 1;
        let damaged =
            SealedKey { envelope: Envelope::from_bytes(&damaged).unwrap(), ..sealed.clone() };
        let error = damaged.open(&password("password")).unwrap_err();
        assert_eq!(error, OpenError::Password, "{place}");
    }
}

#[test]
fn a_password_that_opens_something_else_says_so() {
    let (header, secret, divider, public) = (0, 16, 80, 85);
    assert!(sealed_with(|_| ()).open(&password("password")).is_ok());
    for place in [header, secret, divider, public] {
        // A bit of the key that the division by the cofactor does not drop.
        let key = sealed_with(|plain| *plain.get_mut(place).unwrap() ^= 0x10);
        assert_eq!(key.open(&password("password")).unwrap_err(), OpenError::NotAKey, "{place}");
    }
    for length in [PLAIN_BYTES - 1, PLAIN_BYTES + 1] {
        let key = sealed_with(|plain| plain.resize(length, 0));
        assert_eq!(key.open(&password("password")).unwrap_err(), OpenError::NotAKey);
    }
}

#[test]
fn the_key_of_another_account_than_the_file_names_is_refused() {
    let (alice, own) = (AccountKey::from_uri("//Alice").unwrap().address(), account("").address());
    let mut json = serde_json::to_value(sealed_with(|_| ())).unwrap();
    json["address"] = json!(alice);
    let sealed = SealedKey::from_json(&json.to_string()).unwrap();
    assert_eq!(
        sealed.open(&password("password")).unwrap_err(),
        OpenError::OtherAccount { named: alice, held: own }
    );
}

#[test]
fn what_is_no_account_is_refused() {
    let phrase = format!("\"{}\"", secret("phrase"));
    for text in ["", "{}", "[]", "null", "{\"encoded\": 1}", &phrase, &secret("phrase")] {
        assert_eq!(refused(text), FormatError::NotAnAccount, "{text}");
    }
    assert_eq!(refused(&" ".repeat(SealedKey::MOST_BYTES + 1)), FormatError::TooLong);
}

#[test]
fn keys_and_versions_of_other_chains_and_times_are_refused_by_name() {
    assert_eq!(refused(&fixture("ecdsa")), FormatError::Kind("ecdsa".into()));
    assert_eq!(refused(&fixture("ethereum")), FormatError::Kind("ethereum".into()));
    assert_eq!(refused(&fixture("second-version")), FormatError::Version("2".into()));
    assert_eq!(refused(&fixture("several")), FormatError::Several);
    assert_eq!(refused(&fixture("not-encrypted")), FormatError::NotEncrypted);
    for (content, named) in [
        (json!("pkcs8"), "pkcs8"),
        (json!([]), ""),
        (json!(["pkcs8", "sr25519", "more"]), "pkcs8 sr25519 more"),
        (json!("x".repeat(1000)), &"x".repeat(64)),
    ] {
        let json = changed(|json| json["encoding"]["content"] = content);
        assert_eq!(refused(&json), FormatError::Content(named.into()));
    }
    for (ways, named) in [
        (json!("xsalsa20-poly1305"), "xsalsa20-poly1305"),
        (json!(["xsalsa20-poly1305", "scrypt"]), "xsalsa20-poly1305 scrypt"),
        (json!([]), ""),
    ] {
        let json = changed(|json| json["encoding"]["type"] = ways);
        assert_eq!(refused(&json), FormatError::Encryption(named.into()));
    }
}

#[test]
fn what_is_not_in_the_form_of_a_sealed_key_is_refused() {
    let with = |encoded: &str| refused(&changed(|json| json["encoded"] = json!(encoded)));
    assert_eq!(with("%"), FormatError::Base64);
    assert_eq!(with("0x00"), FormatError::Length(3));
    assert_eq!(with("AA"), FormatError::Base64);
    assert_eq!(with(""), FormatError::Length(0));
    let bytes = SealedKey::from_json(&fixture("sr25519")).unwrap().envelope.to_bytes();
    for bytes in [bytes.get(1..).unwrap(), &[&bytes[..], &[0]].concat()] {
        let encoded = data_encoding::BASE64.encode(bytes);
        assert_eq!(with(&encoded), FormatError::Length(bytes.len()));
    }
    for address in ["", "5G6xbTPfJC7t1Qrn1xWFgAMc4QzzdgwXVqBH3FUP6YvDFQzX", "0x00"] {
        let json = changed(|json| json["address"] = json!(address));
        assert_eq!(refused(&json), FormatError::Address(address.into()));
    }
}

#[test]
fn work_that_no_wallet_asks_for_is_refused_before_it_is_begun() {
    let mut sealed = SealedKey::from_json(&fixture("sr25519")).unwrap();
    sealed.envelope.work = Work { n: 1 << 31, p: 1, r: 8 };
    let json = serde_json::to_string(&sealed).unwrap();
    assert_eq!(refused(&json), FormatError::Work { n: 1 << 31, p: 1, r: 8 });
}

#[test]
fn nothing_sealed_or_secret_is_shown() {
    let sealed = SealedKey::from_json(&fixture("sr25519")).unwrap();
    assert_eq!(format!("{sealed:?}"), format!("SealedKey({})", sealed.address()));
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(place: prop::sample::Index, byte: char) {
        let mut text: Vec<char> = fixture("sr25519").chars().collect();
        let place = place.index(text.len());
        *text.get_mut(place).unwrap() = byte;
        let _ = SealedKey::from_json(&text.into_iter().collect::<String>());
    }
}
