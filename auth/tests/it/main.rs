//! Integration tests of the auth service: its store on both databases, its rpcs behind the real server stack.

#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain fails, as it should")]

mod forgery;
mod keyring;
mod login;
mod refresh;
mod register;
mod store;
mod world;
