//! The rig: a mesh of real processes on one side, stand-in networks in this process on the other, users in between,
//! and a record of it all.
//!
//! ```text
//!  workload ──▶ Client ──gRPC──▶ Mesh (processes that are killed) ──HTTP──▶ Sandbox (in this process)
//!                 │                        │ rows, after the drain               │ ledger, requests
//!                 └──────────▶ History ◀───┴─────────────────────────────────────┘ ──▶ invariants::check
//! ```

pub mod backends;
pub mod client;
pub mod drain;
pub mod faketime;
pub mod history;
pub mod mesh;
pub mod process;
pub mod proxy;
pub mod remains;
pub mod sandbox;
pub mod servers;
pub mod workload;

pub use self::{
    client::Client,
    history::History,
    mesh::{Backends, Mesh},
    process::Process,
    sandbox::Sandbox,
};
