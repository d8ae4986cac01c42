//! What russh asks while a connection lasts. Nothing here waits: a channel's work is a task of its own.

use crate::{
    command::{self, Command, USAGE},
    connection::{Connection, Login, Room},
    console,
    directory::Node,
    log, pump, stats,
};
use quarry_primitives::request::RequestId;
use russh::{
    keys::{ssh_key::Algorithm, PublicKey},
    server::{
        Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session as Wire, VerifiedPublicKey,
    },
    Channel, ChannelId, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Pty,
};
use std::{future::Future, sync::Arc};

/// Keys that a client may offer in vain.
pub(crate) const MAX_TRIES: usize = 6;
/// By which a VM's own ports are called, beside its number and its address.
const HOSTS: [&str; 4] = ["vm", "localhost", "127.0.0.1", "::1"];
const SSH: u32 = 22;
const VNC: u32 = 5900;

/// russh's side of a connection.
pub(crate) struct Session {
    connection: Arc<Connection>,
    verified: Option<Login>,
}

/// What a channel gives a tenant's program to write to.
pub(crate) type ToTenant = ChannelWriteHalf<Msg>;

impl Session {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, verified: None }
    }

    /// The same question, the same steps and the same answer for whoever asks.
    fn judge(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Option<Login> {
        let login = self.connection.may_enter(user, key);
        let is_sound = *algorithm != Algorithm::Rsa { hash: None };
        login.filter(|_| is_sound)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let over = self.connection.over.clone();
        tokio::spawn(async move {
            over.run_until_cancelled_owned(work).await;
        });
    }
}

/// Room for a channel more, which is then to be answered; else refuses it, in words that the tenant's client shows.
async fn take_room(
    connection: &Arc<Connection>,
    vm: RequestId,
    reply: ChannelOpenHandle,
) -> Option<(Room, ChannelOpenHandle)> {
    match connection.room(vm) {
        Ok(room) => Some((room, reply)),
        Err(why) => {
            connection.refuse(why);
            let code = ChannelOpenFailure::ResourceShortage.code();
            reply.reject(ChannelOpenFailure::Other { code, reason: why.to_owned() }).await;
            None
        }
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let lets_in = self.judge(user, offer.public_key, offer.algorithm).is_some();
        self.connection.tried(user, lets_in);
        Ok(if lets_in { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.verified = self.judge(user, key.public_key, key.algorithm);
        Ok(if self.verified.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_succeeded(&mut self, _: &mut Wire) -> Result<(), Self::Error> {
        let login = self.verified.take().ok_or(russh::Error::Inconsistent)?;
        self.connection.logged_in(login);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Wire,
    ) -> Result<(), Self::Error> {
        let Some(login) = self.connection.login() else { return Ok(()) };
        let Some((room, reply)) = take_room(&self.connection, login.vm, reply).await else {
            return Ok(());
        };
        reply.accept().await;
        let connection = self.connection.clone();
        self.spawn(async move {
            let _room = room;
            serve_session(&connection, login.vm, channel).await;
        });
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Wire,
    ) -> Result<(), Self::Error> {
        let Some(login) = self.connection.login() else { return Ok(()) };
        let Some((room, reply)) = take_room(&self.connection, login.vm, reply).await else {
            return Ok(());
        };
        let (connection, host) = (self.connection.clone(), host.to_owned());
        self.spawn(async move {
            let _room = room;
            forward(&connection, login.vm, &host, port, channel, reply).await;
        });
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: &str,
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        self.connection.refuse("x11");
        session.channel_failure(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Wire,
    ) -> Result<(), Self::Error> {
        self.connection.refuse(&format!("subsystem {name}"));
        session.channel_failure(channel)
    }

    async fn agent_request(&mut self, _: ChannelId, _: &mut Wire) -> Result<bool, Self::Error> {
        self.connection.refuse("agent");
        Ok(false)
    }

    async fn tcpip_forward(
        &mut self,
        _: &str,
        _: &mut u32,
        _: &mut Wire,
    ) -> Result<bool, Self::Error> {
        self.connection.refuse("tcpip-forward");
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, _: &str, _: &mut Wire) -> Result<bool, Self::Error> {
        self.connection.refuse("streamlocal-forward");
        Ok(false)
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Wire,
    ) -> Result<(), Self::Error> {
        self.connection.refuse("direct-streamlocal");
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        Ok(())
    }
}

/// Carries one of the two ports, or says no.
async fn forward(
    connection: &Arc<Connection>,
    vm: RequestId,
    host: &str,
    port: u32,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) {
    let ssh = ask(connection, move |node| node.ssh(vm)).await.flatten();
    let is_own = HOSTS.contains(&host)
        || host == vm.to_string()
        || ssh.is_some_and(|ssh| host == ssh.ip().to_string());
    let reached = match port {
        SSH if is_own => pump::connect_ssh(connection, ssh, channel, reply).await,
        VNC if is_own => {
            let screen = ask(connection, move |node| node.screen(vm)).await;
            let screen = screen.and_then(Result::ok).flatten();
            pump::connect_screen(connection, screen, channel, reply).await
        }
        _ => {
            connection.refuse(&format!("port {port} of {host}"));
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return;
        }
    };
    if let Err(error) = reached {
        tracing::debug!(user = vm, port, %error, "a VM's port cannot be reached, or broke off");
    }
}

/// Waits for the tenant's command and carries it out.
async fn serve_session(connection: &Arc<Connection>, vm: RequestId, channel: Channel<Msg>) {
    let (mut from_tenant, to_tenant) = channel.split();
    let command = loop {
        match from_tenant.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => break command::parse(&command),
            Some(ChannelMsg::RequestShell { .. }) => break Some(Command::Help),
            Some(ChannelMsg::Close) | None => return,
            Some(_) => (),
        }
    };
    let status = match command {
        Some(Command::Console) => {
            connection.opened("console");
            console::attach(connection, vm, &mut from_tenant, &to_tenant).await
        }
        command => tokio::select! {
            status = show(connection, vm, &to_tenant, command) => status,
            () = until_closed(&mut from_tenant) => return,
        },
    };
    if let Ok(status) = status {
        let _ = to_tenant.exit_status(status).await;
        let _ = to_tenant.eof().await;
    }
    let _ = to_tenant.close().await;
}

async fn show(
    connection: &Arc<Connection>,
    vm: RequestId,
    to_tenant: &ToTenant,
    command: Option<Command>,
) -> Result<u32, russh::Error> {
    match command {
        Some(Command::Log { follow, lines }) => {
            connection.opened("log");
            log::show(connection, vm, to_tenant, follow, lines).await
        }
        Some(Command::Stats { json, follow }) => {
            connection.opened("stats");
            stats::show(connection, vm, to_tenant, json, follow).await
        }
        Some(Command::Help | Command::Console) => {
            say(connection, to_tenant, Out::Normal, USAGE).await.map(|()| 0)
        }
        None => say(connection, to_tenant, Out::Error, USAGE).await.map(|()| 2),
    }
}

/// What the tenant types meanwhile goes nowhere, and must not pile up.
async fn until_closed(from_tenant: &mut ChannelReadHalf) {
    while let Some(message) = from_tenant.wait().await {
        if matches!(message, ChannelMsg::Close) {
            return;
        }
    }
}

/// Where words go.
#[derive(Clone, Copy)]
pub(crate) enum Out {
    Normal,
    Error,
}

/// Sends text to the tenant.
pub(crate) async fn say(
    connection: &Connection,
    to_tenant: &ToTenant,
    out: Out,
    words: &str,
) -> Result<(), russh::Error> {
    let bytes = words.as_bytes().to_vec();
    match out {
        Out::Normal => to_tenant.data_bytes(bytes).await?,
        Out::Error => to_tenant.extended_data_bytes(1, bytes).await?,
    }
    connection.sent(words.len());
    Ok(())
}

/// Asks the node, off the async threads.
pub(crate) async fn ask<T: Send + 'static>(
    connection: &Connection,
    question: impl FnOnce(&dyn Node) -> T + Send + 'static,
) -> Option<T> {
    let node = connection.server.node.clone();
    tokio::task::spawn_blocking(move || question(node.as_ref())).await.ok()
}
