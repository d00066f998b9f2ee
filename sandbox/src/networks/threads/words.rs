//! The codes and sentences with which Threads refuses.

use http::StatusCode;

pub(super) use crate::networks::graph::{Answer, Refusal};

/// A parameter that is wrong.
pub(super) fn parameter(message: impl Into<String>) -> Refusal {
    Refusal::new(100, 0, message).kind("THApiException")
}

/// An object that is not there, or not there yet.
pub(super) fn missing(id: &str) -> Refusal {
    let told = Refusal::new(24, 4_279_009, "The requested resource does not exist");
    told.for_people(format!("The media with id {id} cannot be found"))
}

/// A permission that was not granted.
pub(super) fn permission() -> Refusal {
    let told = Refusal::new(10, 0, "Application does not have permission for this action");
    told.kind("THApiException").status(StatusCode::FORBIDDEN)
}

/// A picture that could not be downloaded.
pub(super) fn unfetched() -> Refusal {
    let message = "Media download has failed. The media URI doesn't meet our requirements.";
    let told = Refusal::new(9004, 2_207_052, message);
    told.for_people("The media could not be fetched from this URI")
}

/// The day's posts or replies are used up.
pub(super) fn quota() -> Refusal {
    Refusal::new(9, 2_207_042, "The user has reached the posting limit of this day.")
}

/// Too many calls.
pub(super) fn throttled() -> Refusal {
    Refusal::new(4, 0, "Application request limit reached").status(StatusCode::FORBIDDEN).transient()
}
