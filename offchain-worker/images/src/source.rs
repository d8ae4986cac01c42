//! Where an image's URL leads on this node.

use crate::{FetchError, StoreSettings};
use reqwest::Url;
use std::path::{Component, PathBuf};

/// A place to fetch from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// The URL itself.
    Server(Url),
    /// A gateway, which may lie.
    Gateway(Url),
    /// A file, by its path within the local folder.
    Local(PathBuf),
}

/// The places to try, in order.
pub(crate) fn places(
    url: &str,
    gateways: &[Url],
    settings: &StoreSettings,
) -> Result<Vec<Place>, FetchError> {
    let malformed = |reason| FetchError::Url { url: shown(url), reason };
    let not_here = |reason| FetchError::NotHere { url: shown(url), reason };
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(malformed("it has no scheme"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" if !settings.allow_http => Err(not_here("this node takes no plain http")),
        "http" | "https" => {
            let url = Url::parse(url).map_err(|_| malformed("it cannot be parsed"))?;
            Ok(vec![Place::Server(url)])
        }
        "ipfs" => {
            let path = rest.strip_prefix("//").ok_or(malformed("no // after ipfs:"))?;
            let wanted: Vec<_> = path.split('/').collect();
            if !is_cid(wanted.first().unwrap_or(&"")) {
                return Err(malformed("no content id after ipfs://"));
            }
            if wanted.iter().any(|part| part.is_empty() || matches!(*part, "." | "..")) {
                return Err(malformed("its path has empty or relative parts"));
            }
            let places: Vec<_> =
                gateways.iter().filter_map(|gateway| at_gateway(gateway, &wanted)).collect();
            if places.is_empty() {
                return Err(not_here("this node has no IPFS gateway"));
            }
            Ok(places.into_iter().map(Place::Gateway).collect())
        }
        "file" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if rest.starts_with("//") && !path.starts_with('/') {
                return Err(malformed("it names a host: write file:NAME"));
            }
            let path = PathBuf::from(path.trim_start_matches('/'));
            let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            if path.as_os_str().is_empty() || !plain {
                return Err(malformed("it names no file in the folder of local images"));
            }
            if settings.local_dir.is_none() {
                return Err(not_here("this node has no folder of local images"));
            }
            Ok(vec![Place::Local(path)])
        }
        _ => Err(malformed("its scheme is none of https, ipfs and file")),
    }
}

/// What the gateway has under `/ipfs/`.
pub(crate) fn at_gateway(gateway: &Url, path: &[&str]) -> Option<Url> {
    let mut url = gateway.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push("ipfs").extend(path);
    Some(url)
}

/// Whether it can be a content id of any version: the gateway knows more, and the image has a digest.
fn is_cid(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A URL as errors show it: it is a tenant's or an operator's text.
fn shown(url: &str) -> String {
    url.chars().filter(|character| !character.is_control()).take(256).collect()
}

impl Place {
    /// For errors and logs, without what may be a password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Server(url) | Self::Gateway(url) => {
                let mut url = url.clone();
                url.set_username("").ok();
                url.set_password(None).ok();
                url.set_query(None);
                url.into()
            }
            Self::Local(path) => format!("file:{}", path.display()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    fn settings() -> StoreSettings {
        StoreSettings {
            dir: "/nowhere".into(),
            store_bytes: 0,
            max_file_bytes: 0,
            max_virtual_bytes: 0,
            local_dir: Some("/images".into()),
            gateways: Vec::new(),
            allow_http: false,
            stall: Duration::ZERO,
        }
    }

    fn gateways() -> [Url; 2] {
        ["https://one.example", "https://two.example/behind/"].map(|url| Url::parse(url).unwrap())
    }

    #[test]
    fn a_content_id_is_asked_for_at_each_gateway() {
        let places = places(&format!("ipfs://{CID}/a b/c?d"), &gateways(), &settings()).unwrap();
        let shown: Vec<_> = places.iter().map(Place::shown).collect();
        assert_eq!(
            shown,
            [
                format!("https://one.example/ipfs/{CID}/a%20b/c%3Fd"),
                format!("https://two.example/behind/ipfs/{CID}/a%20b/c%3Fd"),
            ]
        );
    }

    #[test]
    fn a_local_file_is_named_within_its_folder() {
        for url in ["file:debian.qcow2", "file:/debian.qcow2", "file:///debian.qcow2"] {
            let places = places(url, &[], &settings()).unwrap();
            assert_eq!(places, [Place::Local("debian.qcow2".into())], "{url}");
        }
    }

    #[test]
    fn what_leads_nowhere_on_any_node_is_refused_for_good() {
        let outside = format!("ipfs://{CID}/../x");
        let twice = format!("ipfs://{CID}//x");
        for url in [
            "",
            "debian.qcow2",
            "ftp://example/x",
            "https://",
            "ipfs:abc",
            "ipfs://short",
            &outside,
            &twice,
            "file:",
            "file:../x",
            "file:a/../../x",
            "file://host/x",
        ] {
            let error = places(url, &gateways(), &settings()).unwrap_err();
            assert!(matches!(error, FetchError::Url { .. }) && error.is_terminal(), "{url}");
        }
    }

    #[test]
    fn what_only_this_node_does_not_take_is_left_to_others() {
        let settings = StoreSettings { local_dir: None, ..settings() };
        let ipfs = format!("ipfs://{CID}");
        for url in ["http://example/x", &ipfs, "file:x"] {
            let error = places(url, &[], &settings).unwrap_err();
            assert!(matches!(error, FetchError::NotHere { .. }) && !error.is_terminal(), "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let url = "https://user:secret@example/x?token=secret";
        let places = places(url, &[], &settings()).unwrap();
        assert_eq!(places[0].shown(), "https://example/x");
    }
}
