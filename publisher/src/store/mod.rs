//! The publisher's tables, spoken to in business verbs; one transaction per method.

mod arm;

pub use arm::Armed;
