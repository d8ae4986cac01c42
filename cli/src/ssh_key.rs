//! SSH keys: those of hosts, as the chain has them, and those that let a tenant in.

use data_encoding::BASE64;

const KIND: &str = "ssh-ed25519";

/// An Ed25519 key as a line of OpenSSH.
pub fn line(key: &[u8; 32]) -> String {
    let part = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        [length.to_be_bytes().as_slice(), bytes].concat()
    };
    format!("{KIND} {}", BASE64.encode(&[part(KIND.as_bytes()), part(key)].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_openssh_has_it() {
        let key = std::array::from_fn(|index| index as u8);
        let expected =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
        assert_eq!(line(&key), expected);
    }
}
