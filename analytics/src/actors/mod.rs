//! The actors of the analytics service.
//!
//! ```text
//! Supervisor ── looks for accounts whose turn it is
//!  ├─ Collector (account A) ── task: claim, ask the publisher, store ──▶ Done
//!  └─ Collector (account B)     one task at a time; ends when it has been idle
//! ```
//!
//! A collector that fails is dropped; the next look starts another, and the lease gives back what it had claimed.

pub mod collector;
pub mod supervisor;
