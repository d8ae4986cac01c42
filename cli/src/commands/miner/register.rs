//! `quarry miner register`: nodes join the market, from what their hosts say of themselves.

use super::{
    access_check::{self, Answer},
    id_of,
    node_file::NodeFile,
    offer::{self, country_in, OfferView, RatesView, Wanted, USUAL_RATES},
};
use crate::{
    commands::nodes::{country, country_text},
    context::Context,
    failure::Failure,
    output::{fields, table, Paint, Show},
    prompt, signer,
    units::{memory, Qry},
};
use data_encoding::HEXLOWER;
use quarry_client::{bindings, At, BondTerms, Included};
use quarry_primitives::{
    node::{Country, Disk, NodeMetricsData, Offer},
    resources::{Rates, Resources},
    AccountId, Balance,
};
use serde::Serialize;
use std::{collections::BTreeSet, path::PathBuf};
use subxt::tx::Payload;

/// Which hosts, and what they offer.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry miner register --from node.json\n  quarry miner register --from host1.json host2.json --country SE --vcpu-rate 0.0006 --yes\n\nWhat is not given is asked for on a terminal; else a node gives all that its host has, for usual rates. The chain counts by the block, so a rate may end a trace lower."
)]
pub struct Args {
    /// The files that `quarry-worker enroll` wrote, one for each host.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    from: Vec<PathBuf>,
    #[command(flatten)]
    offer: Wanted,
    /// Do not ask the nodes' SSH ports for their keys.
    #[arg(long)]
    no_check_access: bool,
    /// Do not sign: print the call, for a wallet, a proxy or a multisig.
    #[arg(long)]
    print_call: bool,
}

/// A host that is to be registered.
struct Candidate {
    file: NodeFile,
    answer: Answer,
    offer: Offer,
    bond: Balance,
}

/// What a host says of itself.
struct HostView<'a>(&'a NodeFile, &'a Answer);

impl HostView<'_> {
    fn text(&self, paint: Paint) -> String {
        let Self(file, answer) = self;
        let hardware = &file.hardware;
        let answer = match answer {
            Answer::Itself => paint.good(&answer.words()),
            Answer::NotAsked => paint.faint(&answer.words()),
            Answer::Nobody(_) | Answer::FormerKey | Answer::Another(_) => {
                paint.waiting(&answer.words())
            }
        };
        let mut rows = vec![("node", paint.strong(&file.node_id.to_string()))];
        rows.extend(hardware_rows(hardware));
        rows.extend([
            ("SSH port", format!("{}, {answer}", file.access.endpoint)),
            ("worker", signer::address_of(&file.worker)),
        ]);
        fields(rows)
    }
}

/// A host's parts in words.
pub fn hardware_rows(hardware: &NodeMetricsData) -> Vec<(&'static str, String)> {
    let sev = if hardware.is_sev_enabled { ", encrypted for guests" } else { "" };
    let (total, free) = (hardware.memory_mb, hardware.free_memory_mb);
    let disks = hardware.disks.iter().map(disk).collect::<Vec<_>>().join("; ");
    let card = &hardware.primary_network_interface;
    let speed = match hardware.bandwidth_mbps {
        0 => String::new(),
        mbps => format!(", {mbps} Mbit/s"),
    };
    let gpu = hardware.gpu_name.as_ref().map(|gpu| format!("{gpu}, {} MB", hardware.gpu_memory_mb));
    vec![
        ("CPU", format!("{} cores, {}", hardware.cpu_cores, hardware.cpu_model)),
        ("memory", format!("{total} MB, {free} MB free{sev}")),
        ("disks", disks),
        ("network", format!("{} ({}){speed}", card.name, card.mac_address)),
        ("GPU", gpu.unwrap_or_default()),
        ("location", hardware.geolocation.to_string()),
        ("hypervisor", hardware.hypervisor.to_string()),
        ("version", hardware.worker_version.to_string()),
    ]
}

fn disk(disk: &Disk) -> String {
    let Disk { name, disk_type, total_space_mb, free_space_mb, read_mb_s, write_mb_s } = disk;
    let speed = match (read_mb_s, write_mb_s) {
        (0, 0) => "not measured".into(),
        _ => format!("reads {read_mb_s} MB/s, writes {write_mb_s} MB/s"),
    };
    let (total, free) = (total_space_mb / 1_000, free_space_mb / 1_000);
    format!("{name} ({disk_type}), {total} GB, {free} GB free, {speed}")
}

#[derive(Serialize)]
struct Registered {
    miner: String,
    nodes: Vec<Row>,
    /// Of all that were registered.
    bond: Qry,
}

#[derive(Serialize)]
struct Row {
    node: String,
    worker: String,
    endpoint: String,
    ssh_port: Answer,
    offer: OfferView,
    bond: Qry,
    registered: bool,
    /// Why it was not.
    error: Option<String>,
}

impl Show for Registered {
    fn text(&self, paint: Paint) -> String {
        let rows = self.nodes.iter().map(|row| match &row.error {
            None => format!(
                "{} is {}; bond {}",
                paint.strong(&row.node),
                paint.good("registered"),
                row.bond.with_symbol()
            ),
            Some(why) => format!("{} is {}: {why}", row.node, paint.bad("not registered")),
        });
        let mut text = rows.collect::<Vec<_>>().join("\n");
        if self.nodes.iter().any(|row| row.registered) {
            text.push_str(
                "\n\nNow on each host, as root:\n  quarry-worker check\n  systemctl enable --now \
                 quarry-worker\nWith the worker's first heartbeat the node is online: `quarry miner \
                 view-compute` shows it.",
            );
        }
        text
    }
}

#[derive(Serialize)]
struct Calls {
    miner: String,
    calls: Vec<String>,
}

impl Show for Calls {
    fn text(&self, _: Paint) -> String {
        self.calls.join("\n")
    }
}

/// Registers them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let files = args.from.iter().map(|path| NodeFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    apart(&files)?;
    let genesis = context.genesis().await?;
    let miner = match (args.print_call, files.first()) {
        (true, Some(file)) => file.miner.clone(),
        _ => context.account().await?,
    };
    for file in &files {
        file.is_for(genesis, &miner)?;
    }
    let now = context.now().await?;
    for file in &files {
        free(&now, file, &miner).await?;
    }
    let candidates = prepare(context, &args, &now, files).await?;
    if args.print_call {
        let chain = context.chain().await?;
        let calls = candidates.iter().map(|candidate| {
            let data = chain.call_data(&call(candidate))?;
            Ok(format!("0x{}", HEXLOWER.encode(&data)))
        });
        let calls = calls.collect::<Result<Vec<_>, Failure>>()?;
        return Ok(context.out.show(&Calls { miner: signer::address_of(&miner), calls })?);
    }
    let bond = candidates.iter().fold(0, |sum: Balance, it| sum.saturating_add(it.bond));
    can_pay(&now, &miner, bond).await?;
    let names = candidates.iter().map(|candidate| candidate.file.node_id.to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    let address = signer::address_of(&miner);
    let bond = Qry(bond).with_symbol();
    context.confirm(&format!("Register {names} for a bond of {bond}, as {address}?"))?;
    let what = if candidates.len() == 1 { "the registration" } else { "the registrations" };
    let calls = candidates.iter().map(call).collect();
    let ends = context.submit_all(what, calls).await?;
    tell(context, address, candidates, ends)
}

/// No two files may be of one node, or of one key.
fn apart(files: &[NodeFile]) -> Result<(), Failure> {
    let mut nodes = BTreeSet::new();
    let mut workers = BTreeSet::new();
    for file in files {
        let path = file.path.display();
        if !nodes.insert(&file.node_id) {
            return Err(Failure::Usage(format!("{path}: another file names {} too", file.node_id)));
        }
        if !workers.insert(&file.worker) {
            return Err(Failure::Usage(format!(
                "{path}: another file has the same worker's key; each host makes its own: remove \
                 worker.key there, and `quarry-worker enroll`"
            )));
        }
    }
    Ok(())
}

/// The name and the worker's key must be nobody's yet.
async fn free(now: &At, file: &NodeFile, miner: &AccountId) -> Result<(), Failure> {
    let id = &file.node_id;
    if let Some(view) = now.node(id).await? {
        let remedy = match (view.node.owner == *miner, view.node.leaves_at) {
            (true, Some(_)) => format!("its bond rests: `quarry miner withdraw-bond {id}` first"),
            (true, None) => format!(
                "{id} is yours already: `quarry miner set-offer`, `rotate-worker` and `set-access` change it"
            ),
            (false, _) => format!("{id} is another miner's: set another node_id on the host"),
        };
        return Err(Failure::refused_because("Registry.NodeAlreadyRegistered", remedy));
    }
    match now.node_of_worker(&file.worker).await? {
        None => Ok(()),
        Some(other) => Err(Failure::refused_because(
            "Registry.WorkerTaken",
            format!("the worker's key of {id} works on {other}: each host makes a key of its own"),
        )),
    }
}

/// What is held must be there.
pub async fn can_pay(now: &At, account: &AccountId, amount: Balance) -> Result<(), Failure> {
    let free = now.account(account).await?.map_or(0, |account| account.free);
    if free >= amount {
        return Ok(());
    }
    Err(Failure::refused_because(
        "Token.FundsUnavailable",
        format!(
            "the bond takes {} and {} has {} free: offer less (--vcpus, --memory, --disk), or send it more",
            Qry(amount).with_symbol(),
            signer::address_of(account),
            Qry(free).with_symbol(),
        ),
    ))
}

/// Shows each host, asks for what was not given, and works out the bonds.
async fn prepare(
    context: &Context,
    args: &Args,
    now: &At,
    files: Vec<NodeFile>,
) -> Result<Vec<Candidate>, Failure> {
    let answers = match args.no_check_access {
        true => vec![Answer::NotAsked; files.len()],
        false => {
            let ports: Vec<_> = files.iter().map(|file| &file.access).collect();
            access_check::demand(context, &ports, None).await?
        }
    };
    let terms = now.bond_terms().await?;
    let paint = context.out.paint_aside();
    for (file, answer) in files.iter().zip(&answers) {
        context.out.aside(&format!("{}\n", HostView(file, answer).text(paint)));
    }
    let rates = rates(context, &args.offer)?;
    let mut candidates: Vec<Candidate> = Vec::with_capacity(files.len());
    for (file, answer) in files.into_iter().zip(answers) {
        let before = candidates.last().map(|before| before.offer.country);
        let wanted = Wanted {
            country: Some(country_of(context, &args.offer, &file, before)?),
            ..args.offer.clone()
        };
        let offer = offer_of(&wanted, rates, &file);
        if !offer.capacity.fits(&file.capacity) {
            context.out.aside(&format!(
                "{}: this is more than its host says it can give ({} vCPUs, {}, {} GiB)",
                file.node_id,
                file.capacity.vcpus,
                memory(file.capacity.memory_mib),
                file.capacity.disk_gib
            ));
        }
        let bond = bond_of(&terms, &offer)?;
        candidates.push(Candidate { file, answer, offer, bond });
    }
    context.out.aside(&format!("{}\n{}", offers(&candidates), RatesView::from(&rates).words()));
    Ok(candidates)
}

/// The bond of an offer that the chain takes.
pub fn bond_of(terms: &BondTerms, offer: &Offer) -> Result<Balance, Failure> {
    let whole = offer.rates.price(&offer.capacity);
    if whole.and_then(|price| price.checked_add(offer.rates.ip)).is_none() {
        return Err(Failure::refused("Registry.RatesOverflow"));
    }
    terms.of(&offer.capacity).ok_or_else(|| Failure::refused("Registry.BondOverflow"))
}

fn offers(candidates: &[Candidate]) -> String {
    let rows = candidates.iter().map(|Candidate { file, offer, bond, .. }| {
        let Resources { vcpus, memory_mib, disk_gib } = offer.capacity;
        [
            file.node_id.to_string(),
            country_text(&offer.country),
            vcpus.to_string(),
            memory(memory_mib),
            format!("{disk_gib} GiB"),
            offer.max_vms.to_string(),
            Qry(*bond).with_symbol(),
        ]
    });
    table(["NODE", "IN", "VCPU", "MEMORY", "DISK", "MOST VMS", "BOND"], rows)
}

/// All that the host has, where nothing else was said. No VM has less than a vCPU.
fn offer_of(wanted: &Wanted, rates: Rates, file: &NodeFile) -> Offer {
    let vcpus = wanted.vcpus.unwrap_or(file.capacity.vcpus);
    wanted.over(&Offer {
        capacity: file.capacity,
        rates,
        country: Country::default(),
        max_vms: vcpus.into(),
        global_ips: false,
    })
}

/// Those that are given; the others are asked for on a terminal.
fn rates(context: &Context, wanted: &Wanted) -> Result<Rates, Failure> {
    let asks = context.out.can_ask() && !context.global.yes;
    let usual = RatesView::from(&USUAL_RATES);
    let ask = |given: Option<offer::Rate>, what: &str, usual: Qry, otherwise: Balance| match given {
        Some(rate) => Ok(rate.0),
        None if !asks => Ok(otherwise),
        None => asked(context, what, Some(&usual.to_string()), offer::rate).map(|rate| rate.0),
    };
    let Wanted { vcpu_rate, memory_rate, disk_rate, address_rate, .. } = wanted;
    Ok(Rates {
        vcpu: ask(*vcpu_rate, "QRY an hour for a vCPU", usual.vcpu, USUAL_RATES.vcpu)?,
        memory_gib: ask(
            *memory_rate,
            "QRY an hour for a GiB of memory",
            usual.memory_gib,
            USUAL_RATES.memory_gib,
        )?,
        disk_gib: ask(
            *disk_rate,
            "QRY an hour for a GiB of disk",
            usual.disk_gib,
            USUAL_RATES.disk_gib,
        )?,
        ip: ask(*address_rate, "QRY an hour for an address", usual.address, USUAL_RATES.ip)?,
    })
}

fn country_of(
    context: &Context,
    wanted: &Wanted,
    file: &NodeFile,
    before: Option<Country>,
) -> Result<Country, Failure> {
    if let Some(country) = wanted.country {
        return Ok(country);
    }
    let place = file.hardware.geolocation.to_string();
    let likely = country_in(&place).or(before);
    if context.out.can_ask() && !context.global.yes {
        let default = likely.as_ref().map(country_text);
        let question = format!("{}: the country that it stands in, as SE", file.node_id);
        return asked(context, &question, default.as_deref(), country);
    }
    country_in(&place).ok_or_else(|| {
        Failure::Usage(format!(
            "{}: say with --country where it stands, as --country SE",
            file.path.display()
        ))
    })
}

/// Asks until the answer is one.
fn asked<Answer>(
    context: &Context,
    question: &str,
    default: Option<&str>,
    read: impl Fn(&str) -> Result<Answer, String>,
) -> Result<Answer, Failure> {
    loop {
        match read(&prompt::text(question, default)?) {
            Ok(answer) => return Ok(answer),
            Err(why) => context.out.aside(&why),
        }
    }
}

fn call(candidate: &Candidate) -> impl Payload + Send + Sync + 'static {
    let Candidate { file, offer, .. } = candidate;
    bindings::tx().registry().register_node(
        (&file.node_id).into(),
        offer.clone().into(),
        file.access.clone().into(),
        id_of(&file.worker),
        file.signature().into(),
    )
}

fn tell(
    context: &Context,
    miner: String,
    candidates: Vec<Candidate>,
    ends: Vec<Result<Included, Failure>>,
) -> Result<(), Failure> {
    let mut failures = Vec::new();
    let mut rows = Vec::with_capacity(candidates.len());
    for (candidate, end) in candidates.into_iter().zip(ends) {
        let Candidate { file, answer, offer, bond } = candidate;
        let error = end.as_ref().err().map(ToString::to_string);
        rows.push(Row {
            node: file.node_id.to_string(),
            worker: signer::address_of(&file.worker),
            endpoint: file.access.endpoint.to_string(),
            ssh_port: answer,
            offer: (&offer).into(),
            bond: Qry(bond),
            registered: error.is_none(),
            error,
        });
        failures.extend(end.err());
    }
    let done = rows.iter().filter(|row| row.registered);
    let bond = Qry(done.fold(0, |sum: Balance, row| sum.saturating_add(row.bond.0)));
    let all_failed = failures.len() == rows.len();
    if !all_failed || rows.len() > 1 {
        context.out.show(&Registered { miner, nodes: rows, bond })?;
    }
    match failures.into_iter().next() {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}
