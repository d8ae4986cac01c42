//! Launches, and what becomes of those that fail and of VMs that are lost.

use super::{must, Lease, Model, Outcome};
use crate::{step::On, world::*};
use quarry_primitives::{
    market::Outcome as Fate,
    request::{ComputeRequestStatus as Status, OperationKind},
    Balance,
};

impl Model {
    pub(super) fn start(&mut self, by: Who, on: On, sound: bool) -> Outcome {
        let deadline = self.now + self.params.launch_timeout;
        let (vm, by_worker) = self.report_on(by, on)?;
        let launch = vm.operation.as_mut().filter(|op| op.kind == OperationKind::Launch);
        let placed = vm.placed.as_mut().ok_or("nowhere")?;
        launch.ok_or("no launch")?.deadline = deadline;
        must(placed.job.is_none() && sound, "started already, or no job")?;
        placed.job = Some("starting");
        if by_worker {
            self.hear(on.node);
        }
        Ok(())
    }

    pub(super) fn launched(&mut self, by: Who, on: On, sound: bool) -> Outcome {
        let (vm, by_worker) = self.report_on(by, on)?;
        must(vm.is(OperationKind::Launch) && sound, "no launch, or no port")?;
        vm.operation = None;
        vm.status = Status::Running;
        let placed = vm.placed.as_mut().ok_or("nowhere")?;
        (placed.claimed, placed.launched, placed.job) = (false, true, Some("launched"));
        if by_worker {
            self.hear(on.node);
        }
        let lease = self.vm(on.vm)?.lease.as_mut().ok_or("no lease")?;
        lease.owed = Some(0);
        self.plan_next_look(on.vm);
        self.nodes.get_mut(&on.node).ok_or("no such node")?.count(Fate::Launched);
        Ok(())
    }

    pub(super) fn fail(&mut self, by: Who, on: On, terminal: bool, sound: bool) -> Outcome {
        let (vm, by_worker) = self.report_on(by, on)?;
        must(!vm.is(OperationKind::Delete) && sound, "being deleted, or no reason")?;
        let launching = vm.status == Status::InProgress;
        if by_worker {
            self.hear(on.node);
        }
        if launching {
            self.fail_launch(on.vm, Fate::Failed, terminal, "it broke");
            return Ok(());
        }
        self.note("a VM was lost");
        self.close(on.vm, false);
        self.unassign(on.vm, Some(Fate::Lost), self.params.ip_quarantine);
        self.vm(on.vm)?.last_failure = Some("it broke");
        self.end(on.vm, Status::Failed);
        Ok(())
    }

    /// A launch did not succeed: it goes to another node, unless it was to be this one or enough failed.
    pub(super) fn fail_launch(
        &mut self,
        label: Label,
        fate: Fate,
        terminal: bool,
        reason: &'static str,
    ) {
        let Some(vm) = self.vms.get(&label) else { return };
        let (Some(placed), Some(lease)) = (&vm.placed, &vm.lease) else { return };
        let (node, miner, claimed) = (placed.node, placed.miner, placed.claimed);
        let penalty = lease.price * Balance::from(CLAIM_PENALTY);
        if claimed {
            if penalty < LEAST_PENALTY {
                self.note("the least penalty");
            }
            self.slash(node, penalty.max(LEAST_PENALTY));
        }
        self.unassign(label, Some(fate), self.params.ip_quarantine);
        let most = self.params.max_attempts;
        let Ok(vm) = self.vm(label) else { return };
        vm.attempts += 1;
        vm.terminal_failures += u8::from(terminal);
        vm.excluded.push(miner);
        vm.last_failure = Some(reason);
        if vm.named.is_some() {
            self.note("a launch on the named node failed");
            self.end(label, Status::Failed);
        } else if vm.terminal_failures == 2 {
            self.note("two miners said that it will never run");
            self.end(label, Status::Failed);
        } else if vm.attempts >= most {
            self.note("enough miners failed a launch");
            self.end(label, Status::Failed);
        } else {
            self.note("a launch failed and goes elsewhere");
            self.wait_for_another_node(label);
        }
    }

    pub(super) fn wait_for_another_node(&mut self, label: Label) {
        let Ok(vm) = self.vm(label) else { return };
        vm.status = Status::Pending;
        vm.named = None;
        vm.lease = vm.lease.take().map(|lease| Lease::of(lease.held));
    }
}
