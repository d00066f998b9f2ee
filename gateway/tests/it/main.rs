//! The gateway over a real socket, before small services that stand for the contracts of the others.

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
