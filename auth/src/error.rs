//! What can go wrong in the auth service, and what callers are told.

use std::time::Duration;

use postmesh_kit::{
    keys::KeyError,
    status::{Classify, ErrorKind, FieldViolation, database_kind},
};

/// What can go wrong in the auth service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// Somebody registered with the address.
    #[error("a user with this e-mail address exists already; sign in instead")]
    EmailTaken(String),
    /// No user with this address, or another password: deliberately one answer.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// The refresh token is unknown, ended or used up.
    #[error("the session has ended; sign in again")]
    SessionEnded,
    /// A used refresh token came again: somebody else may have it.
    #[error("the session was ended because its refresh token was used twice; sign in again")]
    RefreshReused,
    /// The token is good, but its user is no longer a member of the workspace.
    #[error("you are not a member of this workspace")]
    NotMember,
    /// Too many failed logins.
    #[error("too many failed logins; wait a little and try again")]
    LoginThrottled(Duration),
    /// All password checks are taken.
    #[error("too many people are signing in at once; try again")]
    Busy,
    /// No signing key could be loaded.
    #[error("no signing key is at hand")]
    NoSigningKey,
    /// The database did not answer as it should.
    #[error("the database did not answer")]
    Database(#[from] sqlx::Error),
    /// A sealed value did not open.
    #[error("a sealed value did not open")]
    Sealed(#[from] KeyError),
    /// A password hash could not be made or read.
    #[error("a password hash could not be made or read: {0}")]
    Hash(String),
    /// Something stored does not read back.
    #[error("stored {0} does not read back")]
    Stored(&'static str),
    /// An actor did not start.
    #[error("an actor did not start: {0}")]
    Actor(String),
}

impl From<FieldViolation> for Error {
    fn from(violation: FieldViolation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<Vec<FieldViolation>> for Error {
    fn from(violations: Vec<FieldViolation>) -> Self {
        Self::Invalid(violations)
    }
}

impl Classify for Error {
    const DOMAIN: &'static str = "postmesh.auth";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::EmailTaken(_) => ErrorKind::AlreadyExists,
            Self::WrongCredentials | Self::SessionEnded | Self::RefreshReused => ErrorKind::Unauthenticated,
            Self::NotMember => ErrorKind::Forbidden,
            Self::LoginThrottled(_) => ErrorKind::RateLimited,
            Self::Busy | Self::NoSigningKey => ErrorKind::Unavailable,
            Self::Database(cause) => database_kind(cause),
            Self::Sealed(_) | Self::Hash(_) | Self::Stored(_) | Self::Actor(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELDS",
            Self::EmailTaken(_) => "EMAIL_TAKEN",
            Self::WrongCredentials => "WRONG_CREDENTIALS",
            Self::SessionEnded => "SESSION_ENDED",
            Self::RefreshReused => "REFRESH_TOKEN_REUSED",
            Self::NotMember => "NOT_A_MEMBER",
            Self::LoginThrottled(_) => "LOGIN_THROTTLED",
            Self::Busy => "BUSY",
            Self::NoSigningKey => "NO_SIGNING_KEY",
            Self::Database(_) => "DATABASE",
            Self::Sealed(_) => "SEALED_VALUE",
            Self::Hash(_) => "PASSWORD_HASH",
            Self::Stored(_) => "STORED_VALUE",
            Self::Actor(_) => "ACTOR",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::LoginThrottled(wait) => Some(*wait),
            Self::Busy | Self::NoSigningKey => Some(Duration::from_secs(1)),
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
            Self::EmailTaken(email) => Some(("user", email.clone())),
            _ => None,
        }
    }
}
