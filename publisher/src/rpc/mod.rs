//! The publisher's rpcs: messages in, messages out. Who may call what is enforced before a handler runs.

pub mod account;
pub mod app;
mod confirm;
mod convert;
pub mod delivery;
mod fit;
pub mod networks;
mod settings;
