//! The gateway over a real socket, before small services that stand for the contracts of the others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod browsers;
mod document;
mod grpc;
mod harness;
mod json;
mod limits;
mod operation;
mod plain;
mod services;
mod web;
