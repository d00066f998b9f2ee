//! Connected accounts, their tokens, and the deliveries that publish exactly once.

pub mod domain;
pub mod media;
pub mod networks;
pub mod store;
