//! The stand-ins over a real socket, as a client of the real networks would see them.

#![expect(clippy::unwrap_used, reason = "a test's own tools fail the test by panicking")]

mod bluesky;
mod control;
mod durability;
mod faults;
mod mastodon;
mod pages;
mod support;
mod threads;
mod truths;
