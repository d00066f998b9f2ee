//! Integration tests of the auth service: its store on both databases, its rpcs behind the real server stack.

mod forgery;
mod keyring;
mod login;
mod register;
mod refresh;
mod store;
mod world;
