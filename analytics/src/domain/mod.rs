//! Plain values and decisions; nothing here knows a database, the wire or a clock.

pub mod counts;
pub mod schedule;
