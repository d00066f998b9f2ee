//! Plain data and decisions: no database, no network, no actor. Time and ids come in as arguments.

pub mod backoff;
pub mod content;
pub mod delivery;
pub mod key;
pub mod outcome;
pub mod policy;
pub mod settings;
pub mod state;
pub mod step;
