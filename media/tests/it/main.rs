//! The service behind the real server stack, on both databases and both blob stores; and what it makes of files.

mod blobs;
mod bombs;
mod files;
mod holds;
mod library;
mod pictures;
mod sweeping;
mod tenants;
mod uploads;
mod world;
