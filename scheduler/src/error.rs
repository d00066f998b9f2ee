//! What can go wrong in the scheduler, and what the caller is told.

use std::time::Duration;

use postmesh_kit::{
    faults::Injected,
    status::{Classify, ErrorKind, FieldViolation, database_kind},
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::Refusal;

/// Everything the scheduler can answer instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong in itself.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// No such post in the workspace.
    #[error("there is no post {0} in this workspace")]
    PostNotFound(Uuid),
    /// No such target on the post.
    #[error("the post has no target {0}")]
    TargetNotFound(Uuid),
    /// Accounts that the workspace does not have.
    #[error("there is no account {} in this workspace; connect it first", join(.0))]
    AccountNotFound(Vec<Uuid>),
    /// Accounts that cannot publish now.
    #[error("{}", join(.0))]
    AccountNotReady(Vec<NotReady>),
    /// Somebody changed the post in between.
    #[error("the post has changed since its etag was read; read it again and repeat the change")]
    StaleEtag(Uuid),
    /// Its state does not allow the change.
    #[error("{1}")]
    Refused(Uuid, Refusal),
    /// The target does not wait for a confirmation, or was settled otherwise; the publisher's words.
    #[error("{1}")]
    NotConfirmable(Uuid, String),
    /// The caller's role writes posts but does not plan them.
    #[error("your role, {0}, does not plan posts; leave schedule_time out and let an editor plan the draft")]
    MayNotPublish(String),
    /// Recalls kept crossing with other changes of the same post.
    #[error("the post is being changed by somebody else; try again")]
    Contended(Uuid),
    /// Storing took so long that the media library may have let go of the media.
    #[error("storing the post took too long; try again")]
    HoldExpired,
    /// Another service did not answer.
    #[error("the {service} service cannot be reached; try again in a moment")]
    Away {
        /// Which service.
        service: &'static str,
        /// Its status.
        #[source]
        cause: Box<Status>,
    },
    /// Another service answered what it must not.
    #[error("the {service} service answered out of its contract")]
    Neighbour {
        /// Which service.
        service: &'static str,
        /// Its status.
        #[source]
        cause: Box<Status>,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row that no version of this service writes.
    #[error("the database holds an invalid value in {0}")]
    Corrupt(&'static str),
    /// The service is shutting down.
    #[error("the service is restarting; open the stream again")]
    Stopping,
    /// An actor could not be started.
    #[error("an actor could not be started: {0}")]
    Actor(String),
}

/// An account that cannot publish now, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The account.
    pub account_id: Uuid,
    /// Its name for people.
    pub handle: String,
    /// What to do.
    pub next_step: String,
}

impl std::fmt::Display for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the account {} cannot publish: {}", self.handle, self.next_step)
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// One bad field.
    pub fn invalid(violation: FieldViolation) -> Self {
        Self::Invalid(vec![violation])
    }

    /// A request id that was used for another request.
    pub fn request_id_reused() -> Self {
        Self::invalid(FieldViolation::new(
            "request_id",
            "REUSED",
            "was used for a request with other fields; use a new one",
        ))
    }

    /// What another service's status means here.
    pub fn from_neighbour(service: &'static str, cause: Status) -> Self {
        let cause = Box::new(cause);
        match cause.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::Aborted => Self::Away { service, cause },
            _ => Self::Neighbour { service, cause },
        }
    }
}

impl From<Injected> for Error {
    fn from(injected: Injected) -> Self {
        Self::Database(injected.into())
    }
}

impl Classify for Error {
    const DOMAIN: &'static str = "postmesh.scheduler";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::PostNotFound(_) | Self::TargetNotFound(_) | Self::AccountNotFound(_) => ErrorKind::NotFound,
            Self::AccountNotReady(_) | Self::Refused(..) | Self::NotConfirmable(..) => {
                ErrorKind::Precondition
            }
            Self::MayNotPublish(_) => ErrorKind::Forbidden,
            Self::StaleEtag(_) | Self::Contended(_) => ErrorKind::Conflict,
            Self::HoldExpired | Self::Away { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::Database(cause) => database_kind(cause),
            Self::Neighbour { .. } | Self::Corrupt(_) | Self::Actor(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELDS",
            Self::PostNotFound(_) => "POST_NOT_FOUND",
            Self::TargetNotFound(_) => "TARGET_NOT_FOUND",
            Self::AccountNotFound(_) => "ACCOUNT_NOT_FOUND",
            Self::AccountNotReady(_) => "ACCOUNT_NOT_READY",
            Self::StaleEtag(_) => "ETAG_STALE",
            Self::NotConfirmable(..) => "TARGET_NOT_CONFIRMABLE",
            Self::MayNotPublish(_) => "PUBLISH_PERMISSION_DENIED",
            Self::Refused(_, refusal) => match refusal {
                Refusal::AlreadySent => "ALREADY_SENT",
                Refusal::NothingToCancel => "NOTHING_TO_CANCEL",
                Refusal::BeingSent => "BEING_SENT",
                Refusal::NothingToSchedule => "NOTHING_TO_SCHEDULE",
                Refusal::NotRetryable => "TARGET_NOT_RETRYABLE",
                Refusal::PartBeforeMissing => "PART_BEFORE_NOT_PUBLISHED",
                Refusal::NoSuchTarget => "TARGET_NOT_FOUND",
            },
            Self::Contended(_) => "POST_CONTENDED",
            Self::HoldExpired => "HOLD_EXPIRED",
            Self::Away { .. } => "SERVICE_AWAY",
            Self::Neighbour { .. } => "NEIGHBOUR_FAILED",
            Self::Database(_) => "DATABASE",
            Self::Corrupt(_) => "CORRUPT_ROW",
            Self::Stopping => "STOPPING",
            Self::Actor(_) => "ACTOR_FAILED",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            ErrorKind::Unavailable => Some(Duration::from_secs(2)),
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
            Self::PostNotFound(id) | Self::StaleEtag(id) | Self::Refused(id, _) | Self::Contended(id) => {
                Some(("post", id.to_string()))
            }
            Self::TargetNotFound(id) | Self::NotConfirmable(id, _) => Some(("target", id.to_string())),
            Self::AccountNotFound(ids) => ids.first().map(|id| ("account", id.to_string())),
            Self::AccountNotReady(accounts) => {
                accounts.first().map(|a| ("account", a.account_id.to_string()))
            }
            _ => None,
        }
    }
}
