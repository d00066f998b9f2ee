//! What can go wrong, and what each case is for the caller.

use std::time::Duration;

use postmesh_kit::{
    blob,
    status::{Classify, ErrorKind, FieldViolation, database_kind},
};
use uuid::Uuid;

use crate::picture::{Rejection, Unfit};

/// Why a call, or the start, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong; every problem, one sentence each.
    #[error("the media settings are wrong: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The request is wrong in itself.
    #[error("the request has invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// The token of an upload address is forged, for another upload, or out of time.
    #[error(
        "the upload address is not valid or has expired; create the upload again with the same request id"
    )]
    BadTicket,
    /// No such upload in this workspace.
    #[error("there is no upload {0}, or it was not completed within a day; create a new one")]
    UploadNotFound(Uuid),
    /// Completing an upload that has no bytes.
    #[error("no bytes have arrived for upload {0}; PUT them to its address first")]
    NothingUploaded(Uuid),
    /// Writing to an upload that is a media item already.
    #[error("upload {0} is complete; create a new upload for other bytes")]
    UploadComplete(Uuid),
    /// No such item in this workspace.
    #[error("there is no media item {0}")]
    MediaNotFound(Uuid),
    /// Deleting an item that posts need.
    #[error("media item {media} is used by {}; remove it there or cancel first", users(.posts))]
    Held {
        /// The item.
        media: Uuid,
        /// The posts that need it.
        posts: Vec<Uuid>,
    },
    /// The sender of an upload stopped.
    #[error("the bytes stopped coming; send them again")]
    BrokeOff,
    /// Other bytes arrived for an upload while it was checked.
    #[error("the file was replaced while it was checked; complete the upload again")]
    Changed,
    /// The work took so long, or the service stops, so its result was given up.
    #[error("working on the file took too long; try again")]
    TooSlow,
    /// No such public address in this workspace, or it ended long ago.
    #[error("there is no such public address, or it has ended")]
    ShareNotFound,
    /// A file that cannot be made as small as asked, or of that type.
    #[error("media item {media} cannot be made to fit: {why}")]
    CannotFit {
        /// The item.
        media: Uuid,
        /// Why not.
        why: Unfit,
    },
    /// A row names a blob that is not there, or is not as long as the row says.
    #[error("the bytes of media item {0} are missing from the blob store")]
    Lost(Uuid),
    /// The blob store failed.
    #[error("the blob store cannot be used now; try again")]
    Blob(#[from] blob::Error),
    /// The database failed.
    #[error("the database cannot be used now; try again")]
    Database(#[from] sqlx::Error),
}

fn users(posts: &[Uuid]) -> String {
    const NAMED: usize = 3;
    let names: Vec<_> = posts.iter().take(NAMED).map(|post| format!("post {post}")).collect();
    match posts.len() {
        0 => "a planned post".into(),
        n if n > NAMED => format!("{} and {} more planned posts", names.join(", "), n - NAMED),
        _ => names.join(", "),
    }
}

impl Error {
    /// One bad field.
    pub(crate) fn field(field: &str, reason: &'static str, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, reason, description)])
    }

    /// True when a row that another row refers to is missing, or may not go.
    pub(crate) fn is_reference(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(e)) if e.is_foreign_key_violation())
    }
}

impl From<Vec<FieldViolation>> for Error {
    fn from(violations: Vec<FieldViolation>) -> Self {
        Self::Invalid(violations)
    }
}

impl From<FieldViolation> for Error {
    fn from(violation: FieldViolation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::field("upload", rejection.reason, rejection.sentence)
    }
}

impl Classify for Error {
    const DOMAIN: &'static str = "postmesh.media";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::BadTicket => ErrorKind::Unauthenticated,
            Self::UploadNotFound(_) | Self::MediaNotFound(_) | Self::ShareNotFound => ErrorKind::NotFound,
            Self::NothingUploaded(_)
            | Self::UploadComplete(_)
            | Self::Held { .. }
            | Self::CannotFit { .. } => ErrorKind::Precondition,
            Self::BrokeOff | Self::Changed | Self::TooSlow | Self::Blob(blob::Error::Unavailable(_)) => {
                ErrorKind::Unavailable
            }
            Self::Settings(_) | Self::Lost(_) | Self::Blob(_) => ErrorKind::Internal,
            Self::Database(error) => database_kind(error),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Settings(_) => "SETTINGS",
            Self::Invalid(fields) => fields.first().map_or("INVALID_FIELDS", |field| field.reason),
            Self::BadTicket => "UPLOAD_ADDRESS_INVALID",
            Self::UploadNotFound(_) => "UPLOAD_NOT_FOUND",
            Self::NothingUploaded(_) => "NOTHING_UPLOADED",
            Self::UploadComplete(_) => "UPLOAD_COMPLETE",
            Self::MediaNotFound(_) => "MEDIA_NOT_FOUND",
            Self::Held { .. } => "MEDIA_IN_USE",
            Self::BrokeOff => "UPLOAD_BROKE_OFF",
            Self::Changed => "UPLOAD_CHANGED",
            Self::TooSlow => "WORK_TOO_SLOW",
            Self::ShareNotFound => "SHARE_NOT_FOUND",
            Self::CannotFit { .. } => "CANNOT_FIT",
            Self::Lost(_) => "BLOB_MISSING",
            Self::Blob(_) => "BLOB_STORE",
            Self::Database(_) => "DATABASE",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind(), ErrorKind::Unavailable).then_some(Duration::from_secs(2))
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Invalid(violations) => violations,
            _ => &[],
        }
    }

    fn resource(&self) -> Option<(&'static str, String)> {
        match self {
            Self::UploadNotFound(id) | Self::NothingUploaded(id) | Self::UploadComplete(id) => {
                Some(("upload", id.to_string()))
            }
            Self::MediaNotFound(id) | Self::Held { media: id, .. } | Self::CannotFit { media: id, .. } => {
                Some(("media", id.to_string()))
            }
            _ => None,
        }
    }
}
