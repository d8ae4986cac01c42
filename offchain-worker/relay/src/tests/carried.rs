//! What is carried, and that nobody holds up anybody.

use super::stage::{echo, ends, key, there_and_back, Stage};
use crate::{flow::WINDOW, Limits};
use russh::{
    client::{self, ChannelOpenHandle, Handler, Msg, Session},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
    Channel, ChannelMsg,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

#[tokio::test(flavor = "multi_thread")]
async fn much_more_than_a_window_comes_through_whole_and_ends_on_each_side_for_itself() {
    let stage = Stage::new().await;
    let (link, _) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    there_and_back(stage.tenant(port).await, 9 * WINDOW + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_fill_both_directions_and_all_get_through() {
    let stage = Stage::new().await;
    let (link, _) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    let mut all = JoinSet::new();
    for _ in 0..12 {
        all.spawn(there_and_back(stage.tenant(port).await, 6 * WINDOW));
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_does_not_read_holds_up_nobody_else() {
    let stage = Stage::new().await;
    let (link, _) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    // Until nothing more is taken: whatever buffers there are on the way are full.
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut tenant = stage.tenant(port).await;
        let piece = vec![1; 1 << 20];
        while tokio::time::timeout(Duration::from_millis(500), tenant.write_all(&piece))
            .await
            .is_ok()
        {}
        silent.push(tenant);
    }
    there_and_back(stage.tenant(port).await, 4 * WINDOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_read_one_connection_gets_the_others() {
    let stage = Stage::new().await;
    let (mut link, _) = stage.node("alpha").await;
    let port = link.port;
    let mut stuck = stage.tenant(port).await;
    let _never_read = link.next().await.unwrap();
    echo(link);
    let piece = vec![1; 1 << 20];
    while tokio::time::timeout(Duration::from_millis(500), stuck.write_all(&piece)).await.is_ok() {}
    there_and_back(stage.tenant(port).await, 4 * WINDOW).await;
}

#[tokio::test]
async fn when_the_nodes_end_breaks_the_tenants_ends() {
    let stage = Stage::new().await;
    let (mut link, _) = stage.node("alpha").await;
    let tenant = stage.tenant(link.port).await;
    drop(link.next().await.unwrap());
    assert_eq!(ends(tenant).await, 0);
}

#[tokio::test]
async fn when_the_tenant_is_gone_the_node_sees_the_end() {
    let stage = Stage::new().await;
    let (mut link, _) = stage.node("alpha").await;
    let tenant = stage.tenant(link.port).await;
    let mut stream = link.next().await.unwrap().stream;
    drop(tenant);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn more_connections_than_allowed_from_one_address_are_closed() {
    let limits = Limits { per_source: 2, ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let (link, _) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    let first = stage.tenant(port).await;
    let second = stage.tenant(port).await;
    assert_eq!(ends(stage.tenant(port).await).await, 0);
    there_and_back(first, 5).await;
    there_and_back(second, 5).await;
}

#[tokio::test]
async fn more_connections_than_allowed_in_all_are_closed() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let (alpha, _) = stage.node("alpha").await;
    let (beta, _) = stage.node("beta").await;
    let (at_alpha, at_beta) = (alpha.port, beta.port);
    echo(alpha);
    echo(beta);
    let first = stage.tenant(at_alpha).await;
    assert_eq!(ends(stage.tenant(at_beta).await).await, 0);
    there_and_back(first, 5).await;
}

#[tokio::test]
async fn a_connection_that_carries_nothing_is_ended() {
    let limits = Limits { idle: Duration::from_millis(200), ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let (link, _) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    assert_eq!(ends(stage.tenant(port).await).await, 0);
}

#[tokio::test]
async fn a_tenant_who_does_not_close_has_no_place_for_long_once_the_node_is_through() {
    let limits =
        Limits { per_source: 1, half_closed: Duration::from_millis(200), ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let (mut link, _) = stage.node("alpha").await;
    let port = link.port;
    let mut silent = stage.tenant(port).await;
    drop(link.next().await.unwrap());
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
    echo(link);
    let another = async {
        loop {
            let mut tenant = stage.tenant(port).await;
            tenant.write_all(b"hello").await.ok();
            if tenant.read_exact(&mut [0; 5]).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), another).await.expect("a place");
    drop(silent);
}

#[tokio::test]
async fn a_tenant_who_is_through_gets_what_the_node_goes_on_sending() {
    let limits = Limits { half_closed: Duration::from_secs(5), ..Limits::default() };
    let stage = Stage::with(limits, 20_000..=20_009).await;
    let (mut link, _) = stage.node("alpha").await;
    let mut tenant = stage.tenant(link.port).await;
    let mut stream = link.next().await.unwrap().stream;
    tenant.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    let sending = tokio::spawn(async move {
        for _ in 0..15 {
            sleep(Duration::from_millis(500)).await;
            stream.write_all(b".").await.unwrap();
        }
    });
    assert_eq!(ends(tenant).await, 15);
    sending.await.unwrap();
}

/// A node that sends without waiting until it was passed on; tells whether that went well.
struct Unruly(mpsc::Sender<bool>);

impl Handler for Unruly {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let told = self.0.clone();
        let (mut reader, writer) = channel.split();
        tokio::spawn(async move {
            let piece = vec![1; 1 << 20];
            let all = async {
                for _ in 0..64 {
                    writer.data_bytes(piece.clone()).await.unwrap();
                }
            };
            let closed =
                async { while !matches!(reader.wait().await, Some(ChannelMsg::Close) | None) {} };
            let went_well = tokio::select! { () = all => true, () = closed => false };
            told.send(went_well).await.unwrap();
        });
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sends_more_than_it_may_loses_the_connection() {
    let stage = Stage::new().await;
    let own = key();
    stage.chain.register("alpha", &own);
    let config = Arc::new(client::Config::default());
    let (told, mut hear) = mpsc::channel(1);
    let mut node = client::connect(config, stage.endpoint, Unruly(told)).await.unwrap();
    let own = PrivateKeyWithHashAlg::new(Arc::new(own), None);
    assert!(node.authenticate_publickey("alpha", own).await.unwrap().success());
    let port = node.tcpip_forward("", 0).await.unwrap();
    let tenant_who_does_not_read = stage.tenant(port as u16).await;
    assert_eq!(hear.recv().await, Some(false));
    ends(tenant_who_does_not_read).await;
}
