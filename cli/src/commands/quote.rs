//! `quarry quote`: what a plan costs on a node.

use super::plans;
use crate::{
    context::Context,
    failure::Failure,
    output::{fields, Paint, Show},
    units::{rough, size, time_of, Price, Qry},
};
use quarry_primitives::{api::ApiError, resources::Resources};
use serde::Serialize;

/// Which plan, and where.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry quote small my-node")]
pub struct Args {
    /// The plan.
    plan: String,
    /// The node.
    node: String,
}

#[derive(Serialize)]
struct Quote {
    plan: String,
    node: String,
    resources: Resources,
    price: Price,
    address_price: Option<Price>,
    least_prepaid_seconds: u64,
    least_prepaid: Qry,
    deposit: Qry,
    takes_it: bool,
    because: Option<&'static str>,
}

impl Show for Quote {
    fn text(&self, paint: Paint) -> String {
        let least = rough(std::time::Duration::from_secs(self.least_prepaid_seconds));
        let takes =
            self.because.map_or_else(|| paint.good("yes"), |why| paint.bad(&format!("no: {why}")));
        let address = self.address_price.map(|price| price.to_string());
        fields([
            ("plan", format!("{} ({})", self.plan, size(&self.resources))),
            ("node", self.node.clone()),
            ("price", self.price.to_string()),
            ("address", address.unwrap_or_else(|| "it has none to give".into())),
            ("at least", format!("{} prepaid, for {least}", self.least_prepaid.with_symbol())),
            ("deposit", format!("{}, which comes back", self.deposit.with_symbol())),
            ("takes it", takes),
        ])
    }
}

/// Asks for it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let now = context.now().await?;
    let plans = now.plans().await?;
    let (plan_id, plan) = plans::named(&plans, &args.plan)?;
    let missing =
        || Failure::NotFound(format!("there is no node {:?}: see `quarry nodes`", args.node));
    let node_id = args.node.as_str().try_into().map_err(|_| missing())?;
    let quote = match now.quote(*plan_id, &node_id).await? {
        Ok(quote) => quote,
        Err(ApiError::NodeNotFound) => return Err(missing()),
        Err(error) => return Err(Failure::refused(format!("Compute.{error:?}"))),
    };
    let least = u128::from(quote.min_prepaid_blocks);
    Ok(context.out.show(&Quote {
        plan: args.plan,
        node: args.node,
        resources: plan.resources,
        price: Price::per_block(quote.price),
        address_price: quote.ip_price.map(|price| Price::per_block(price.0)),
        least_prepaid_seconds: time_of(quote.min_prepaid_blocks).as_secs(),
        least_prepaid: Qry(quote.price.saturating_mul(least)),
        deposit: Qry(quote.deposit),
        takes_it: quote.unfit.is_none(),
        because: quote.unfit.map(|unfit| unfit.words()),
    })?)
}
