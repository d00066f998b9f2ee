//! Plain data and decisions about posts. Nothing here knows the time, a database or a network: `now` and ids are
//! arguments, so every decision is a function that a test can call.

pub mod change;
pub mod filter;
pub mod input;
pub mod plan;
pub mod post;
pub mod rewrite;
pub mod settings;
pub mod target;
pub mod thread;

pub use change::{Change, Decision, Edit, Refusal, Verdict, Verdicts};
pub use input::{Draft, NewMedia, NewPart, NewTarget};
pub use post::{Media, Post, PostState};
pub use target::{Fact, Problem, RecallIntent, Target, TargetState};
pub use thread::Part;
