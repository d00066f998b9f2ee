//! What can go wrong in the publisher, and what each thing is for the caller.

use std::time::Duration;

use postmesh_kit::{
    faults::Injected,
    status::{Classify, ErrorKind, FieldViolation, database_kind},
};
use uuid::Uuid;

use crate::{domain::state::State, networks::connect::ConnectFault};

/// The publisher's errors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some fields of the request are wrong.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// The settings make no sense; each sentence names one.
    #[error("{}", .0.join("; "))]
    Settings(Vec<String>),
    /// The account does not exist in the workspace.
    #[error("the account does not exist")]
    AccountNotFound(Uuid),
    /// The workspace has no such delivery at that revision.
    #[error("the target is not known here at that revision; it was edited, or never handed over")]
    DeliveryNotFound(Uuid),
    /// A user answered what nobody asks.
    #[error("the target is {state}: there is nothing to confirm")]
    NotInQuestion {
        /// The target.
        target_id: Uuid,
        /// Where it is.
        state: State,
    },
    /// No adapter has this id.
    #[error("network {0} is not known")]
    UnknownNetwork(String),
    /// No application is set for the network.
    #[error(
        "no application is set for {0}: an admin sets one with `postmesh networks set-app {0}` (SetApp), or the operator with \
         publisher.apps.{0} in the settings; docs/networks.md says where the network hands them out"
    )]
    AppMissing(String),
    /// The network took the authorization back, or the user disconnected the account.
    #[error("the account must be connected again")]
    NeedsReconnect(Uuid),
    /// Finishing to connect before the user came back from the network.
    #[error("the network has not sent the user back yet; allow the access there first")]
    AuthorizationPending,
    /// The attempt to connect is over, was refused, or was begun by somebody else.
    #[error("{0}")]
    ConnectionVoid(String),
    /// The network refused what was asked.
    #[error("{message}")]
    NetworkRefused {
        /// Stable reason.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// The network did not answer, or asked to come back later.
    #[error("{message}")]
    NetworkUnavailable {
        /// A sentence for people.
        message: String,
        /// How long to wait, when known.
        retry_after: Option<Duration>,
    },
    /// Another process serves this account now.
    #[error("another process serves this account")]
    NotOwner(Uuid),
    /// The database's clock and this machine's disagree by too much to decide what is due.
    #[error("the clocks of the database and this machine disagree; nothing is armed until they agree again")]
    ClockJumped,
    /// Another attempt of the target or of the account is open.
    #[error("another attempt is open")]
    Contended,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// A stored value cannot be read.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// Sealed tokens did not open.
    #[error("stored tokens do not open: {0}")]
    Vault(String),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// A stored value that does not parse.
    pub fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {why}"))
    }
}

impl Classify for Error {
    const DOMAIN: &'static str = "postmesh.publisher";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::UnknownNetwork(_) => ErrorKind::Invalid,
            Self::AccountNotFound(_) | Self::DeliveryNotFound(_) => ErrorKind::NotFound,
            Self::NeedsReconnect(_)
            | Self::AppMissing(_)
            | Self::AuthorizationPending
            | Self::ConnectionVoid(_)
            | Self::NetworkRefused { .. }
            | Self::NotInQuestion { .. } => ErrorKind::Precondition,
            Self::NetworkUnavailable { .. }
            | Self::NotOwner(_)
            | Self::ClockJumped
            | Self::Contended
            | Self::Stopping => ErrorKind::Unavailable,
            Self::Settings(_) | Self::Corrupt(_) | Self::Vault(_) => ErrorKind::Internal,
            Self::Database(error) => database_kind(error),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELDS",
            Self::Settings(_) => "SETTINGS",
            Self::AccountNotFound(_) => "ACCOUNT_NOT_FOUND",
            Self::DeliveryNotFound(_) => "TARGET_NOT_FOUND",
            Self::NotInQuestion { .. } => "NOT_IN_QUESTION",
            Self::UnknownNetwork(_) => "UNKNOWN_NETWORK",
            Self::NeedsReconnect(_) => "NEEDS_RECONNECT",
            Self::AppMissing(_) => "APP_MISSING",
            Self::AuthorizationPending => "AUTHORIZATION_PENDING",
            Self::ConnectionVoid(_) => "CONNECTION_VOID",
            Self::NetworkRefused { .. } => "NETWORK_REFUSED",
            Self::NetworkUnavailable { .. } => "NETWORK_UNAVAILABLE",
            Self::NotOwner(_) => "NOT_OWNER",
            Self::ClockJumped => "CLOCK_JUMPED",
            Self::Contended => "CONTENDED",
            Self::Stopping => "STOPPING",
            Self::Corrupt(_) => "CORRUPT",
            Self::Vault(_) => "VAULT",
            Self::Database(_) => "DATABASE",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NetworkUnavailable { retry_after, .. } => {
                Some(retry_after.unwrap_or(Duration::from_secs(5)))
            }
            Self::NotOwner(_) | Self::ClockJumped | Self::Contended | Self::Stopping => {
                Some(Duration::from_secs(1))
            }
            Self::Database(_) if self.kind() == ErrorKind::Unavailable => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Invalid(violations) => violations,
            _ => &[],
        }
    }

    fn resource(&self) -> Option<(&'static str, String)> {
        match self {
            Self::AccountNotFound(id) | Self::NeedsReconnect(id) | Self::NotOwner(id) => {
                Some(("account", id.to_string()))
            }
            Self::DeliveryNotFound(id) | Self::NotInQuestion { target_id: id, .. } => {
                Some(("target", id.to_string()))
            }
            _ => None,
        }
    }
}

impl From<Injected> for Error {
    fn from(injected: Injected) -> Self {
        Self::Database(injected.into())
    }
}

impl From<ConnectFault> for Error {
    fn from(fault: ConnectFault) -> Self {
        let message = fault.to_string();
        let field = |field: &str, reason| Self::Invalid(vec![FieldViolation::new(field, reason, &message)]);
        match fault {
            ConnectFault::BadServer(_) => field("server", "NOT_AN_ADDRESS"),
            ConnectFault::NotAllowed { .. } => field("server", "SERVER_NOT_ALLOWED"),
            ConnectFault::WrongKind { .. } => field("server", "NOT_A_SERVER_OF_THIS_NETWORK"),
            ConnectFault::OtherNetwork { .. } => field("network", "OTHER_NETWORK"),
            ConnectFault::Unsupported { .. } => field("server", "SERVER_NOT_SUPPORTED"),
            ConnectFault::ForeignEndpoints { .. } => field("server", "SERVER_NOT_TRUSTED"),
            ConnectFault::Moved { .. } => field("server", "SERVER_MOVED"),
            ConnectFault::WrongPassword { .. } => field("password", "WRONG_PASSWORD"),
            ConnectFault::SecondFactor { .. } => field("password", "SECOND_FACTOR"),
            ConnectFault::OtherWay { .. } => field("network", "CONNECT_METHOD"),
            ConnectFault::AccountClosed { .. } => {
                Self::NetworkRefused { code: "ACCOUNT_CLOSED".into(), message }
            }
            ConnectFault::Refused { .. } => Self::NetworkRefused { code: "REFUSED".into(), message },
            ConnectFault::CodeRefused { .. }
            | ConnectFault::NothingToConnect { .. }
            | ConnectFault::RegistrationVoid { .. }
            | ConnectFault::ScopesMissing { .. } => Self::ConnectionVoid(message),
            ConnectFault::Unreachable { .. } => Self::NetworkUnavailable { message, retry_after: None },
            ConnectFault::RateLimited { retry_after, .. } => {
                Self::NetworkUnavailable { message, retry_after }
            }
        }
    }
}
