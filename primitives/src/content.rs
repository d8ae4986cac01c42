//! Texts with a form: public keys and content ids.

use data_encoding::{BASE32_NOPAD, BASE64};

/// The key types that OpenSSH takes today.
const SSH_KEY_TYPES: [&str; 6] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
];

/// Whether it is one public key as OpenSSH writes it: a type, the key in base64, perhaps a comment.
pub fn is_ssh_key(line: &str) -> bool {
    let mut words = line.splitn(3, ' ');
    let (Some(kind), Some(key)) = (words.next(), words.next()) else { return false };
    SSH_KEY_TYPES.contains(&kind)
        && !line.chars().any(char::is_control)
        && BASE64.decode(key.as_bytes()).is_ok_and(|blob| names_its_type(&blob, kind))
}

/// A key's blob begins with the length of its type's name, the name, and has the key after it.
fn names_its_type(blob: &[u8], kind: &str) -> bool {
    let Some((length, rest)) = blob.split_first_chunk::<4>() else { return false };
    u32::from_be_bytes(*length) as usize == kind.len()
        && rest.strip_prefix(kind.as_bytes()).is_some_and(|key| key.len() > 4)
}

/// CID version 1, raw bytes, SHA-256 of 32 bytes.
const RAW_CID: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// The SHA-256 that a content id names: version 1, raw, in lower-case base32, as `bafkrei…`.
pub fn raw_cid_digest(cid: &str) -> Option<[u8; 32]> {
    let digits = cid.strip_prefix('b')?;
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    let bytes = BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes()).ok()?;
    bytes.strip_prefix(&RAW_CID)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn a_key_passes_with_and_without_a_comment() {
        assert!(is_ssh_key(ED25519));
        assert!(is_ssh_key(&alloc::format!("{ED25519} erin@example with spaces")));
    }

    #[test]
    fn what_is_no_key_of_one_line_is_refused() {
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 not-base64!",
            "ssh-dss AAAAB3NzaC1kc3MAAAAEAAAAAA==",
            &ED25519.replace("ssh-ed25519 ", "ssh-rsa "),
            &alloc::format!("{ED25519}\n{ED25519}"),
            &alloc::format!("command=\"sh\" {ED25519}"),
        ] {
            assert!(!is_ssh_key(line), "{line:?}");
        }
    }

    #[test]
    fn a_raw_cid_tells_its_digest() {
        let digest = [7; 32];
        let bytes = [&RAW_CID[..], &digest].concat();
        let cid = alloc::format!("b{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
        assert_eq!(raw_cid_digest(&cid), Some(digest));
        assert_eq!(raw_cid_digest(&cid.to_ascii_uppercase()), None);
    }

    #[test]
    fn other_cids_are_refused() {
        for cid in [
            "",
            "b",
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "bafkrei",
        ] {
            assert_eq!(raw_cid_digest(cid), None, "{cid}");
        }
    }
}
