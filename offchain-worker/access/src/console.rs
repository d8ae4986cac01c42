//! The serial console, both ways.
//!
//! While somebody has its terminal open and does not read, QEMU holds the guest up: so it is read at all times,
//! and what the tenant does not take in time is dropped.

use crate::{
    connection::Connection,
    server::lock,
    session::{ask, say, Out, ToTenant},
};
use quarry_primitives::request::RequestId;
use russh::{ChannelMsg, ChannelReadHalf};
use rustix::{
    fs::OFlags,
    termios::{tcgetattr, tcsetattr, OptionalActions},
};
use std::{
    collections::HashMap,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

const CHUNK: usize = 4096;
/// So many chunks wait for a tenant who is slow.
const WAITING: usize = 64;

/// Who has which console: the newest has it alone.
#[derive(Default)]
pub(crate) struct Consoles(Mutex<Holders>);

#[derive(Default)]
struct Holders {
    next: u64,
    by_vm: HashMap<RequestId, (u64, CancellationToken)>,
}

/// A console that is held, until this is dropped.
struct Hold<'a> {
    consoles: &'a Consoles,
    vm: RequestId,
    number: u64,
    taken: CancellationToken,
}

impl Consoles {
    fn take(&self, vm: RequestId) -> Hold<'_> {
        let mut holders = lock(&self.0);
        holders.next += 1;
        let (number, taken) = (holders.next, CancellationToken::new());
        if let Some((_, before)) = holders.by_vm.insert(vm, (number, taken.clone())) {
            before.cancel();
        }
        Hold { consoles: self, vm, number, taken }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut holders = lock(&self.consoles.0);
        if holders.by_vm.get(&self.vm).is_some_and(|(number, _)| *number == self.number) {
            holders.by_vm.remove(&self.vm);
        }
    }
}

/// Gives the tenant the console until either goes, or another takes it: the exit status.
pub(crate) async fn attach(
    connection: &Arc<Connection>,
    vm: RequestId,
    from_tenant: &mut ChannelReadHalf,
    to_tenant: &ToTenant,
) -> Result<u32, russh::Error> {
    let path = match ask(connection, move |node| node.console(vm)).await {
        Some(Ok(Some(path))) => path,
        Some(Ok(None)) => {
            say(connection, to_tenant, Out::Error, "The VM is off.\r\n").await?;
            return Ok(1);
        }
        Some(Err(error)) => {
            say(connection, to_tenant, Out::Error, &format!("{error}\r\n")).await?;
            return Ok(1);
        }
        None => return Ok(1),
    };
    let hold = connection.server.consoles.take(vm);
    let (reader, writer) = match open(&path) {
        Ok(both) => both,
        Err(error) => {
            tracing::warn!(user = vm, path = %path.display(), %error, "access: a console cannot be opened");
            say(connection, to_tenant, Out::Error, "The console cannot be opened.\r\n").await?;
            return Ok(1);
        }
    };
    let hello = format!("Console of VM {vm}. To leave: Enter, then ~. (it takes ssh -t).\r\n");
    say(connection, to_tenant, Out::Error, &hello).await?;
    let (tell, told) = mpsc::channel(WAITING);
    let why = tokio::select! {
        () = hold.taken.cancelled() => "Another session took the console.\r\n",
        _ = read_all(reader, tell) => "The VM went off.\r\n",
        ended = deliver(connection, told, to_tenant) => { ended?; "The VM went off.\r\n" }
        ended = type_in(connection, from_tenant, writer) => match ended {
            Ok(()) => return Ok(0),
            Err(_) => "The VM went off.\r\n",
        },
    };
    say(connection, to_tenant, Out::Error, why).await?;
    Ok(1)
}

/// A terminal is no pipe, and waited for all the same.
fn open(path: &Path) -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(flags.cast_signed()).open(path)?;
    let mut attributes = tcgetattr(&file)?;
    attributes.make_raw();
    tcsetattr(&file, OptionalActions::Now, &attributes)?;
    let reader = pipe::Receiver::from_file_unchecked(file.try_clone()?)?;
    Ok((reader, pipe::Sender::from_file_unchecked(file)?))
}

/// Never waits for anybody but the guest.
async fn read_all(mut terminal: pipe::Receiver, tell: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; CHUNK];
        let length = terminal.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        bytes.truncate(length);
        let _dropped_where_full = tell.try_send(bytes);
    }
}

async fn deliver(
    connection: &Connection,
    mut told: mpsc::Receiver<Vec<u8>>,
    to_tenant: &ToTenant,
) -> Result<(), russh::Error> {
    while let Some(bytes) = told.recv().await {
        let length = bytes.len();
        to_tenant.data_bytes(bytes).await?;
        connection.sent(length);
    }
    Ok(())
}

/// Ends when the tenant closes the channel. The end of a pipe that was typed from is none.
async fn type_in(
    connection: &Connection,
    from_tenant: &mut ChannelReadHalf,
    mut terminal: pipe::Sender,
) -> io::Result<()> {
    while let Some(message) = from_tenant.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                terminal.write_all(&data).await?;
                connection.received(data.len());
            }
            ChannelMsg::Close => return Ok(()),
            _ => (),
        }
    }
    Ok(())
}
