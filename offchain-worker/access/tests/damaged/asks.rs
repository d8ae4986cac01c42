//! Somebody who asks an SSH server for whatever stands in a text: who he is in the first line, then one thing a line.

use quarry_fuzz::Fate;
use russh::{
    client::{self, ChannelOpenHandle, Handle, Handler, Msg, Session},
    keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
    Channel, ChannelMsg, Disconnect,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

/// An answer that is not there by then is not waited for.
const WITHIN: Duration = Duration::from_millis(5);
/// Whatever is asked is answered or refused by then.
const AT_LAST: Duration = Duration::from_secs(20);
/// More lines than this are not asked.
const LINES: usize = 24;

type Open = Channel<Msg>;

/// Takes any server's key, and all that the server opens.
struct Anybody(mpsc::Sender<Open>);

impl Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Open,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        self.0.try_send(channel).ok();
        Ok(())
    }
}

/// What somebody was given.
#[derive(Default)]
pub struct Given {
    pub login: bool,
    pub channels: usize,
    /// `HOST PORT` that are carried.
    pub carried: Vec<String>,
    /// The ports that were opened for him; 0 where he named one.
    pub ports: Vec<u32>,
}

struct Asker {
    handle: Handle<Anybody>,
    channel: Option<Open>,
    incoming: mpsc::Receiver<Open>,
    dialled: Vec<TcpStream>,
    /// Where his ports are.
    at: IpAddr,
    given: Given,
}

/// Asks to the end of the text, or of the connection.
pub async fn ask<S>(stream: S, at: IpAddr, key: PrivateKey, text: &str) -> (Given, Fate)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut lines = text.split('\n').take(LINES);
    let user = lines.next().unwrap_or_default();
    let (sender, incoming) = mpsc::channel(LINES);
    let connected = client::connect_stream(Arc::default(), stream, Anybody(sender)).await;
    let Ok(mut handle) = connected else {
        return (Given::default(), Fate::Refused("no connection".into()));
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let login = handle.authenticate_publickey(user, key).await.is_ok_and(|answer| answer.success());
    if !login {
        return (Given::default(), Fate::Refused("no login".into()));
    }
    let given = Given { login, ..Given::default() };
    let mut asker = Asker { handle, channel: None, incoming, dialled: Vec::new(), at, given };
    let mut way = String::new();
    for line in lines {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answer = timeout(AT_LAST, asker.one(verb, rest)).await.expect("an answer");
        way.push_str(answer.unwrap_or_default());
    }
    asker.handle.disconnect(Disconnect::ByApplication, "", "").await.ok();
    (asker.given, Fate::Taken(way))
}

impl Asker {
    async fn one(&mut self, verb: &str, rest: &str) -> Option<&'static str> {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = second.parse().unwrap_or(u32::MAX);
        let handle = &self.handle;
        let opened = match verb {
            "session" => handle.channel_open_session().await.ok()?,
            "direct" => {
                let open = handle.channel_open_direct_tcpip(first, number, "::1", 1).await.ok()?;
                self.given.carried.push(format!("{first} {number}"));
                open
            }
            "streamlocal" => handle.channel_open_direct_streamlocal(rest).await.ok()?,
            "x11-channel" => handle.channel_open_x11(first, number).await.ok()?,
            "take" => timeout(WITHIN, self.incoming.recv()).await.ok()??,
            "forward" => {
                self.given.ports.push(handle.tcpip_forward(first, number).await.ok()?);
                return Some("+");
            }
            "forward-local" => {
                handle.streamlocal_forward(rest).await.ok()?;
                self.given.ports.push(u32::MAX);
                return Some("+");
            }
            "cancel" => return handle.cancel_tcpip_forward(first, number).await.ok().map(|()| "+"),
            "rekey" => return handle.rekey_soon().await.ok().map(|()| "+"),
            "dial" => return self.dial(rest).await,
            _ => return self.on_channel(verb, rest, number).await,
        };
        self.given.channels += usize::from(verb != "take");
        self.channel = Some(opened);
        Some("+")
    }

    /// Somebody else comes to a port that was opened.
    async fn dial(&mut self, says: &str) -> Option<&'static str> {
        let port = u16::try_from(*self.given.ports.last()?).ok()?;
        let mut stream = TcpStream::connect((self.at, port)).await.ok()?;
        stream.write_all(says.as_bytes()).await.ok()?;
        self.dialled.push(stream);
        Some("+")
    }

    async fn on_channel(&mut self, verb: &str, rest: &str, number: u32) -> Option<&'static str> {
        let channel = self.channel.as_mut()?;
        let bytes = || rest.as_bytes().to_vec();
        let sent = match verb {
            "exec" => channel.exec(true, rest).await,
            "shell" => channel.request_shell(true).await,
            "pty" => channel.request_pty(true, rest, number, 24, 0, number, &[]).await,
            "size" => channel.window_change(number, number, number, 0).await,
            "env" => channel.set_env(true, rest, rest).await,
            "subsystem" => channel.request_subsystem(true, rest).await,
            "x11" => channel.request_x11(true, false, rest, rest, number).await,
            "agent" => channel.agent_forward(true).await,
            "data" => channel.data_bytes(bytes()).await,
            "flood" => channel.data_bytes(vec![b'x'; 300_000]).await,
            "more" => channel.extended_data_bytes(number, bytes()).await,
            // As the relay's protocol tells how much was passed on.
            "passed-on" => {
                channel.extended_data_bytes(0x5152_0001, number.to_be_bytes().to_vec()).await
            }
            "eof" => channel.eof().await,
            "close" => channel.close().await,
            _ => return None,
        };
        sent.ok()?;
        match timeout(WITHIN, channel.wait()).await.ok()?? {
            ChannelMsg::Success => Some("s"),
            ChannelMsg::Failure => Some("f"),
            ChannelMsg::Data { .. } => Some("d"),
            ChannelMsg::ExtendedData { .. } => Some("e"),
            ChannelMsg::ExitStatus { .. } => Some("x"),
            ChannelMsg::Close => Some("c"),
            _ => Some("o"),
        }
    }
}

/// The answer to an exchange of keys.
const KEYS: &str = "keys";

/// Whether a greeting came as far as it can without a key to encrypt by.
pub fn answered(answer: &[u8]) -> Fate {
    let types = packets(answer);
    match types.contains(KEYS) {
        true => Fate::Taken(types),
        false => Fate::Refused(types),
    }
}

/// The types of the packets that came before encryption, after the line of the version.
fn packets(answer: &[u8]) -> String {
    let mut types = String::new();
    let line = answer.iter().position(|byte| *byte == b'\n').map_or(answer.len(), |at| at + 1);
    let mut rest = &answer[line..];
    while let Some((head, more)) = rest.split_at_checked(6) {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        types.push_str(&format!("{},", name(head[5])));
        // What follows the new keys cannot be read.
        if head[5] == 21 || more.len() + 2 < length {
            break;
        }
        rest = &more[length - 2..];
    }
    types
}

/// In letters, for digits do not count in a way to end.
fn name(kind: u8) -> String {
    match kind {
        1 => "disconnect".into(),
        20 => "kexinit".into(),
        21 => "new".into(),
        31 => KEYS.into(),
        kind => format!("{kind}"),
    }
}
