//! How a service stands up: configuration, transport, storage, health. Nothing here knows posts or networks.
//!
//! Reading order: [`service`] (what a service is), [`transport`] and [`server`] (how they meet), [`identity`] and
//! [`rules`] (who may), [`status`] (how errors travel), [`db`] (where things are kept), then the rest.

pub mod bells;
pub mod blob;
pub mod cache;
pub mod clock;
pub mod clockguard;
pub mod config;
pub mod db;
pub mod faults;
pub mod health;
pub mod http;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod lifecycle;
pub mod page;
pub mod rules;
pub mod server;
pub mod service;
pub mod status;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod throttle;
pub mod time;
pub mod tls;
pub mod trace;
pub mod transport;
