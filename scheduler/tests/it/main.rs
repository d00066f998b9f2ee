//! The scheduler over the real server stack, on SQLite and PostgreSQL. The publisher and the media library are stood
//! in for by small servers of their contracts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]
#![expect(clippy::default_trait_access, reason = "an empty request is an empty request, whatever its name")]

mod cancel;
mod change;
mod confirm;
mod create;
mod doubts;
mod fair;
mod hand_over;
mod lists;
mod neighbours;
mod poison;
mod preflight;
mod replicas;
mod results;
mod roles;
mod settings_media;
mod store;
mod tenants;
mod threads;
mod timeline;
mod watch;
mod world;
