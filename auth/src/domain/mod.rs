//! Plain values and decisions; nothing here knows a database, the wire or a clock.

pub mod email;
pub mod keys;
pub mod names;
pub mod password;
pub mod roles;
pub mod session;
