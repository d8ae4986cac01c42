//! What libvirt's errors mean.

use crate::error::Error;
use uuid::Uuid;
use virt::error::Error as VirtError;
use virt_sys as sys;

/// Why an attempt came to nothing: libvirt said so, or we did.
#[derive(Debug)]
pub(crate) enum Fault {
    /// libvirt.
    Virt(VirtError),
    /// We.
    Ours(Error),
}

impl From<VirtError> for Fault {
    fn from(error: VirtError) -> Self {
        Self::Virt(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// libvirt's number of an error.
pub(crate) fn code(error: &VirtError) -> sys::virErrorNumber {
    error.code().to_raw()
}

/// There is no such domain.
pub(crate) fn is_missing(error: &VirtError) -> bool {
    code(error) == sys::VIR_ERR_NO_DOMAIN
}

/// The domain is on when it should be off, or the other way round, or transient.
pub(crate) fn is_wrong_state(error: &VirtError) -> bool {
    code(error) == sys::VIR_ERR_OPERATION_INVALID
}

/// The driver does not know the function, or one of its flags.
pub(crate) fn is_unsupported(error: &VirtError) -> bool {
    matches!(
        code(error),
        sys::VIR_ERR_NO_SUPPORT
            | sys::VIR_ERR_ARGUMENT_UNSUPPORTED
            | sys::VIR_ERR_OPERATION_UNSUPPORTED
            | sys::VIR_ERR_CONFIG_UNSUPPORTED
    )
}

/// Another domain has the id or the name.
pub(crate) fn is_taken(error: &VirtError) -> bool {
    code(error) == sys::VIR_ERR_OPERATION_FAILED && error.message().contains("already")
}

/// A flag or an argument was refused.
pub(crate) fn is_refused_flag(error: &VirtError) -> bool {
    is_unsupported(error) || code(error) == sys::VIR_ERR_INVALID_ARG
}

/// The error of a call on a connection which is `alive`, or is not.
pub(crate) fn named(error: &VirtError, uri: &str, alive: bool) -> Error {
    let message = error.message().to_owned();
    let number = code(error);
    if !alive || is_lost(number) {
        return Error::Unreachable { uri: uri.to_owned(), reason: message };
    }
    match number {
        sys::VIR_ERR_NO_DOMAIN => Error::NoDomain(uuid_in(&message)),
        sys::VIR_ERR_OPERATION_INVALID
        | sys::VIR_ERR_OPERATION_TIMEOUT
        | sys::VIR_ERR_RESOURCE_BUSY
        | sys::VIR_ERR_AGENT_UNRESPONSIVE => Error::WrongState(message),
        sys::VIR_ERR_INVALID_ARG
        | sys::VIR_ERR_XML_ERROR
        | sys::VIR_ERR_XML_DETAIL
        | sys::VIR_ERR_XML_INVALID_SCHEMA => Error::Unsound(message),
        _ if is_unsupported(error) => Error::Unsupported(message),
        _ if speaks_of_files(&message) => Error::Files(message),
        _ => Error::Other { code: i32::try_from(number).unwrap_or(i32::MAX), message },
    }
}

fn is_lost(number: sys::virErrorNumber) -> bool {
    matches!(
        number,
        sys::VIR_ERR_NO_CONNECT
            | sys::VIR_ERR_INVALID_CONN
            | sys::VIR_ERR_AUTH_FAILED
            | sys::VIR_ERR_AUTH_CANCELLED
            | sys::VIR_ERR_AUTH_UNAVAILABLE
    )
}

/// libvirt has no number for a disk that is not there: QEMU's words come as an internal error.
fn speaks_of_files(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "Could not open",
        "Cannot access storage file",
        "No such file or directory",
        "Permission denied",
        "Failed to get \"write\" lock",
        "unable to stat",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

/// The domain that an error speaks of: libvirt puts it in quotes.
fn uuid_in(message: &str) -> Uuid {
    message.split('\'').find_map(|part| Uuid::try_parse(part).ok()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use virt::connect::Connect;

    const URI: &str = "test:///default";

    fn refusal<T>(ask: impl FnOnce(&Connect) -> Result<T, VirtError>) -> VirtError {
        virt::error::clear_error_callback();
        ask(&Connect::open(Some(URI)).unwrap()).err().unwrap()
    }

    #[test]
    fn libvirts_refusals_get_their_names() {
        let uuid = Uuid::from_u128(42);
        let missing = refusal(|libvirt| libvirt.lookup_domain_by_uuid(uuid));
        assert!(matches!(named(&missing, URI, true), Error::NoDomain(_)), "{missing}");
        let domain = |libvirt: &Connect| libvirt.lookup_domain_by_name("test").unwrap();
        let running = refusal(|libvirt| domain(libvirt).rename("other", 0));
        assert!(matches!(named(&running, URI, true), Error::WrongState(_)), "{running}");
        let resize = refusal(|libvirt| domain(libvirt).block_resize("vda", 1, 1));
        assert!(matches!(named(&resize, URI, true), Error::Unsupported(_)));
        let broken = refusal(|libvirt| libvirt.define_domain_xml("<domain"));
        assert!(matches!(named(&broken, URI, true), Error::Unsound(_)));
        let taken = "<domain type='test'><name>test</name><memory>1</memory>
            <os><type>hvm</type></os></domain>";
        let taken = refusal(|libvirt| libvirt.define_domain_xml(taken));
        assert!(is_taken(&taken), "{taken}");
    }

    #[test]
    fn whatever_a_lost_connection_says_means_that_nobody_answered() {
        let any = refusal(|libvirt| libvirt.lookup_domain_by_name("none"));
        assert!(named(&any, URI, false).is_silence());
        assert!(!named(&any, URI, true).is_silence());
        let nowhere = "test+unix:///default?socket=/nowhere/libvirt-sock";
        let error = Connect::open(Some(nowhere)).err().unwrap();
        assert!(named(&error, nowhere, false).is_silence());
    }
}
