//! Whether a node's SSH port answers, with the host key that tenants will be told.

use crate::{context::Context, failure::Failure, ssh_key};
use quarry_primitives::node::Access;
use serde::Serialize;
use std::{io, time::Duration};
use tokio::{net::TcpStream, process::Command, time::timeout};

const PATIENCE: Duration = Duration::from_secs(5);

/// What answered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "state", content = "detail", rename_all = "snake_case")]
pub enum Answer {
    /// The node, with its key.
    Itself,
    /// Nobody was asked.
    NotAsked,
    /// Nobody, as before the worker runs.
    Nobody(String),
    /// The node, with the key that the chain has until now.
    FormerKey,
    /// Something that is not this node.
    Another(String),
}

impl Answer {
    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::Itself => "answers with the node's key".into(),
            Self::NotAsked => "not asked".into(),
            Self::FormerKey => {
                "answers with its former key, until it sees the new one on chain".into()
            }
            Self::Nobody(why) => format!("does not answer yet ({why})"),
            Self::Another(what) => what.clone(),
        }
    }
}

/// Asks ports, all at once: the answers in their order.
async fn ask(context: &Context, ports: &[&Access], former: Option<[u8; 32]>) -> Vec<Answer> {
    let asked: Vec<_> = ports
        .iter()
        .map(|access| {
            let (endpoint, host_key) = (access.endpoint.to_string(), access.host_key);
            tokio::spawn(async move { probe(&endpoint, &host_key, former.as_ref()).await })
        })
        .collect();
    let all = async {
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(answer.await.unwrap_or(Answer::NotAsked));
        }
        answers
    };
    let endpoints: Vec<_> = ports.iter().map(|access| access.endpoint.to_string()).collect();
    context.out.waiting(&format!("{} to answer by SSH", endpoints.join(", ")), all).await
}

/// Asks ports, all at once, and refuses one where something else than the node answers. A node may still
/// show its `former` key, as it does until the chain names the new one.
pub async fn demand(
    context: &Context,
    ports: &[&Access],
    former: Option<[u8; 32]>,
) -> Result<Vec<Answer>, Failure> {
    let answers = ask(context, ports, former).await;
    for (access, answer) in ports.iter().zip(&answers) {
        match answer {
            Answer::Another(_) => {
                return Err(Failure::Usage(format!(
                    "{} {}, and tenants would be told {}: correct access.endpoint on the host; where that \
                     is a relay's address, which the worker replaces by the node's port there, add \
                     --no-check-access",
                    access.endpoint,
                    answer.words(),
                    ssh_key::line(&access.host_key),
                )))
            }
            Answer::Nobody(_) => context.out.aside(&format!(
                "{} {}: it will once the worker runs there and the port is open",
                access.endpoint,
                answer.words()
            )),
            Answer::Itself | Answer::FormerKey | Answer::NotAsked => {}
        }
    }
    Ok(answers)
}

async fn probe(endpoint: &str, host_key: &[u8; 32], former: Option<&[u8; 32]>) -> Answer {
    match timeout(PATIENCE, TcpStream::connect(endpoint)).await {
        Err(_) => return Answer::Nobody(format!("not within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Answer::Nobody(error.to_string()),
        Ok(Ok(_)) => {}
    }
    let Some((host, port)) = endpoint.rsplit_once(':') else {
        return Answer::Another("is not host:port".into());
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let seconds = PATIENCE.as_secs().to_string();
    let scan = Command::new("ssh-keyscan")
        .args(["-T", &seconds, "-t", "ed25519", "-p", port, host])
        .kill_on_drop(true)
        .output();
    match timeout(PATIENCE.saturating_mul(2), scan).await {
        Err(_) => Answer::Another("takes connections, and says nothing by SSH".into()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Answer::Nobody("there is no ssh-keyscan here to ask with: install OpenSSH".into())
        }
        Ok(Err(error)) => Answer::Nobody(format!("ssh-keyscan: {error}")),
        Ok(Ok(output)) => judge(&String::from_utf8_lossy(&output.stdout), host_key, former),
    }
}

/// By what ssh-keyscan wrote: lines of a host, a kind and a key.
fn judge(scanned: &str, host_key: &[u8; 32], former: Option<&[u8; 32]>) -> Answer {
    let lines = scanned.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let keys: Vec<_> = lines.filter_map(|line| line.split_once(' ')).map(|(_, key)| key).collect();
    match keys.as_slice() {
        [] => Answer::Another("takes connections, and has no Ed25519 key by SSH".into()),
        keys if keys.contains(&ssh_key::line(host_key).as_str()) => Answer::Itself,
        keys if former.is_some_and(|key| keys.contains(&ssh_key::line(key).as_str())) => {
            Answer::FormerKey
        }
        [other, ..] => Answer::Another(format!("answers with another key: {other}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn the_key_decides_who_answers() {
        let line = format!("# alpha:2222 SSH-2.0-x\n[alpha]:2222 {}\n", ssh_key::line(&[9; 32]));
        assert_eq!(judge(&line, &[9; 32], None), Answer::Itself);
        assert_eq!(judge(&line, &[8; 32], Some(&[9; 32])), Answer::FormerKey);
        assert!(
            matches!(judge(&line, &[8; 32], Some(&[7; 32])), Answer::Another(what) if what.contains("ssh-ed25519"))
        );
        assert!(matches!(judge("", &[9; 32], None), Answer::Another(_)));
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_and_one_that_speaks_no_ssh_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        assert!(matches!(probe(&address, &[9; 32], None).await, Answer::Another(_)));
        silent.abort();
        let _ = silent.await;
        assert!(matches!(probe(&address, &[9; 32], None).await, Answer::Nobody(_)));
    }
}
