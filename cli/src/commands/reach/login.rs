//! `quarry ssh` and `quarry scp`.

use super::{
    client::{Attended, Client},
    identity::Identities,
    route::{self, guest_name, Hop, Names, USER},
    KeyArgs, Target,
};
use crate::{
    context::Context,
    failure::Failure,
    vm::{self, VmRef},
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// How to get there.
#[derive(clap::Args, Debug)]
struct WayArgs {
    /// Go through the node although the VM has an address of its own: where that is out of reach from here.
    #[arg(long)]
    jump: bool,
    /// Who logs in.
    #[arg(long, short, value_name = "USER", default_value = USER, value_parser = user)]
    user: String,
}

/// Whom to log in as, and what to run.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry ssh 12\n  quarry ssh web -- uname -a\n  quarry ssh web -L 8080:localhost:80\n\n\
A VM with an address of its own is reached by it, any other by way of its node. Host keys come from the \
chain: nothing is asked, and no known_hosts is written."
)]
pub struct SshArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    way: WayArgs,
    /// Give the command a terminal, as `ssh -t`.
    #[arg(long, short)]
    tty: bool,
    /// A local port that leads into the VM, as `ssh -L`: 8080:localhost:80.
    #[arg(long, short = 'L', value_name = "FORWARD")]
    forward: Vec<String>,
    /// Any other setting of ssh, as `ssh -o`: ForwardAgent=yes.
    #[arg(long, short, value_name = "SETTING")]
    option: Vec<String>,
    /// What to run there, in place of a shell.
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What to copy, and where to.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry scp notes.txt 12:/tmp/\n  quarry scp -r web:/etc/nginx ./\n\n\
As scp has it, with a VM's number or name for the host; a file of this machine whose name has a colon is \
written ./a:b."
)]
pub struct ScpArgs {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    way: WayArgs,
    /// scp's own options, and the files: VM:PATH for one in a VM.
    #[arg(
        value_name = "FILE|VM:FILE",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    args: Vec<OsString>,
}

/// A user's name as ssh takes it, which is none of its options.
fn user(text: &str) -> Result<String, String> {
    let sound = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(sound) {
        true => Ok(text.to_owned()),
        false => Err("a user is letters, digits, dots, dashes and underscores".into()),
    }
}

/// Logs in.
pub async fn ssh(context: &Context, args: SshArgs) -> Result<(), Failure> {
    let (id, way) = way(context, &args.target.vm, &args.target.key, &args.way).await?;
    let client = Client::new(&[way], Attended::ByPerson)?;
    let mut command = client.command("ssh");
    if args.tty {
        command.arg("-t");
    }
    for forward in &args.forward {
        command.args(["-L", forward]);
    }
    for option in &args.option {
        command.args(["-o", option]);
    }
    command.arg(guest_name(id));
    if !args.command.is_empty() {
        // Else what begins with a dash would be ssh's own.
        command.arg("--").args(&args.command);
    }
    client.run(command).await
}

/// Copies.
pub async fn scp(context: &Context, args: ScpArgs) -> Result<(), Failure> {
    let words: Vec<Word> = words(&args.args)?;
    let mut ways = Vec::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for vm in words.iter().filter_map(|word| word.vm.as_ref()) {
        if names.contains_key(vm) {
            continue;
        }
        let reference: VmRef = vm.parse().map_err(Failure::Usage)?;
        let (id, way) = way(context, &reference, &args.key, &args.way).await?;
        if !names.values().any(|name| *name == guest_name(id)) {
            ways.push(way);
        }
        names.insert(vm.clone(), guest_name(id));
    }
    if ways.is_empty() {
        return Err(Failure::Usage("name a VM, as in `quarry scp notes.txt 12:/tmp/`".into()));
    }
    let client = Client::new(&ways, Attended::ByPerson)?;
    let mut command = client.command("scp");
    for word in words {
        command.arg(word.for_scp(&names));
    }
    client.run(command).await
}

async fn way(
    context: &Context,
    vm: &VmRef,
    key: &KeyArgs,
    way: &WayArgs,
) -> Result<(quarry_primitives::RequestId, (Vec<Hop>, Identities)), Failure> {
    let vm = vm::find(context, vm).await?;
    let id = vm.request.request_id;
    let hops = route::to_guest(&vm, &Names::passing(id), &way.user, way.jump)?;
    let identities = Identities::of(context, &vm, key.identity.as_deref()).await?;
    Ok((id, (hops, identities)))
}

/// A word of scp's, with the VM where it names one.
#[derive(Debug, Eq, PartialEq)]
struct Word {
    before: String,
    vm: Option<String>,
    after: OsString,
}

impl Word {
    fn local(text: &OsStr) -> Self {
        Self { before: String::new(), vm: None, after: text.to_owned() }
    }

    fn for_scp(self, names: &BTreeMap<String, String>) -> OsString {
        let name = self.vm.as_ref().and_then(|vm| names.get(vm));
        let mut text = OsString::from(self.before);
        text.push(name.map_or("", String::as_str));
        text.push(self.after);
        text
    }
}

/// scp's options that have a value after them.
const WITH_VALUE: &str = "cDFiJloPSX";

fn words(args: &[OsString]) -> Result<Vec<Word>, Failure> {
    let mut words = Vec::with_capacity(args.len());
    let (mut value_follows, mut only_files) = (false, false);
    for arg in args {
        let Some(text) = arg.to_str() else {
            words.push(Word::local(arg));
            continue;
        };
        let is_option = !only_files && text.len() > 1 && text.starts_with('-');
        if value_follows || is_option {
            words.push(Word::local(arg));
            only_files |= !value_follows && text == "--";
            value_follows = !value_follows && expects_value(text);
            continue;
        }
        words.push(file(text)?);
    }
    Ok(words)
}

/// Whether the last letter of some options wants the next word. A value may also follow at once.
fn expects_value(options: &str) -> bool {
    let first = options.char_indices().skip(1).find(|(_, letter)| WITH_VALUE.contains(*letter));
    first.is_some_and(|(at, _)| at + 1 == options.len())
}

/// As scp has it: with a colon before any slash it is a place elsewhere.
fn file(text: &str) -> Result<Word, Failure> {
    if text.starts_with("scp://") {
        return Err(Failure::Usage(format!("{text:?}: write it as VM:PATH")));
    }
    let place = text.split('/').next().unwrap_or_default();
    let drive = cfg!(windows) && place.get(1..2) == Some(":") && place.len() <= 3;
    match text.split_once(':') {
        Some((place, _)) if drive || place.is_empty() || place.contains('/') => {
            Ok(Word::local(OsStr::new(text)))
        }
        None => Ok(Word::local(OsStr::new(text))),
        Some((place, path)) => {
            let (before, vm) = match place.rsplit_once('@') {
                Some((user_name, vm)) => {
                    (format!("{}@", user(user_name).map_err(Failure::Usage)?), vm)
                }
                None => (String::new(), place),
            };
            let after = OsString::from(format!(":{path}"));
            Ok(Word { before, vm: Some(vm.to_owned()), after })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn translated(args: &[&str]) -> Vec<String> {
        let names = [("12", "vm-12"), ("web", "vm-7")].map(|(vm, name)| (vm.into(), name.into()));
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let words = words(&args).unwrap().into_iter();
        words.map(|word| word.for_scp(&names.clone().into()).into_string().unwrap()).collect()
    }

    #[test]
    fn a_vm_before_a_colon_becomes_its_name_in_the_config() {
        assert_eq!(translated(&["./a", "12:/tmp/"]), ["./a", "vm-12:/tmp/"]);
        assert_eq!(translated(&["-r", "root@web:a:b", "."]), ["-r", "root@vm-7:a:b", "."]);
        assert_eq!(translated(&["-3", "12:", "web:"]), ["-3", "vm-12:", "vm-7:"]);
    }

    #[test]
    fn files_here_and_values_of_options_stay_as_they_are() {
        let as_they_are: [&[&str]; 5] = [
            &["./a:b", "/c:d", ":e", "-"],
            &["-o", "ProxyCommand=12:x", "file"],
            &["-l", "12:1", "-rl", "12:2", "-P22", "a"],
            &["-S", "--", "-q"],
            &["--", "-a"],
        ];
        for words in as_they_are {
            assert_eq!(translated(words), words);
        }
        assert_eq!(translated(&["--", "-a", "12:-b"]), ["--", "-a", "vm-12:-b"]);
        assert_eq!(translated(&["-P22", "12:"]), ["-P22", "vm-12:"]);
    }

    #[test]
    fn what_could_be_an_option_of_ssh_is_no_user() {
        for text in ["", "-l", "a b", "a@b", "$(x)", "a\nb"] {
            assert!(user(text).is_err(), "{text}");
        }
        assert_eq!(user("web-1.x_y").unwrap(), "web-1.x_y");
        assert!(words(&["-oX@12:".into()]).is_ok(), "an option");
        assert!(words(&["a b@12:".into()]).is_err());
        assert!(words(&["scp://12/a".into()]).is_err());
    }
}
