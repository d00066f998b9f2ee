//! The service behind the real server stack, on both databases and both blob stores; and what it makes of files.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "names of chunks are written as byte strings")]

mod blobs;
mod bombs;
mod clips;
mod files;
mod fits;
mod fitting;
mod holds;
mod library;
mod pictures;
mod shares;
mod sweeping;
mod tenants;
mod uploads;
mod videos;
mod world;
