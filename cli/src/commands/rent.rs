//! `quarry rent`: from nothing to a VM that answers, in one command.

use super::{
    images,
    nodes::{self, country_text, Wanted},
    plans, reach, vms,
};
use crate::{
    context::Context,
    failure::Failure,
    output::{fields, Paint, Show, Wait},
    tenant_keys::{self, Chosen},
    units::{self, rough, size, time_of, Price, Qry, Span},
    user_data,
    vm::{self, Summary},
};
use quarry_client::{
    bindings::{self, runtime_types::bounded_collections::bounded_vec::BoundedVec},
    At,
};
use quarry_primitives::{
    api::{ApiError, FoundNode, Quote, VmView},
    request::{
        ComputeRequestStatus, ImageMetadata, IpWish, Params, Placement, Plan, PlanId, VmName,
    },
    text::Text,
    Balance, BlockNumber, NodeId, RequestId,
};
use serde::Serialize;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use subxt::utils::Static;

const DEFAULT_IMAGE: &str = "debian-12";
const DEFAULT_SPAN: Span = Span(Duration::from_secs(24 * 3_600));

/// What to rent. Everything has a default.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry rent\n  quarry rent --plan medium --country SE --max-price 0.01 --for 7days --name web\n  quarry rent --node my-node --ssh-key ~/.ssh/id_ed25519.pub --cloud-init setup.yaml --yes"
)]
pub struct Args {
    /// The plan (small, else the smallest; see `quarry plans`).
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// The image (debian-12, else the only one; see `quarry images`).
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// On this node, in place of the best.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// For how long to pay in advance, as 24h (the default) or 30days; `quarry top-up` adds more.
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
    /// What to call it (the plan's and the image's name).
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A public key that lets in, as a file or a line; repeat it for more (up to 8). Without it: those of
    /// your agent or ~/.ssh; else one is made for the VM.
    #[arg(long, value_name = "FILE|KEY")]
    ssh_key: Vec<String>,
    /// A file with user data for cloud-init, which goes to the IPFS API of the settings (ipfs_api).
    #[arg(long, value_name = "FILE", conflicts_with = "cloud_init_cid")]
    cloud_init: Option<PathBuf>,
    /// User data for cloud-init by its content id.
    #[arg(long, value_name = "CID")]
    cloud_init_cid: Option<String>,
    /// Ask for it although no node takes it now: the first one that can will.
    #[arg(long)]
    wait: bool,
    /// Return when it is so far: accepted by the chain, running, or ready, when its guest answers by ssh.
    #[arg(long, value_enum, default_value_t)]
    until: Until,
    /// Only show what it would cost.
    #[arg(long)]
    dry_run: bool,
}

/// How far the way goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum Until {
    Accepted,
    Running,
    #[default]
    Ready,
}

/// What will be asked for.
struct Order {
    name: VmName,
    plan_id: PlanId,
    plan: Plan,
    image: ImageMetadata,
    span: Span,
    prepaid: BlockNumber,
    max_price: Balance,
    placement: Placement,
    ip: IpWish,
    /// None where it waits for a node.
    node: Option<FoundNode>,
    deposit: Option<Balance>,
    params: Params,
}

#[derive(Serialize)]
struct Offer {
    plan: String,
    image: String,
    resources: quarry_primitives::resources::Resources,
    node: Option<String>,
    country: Option<String>,
    price: Price,
    max_price: Price,
    for_seconds: u64,
    prepaid: Qry,
    deposit: Option<Qry>,
    #[serde(skip)]
    reserve: Duration,
    #[serde(skip)]
    at_most: bool,
}

impl Show for Offer {
    fn text(&self, paint: Paint) -> String {
        let node = match (&self.node, &self.country) {
            (Some(node), Some(country)) => format!("{node} ({country})"),
            _ => "the first that can".to_owned(),
        };
        let span = rough(Duration::from_secs(self.for_seconds));
        let reserve = paint.faint(&format!(
            "(of that the last {} as a reserve; what is not used comes back)",
            rough(self.reserve)
        ));
        let price =
            if self.at_most { format!("at most {}", self.price) } else { self.price.to_string() };
        let at_most = match self.max_price == self.price {
            true => String::new(),
            false => format!("{}, to which a resize may lead", self.max_price),
        };
        fields([
            ("plan", format!("{} ({})", self.plan, size(&self.resources))),
            ("image", self.image.clone()),
            ("node", node),
            ("price", price),
            ("at most", at_most),
            ("prepaid", format!("{} for {span} {reserve}", self.prepaid.with_symbol())),
            (
                "deposit",
                self.deposit.map_or_else(String::new, |deposit| {
                    format!("{}, which comes back with the VM's record", deposit.with_symbol())
                }),
            ),
        ])
    }
}

/// What was rented.
#[derive(Serialize)]
struct Rented {
    #[serde(flatten)]
    vm: Summary,
    /// What connects.
    connect: String,
    /// The private key that was made for it.
    ssh_key_file: Option<PathBuf>,
    /// Seconds from the command's start to each step.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
struct Step {
    step: &'static str,
    seconds: f64,
}

impl Show for Rented {
    fn text(&self, paint: Paint) -> String {
        let key = match &self.ssh_key_file {
            Some(file) => format!("\nits key: {}", file.display()),
            None => String::new(),
        };
        let id = &self.vm.id;
        match self.vm.status {
            "running" => format!("\n{}{key}", paint.strong(&self.connect)),
            _ => format!("VM {id} is {}; see `quarry show {id}`{key}", self.vm.status),
        }
    }
}

/// Rents it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let begun = Instant::now();
    let order = prepare(context, &args).await?;
    let offer = order.offer();
    if args.dry_run {
        return Ok(context.out.show(&offer)?);
    }
    // The account that pays, before anybody is asked for a yes.
    let signer = context.signer().await?;
    let account = signer.address();
    context.out.aside(&offer.text(context.out.paint_aside()));
    let has = context.now().await?.account(&signer.public()).await?.map_or(0, |has| has.free);
    order.is_affordable(has, &account)?;
    context.confirm(&format!("Rent it, as {account}?"))?;
    let cloud_init = match (&args.cloud_init, &args.cloud_init_cid) {
        (Some(file), _) => Some(user_data::add(context, file).await?),
        (None, Some(cid)) => Some(user_data::as_text(cid)?),
        (None, None) => None,
    };
    let genesis = context.genesis().await?;
    let Chosen { keys, from, made } = tenant_keys::choose(context, &args.ssh_key).await?;
    context.out.aside(&format!("keys that let in: {from}"));

    let call = bindings::tx().compute().create_compute_request(
        (&order.name).into(),
        order.plan_id,
        (&order.image.name).into(),
        BoundedVec(keys.iter().map(Into::into).collect()),
        cloud_init.as_ref().map(Into::into),
        Static(order.placement.clone()),
        order.max_price,
        order.prepaid,
        Static(order.ip),
    );
    let asked = Instant::now();
    let included = context.submit("the request", call).await?;
    let created = included.find::<bindings::compute::events::ComputeRequestCreated>();
    let created = created.ok_or_else(|| {
        Failure::Other("the request is in a block without its event: see `quarry vms`".into())
    })?;
    let id = created.request_id;
    let ssh_key_file = made.map(|made| made.belongs_to(context, genesis, id)).transpose()?;
    let mut progress = Progress::new(context, id, begun, asked);
    progress
        .step("accepted", &format!("VM {id} ({}), in block {}", order.name, included.block.number));
    let rented = async {
        let ready = args.until != Until::Accepted && progress.until_running().await?;
        if ready && args.until == Until::Ready {
            progress.until_ready().await;
        }
        let now = context.now().await?;
        let vm = now.vm(id).await?.ok_or_else(|| gone(id))?;
        vms::summary(&now, &vm).await
    };
    // Ctrl-C ends the wait, and not the VM.
    let vm = context.until_interrupted(rented, || Err(left(id))).await?;
    let steps = progress.end();
    let connect = format!("quarry ssh {id}");
    Ok(context.out.show(&Rented { vm, connect, ssh_key_file, steps })?)
}

fn left(id: RequestId) -> Failure {
    Failure::Interrupted(format!(
        "VM {id} goes on without this command: `quarry show {id}` says how it does, \
         `quarry delete {id}` takes it back"
    ))
}

fn gone(id: RequestId) -> Failure {
    Failure::NotFound(format!("VM {id} is gone"))
}

/// The chain holds the highest price for each block: so many of them as pay for the time at the real one.
fn prepaid_blocks(blocks: BlockNumber, price: Balance, max_price: Balance) -> BlockNumber {
    if max_price == 0 {
        return blocks;
    }
    let paid = price.saturating_mul(blocks.into());
    BlockNumber::try_from(paid.div_ceil(max_price)).unwrap_or(blocks).min(blocks)
}

/// Looks for what was asked for, and for the best node.
async fn prepare(context: &Context, args: &Args) -> Result<Order, Failure> {
    let now = context.now().await?;
    let defaults = &context.settings.rent;
    let plans = now.plans().await?;
    let (plan_id, plan) = match args.plan.as_ref().or(defaults.plan.as_ref()) {
        Some(name) => plans::named(&plans, name)?,
        None => nodes::default_plan(&plans)
            .map(|(id, plan)| (id, plan))
            .ok_or_else(|| Failure::NotFound("the chain has no plan that can be rented".into()))?,
    };
    let images = now.images().await?;
    let image = match args.image.as_ref().or(defaults.image.as_ref()) {
        Some(name) => images::named(&images, name)?,
        None => default_image(&images)?,
    };
    if image.virtual_size_gib > plan.resources.disk_gib {
        return Err(Failure::refused("Compute.ImageTooLarge"));
    }
    let mut wanted = args.wanted.clone();
    if wanted.country.is_none() {
        let country = defaults.country.as_deref().map(nodes::country).transpose();
        wanted.country =
            country.map_err(|error| Failure::Usage(format!("rent.country: {error}")))?;
    }
    let filter = nodes::filter(plan.resources, &wanted);
    let named = args.node.as_deref().map(node_id).transpose()?;
    let found = match &named {
        Some(node_id) => named_node(&now, *plan_id, node_id, &filter).await?,
        None => best_node(context, &now, &filter).await?,
    };
    let quote = match &found {
        Some(found) => now.quote(*plan_id, &found.node.node_id).await?.ok(),
        None => None,
    };
    if found.is_none() && !args.wait {
        return Err(nobody(args, &plan.resources, &wanted));
    }
    // Without a highest price, what it costs at the node that was found is agreed on, and no more.
    let max_price = match (&found, wanted.max_price) {
        (_, Some(price)) => units::per_block(price),
        (Some(found), None) => found.price,
        (None, None) => {
            return Err(Failure::Usage("--wait needs the highest price: add --max-price".into()))
        }
    };
    let params = now.params().await?;
    let span = args.span.unwrap_or(DEFAULT_SPAN);
    let blocks = span.blocks().and_then(|blocks| blocks.checked_add(params.grace_period));
    let blocks = blocks.ok_or_else(|| Failure::refused("Compute.PrepaidTooLong"))?;
    let least = params.grace_period.saturating_add(params.min_lease);
    let price = found.as_ref().map_or(max_price, |found| found.price);
    let prepaid = prepaid_blocks(blocks, price, max_price).max(least);
    if blocks < least {
        let shortest = rough(time_of(params.min_lease));
        return Err(Failure::refused_because(
            "Compute.PrepaidTooShort",
            format!("rent for {shortest} or longer (--for)"),
        ));
    }
    let name = args.name.clone().unwrap_or_else(|| format!("{}-{}", plan.name, image.name));
    let text =
        Text::try_from(name.as_str()).map_err(|_| Failure::refused("Compute.InvalidVmName"))?;
    Ok(Order {
        name: text,
        plan_id: *plan_id,
        plan: plan.clone(),
        image: image.clone(),
        span,
        prepaid,
        max_price,
        placement: Placement {
            miner_id: found.as_ref().map(|found| found.node.node_id.clone()),
            country: wanted.country,
        },
        ip: wanted.ip.into(),
        deposit: quote.map(|Quote { deposit, .. }| deposit),
        node: found,
        params,
    })
}

fn default_image(images: &[ImageMetadata]) -> Result<&ImageMetadata, Failure> {
    let enabled: Vec<_> = images.iter().filter(|image| image.enabled).collect();
    let usual = enabled.iter().find(|image| image.name.as_str() == Some(DEFAULT_IMAGE));
    match (usual, enabled.as_slice()) {
        (Some(image), _) => Ok(image),
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::NotFound(
            "the chain has no images: its admin adds them (`quarry image add`)".into(),
        )),
        (None, _) => Err(Failure::Usage("name an image with --image: see `quarry images`".into())),
    }
}

fn node_id(text: &str) -> Result<NodeId, Failure> {
    let missing = || Failure::NotFound(format!("there is no node {text:?}: see `quarry nodes`"));
    text.try_into().map_err(|_| missing())
}

/// The node that was named, if it takes the VM; else why it does not.
async fn named_node(
    now: &At,
    plan_id: PlanId,
    node_id: &NodeId,
    filter: &quarry_primitives::api::NodeFilter,
) -> Result<Option<FoundNode>, Failure> {
    let quote = match now.quote(plan_id, node_id).await? {
        Ok(quote) => quote,
        Err(ApiError::NodeNotFound) => {
            return Err(Failure::NotFound(format!(
                "there is no node {:?}: see `quarry nodes`",
                node_id.to_string()
            )))
        }
        Err(error) => return Err(Failure::refused(format!("Compute.{error:?}"))),
    };
    if let Some(unfit) = quote.unfit {
        let why = format!("{node_id} does not take it now: {}", unfit.words());
        return Err(Failure::refused_because(why, "see `quarry nodes` for others"));
    }
    let found = now.find_nodes(filter).await?;
    let found = found.into_iter().find(|found| found.node.node_id == *node_id);
    let unfit = || {
        let why = format!(
            "{node_id} does not take it at that price, in that country, or with an address"
        );
        Failure::refused_because(why, "see `quarry quote`, or `quarry nodes` for others")
    };
    found.ok_or_else(unfit).map(Some)
}

async fn best_node(
    context: &Context,
    now: &At,
    filter: &quarry_primitives::api::NodeFilter,
) -> Result<Option<FoundNode>, Failure> {
    let mut found = context.out.waiting("the list of nodes", now.find_nodes(filter)).await?;
    nodes::sort(&mut found);
    Ok(found.into_iter().next())
}

fn nobody(
    args: &Args,
    resources: &quarry_primitives::resources::Resources,
    wanted: &Wanted,
) -> Failure {
    let country = wanted.country.map(|country| format!(" in {}", country_text(&country)));
    let price =
        wanted.max_price.map(|price| format!(" for {} an hour or less", price.with_symbol()));
    let what =
        format!("{}{}{}", size(resources), country.unwrap_or_default(), price.unwrap_or_default());
    let retry = if args.wanted.max_price.is_some() { "--wait" } else { "--wait with --max-price" };
    Failure::refused_because(
        format!("no node takes {what} now"),
        format!("see `quarry nodes` for what there is, or ask for it all the same with {retry}"),
    )
}

impl Order {
    /// What it costs where it will run, or at most.
    fn price(&self) -> Balance {
        self.node.as_ref().map_or(self.max_price, |found| found.price)
    }

    /// All that the chain will hold.
    fn held(&self) -> Balance {
        let rent = self.max_price.saturating_mul(self.prepaid.into());
        rent.saturating_add(self.deposit.unwrap_or_default())
    }

    /// The chain would say the same, and take a fee.
    fn is_affordable(&self, free: Balance, account: &str) -> Result<(), Failure> {
        match free >= self.held() {
            true => Ok(()),
            false => Err(Failure::refused_because(
                "Token.FundsUnavailable",
                format!(
                    "{account} has {} that is free, and {} would be held: rent for a shorter time \
                     (--for), or send it some QRY",
                    Qry(free).with_symbol(),
                    Qry(self.held()).with_symbol()
                ),
            )),
        }
    }

    fn offer(&self) -> Offer {
        let node = self.node.as_ref().map(|found| &found.node);
        Offer {
            plan: self.plan.name.to_string(),
            image: self.image.name.to_string(),
            resources: self.plan.resources,
            node: node.map(|node| node.node_id.to_string()),
            country: node.map(|node| country_text(&node.node.offer.country)),
            price: Price::per_block(self.price()),
            max_price: Price::per_block(self.max_price),
            for_seconds: self.span.0.as_secs(),
            prepaid: Qry(self.max_price.saturating_mul(self.prepaid.into())),
            deposit: self.deposit.map(Qry),
            reserve: time_of(self.params.grace_period),
            at_most: self.node.is_none(),
        }
    }
}

/// The way from a request to a VM that answers, told step by step.
struct Progress<'a> {
    context: &'a Context,
    id: RequestId,
    begun: Instant,
    last: Instant,
    steps: Vec<Step>,
    wait: Option<Wait<'a>>,
}

impl<'a> Progress<'a> {
    fn new(context: &'a Context, id: RequestId, begun: Instant, asked: Instant) -> Self {
        Self { context, id, begun, last: asked, steps: Vec::new(), wait: None }
    }

    /// A step that is done, with the time it took.
    fn step(&mut self, step: &'static str, what: &str) {
        let took = self.last.elapsed();
        self.last = Instant::now();
        self.steps.push(Step { step, seconds: self.begun.elapsed().as_secs_f64() });
        let paint = self.context.out.paint_aside();
        let time = paint.faint(&format!("{:.1} s", took.as_secs_f64()));
        let line = format!("{} {step:<9} {what}  {time}", paint.good("✓"));
        match &self.wait {
            Some(wait) => wait.suspend(|| self.context.out.aside(&line)),
            None => self.context.out.aside(&line),
        }
    }

    /// What is waited for now.
    fn waits_for(&mut self, what: &str) {
        match &self.wait {
            Some(wait) => wait.is_for(what),
            None => self.wait = Some(self.context.out.wait(what)),
        }
    }

    fn end(mut self) -> Vec<Step> {
        self.wait = None;
        self.steps
    }

    /// Waits for the guest.
    async fn until_ready(&mut self) {
        self.waits_for("the guest to answer by ssh");
        match reach::until_ready(self.context, self.id).await {
            Ok(()) => self.step("ready", "the guest answers by ssh"),
            Err(failure) => self.context.out.aside(&format!(
                "the VM runs, but does not answer by ssh: {failure}; see `quarry console {}`",
                self.id
            )),
        }
    }

    /// Waits for what the chain says.
    async fn until_running(&mut self) -> Result<bool, Failure> {
        let chain = self.context.chain().await?;
        let (_, mut latest) = chain.ready().await;
        let mut seen = Seen::default();
        loop {
            let now = chain.at(latest.block.hash);
            let vm = now.vm(self.id).await?.ok_or_else(|| gone(self.id))?;
            if self.look(&now, &vm, &mut seen).await? {
                return Ok(true);
            }
            latest = chain.next_finalized(latest.block.hash).await;
        }
    }

    /// Tells what is new, and whether the VM runs.
    async fn look(&mut self, now: &At, vm: &VmView, seen: &mut Seen) -> Result<bool, Failure> {
        let request = &vm.request;
        let failure = request.last_failure.as_ref().map(ToString::to_string);
        if failure != seen.failure {
            if let Some(why) = &failure {
                self.context.out.aside(&format!("a launch failed: {why}"));
            }
            seen.failure = failure;
        }
        match request.status {
            ComputeRequestStatus::Running => {
                seen.image_step(self);
                self.step("booting", "the VM runs");
                Ok(true)
            }
            ComputeRequestStatus::InProgress => {
                let at_it = vm.assignment.as_ref().is_some_and(|it| it.job_id.is_some());
                if at_it {
                    seen.image_step(self);
                    self.waits_for("the VM to start");
                } else {
                    self.waits_for("the node to have the image");
                }
                Ok(false)
            }
            ComputeRequestStatus::Pending => {
                let reasons = vms::reasons(now, self.id).await?;
                let why = reasons.first().map(|waits| format!(": {}", waits.reason));
                self.waits_for(&format!("a node to take it{}", why.unwrap_or_default()));
                Ok(false)
            }
            ComputeRequestStatus::Failed | ComputeRequestStatus::Cancelled => {
                let why = seen.failure.clone().unwrap_or_else(|| vm::status(vm).to_owned());
                Err(Failure::refused_because(
                    format!("the launch failed: {why}"),
                    "all of the rent came back; try another node",
                ))
            }
            ComputeRequestStatus::Stopped => Ok(false),
        }
    }
}

/// What was told already.
#[derive(Default)]
struct Seen {
    image: bool,
    failure: Option<String>,
}

impl Seen {
    fn image_step(&mut self, progress: &mut Progress<'_>) {
        if !self.image {
            self.image = true;
            progress.step("image", "the node has it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_pays_for_the_time_at_the_real_price() {
        assert_eq!(prepaid_blocks(15_000, 100, 100), 15_000);
        assert_eq!(prepaid_blocks(15_000, 100, 200), 7_500);
        assert_eq!(prepaid_blocks(15_000, 100, 199), 7_538);
        assert_eq!(prepaid_blocks(15_000, 0, 0), 15_000);
        assert_eq!(prepaid_blocks(15_000, Balance::MAX, 1), 15_000);
    }
}
