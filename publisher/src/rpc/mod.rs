//! The publisher's rpcs: messages in, messages out.

pub mod account;
pub mod networks;
