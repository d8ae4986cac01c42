//! Doing steps on the chain and in the model, side by side.

use crate::{
    calls, chain,
    check::{check, Checked, Duties},
    chooser::Chooser,
    reference::Model,
    step::{Act, Room, Step},
    tally::Tally,
    world::*,
};
use frame_support::dispatch::CheckIfFeeless;
use rand::{rngs::StdRng, SeedableRng};
use sp_runtime::traits::Dispatchable;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// A sequence of which the last step showed a difference.
pub struct Failed {
    pub steps: Vec<Step>,
    pub why: String,
}

/// Does random steps from the seed.
pub fn random(seed: u64, count: usize) -> Result<Tally, Failed> {
    let mut chooser = Chooser::new(StdRng::seed_from_u64(seed));
    let mut left = opening((seed % 2) as u8);
    left.reverse();
    let mut done = 0;
    run(|model| {
        done += 1;
        (done <= count).then(|| left.pop().unwrap_or_else(|| chooser.next_step(model)))
    })
}

/// Does these steps.
pub fn again(steps: &[Step]) -> Result<Tally, Failed> {
    let mut steps = steps.iter().cloned();
    run(|_| steps.next())
}

/// Parameters, nodes and addresses, so that a market is there at once.
fn opening(variant: u8) -> Vec<Step> {
    let offer =
        |rates, large, abroad| OfferKind { large, rates, abroad, max_vms: 9, global_ips: true };
    let nodes = [
        (Who::Miner(0), offer(0, true, false)),
        (Who::Miner(0), offer(1, true, false)),
        (Who::Miner(1), offer(0, true, false)),
        (Who::Miner(2), offer(1, false, true)),
    ];
    let act = Act::SetParams { variant };
    let mut steps = vec![Step { kind: "set_params", by: Who::Admin, act }];
    for (node, (miner, offer)) in (0u8..).zip(nodes) {
        let worker = Who::Worker(node);
        let act = Act::Register { node, worker, offer, proof_for: miner };
        steps.push(Step { kind: "register_node", by: miner, act });
        let act = Act::Beat { node, accepting: true, metrics: None };
        steps.push(Step { kind: "submit_node_metrics", by: worker, act });
    }
    for (pool, by) in [(Pool::Global, Who::Admin), (Pool::Of(0), Who::Miner(0))] {
        steps.push(Step { kind: "set_ip_pool", by, act: Act::SetPool { pool, network: 0 } });
        steps.push(Step { kind: "add_ips", by, act: Act::AddIps { pool, first: 3, count: 2 } });
    }
    steps
}

fn run(mut next: impl FnMut(&Model) -> Option<Step>) -> Result<Tally, Failed> {
    let mut tally = Tally::default();
    let mut steps = Vec::new();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        chain::on_new_chain(|| {
            let mut model = Model::new();
            while let Some(step) = next(&model) {
                steps.push(step.clone());
                let succeeded = one(&step, &mut model)?;
                tally.count(step.kind, succeeded);
            }
            tally.came_about(model.seen);
            Ok(())
        })
    }));
    let why = match ran {
        Ok(Ok(())) => return Ok(tally),
        Ok(Err(why)) => why,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            format!("panicked: {}", text.unwrap_or_default())
        }
    };
    Err(Failed { steps, why })
}

/// Does one step, says whether it succeeded, and fails where chain and model differ.
fn one(step: &Step, model: &mut Model) -> Result<bool, String> {
    let duties = Duties::of(model);
    let succeeded = match step.act {
        Act::Pass { blocks, room } => {
            pass(blocks, room, model)?;
            true
        }
        _ => dispatch(step, model)?,
    };
    check(model)?;
    duties.check_told(&Duties::of(model), step.by, model)?;
    Ok(succeeded)
}

fn pass(blocks: u8, room: Room, model: &mut Model) -> Checked {
    chain::pass(blocks);
    match room {
        Room::Ample => chain::idle(None)?,
        Room::Little(deadlines) => chain::idle(Some(deadlines))?,
        Room::None => chain::idle(Some(0))?,
    }
    let left = chain::due();
    if room == Room::Ample && !left.is_empty() {
        return Err(format!("there was room for {left:?}, which did not run"));
    }
    model.pass(blocks, room, &left);
    Ok(())
}

fn dispatch(step: &Step, model: &mut Model) -> Result<bool, String> {
    let Some(call) = calls::call(step, model) else { return Err("a step of no kind".into()) };
    let origin = calls::origin(step.by);
    let free = (call.is_feeless(&origin), model.is_free(step));
    let expected = model.apply(step);
    let done = call.dispatch(origin).map_err(|refused| refused.error);
    match (&done, &expected) {
        (Ok(_), Err(why)) => return Err(format!("the chain did it; the model: {why}")),
        (Err(error), Ok(())) => return Err(format!("the chain refused it: {error:?}")),
        _ => {}
    }
    match free {
        (true, false) => Err("it was free".into()),
        (false, true) => Err("it should be free".into()),
        _ => Ok(done.is_ok()),
    }
}
