//! The actors of the auth service.
//!
//! ```text
//! Supervisor ── Keyring   loads, announces and rotates the signing keys
//!            └─ Sweeper   deletes what nobody can use any more
//! ```
//!
//! A child that fails is started again after a pause; its parent never stops for it. Requests do not pass through
//! actors: they read the key set that the Keyring published last.

pub mod keyring;
pub mod supervisor;
pub mod sweeper;
