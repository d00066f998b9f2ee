//! The stand-ins over a real socket, as a client of the real networks would see them.

#![expect(clippy::unwrap_used, reason = "a test's own tools fail the test by panicking")]

mod bluesky;
mod bluesky_oauth;
mod control;
mod discord;
mod durability;
mod facebook;
mod faults;
mod instagram;
mod linkedin;
mod mastodon;
mod mastodon_dialects;
mod meta_threads;
mod networks;
mod pages;
mod pinterest;
mod reddit;
mod slack;
mod support;
mod telegram;
mod threads;
mod tiktok;
mod truths;
mod x;
mod youtube;
