//! `quarry set-keys`: who may log in to a VM.

use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    ssh_key,
    vm::{self, VmRef},
};
use quarry_client::bindings::{self, runtime_types::bounded_collections::bounded_vec::BoundedVec};
use quarry_primitives::request::{SshKey, SshKeyList};
use serde::Serialize;

/// Which VM, and which keys.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry set-keys 12 ~/.ssh/id_ed25519.pub\n  quarry set-keys 12 --add colleague.pub\n\n\
The node takes them from the block on, and ends sessions of a key that is no longer there. The guest \
follows if the QEMU guest agent runs in it; else change ~/.ssh/authorized_keys there yourself."
)]
pub struct Args {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
    /// Public keys, each a file or a line. They take the place of those that it has.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Keep those that it has, and add these.
    #[arg(long, conflicts_with = "remove")]
    add: bool,
    /// Take these away, and keep the others.
    #[arg(long)]
    remove: bool,
}

/// What becomes of the keys that a VM has.
#[derive(Clone, Copy, Debug)]
enum Change {
    Replace,
    Add,
    Remove,
}

#[derive(Serialize)]
struct Keys {
    id: String,
    ssh_keys: Vec<String>,
}

impl Show for Keys {
    fn text(&self, _paint: Paint) -> String {
        let keys: Vec<_> = self.ssh_keys.iter().map(|key| format!("\n  {key}")).collect();
        match keys.is_empty() {
            true => format!("no key lets in to VM {}", self.id),
            false => format!("these let in to VM {}:{}", self.id, keys.concat()),
        }
    }
}

/// Sets them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut given = Vec::new();
    for word in &args.keys {
        given.extend(ssh_key::given(word)?);
    }
    let vm = vm::find(context, &args.vm).await?;
    let id = vm.request.request_id;
    let change = match (args.add, args.remove) {
        (true, _) => Change::Add,
        (_, true) => Change::Remove,
        _ => Change::Replace,
    };
    let keys = changed(&vm.ssh_keys, &given, change);
    let most = SshKeyList::bound();
    if keys.len() > most {
        return Err(Failure::Usage(format!(
            "a VM has {most} keys at most, and these would be {}: take some away with --remove",
            keys.len()
        )));
    }
    if keys.is_empty() {
        context.confirm_loss(&format!("Let nobody in to VM {id} any more?"))?;
    }
    let call = bindings::tx()
        .compute()
        .set_ssh_keys(id, BoundedVec(keys.iter().map(Into::into).collect()));
    context.submit("the change of keys", call).await?;
    let ssh_keys = keys.iter().map(ToString::to_string).collect();
    Ok(context.out.show(&Keys { id: id.to_string(), ssh_keys })?)
}

/// The keys afterwards, each once.
fn changed(before: &[SshKey], given: &[SshKey], change: Change) -> Vec<SshKey> {
    let is_given = |key: &SshKey| given.iter().any(|other| ssh_key::is_same(key, other));
    let kept = before.iter().filter(|key| match change {
        Change::Replace => false,
        Change::Add => true,
        Change::Remove => !is_given(key),
    });
    let added = match change {
        Change::Remove => &[],
        Change::Replace | Change::Add => given,
    };
    let mut keys: Vec<SshKey> = Vec::new();
    for key in kept.chain(added) {
        if !keys.iter().any(|known| ssh_key::is_same(known, key)) {
            keys.push(key.clone());
        }
    }
    keys
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keys(numbers: &[u8]) -> Vec<SshKey> {
        let key = |number: &u8| ssh_key::parse(&ssh_key::line(&[*number; 32])).unwrap();
        numbers.iter().map(key).collect()
    }

    #[test]
    fn keys_are_replaced_added_or_taken_away_and_each_is_there_once() {
        for (change, given, after) in [
            (Change::Replace, &[3, 3][..], &[3][..]),
            (Change::Add, &[2, 3], &[1, 2, 3]),
            (Change::Remove, &[2, 4], &[1]),
        ] {
            assert_eq!(changed(&keys(&[1, 2]), &keys(given), change), keys(after), "{change:?}");
        }
    }

    #[test]
    fn a_key_is_taken_away_whatever_its_comment() {
        let line = format!("{} erin@laptop", ssh_key::line(&[1; 32]));
        let with_comment = [SshKey::try_from(line.as_str()).unwrap()];
        assert!(changed(&with_comment, &keys(&[1]), Change::Remove).is_empty());
        assert_eq!(changed(&with_comment, &keys(&[1]), Change::Add), with_comment);
    }
}
