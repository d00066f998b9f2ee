//! What can go wrong in the analytics service, and what callers are told.

use postmesh_kit::status::{Classify, ErrorKind, FieldViolation, database_kind};
use uuid::Uuid;

/// What can go wrong in the analytics service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// Nothing of the post has been published in this workspace.
    #[error("nothing of this post has been published yet")]
    PostNotFound(Uuid),
    /// The database did not answer as it should.
    #[error("the database did not answer")]
    Database(#[from] sqlx::Error),
    /// An actor did not start.
    #[error("an actor did not start: {0}")]
    Actor(String),
}

impl From<FieldViolation> for Error {
    fn from(violation: FieldViolation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl Classify for Error {
    const DOMAIN: &'static str = "postmesh.analytics";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::PostNotFound(_) => ErrorKind::NotFound,
            Self::Database(cause) => database_kind(cause),
            Self::Actor(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELDS",
            Self::PostNotFound(_) => "POST_NOT_FOUND",
            Self::Database(_) => "DATABASE",
            Self::Actor(_) => "ACTOR",
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
            Self::PostNotFound(id) => Some(("post", id.to_string())),
            _ => None,
        }
    }
}
