//! The pure core: what an account decides about its deliveries, without database, network or actor. The actors run it,
//! and so does the fault suite's simulation, in virtual time; it reads and writes the same rows and changes.

pub use crate::{
    actors::line::{Busy, Guards, Item, Line, Refusal, Todo, Turn},
    store::{Change, Stored},
};
