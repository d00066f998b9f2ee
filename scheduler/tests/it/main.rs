//! The scheduler over the real server stack, on SQLite and PostgreSQL. The publisher and the media library are stood
//! in for by small servers of their contracts.

mod cancel;
mod change;
mod create;
mod hand_over;
mod lists;
mod neighbours;
mod results;
mod store;
mod tenants;
mod watch;
mod world;
