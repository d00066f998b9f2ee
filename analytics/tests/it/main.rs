//! Integration tests of the analytics service. The publisher beside it is a stand-in that speaks its contract.
#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain fails, as it should")]

mod collect;
mod events;
mod publisher;
mod rpc;
mod store;
mod supervision;
mod world;
