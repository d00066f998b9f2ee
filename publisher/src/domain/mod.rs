//! Plain data and decisions: no database, no network, no actor. Time and ids come in as arguments.

pub mod content;
pub mod delivery;
pub mod outcome;
