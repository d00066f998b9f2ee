//! The one place where an error becomes a gRPC status: its code, its `google.rpc` details, and what must not leave.
//!
//! A service's error enum implements [`Classify`]; everything else follows. The cause of an internal error is logged
//! here once and never sent.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What kind of thing went wrong; each kind is one gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong in itself.
    Invalid,
    /// No valid credential.
    Unauthenticated,
    /// A valid credential that may not do this.
    Forbidden,
    /// No such thing in this workspace.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// Somebody else changed it in between.
    Conflict,
    /// Not in the present state of things; the message says what to do first.
    Precondition,
    /// Too much at once.
    RateLimited,
    /// Not now; asking again later may help.
    Unavailable,
    /// Took longer than allowed.
    Timeout,
    /// Not implemented by this server.
    Unimplemented,
    /// Our fault.
    Internal,
}

impl ErrorKind {
    /// The gRPC code of the kind.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict => Code::Aborted,
            Self::Precondition => Code::FailedPrecondition,
            Self::RateLimited => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::Timeout => Code::DeadlineExceeded,
            Self::Unimplemented => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }
}

/// One bad field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path, such as `targets[1].text`.
    pub field: String,
    /// Stable, upper snake case.
    pub reason: &'static str,
    /// A sentence for people, without the field's name.
    pub description: String,
}

impl FieldViolation {
    /// One bad field.
    pub fn new(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self { field: field.into(), reason, description: description.into() }
    }
}

/// Collects bad fields, so that a caller learns of all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes a bad field.
    pub fn add(&mut self, field: impl Into<String>, reason: &'static str, description: impl Into<String>) {
        self.0.push(FieldViolation::new(field, reason, description));
    }

    /// Notes a bad field unless `ok`.
    pub fn require(
        &mut self,
        ok: bool,
        field: impl Into<String>,
        reason: &'static str,
        description: impl Into<String>,
    ) {
        if !ok {
            self.add(field, reason, description);
        }
    }

    /// Takes the value out of a checked one, or notes its bad field.
    pub fn take<T>(&mut self, checked: Result<T, FieldViolation>) -> Option<T> {
        checked.map_err(|violation| self.0.push(violation)).ok()
    }

    /// True while nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when nothing is wrong.
    pub fn into_result(self) -> Result<(), Vec<FieldViolation>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// What an error is, for the caller. The `Display` of the error is the message the caller reads (except for
/// [`ErrorKind::Internal`], whose text stays here).
pub trait Classify: std::error::Error {
    /// `ErrorInfo.domain`, such as `postmesh.auth`.
    const DOMAIN: &'static str;
    /// The kind.
    fn kind(&self) -> ErrorKind;
    /// `ErrorInfo.reason`: stable, upper snake case.
    fn reason(&self) -> &'static str;
    /// When asking again may help.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
    /// The bad fields, for [`ErrorKind::Invalid`].
    fn violations(&self) -> &[FieldViolation] {
        &[]
    }
    /// The thing that is missing or there already: its type (`post`) and its name.
    fn resource(&self) -> Option<(&'static str, String)> {
        None
    }
}

/// The status of an error, with its details.
#[expect(clippy::needless_pass_by_value, reason = "reads as map_err(to_status)")]
pub fn to_status<E: Classify + 'static>(error: E) -> Status {
    let kind = error.kind();
    let mut details = ErrorDetails::new();
    details.set_error_info(error.reason(), E::DOMAIN, std::collections::HashMap::new());
    let message = match kind {
        ErrorKind::Internal => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                reason = error.reason(),
                "internal error"
            );
            "something went wrong on our side; it has been logged. Try again, and report the request id if it stays"
                .to_owned()
        }
        ErrorKind::Invalid if !error.violations().is_empty() => {
            for violation in error.violations() {
                details.add_bad_request_violation(&violation.field, &violation.description);
            }
            error
                .violations()
                .iter()
                .map(|v| format!("{} {}", v.field, v.description))
                .collect::<Vec<_>>()
                .join("; ")
        }
        _ => error.to_string(),
    };
    match kind {
        ErrorKind::Precondition => {
            details.set_precondition_failure(vec![tonic_types::PreconditionViolation::new(
                error.reason(),
                error.resource().map_or_else(String::new, |(kind, name)| format!("{kind}/{name}")),
                &message,
            )]);
        }
        ErrorKind::RateLimited => {
            details.set_quota_failure(vec![tonic_types::QuotaViolation::new(error.reason(), &message)]);
        }
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Conflict => {
            if let Some((kind, name)) = error.resource() {
                details.set_resource_info(kind, name, "", &message);
            }
        }
        _ => {}
    }
    if let Some(wait) = error.retry_after() {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(kind.code(), message, details)
}

/// A status with just a reason, for the layers around the handlers.
pub(crate) fn plain(kind: ErrorKind, reason: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "postmesh.mesh", std::collections::HashMap::new());
    Status::with_error_details(kind.code(), message, details)
}

/// An error of a request whose fields are wrong and that needs no enum of its own.
#[derive(Debug, thiserror::Error)]
#[error("the request has invalid fields")]
pub struct Invalid(pub Vec<FieldViolation>);

impl Classify for Invalid {
    const DOMAIN: &'static str = "postmesh.mesh";
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
    fn reason(&self) -> &'static str {
        "INVALID_FIELDS"
    }
    fn violations(&self) -> &[FieldViolation] {
        &self.0
    }
}

/// How to treat what the database answered: down, busy or out of room is [`ErrorKind::Unavailable`], all else our
/// fault.
pub fn database_kind(error: &sqlx::Error) -> ErrorKind {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => ErrorKind::Unavailable,
        sqlx::Error::Database(answer) if answer.code().is_some_and(|code| is_passing(&code)) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Internal,
    }
}

/// Whether a database's code means that the same statement may work later.
fn is_passing(code: &str) -> bool {
    // PostgreSQL: 08 connection, 25006 a standby, 40 rolled back in favour of another, 53 out of resources, 57P shutting
    // down.
    if code.len() == 5 {
        return ["08", "25006", "40", "53", "57P"].iter().any(|passing| code.starts_with(passing));
    }
    // SQLite, the lowest byte of what it extends: 5 busy, 6 locked, 10 reading or writing failed, 13 disk full, 14 the
    // file cannot be opened.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_bad_field_at_once() {
        let mut violations = Violations::default();
        violations.require(false, "text", "REQUIRED", "is required");
        violations.add("targets[1].account_id", "NOT_A_UUID", "must be a UUID");
        let status = to_status(Invalid(violations.into_result().unwrap_err()));
        assert_eq!(status.code(), Code::InvalidArgument);
        let fields: Vec<_> =
            status.get_details_bad_request().unwrap().field_violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["text", "targets[1].account_id"]);
        assert_eq!(status.get_details_error_info().unwrap().reason, "INVALID_FIELDS");
    }

    #[test]
    fn a_database_that_is_away_or_out_of_room_is_unavailable_for_now() {
        for code in ["08006", "25006", "40P01", "53100", "57P01", "5", "13", "10", "778", "1034"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23505", "42P01", "1", "11", "19", "2067", ""] {
            assert!(!is_passing(code), "{code}");
        }
    }

    #[test]
    fn keeps_the_cause_of_an_internal_error_to_itself() {
        #[derive(Debug, thiserror::Error)]
        #[error("the password is hunter2")]
        struct Leaky;
        impl Classify for Leaky {
            const DOMAIN: &'static str = "postmesh.test";
            fn kind(&self) -> ErrorKind {
                ErrorKind::Internal
            }
            fn reason(&self) -> &'static str {
                "LEAKY"
            }
        }
        assert!(!to_status(Leaky).message().contains("hunter2"));
    }
}
