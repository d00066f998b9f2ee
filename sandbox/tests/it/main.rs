//! The stand-ins over a real socket, as a client of the real networks would see them.

mod bluesky;
mod control;
mod durability;
mod faults;
mod mastodon;
mod pages;
mod support;
