use uuid::Uuid;

/// What a call of [`crate::Hypervisor`] returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why libvirt did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection; the next call tries anew.
    #[error("libvirt at {uri} does not answer: {reason}")]
    Unreachable {
        /// Where it should be.
        uri: String,
        /// What libvirt says.
        reason: String,
    },
    /// There is no such domain.
    #[error("libvirt has no domain {0}")]
    NoDomain(Uuid),
    /// A domain of that id or name is there, and it is not ours.
    #[error("a domain that is not ours has the id or the name of {0}")]
    Foreign(Uuid),
    /// The domain is in no state for that.
    #[error("the domain is in the wrong state: {0}")]
    WrongState(String),
    /// A disk, a seed or a socket is missing or unreadable.
    #[error("the guest's files cannot be opened: {0}")]
    Files(String),
    /// libvirt has no such function here.
    #[error("libvirt's driver cannot do that: {0}")]
    Unsupported(String),
    /// What was asked makes no sense.
    #[error("not a sound request: {0}")]
    Unsound(String),
    /// Anything else.
    #[error("libvirt: {message} (error {code})")]
    Other {
        /// Of libvirt's `virErrorNumber`.
        code: i32,
        /// What libvirt says.
        message: String,
    },
}

impl Error {
    /// Whether the call says nothing about the domain: libvirt was not there to answer.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
