//! What a mesh answered, in words for a person at a terminal.

use std::fmt::Write as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// An error that says what went wrong, field by field, and when to try again.
pub(crate) fn explain(status: &Status) -> anyhow::Error {
    let details = status.get_error_details();
    let mut text = match details.bad_request() {
        Some(bad) => bad
            .field_violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("\n       "),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    };
    if let Some(wait) = details.retry_info().and_then(|info| info.retry_delay) {
        let _ = write!(text, " (try again in {} s)", wait.as_secs_f64().ceil());
    }
    if status.code() == Code::Unauthenticated && !text.contains("sign in") {
        text.push_str("; sign in again with `postmesh login`");
    }
    anyhow::anyhow!(text)
}

/// True while a connection waits for its user to come back from the network.
pub(crate) fn is_pending(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "AUTHORIZATION_PENDING")
}
