//! Where a chain node is asked.

use std::fmt;
use subxt::ext::jsonrpsee::client_transport::ws::Url;

/// Why an endpoint cannot be used, whatever answers there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// There is none.
    #[error("no endpoint of a chain node is given: name one as ws://127.0.0.1:9944")]
    None,
    /// It is not an address.
    #[error(
        "endpoint {number} of the chain is no URL ({reason}): write it as ws://127.0.0.1:9944"
    )]
    NotAUrl {
        /// Which of them, from 1 on.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is an address of something else.
    #[error(
        "endpoint {number} of the chain begins with {scheme}:// and must with ws:// or wss://"
    )]
    NotAWebSocket {
        /// Which of them, from 1 on.
        number: usize,
        /// How it begins.
        scheme: String,
    },
}

/// A WebSocket address. It may hold a provider's secret, so only its host and port are ever shown.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: Url,
}

impl Endpoint {
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The host and the port, where nothing is encrypted.
    pub(crate) fn plain(&self) -> Option<(String, u16)> {
        let host = self.url.host_str().filter(|_| self.url.scheme() == "ws")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), self.url.port_or_known_default()?))
    }

    fn parse(number: usize, text: &str) -> Result<Self, EndpointError> {
        let not_a_url = |reason: String| EndpointError::NotAUrl { number, reason };
        let url = Url::parse(text).map_err(|error| not_a_url(error.to_string()))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(EndpointError::NotAWebSocket { number, scheme: url.scheme().into() });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(not_a_url("it has no host".into()));
        }
        Ok(Self { url })
    }
}

/// Fails with the first endpoint that cannot be used.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Endpoint>, EndpointError> {
    if texts.is_empty() {
        return Err(EndpointError::None);
    }
    texts.iter().enumerate().map(|(at, text)| Endpoint::parse(at + 1, text)).collect()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        self.url.port().map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Vec<Endpoint>, EndpointError> {
        parse_all(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_websocket_is_an_endpoint() {
        let parsed = parse(&["ws://127.0.0.1:9944", "wss://rpc.example", "ws://[::1]:1"]).unwrap();
        let shown: Vec<_> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["ws://127.0.0.1:9944", "wss://rpc.example", "ws://[::1]:1"]);
    }

    #[test]
    fn what_is_not_encrypted_has_an_address_to_connect_to() {
        let texts = ["ws://127.0.0.1:9944", "ws://[::1]:1", "ws://node.example/x", "wss://a:1"];
        let plain: Vec<_> = parse(&texts).unwrap().iter().map(Endpoint::plain).collect();
        let address = |host: &str, port| Some((host.to_owned(), port));
        let first = address("127.0.0.1", 9944);
        assert_eq!(plain, [first, address("::1", 1), address("node.example", 80), None]);
    }

    #[test]
    fn there_must_be_an_endpoint() {
        assert_eq!(parse(&[]).err(), Some(EndpointError::None));
    }

    #[test]
    fn what_is_no_url_is_refused_with_its_place_in_the_list() {
        for text in ["", "localhost", "127.0.0.1:9944", "ws://", "ws://host:99999", "///"] {
            let error = parse(&["ws://a:1", text]).err().unwrap();
            assert!(
                matches!(
                    error,
                    EndpointError::NotAUrl { number: 2, .. }
                        | EndpointError::NotAWebSocket { number: 2, .. }
                ),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        for text in ["http://127.0.0.1:9944", "https://rpc.example", "file:///etc/passwd"] {
            let error = parse(&[text]).err().unwrap();
            assert!(matches!(error, EndpointError::NotAWebSocket { number: 1, .. }), "{text}");
        }
    }

    #[test]
    fn a_providers_secret_is_never_shown() {
        let parsed = parse(&["wss://user:secret@rpc.example:1/v1/secret?key=secret"]).unwrap();
        assert_eq!(parsed[0].to_string(), "wss://rpc.example:1");
        assert!(parsed[0].url().contains("secret"));
    }
}
