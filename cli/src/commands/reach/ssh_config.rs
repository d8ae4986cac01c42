//! `quarry ssh-config`: a tenant's VMs for plain ssh and all that is built on it.

use super::{
    config,
    identity::Identities,
    route::{self, Hop, Names, USER},
    KeyArgs,
};
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    tenant_keys,
    vm::{self, VmRef},
};
use quarry_primitives::{api::VmView, request::ComputeRequestStatus, Hash};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Which VMs.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry ssh-config >~/.ssh/quarry    (with `Include quarry` first in ~/.ssh/config)\n  \
ssh quarry-12; rsync -a site/ quarry-web:/var/www/; ansible -i quarry-12, all -m ping\n\n\
A VM is called quarry-NUMBER, and quarry-NAME where its name is a plain word of its own. Host keys go to a \
file of ours. Run it again when a VM is new, or moved to another node."
)]
pub struct Args {
    /// The VMs' numbers or names; without any, all of yours that run.
    #[arg(value_name = "VM")]
    vms: Vec<VmRef>,
    /// Those as well that do not run now.
    #[arg(long)]
    all: bool,
    /// Go through the node also where a VM has an address of its own.
    #[arg(long)]
    jump: bool,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Serialize)]
struct Entries {
    /// As ssh takes it.
    config: String,
    /// Where the host keys are.
    known_hosts: PathBuf,
    hosts: Vec<Host>,
}

#[derive(Serialize)]
struct Host {
    id: String,
    names: Vec<String>,
    address: String,
    through: Option<String>,
}

impl Show for Entries {
    fn text(&self, _paint: Paint) -> String {
        self.config.clone()
    }
}

/// Prints them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let genesis = context.genesis().await?;
    let folder = &context.places.ssh;
    let known_hosts = folder.join(format!("known_hosts-{}", tenant_keys::short(genesis)));
    let mine = mine(context, &args).await?;
    let names = plain_names(&mine);
    tenant_keys::make_folder(folder)?;
    let (mut config, mut hosts, mut known) = (String::new(), Vec::new(), BTreeMap::new());
    for vm in &mine {
        let id = vm.request.request_id;
        let hops = match hops(vm, genesis, names.get(&id), args.jump) {
            Ok(hops) => hops,
            // Named ones must be right; of a list, what cannot be reached yet is no mistake.
            Err(failure) if args.vms.is_empty() => {
                context.out.aside(&format!("VM {id} is left out: {failure}"));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let identities = match Identities::of(context, vm, args.key.identity.as_deref()).await {
            Ok(identities) => identities.files(folder)?,
            Err(failure @ Failure::NotFound(_)) => {
                context.out.aside(&failure.to_string());
                Vec::new()
            }
            Err(failure) => return Err(failure),
        };
        for hop in &hops {
            config.push_str(&config::entry(hop, &identities, &known_hosts)?);
            known.insert(hop.known_as.clone(), config::known(hop));
        }
        hosts.extend(hops.into_iter().last().map(|hop| Host {
            id: id.to_string(),
            names: hop.names,
            address: hop.host,
            through: hop.through,
        }));
    }
    replace(&known_hosts, &known)?;
    Ok(context.out.show(&Entries { config, known_hosts, hosts })?)
}

async fn mine(context: &Context, args: &Args) -> Result<Vec<VmView>, Failure> {
    let mut found = Vec::with_capacity(args.vms.len());
    for vm in &args.vms {
        found.push(vm::find(context, vm).await?);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let account = context.account().await?;
    let mut vms = context.now().await?.user_vms(&account).await?;
    let runs = |vm: &VmView| vm.request.status == ComputeRequestStatus::Running;
    let has_key = |vm: &VmView| vm.assignment.as_ref().is_some_and(|it| it.ssh_host_key.is_some());
    vms.retain(|vm| runs(vm) || args.all && has_key(vm));
    Ok(vms)
}

fn hops(
    vm: &VmView,
    genesis: Hash,
    name: Option<&String>,
    jump: bool,
) -> Result<Vec<Hop>, Failure> {
    let id = vm.request.request_id;
    let mut guest = vec![format!("quarry-{id}")];
    guest.extend(name.map(|name| format!("quarry-{name}")));
    let node = format!("quarry-{id}-node");
    let known = format!("quarry-{}-", tenant_keys::short(genesis));
    route::to_guest(vm, &Names { guest, node, known }, USER, jump)
}

/// The names that ssh could take, and that one VM alone has.
fn plain_names(vms: &[VmView]) -> BTreeMap<quarry_primitives::RequestId, String> {
    let name = |vm: &VmView| {
        let name = vm.request.name.as_str()?;
        let plain = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
        let is_plain =
            name.starts_with(|sign: char| sign.is_ascii_alphabetic()) && name.chars().all(plain);
        is_plain.then(|| name.to_owned())
    };
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for name in vms.iter().filter_map(name) {
        *count.entry(name).or_default() += 1;
    }
    let own = |vm: &VmView| {
        let name = name(vm).filter(|name| count.get(name) == Some(&1))?;
        Some((vm.request.request_id, name))
    };
    vms.iter().filter_map(own).collect()
}

/// Puts these keys in the place of those that are filed under the same names, and keeps the others.
fn replace(file: &Path, keys: &BTreeMap<String, String>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Other(format!("{}: {error}", file.display()));
    let before = match fs::read_to_string(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        before => before.unwrap_or_default(),
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(merged(&before, keys).as_bytes()).map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

fn merged(before: &str, keys: &BTreeMap<String, String>) -> String {
    let is_other = |line: &&str| {
        line.split(' ').next().is_some_and(|name| !name.is_empty() && !keys.contains_key(name))
    };
    let others = before.lines().filter(is_other).map(|line| format!("{line}\n"));
    others.chain(keys.values().cloned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commands::reach::route::tests::running;
    use quarry_primitives::request::VmName;

    fn called(id: u128, name: &str) -> VmView {
        let mut vm = running();
        vm.request.request_id = id;
        vm.request.name = VmName::try_from(name).unwrap();
        vm
    }

    #[test]
    fn a_vm_is_called_by_its_number_and_by_a_name_that_is_its_own() {
        let vms = [
            called(1, "web"),
            called(2, "db"),
            called(3, "db"),
            called(4, "a b"),
            called(5, "5-node"),
        ];
        let names = plain_names(&vms);
        assert_eq!(names, [(1, "web".to_owned())].into());
        let hops = hops(&vms[0], Hash::repeat_byte(0xab), names.get(&1), false).unwrap();
        assert_eq!(hops[1].names, ["quarry-1", "quarry-web"]);
        assert_eq!(hops[1].known_as, "quarry-abababab-vm-1");
        assert_eq!(hops[1].through.as_deref(), Some("quarry-1-node"));
        assert_eq!(hops[0].names, ["quarry-1-node"]);
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_old_one_and_leaves_others_alone() {
        let keys = [("b".to_owned(), "b new\n".to_owned())].into();
        assert_eq!(merged("a old\nb old\n\nb older\nc old\n", &keys), "a old\nc old\nb new\n");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known");
        replace(&file, &keys).unwrap();
        replace(&file, &[("a".to_owned(), "a new\n".to_owned())].into()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "b new\na new\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
