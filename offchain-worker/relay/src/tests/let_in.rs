//! Who is let in, and for how long.

use super::stage::{echo, ends, key, public, there_and_back, Stage};
use crate::{Dial, DialError, Limits};

#[tokio::test]
async fn a_registered_node_has_a_port_that_leads_to_it() {
    let stage = Stage::new().await;
    let (mut link, _) = stage.node("alpha").await;
    let tenant = stage.tenant(link.port).await;
    let forwarded = link.next().await.unwrap();
    assert_eq!(forwarded.source, tenant.local_addr().unwrap());
    tokio::join!(there_and_back(tenant, 5), async {
        let (mut read, mut write) = tokio::io::split(forwarded.stream);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
}

#[tokio::test]
async fn a_key_that_is_not_registered_is_refused() {
    let stage = Stage::new().await;
    let (_link, _) = stage.node("alpha").await;
    assert!(matches!(stage.refusal("alpha", &key()).await, DialError::Refused));
    assert!(matches!(stage.refusal("gamma", &key()).await, DialError::Refused));
}

#[tokio::test]
async fn another_nodes_name_or_key_opens_nothing() {
    let stage = Stage::new().await;
    let (_alpha, alpha_key) = stage.node("alpha").await;
    let (_beta, beta_key) = stage.node("beta").await;
    for (node, key) in
        [("alpha", &beta_key), ("beta", &alpha_key), ("Alpha", &alpha_key), ("", &alpha_key)]
    {
        assert!(matches!(stage.refusal(node, key).await, DialError::Refused), "{node}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_the_chain_is_silent_and_nobody_is_cut_off() {
    let stage = Stage::new().await;
    let (link, key) = stage.node("alpha").await;
    let port = link.port;
    echo(link);
    let before = stage.chain.questions();
    stage.chain.falls_silent();
    assert!(matches!(stage.refusal("alpha", &key).await, DialError::Refused));
    assert!(stage.chain.questions() > before + 1, "whether it is still registered was asked");
    there_and_back(stage.tenant(port).await, 5).await;
}

#[tokio::test]
async fn a_node_that_was_deregistered_is_cut_off_with_all_that_it_carries() {
    let stage = Stage::new().await;
    let (mut link, key) = stage.node("alpha").await;
    let tenant = stage.tenant(link.port).await;
    let _forwarded = link.next().await.unwrap();
    stage.chain.deregister("alpha");
    assert_eq!(ends(tenant).await, 0);
    assert!(link.next().await.is_none());
    assert!(matches!(stage.refusal("alpha", &key).await, DialError::Refused));
    assert!(tokio::net::TcpStream::connect((stage.address, link.port)).await.is_err());
}

#[tokio::test]
async fn a_node_whose_key_was_changed_comes_back_with_the_new_one() {
    let stage = Stage::new().await;
    let (mut link, old) = stage.node("alpha").await;
    let new = key();
    stage.chain.register("alpha", &new);
    assert!(link.next().await.is_none());
    assert!(matches!(stage.refusal("alpha", &old).await, DialError::Refused));
    assert_eq!(stage.dial("alpha", &new).connect().await.unwrap().port, link.port);
}

#[tokio::test]
async fn a_relay_with_another_host_key_is_told_nothing() {
    let stage = Stage::new().await;
    let own = key();
    stage.chain.register("alpha", &own);
    let dial = Dial { relay_key: public(&key()), ..stage.dial("alpha", &own) };
    let refused = dial.connect().await.err().unwrap();
    assert!(matches!(refused, DialError::WrongHostKey), "{refused}");
    assert_eq!(stage.chain.questions(), 0);
}

#[tokio::test]
async fn a_second_login_takes_over_the_port() {
    let stage = Stage::new().await;
    let (mut first, key) = stage.node("alpha").await;
    let second = stage.dial("alpha", &key).connect().await.unwrap();
    assert!(first.next().await.is_none());
    assert_eq!(second.port, first.port);
    let port = second.port;
    echo(second);
    drop(first);
    there_and_back(stage.tenant(port).await, 5).await;
}

#[tokio::test]
async fn a_node_has_its_port_again_when_the_relay_was_started_anew() {
    let mut stage = Stage::new().await;
    let (mut alpha, alpha_key) = stage.node("alpha").await;
    let (beta, beta_key) = stage.node("beta").await;
    assert_ne!(alpha.port, beta.port);
    stage.stop().await;
    assert!(alpha.next().await.is_none());
    stage.start().await;
    let again = stage.dial("beta", &beta_key).connect().await.unwrap();
    assert_eq!(again.port, beta.port);
    assert_eq!(stage.dial("alpha", &alpha_key).connect().await.unwrap().port, alpha.port);
}

#[tokio::test]
async fn a_port_is_open_only_while_its_node_is_there() {
    let stage = Stage::new().await;
    let (link, key) = stage.node("alpha").await;
    let port = link.port;
    let tenant = stage.tenant(port).await;
    link.leave().await;
    assert_eq!(ends(tenant).await, 0);
    assert!(tokio::net::TcpStream::connect((stage.address, port)).await.is_err());
    assert_eq!(stage.dial("alpha", &key).connect().await.unwrap().port, port);
}

#[tokio::test]
async fn when_no_port_is_left_a_node_is_told_so() {
    let stage = Stage::with(Limits::default(), 20_000..=20_000).await;
    let (_alpha, _) = stage.node("alpha").await;
    let beta = key();
    stage.chain.register("beta", &beta);
    assert!(matches!(stage.refusal("beta", &beta).await, DialError::NoPort));
}

#[tokio::test]
async fn more_nodes_than_allowed_get_no_port_and_one_that_is_there_keeps_its() {
    let stage = Stage::with(Limits { nodes: 1, ..Limits::default() }, 20_000..=20_009).await;
    let (_alpha, alpha_key) = stage.node("alpha").await;
    let beta = key();
    stage.chain.register("beta", &beta);
    assert!(matches!(stage.refusal("beta", &beta).await, DialError::NoPort));
    assert!(stage.dial("alpha", &alpha_key).connect().await.is_ok());
}

#[tokio::test]
async fn a_port_that_another_program_has_is_not_given_away() {
    let stage = Stage::new().await;
    let _other = tokio::net::TcpListener::bind((stage.address, 20_000)).await.unwrap();
    let (link, _) = stage.node("alpha").await;
    assert_eq!(link.port, 20_001);
}
