use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    thread,
};

const REMOTE_PROGRAM: u32 = 0x2000_8086;
const CALL: u32 = 0;

/// Stands between libvirt and its client and counts what the client asks.
pub struct Counter {
    socket: PathBuf,
    calls: Arc<AtomicUsize>,
}

impl Counter {
    pub fn before(server: &Path, folder: &Path) -> Self {
        let socket = folder.join("counted");
        let listener = UnixListener::bind(&socket).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, server) = (Arc::clone(&calls), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&server).unwrap();
                let (back, front) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass_calls(client, server, &counted));
                thread::spawn(move || pass(back, front));
            }
        });
        Self { socket, calls }
    }

    pub fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.socket.display())
    }

    /// The calls since this was asked last.
    pub fn take(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// A message is its length and a header of six words: program, version, procedure, kind, serial, status.
fn pass_calls(mut from: UnixStream, mut to: UnixStream, calls: &AtomicUsize) {
    let mut next = || -> std::io::Result<()> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        from.read_exact(&mut body)?;
        let word = |index: usize| u32::from_be_bytes(body[index * 4..][..4].try_into().unwrap());
        if word(0) == REMOTE_PROGRAM && word(3) == CALL {
            calls.fetch_add(1, Ordering::SeqCst);
        }
        to.write_all(&length)?;
        to.write_all(&body)
    };
    while next().is_ok() {}
    let _ = to.shutdown(Shutdown::Both);
}
