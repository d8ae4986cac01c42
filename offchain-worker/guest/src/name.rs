/// A label's length in DNS.
const MAX_LABEL: usize = 63;

/// The VM's name as a host name: lower case letters, digits and hyphens; `vm-<request>` where nothing of
/// it is left.
pub fn host_name(vm_name: &str, request_id: u128) -> String {
    let mut label = String::new();
    for character in vm_name.chars() {
        if label.len() == MAX_LABEL {
            break;
        }
        if character.is_ascii_alphanumeric() {
            label.push(character.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_end_matches('-');
    // A name without a letter could be taken for an address.
    if label == "localhost" || !label.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return format!("vm-{request_id}");
    }
    label.into()
}

/// Whether it is a label as [`host_name`] makes them.
pub(crate) fn is_label(name: &str) -> bool {
    (1..=MAX_LABEL).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_label() {
        for (name, label) in [
            ("web", "web"),
            ("Erin's Web Server", "erin-s-web-server"),
            ("--db__1--", "db-1"),
            ("a.b", "a-b"),
            ("Åsa", "sa"),
            ("10.0.0.1", "vm-7"),
            ("", "vm-7"),
            ("日本", "vm-7"),
            ("localhost", "vm-7"),
        ] {
            assert_eq!(host_name(name, 7), label, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_to_a_label() {
        for name in ["x".repeat(200), format!("{}-y", "x".repeat(62)), "x-".repeat(60)] {
            let label = host_name(&name, 1);
            assert!(is_label(&label), "{label}");
        }
        assert!(is_label(&host_name("", u128::MAX)));
    }

    #[test]
    fn what_is_no_label_is_told_from_one() {
        for name in ["", "-a", "a-", "a.b", "A", "a b", "a\n", &"x".repeat(64)] {
            assert!(!is_label(name), "{name:?}");
        }
    }
}
