//! Whole-mesh stories: the real program as real processes, the sandbox beside them, spoken to as users do.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start programs, read their environment and play the browser; what fails there fails the test"
)]

mod chaos;
mod clients;
mod crash;
mod every_network;
mod harness;
mod operations;
mod refusals;
mod story;
