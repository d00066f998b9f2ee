//! The publisher's rpcs: messages in, messages out. Who may call what is enforced before a handler runs.

pub mod account;
mod confirm;
mod convert;
pub mod delivery;
pub mod networks;
