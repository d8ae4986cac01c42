//! `quarry vnc`: a VM's screen at a local port.

use super::{
    client::{code, start, terminate, Ended, Signals},
    route,
    session::NodeClient,
    Target,
};
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    vm,
};
use serde::Serialize;
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a screen may take to greet once its port is open.
const PATIENCE: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(200);
/// How VNC servers begin.
const GREETING: [u8; 4] = *b"RFB ";

/// Whose screen.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry vnc 12\n\nIt lasts until Ctrl-C. Point a VNC viewer at the address that \
is printed, as `vncviewer 127.0.0.1:5901` or `open vnc://127.0.0.1:5901`."
)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The local port; without it, a free one.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

#[derive(Serialize)]
struct Screen {
    id: String,
    url: String,
    port: u16,
}

impl Show for Screen {
    fn text(&self, paint: Paint) -> String {
        paint.strong(&self.url)
    }
}

/// Leads a local port there, until Ctrl-C.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let vm = vm::find(context, &args.target.vm).await?;
    route::check_runs(&vm)?;
    let id = vm.request.request_id;
    let node = NodeClient::of(context, &vm, args.target.key.identity.as_deref()).await?;
    let port = free_port(args.port)?;
    let forward = format!("127.0.0.1:{port}:vm:5900");
    let options = ["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-L", &forward];
    let mut command = node.session(&options, "");
    command.stdin(Stdio::null());
    let signals = Signals::catch()?;
    let mut child = start(&mut command)?;
    let screen = Screen { id: id.to_string(), url: format!("vnc://127.0.0.1:{port}"), port };
    let silent = {
        let ended = signals.hand_on_until_end(&mut child);
        tokio::pin!(ended);
        let greeted = tokio::select! {
            greeted = context.out.waiting("the VM's screen", greets(port)) => greeted,
            ended = &mut ended => return over(ended?),
        };
        match greeted {
            true => {
                context.out.show(&screen)?;
                context.out.aside("until Ctrl-C");
                return over(ended.await?);
            }
            false => Failure::Unreachable(format!(
                "the screen of VM {id} does not answer: is it on? See `quarry stats {id}`"
            )),
        }
    };
    terminate(&mut child);
    child.wait().await?;
    Err(silent)
}

/// Where ssh ended by itself, it said why.
fn over(Ended { status, asked }: Ended) -> Result<(), Failure> {
    match asked {
        true => Ok(()),
        false => Err(Failure::Exit(code(status))),
    }
}

fn free_port(wanted: Option<u16>) -> Result<u16, Failure> {
    let place = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted.unwrap_or(0)));
    let port = TcpListener::bind(place).and_then(|listener| listener.local_addr());
    port.map(|place| place.port()).map_err(|error| {
        Failure::Usage(format!(
            "--port: {place} cannot be had: {error}; without it a free one is taken"
        ))
    })
}

/// Waits until ssh listens and the screen speaks through it.
async fn greets(port: u16) -> bool {
    let greeting = async {
        while greeting(port).await.is_err() {
            sleep(EVERY).await;
        }
    };
    timeout(PATIENCE, greeting).await.is_ok()
}

async fn greeting(port: u16) -> std::io::Result<()> {
    let mut screen = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut first = [0; GREETING.len()];
    screen.read_exact(&mut first).await?;
    match first == GREETING {
        true => Ok(()),
        false => Err(std::io::ErrorKind::InvalidData.into()),
    }
}
