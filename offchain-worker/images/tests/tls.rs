//! https against a CA of our own. The CA is named by the environment, which is the whole process's:
//! hence one test, in a program of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use quarry_images::{FetchError, Store};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use support::*;

const CERTIFICATES: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
    -addext basicConstraints=critical,CA:true -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server \
    -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n' > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile server.ext -out server.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=stranger \
    -addext subjectAltName=IP:127.0.0.1 -keyout stranger.key -out stranger.pem
"#;

/// A server that sends the files of its folder as they are, which hold whole answers.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, name: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-HTTP", "-accept", &address])
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("https://{address}") };
        while TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn answer(folder: &Path, name: &str, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    fs::write(folder.join(name), [head.as_bytes(), body].concat()).unwrap();
}

#[tokio::test]
async fn https_is_checked_against_the_systems_authorities_and_never_left() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::env::set_var("SSL_CERT_FILE", folder.join("ca.pem"));
    std::env::remove_var("SSL_CERT_DIR");

    let content = bytes(1, MIB);
    let digest = sha256(&content);
    answer(folder, "disk", &format!("200 OK\r\nContent-Length: {MIB}"), &content);
    answer(folder, "unsized", "200 OK", &content);
    let plain = support::Server::start(content.clone(), []).await;
    let away = format!("302 Found\r\nLocation: {}\r\nContent-Length: 0", plain.image());
    answer(folder, "away", &away, b"");
    let (server, stranger) = (Server::start(folder, "server"), Server::start(folder, "stranger"));
    let store = |name: &str| {
        let mut settings = settings(&folder.join(format!("store-{name}")));
        settings.allow_http = false;
        settings.stall = Duration::from_secs(5);
        Store::open(settings).unwrap()
    };

    let known = store("known").get(&raw(format!("{}/disk", server.url), digest)).await;
    assert_eq!(fs::read(known.unwrap().path()).unwrap(), content);

    let unknown = store("unknown").get(&raw(format!("{}/disk", stranger.url), digest)).await;
    let unknown = unknown.unwrap_err();
    assert!(matches!(unknown, FetchError::Network { .. }) && !unknown.is_terminal(), "{unknown}");
    assert!(unknown.to_string().contains("certificate"), "{unknown}");

    let away = store("away").get(&raw(format!("{}/away", server.url), digest)).await.unwrap_err();
    assert!(away.to_string().contains("something else than https"), "{away}");
    assert!(plain.asked().is_empty());

    // Without a length, whoever cuts the connection could make any image a wrong one.
    let cut = store("cut").get(&raw(format!("{}/unsized", server.url), [1; 32])).await;
    let cut = cut.unwrap_err();
    assert!(matches!(cut, FetchError::WrongDigest { proven: false, .. }), "{cut}");
    assert!(!cut.is_terminal());
}
