//! Waits that end by themselves.
//!
//! A deadline is an entry under the live block in which it is due; a cursor names the first block whose
//! entries may not all be done. What runs at a deadline runs in a storage layer of its own: where it fails,
//! it is put off, and the next one has its turn.

use crate::{
    ComputeRequests, Config, DeadlineCursor, Deadlines, Error, Event, Leases, Pallet, WeightInfo,
};
use frame_support::{
    storage::with_storage_layer,
    weights::{Weight, WeightMeter},
};
use quarry_primitives::{
    request::{ComputeRequest, DeadlineKind, RequestId},
    BlockNumber,
};
use sp_runtime::DispatchResult;

/// How long a deadline that failed is put off.
const PUT_OFF: BlockNumber = 10;

/// What a deadline of this kind costs at most.
fn weight_of<T: Config>(kind: DeadlineKind) -> Weight {
    match kind {
        DeadlineKind::Launch => T::WeightInfo::deadline_launch(),
        DeadlineKind::Operation => T::WeightInfo::deadline_operation(),
        DeadlineKind::Deletion => T::WeightInfo::deadline_deletion(),
        DeadlineKind::Lease => T::WeightInfo::deadline_lease(),
        DeadlineKind::Retention => T::WeightInfo::deadline_retention(),
    }
}

/// What the dearest deadline costs.
pub(crate) fn heaviest<T: Config>() -> Weight {
    use DeadlineKind::{Deletion, Launch, Lease, Operation, Retention};
    [Launch, Operation, Deletion, Lease, Retention]
        .into_iter()
        .fold(Weight::zero(), |most, kind| most.max(weight_of::<T>(kind)))
}

impl<T: Config> Pallet<T> {
    pub(crate) fn arm(at: BlockNumber, request_id: RequestId, kind: DeadlineKind) {
        Deadlines::<T>::insert((at, request_id, kind), ());
    }

    pub(crate) fn disarm(at: BlockNumber, request_id: RequestId, kind: DeadlineKind) {
        Deadlines::<T>::remove((at, request_id, kind));
    }

    /// Gives an operation until then.
    pub(crate) fn move_deadline(request: &mut ComputeRequest, at: BlockNumber) {
        if let Some(operation) = request.operation.as_mut() {
            let kind = operation.kind.deadline_kind();
            Self::disarm(operation.deadline, request.request_id, kind);
            Self::arm(at, request.request_id, kind);
            operation.deadline = at;
        }
    }

    /// Runs what is due, as far as there is room, and says how much of it that took.
    pub(crate) fn run_deadlines(left: Weight) -> Weight {
        let mut meter = WeightMeter::with_limit(left);
        if meter.try_consume(T::WeightInfo::deadline_cursor()).is_err() {
            return meter.consumed();
        }
        let (first, now) = (DeadlineCursor::<T>::get(), Self::now());
        let mut cursor = first;
        while cursor <= now && Self::run_block(cursor, &mut meter) {
            cursor = cursor.saturating_add(1);
        }
        if cursor != first {
            DeadlineCursor::<T>::put(cursor);
        }
        meter.consumed()
    }

    /// Runs the deadlines of one block; `false` where there was not room for all.
    fn run_block(block: BlockNumber, meter: &mut WeightMeter) -> bool {
        let look = T::WeightInfo::deadline_cursor();
        if meter.try_consume(look).is_err() {
            return false;
        }
        for (request_id, kind) in Deadlines::<T>::iter_key_prefix((block,)) {
            let cost = weight_of::<T>(kind).saturating_add(look);
            if meter.try_consume(cost).is_err() {
                return false;
            }
            Self::run_isolated(block, request_id, kind);
        }
        true
    }

    pub(crate) fn run_isolated(block: BlockNumber, request_id: RequestId, kind: DeadlineKind) {
        let done = with_storage_layer(|| Self::run_deadline(block, request_id, kind));
        if let Err(error) = done {
            Self::disarm(block, request_id, kind);
            Self::put_off(request_id, kind);
            Self::deposit_event(Event::DeadlineFailed { request_id, kind, error });
        }
    }

    fn run_deadline(
        block: BlockNumber,
        request_id: RequestId,
        kind: DeadlineKind,
    ) -> DispatchResult {
        let request = Self::request(request_id)?;
        Self::disarm(block, request_id, kind);
        match kind {
            DeadlineKind::Launch => Self::time_out_launch(request),
            DeadlineKind::Operation => Self::time_out_operation(request),
            DeadlineKind::Deletion => Self::time_out_deletion(request),
            DeadlineKind::Lease => {
                Leases::<T>::mutate_extant(request_id, |lease| lease.check_at = None);
                Self::look_at_lease(request)
            }
            DeadlineKind::Retention => {
                Self::deposit_expired(&request, kind);
                Self::forget(&request, None);
                Ok(())
            }
        }
    }

    /// Has the chain try again later, where there still is what it waits for.
    fn put_off(request_id: RequestId, kind: DeadlineKind) {
        let at = Self::after(PUT_OFF);
        if kind == DeadlineKind::Lease {
            Leases::<T>::mutate_extant(request_id, |lease| {
                lease.check_at = Some(at);
                Self::arm(at, request_id, kind);
            });
            return;
        }
        let Ok(mut request) = Self::request(request_id) else { return };
        if kind == DeadlineKind::Retention {
            request.kept_until = Some(at);
            Self::arm(at, request_id, kind);
        } else {
            Self::move_deadline(&mut request, at);
        }
        ComputeRequests::<T>::insert(&request.owner, request_id, &request);
    }

    /// Fails with `ComputeRequestNotFound` or `NothingToExpire`, or as what is to be done does.
    pub(crate) fn do_expire(request_id: RequestId) -> DispatchResult {
        let request = Self::request(request_id)?;
        let operation = request.operation.map(|op| (op.deadline, op.kind.deadline_kind()));
        let lease = Leases::<T>::get(request_id).and_then(|lease| lease.check_at);
        let first = operation
            .into_iter()
            .chain(lease.map(|at| (at, DeadlineKind::Lease)))
            .chain(request.kept_until.map(|at| (at, DeadlineKind::Retention)))
            .filter(|(at, _)| *at <= Self::now())
            .min();
        let (at, kind) = first.ok_or(Error::<T>::NothingToExpire)?;
        Self::run_deadline(at, request_id, kind)
    }
}
