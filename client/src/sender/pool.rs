//! What a chain node says of a transaction.

use codec::Decode;
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionValidity, TransactionValidityError,
};
use subxt::rpcs::{Error as RpcError, UserError};

/// What became of a transaction that was given to the pool, or how the runtime judges it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Delivery {
    /// The pool took it, or it would.
    Taken,
    /// The pool has it already.
    Known,
    /// The pool has another with its nonce or on its subject.
    Occupied,
    /// Its bytes are not good any more; another signature may be.
    Misfit(String),
    /// Its nonce was used.
    Outdated,
    /// It is not free, and the account cannot pay.
    Payment,
    /// The runtime does not take this call now.
    Closed(String),
    /// The pool is full, or cannot judge now.
    Later(String),
    /// Never.
    Refused(String),
}

// As in sc-rpc-api, author/error.rs.
const INVALID: i32 = 1010;
const UNKNOWN_VALIDITY: i32 = 1011;
const BANNED: i32 = 1012;
const ALREADY_IMPORTED: i32 = 1013;
const TOO_LOW_PRIORITY: i32 = 1014;
const CYCLE: i32 = 1015;
const NO_TAGS: i32 = 1019;

/// Reads the pool's answer. Fails where there is none.
pub(super) fn judge<Hash>(answer: Result<Hash, RpcError>) -> Result<Delivery, RpcError> {
    match answer {
        Ok(_) => Ok(Delivery::Taken),
        Err(RpcError::User(error)) => Ok(judge_refusal(&error)),
        Err(error) => Err(error),
    }
}

fn judge_refusal(error: &UserError) -> Delivery {
    let data = error.data.as_ref().map(|data| data.get().trim_matches('"').to_owned());
    match error.code {
        INVALID => judge_invalid(data.unwrap_or_default()),
        BANNED => Delivery::Misfit(error.message.clone()),
        ALREADY_IMPORTED => Delivery::Known,
        TOO_LOW_PRIORITY => Delivery::Occupied,
        CYCLE | NO_TAGS => Delivery::Refused(error.message.clone()),
        UNKNOWN_VALIDITY => Delivery::Later(data.unwrap_or_default()),
        _ => Delivery::Later(error.message.clone()),
    }
}

fn judge_invalid(words: String) -> Delivery {
    use InvalidTransaction::*;
    let kinds = [Call, Payment, Future, Stale, BadProof, AncientBirthBlock, ExhaustsResources];
    match kinds.into_iter().find(|kind| <&str>::from(*kind) == words) {
        Some(kind) => judge_kind(kind),
        None => Delivery::Refused(words),
    }
}

fn judge_kind(kind: InvalidTransaction) -> Delivery {
    use InvalidTransaction::*;
    let words = <&str>::from(kind).to_owned();
    match kind {
        Payment => Delivery::Payment,
        Stale => Delivery::Outdated,
        BadProof | AncientBirthBlock => Delivery::Misfit(words),
        Call => Delivery::Closed(words),
        Future | ExhaustsResources => Delivery::Later(words),
        _ => Delivery::Refused(words),
    }
}

/// Reads the answer of the runtime's `validate_transaction`.
pub(super) fn judge_validity(answer: &[u8]) -> Result<Delivery, codec::Error> {
    Ok(match TransactionValidity::decode(&mut &*answer)? {
        Ok(_) => Delivery::Taken,
        Err(TransactionValidityError::Invalid(kind)) => judge_kind(kind),
        Err(TransactionValidityError::Unknown(unknown)) => {
            Delivery::Later(<&str>::from(unknown).to_owned())
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use codec::Encode;

    fn refused(code: i32, data: Option<&str>) -> Delivery {
        let data = data.map(|data| serde_json::value::to_raw_value(data).unwrap());
        let error = UserError { code, message: "said the pool".into(), data };
        judge::<()>(Err(RpcError::User(error))).unwrap()
    }

    #[test]
    fn what_the_pool_took_is_taken() {
        assert_eq!(judge(Ok(())).unwrap(), Delivery::Taken);
    }

    #[test]
    fn a_broken_connection_is_no_judgement() {
        assert!(judge::<()>(Err(RpcError::Client("gone".into()))).is_err());
    }

    #[test]
    fn each_refusal_of_the_pool_is_understood() {
        let payment = <&str>::from(InvalidTransaction::Payment);
        assert_eq!(refused(1010, Some(payment)), Delivery::Payment);
        assert_eq!(refused(1010, Some("Transaction is outdated")), Delivery::Outdated);
        let bad_proof = "Transaction has a bad signature";
        assert_eq!(refused(1010, Some(bad_proof)), Delivery::Misfit(bad_proof.into()));
        let closed = "Transaction call is not expected";
        assert_eq!(refused(1010, Some(closed)), Delivery::Closed(closed.into()));
        assert_eq!(
            refused(1010, Some("Custom error: 7")),
            Delivery::Refused("Custom error: 7".into())
        );
        assert_eq!(refused(1012, None), Delivery::Misfit("said the pool".into()));
        assert_eq!(refused(1013, Some("0x00")), Delivery::Known);
        assert_eq!(refused(1014, None), Delivery::Occupied);
        assert_eq!(refused(1016, None), Delivery::Later("said the pool".into()));
    }

    #[test]
    fn the_runtimes_own_judgement_is_understood() {
        let validity = |validity: TransactionValidity| judge_validity(&validity.encode()).unwrap();
        assert_eq!(validity(Ok(Default::default())), Delivery::Taken);
        assert_eq!(validity(Err(InvalidTransaction::Payment.into())), Delivery::Payment);
        assert_eq!(validity(Err(InvalidTransaction::Stale.into())), Delivery::Outdated);
        assert!(judge_validity(&[9]).is_err());
    }
}
