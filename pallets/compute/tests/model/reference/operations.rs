//! What is asked of a VM, and how that ends.

use super::{
    lease::price_of, must, nodes::fits, requests::Operation, requests::OF_THE_CHAIN, Model, Outcome,
};
use crate::{step::On, world::*};
use quarry_primitives::{
    request::{ComputeRequestStatus as Status, OperationKind, Params},
    resources::Resources,
    Balance,
};

impl Model {
    pub(super) fn set_operation(
        &mut self,
        label: Label,
        kind: OperationKind,
        wait: u32,
        plan: Option<u8>,
    ) {
        let asked_at = self.now;
        if let Ok(vm) = self.vm(label) {
            vm.generation += 1;
            vm.operation = Some(Operation { kind, deadline: asked_at + wait, asked_at, plan });
        }
    }

    pub(super) fn queue(&mut self, label: Label, kind: OperationKind) {
        let deleting = kind == OperationKind::Delete;
        let Params { delete_timeout, operation_timeout, .. } = self.params;
        let wait = if deleting { delete_timeout } else { operation_timeout };
        self.set_operation(label, kind, wait, None);
    }

    /// Ends what is asked without its being done.
    pub(super) fn drop_operation(&mut self, label: Label) {
        let Ok(vm) = self.vm(label) else { return };
        if vm.operation.take().is_some() {
            vm.generation += 1;
            if let Some(placed) = vm.placed.as_mut() {
                placed.claimed = false;
            }
        }
    }

    pub(super) fn boot(&mut self, by: Who, label: Label) -> Outcome {
        let vm = self.own_vm(by, label)?;
        must(vm.operation.is_none(), "something else is asked")?;
        must(vm.status == Status::Stopped && !vm.is_exhausted(), "not stopped, or exhausted")?;
        self.queue(label, OperationKind::Boot);
        Ok(())
    }

    pub(super) fn stop(&mut self, by: Who, label: Label) -> Outcome {
        let vm = self.own_vm(by, label)?;
        must(vm.operation.is_none(), "something else is asked")?;
        must(vm.status == Status::Running, "not running")?;
        let lease = vm.lease.as_mut().ok_or("no lease")?;
        if std::mem::take(&mut lease.boot_on_top_up) {
            self.note("a tenant's own stop in grace");
        }
        self.queue(label, OperationKind::Stop);
        Ok(())
    }

    pub(super) fn reboot(&mut self, by: Who, label: Label) -> Outcome {
        let vm = self.own_vm(by, label)?;
        must(vm.operation.is_none(), "something else is asked")?;
        must(vm.status == Status::Running && !vm.is_exhausted(), "not running, or exhausted")?;
        self.queue(label, OperationKind::Reboot);
        Ok(())
    }

    pub(super) fn resize(&mut self, by: Who, label: Label, plan: u8) -> Outcome {
        let least = Balance::from(self.least_prepaid());
        let vm = self.own_vm(by, label)?.clone();
        must(vm.operation.is_none(), "something else is asked")?;
        must(matches!(vm.status, Status::Running | Status::Stopped), "not launched")?;
        must(!vm.is_exhausted(), "exhausted")?;
        must(self.plans.get(usize::from(plan)) == Some(&true), "no such plan")?;
        let (old, new) = (vm.size(), PLANS[usize::from(plan)].1);
        must(plan != vm.plan && new.disk_gib >= old.disk_gib, "the same, or a smaller disk")?;
        let lease = vm.lease.as_ref().ok_or("no lease")?;
        let rates = lease.rates.ok_or("no rates")?;
        let price = lease.price - price_of(&rates, &old) + price_of(&rates, &new);
        let owed = lease.price * Balance::from(lease.owed.unwrap_or(0));
        let left = lease.held.saturating_sub(owed);
        must(price <= vm.max_price && left >= price * least, "too dear")?;
        let node = vm.node().ok_or("nowhere")?;
        let wait = self.params.operation_timeout;
        self.set_operation(label, OperationKind::Resize, wait, Some(plan));
        let capacity = self.nodes.get(&node).ok_or("no such node")?.offer.capacity;
        must(fits(&self.reserved(node), &capacity), "no room")
    }

    pub(super) fn done(&mut self, by: Who, on: On, kind: OperationKind) -> Outcome {
        let (vm, by_worker) = self.report_on(by, on)?;
        // A launch is done by another report.
        let kind = if kind == OperationKind::Launch { OperationKind::Delete } else { kind };
        must(vm.is(kind), "that is not asked")?;
        if by_worker {
            self.hear(on.node);
        }
        match kind {
            OperationKind::Boot => self.vm(on.vm)?.status = Status::Running,
            OperationKind::Stop => self.vm(on.vm)?.status = Status::Stopped,
            OperationKind::Resize => self.resized(on.vm)?,
            OperationKind::Delete => {
                self.finish_deletion(on.vm);
                return Ok(());
            }
            OperationKind::Reboot | OperationKind::Launch => {}
        }
        self.vm(on.vm)?.operation = None;
        Ok(())
    }

    fn resized(&mut self, label: Label) -> Outcome {
        self.settle(label);
        let vm = self.vm(label)?;
        let plan = vm.operation.as_ref().and_then(|operation| operation.plan).ok_or("no plan")?;
        let old: Resources = vm.size();
        vm.plan = plan;
        let new = vm.size();
        let lease = vm.lease.as_mut().ok_or("no lease")?;
        let rates = lease.rates.ok_or("no rates")?;
        lease.price = lease.price - price_of(&rates, &old) + price_of(&rates, &new);
        self.plan_next_look(label);
        Ok(())
    }

    /// A deletion that fails stays asked for.
    pub(super) fn operation_failed(&mut self, by: Who, on: On, sound: bool) -> Outcome {
        let (vm, by_worker) = self.report_on(by, on)?;
        let kind = vm.operation.as_ref().map(|operation| operation.kind);
        must(kind.is_some_and(|kind| kind != OperationKind::Launch), "nothing is asked")?;
        must(sound, "no reason")?;
        if by_worker {
            self.hear(on.node);
        }
        if kind != Some(OperationKind::Delete) {
            self.drop_operation(on.vm);
        }
        self.note_failure(on.vm, "it did not work");
        Ok(())
    }

    /// Once for each deletion.
    pub(super) fn may_say_that_it_failed(&self, label: Label) -> bool {
        self.vms.get(&label).is_some_and(|vm| {
            let failed = vm.placed.as_ref().is_some_and(|placed| placed.failed.is_some());
            !(vm.is(OperationKind::Delete) && failed)
        })
    }

    fn note_failure(&mut self, label: Label, reason: &'static str) {
        let Ok(vm) = self.vm(label) else { return };
        vm.last_failure = Some(reason);
        if let Some(placed) = vm.placed.as_mut() {
            placed.failed = Some(reason);
        }
    }

    pub(super) fn time_out_operation(&mut self, label: Label) {
        self.note("an operation timed out");
        self.drop_operation(label);
        self.note_failure(label, OF_THE_CHAIN);
    }

    pub(super) fn delete(&mut self, by: Who, label: Label) -> Outcome {
        match self.own_vm(by, label)?.status {
            Status::Pending => self.end(label, Status::Cancelled),
            Status::Failed | Status::Cancelled => self.forget(label),
            Status::InProgress | Status::Running | Status::Stopped => {
                self.order_deletion(label, true);
            }
        }
        Ok(())
    }

    /// Deletion takes the place of all else, and ends the lease; where the node is gone it is done.
    pub(super) fn order_deletion(&mut self, label: Label, at_will: bool) {
        self.close(label, at_will);
        let Some(vm) = self.vms.get(&label) else { return };
        let deleting = vm.is(OperationKind::Delete);
        if !vm.node().is_some_and(|node| self.is_online(node)) {
            self.note("deleted without the node");
            self.finish_deletion(label);
        } else if !deleting {
            if vm.operation.is_some() {
                self.note("a deletion replaced an operation");
            }
            self.drop_operation(label);
            if let Some(placed) = self.vms.get_mut(&label).and_then(|vm| vm.placed.as_mut()) {
                placed.failed = None;
            }
            self.queue(label, OperationKind::Delete);
        }
    }

    pub(super) fn finish_deletion(&mut self, label: Label) {
        self.unassign(label, None, self.params.ip_quarantine);
        self.forget(label);
    }

    pub(super) fn force_close(&mut self, label: Label) -> Outcome {
        self.vm(label)?;
        self.close(label, false);
        self.finish_deletion(label);
        Ok(())
    }
}
