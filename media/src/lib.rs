//! Uploads, the media library and its bytes.
//!
//! A file is announced, sent, and checked by its content; what is kept is the picture or video alone, without location
//! or other metadata. Posts place holds on the items they need, so nothing disappears from under a plan. Receivers that
//! take less get a smaller copy, made once; those that fetch for themselves get a public address that ends.
//!
//! ```text
//! rpc ─┬▶ intake (items) ─┬▶ video (headers, patched copy)
//!      │                  └▶ check (a few workers) ◀─▶ picture (measure, strip, decode, shrink)
//!      ├▶ fitting (copies that fit) ─▶ check
//!      ├▶ store (rows)      ◀── sweep (what nobody needs)
//!      └▶ kit::blob (bytes) ◀──┘
//! ```
//! **A blob is written only after its key is on record as loose, and a row names a blob only after it is stored.**
//! Reading order: [`picture`], [`video`], [`ticket`], [`store`], [`sweep`], `intake`, then `rpc`.

pub mod config;
pub mod deps;
pub mod error;
pub mod metrics;
pub mod picture;
pub mod store;
pub mod sweep;
pub mod ticket;
pub mod video;

mod check;
mod fitting;
mod intake;
mod lanes;
mod rpc;

use std::time::Duration;

use postmesh_kit::{db::Migrations, service::Running};
use postmesh_proto::media::v1::media_service_server::MediaServiceServer;
use sqlx::migrate::Migrator;
use tonic::service::Routes;

pub use crate::{config::Config, deps::Deps, error::Error};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The service's tables.
pub const MIGRATIONS: Migrations = Migrations { sqlite: &SQLITE, postgres: &POSTGRES };

/// Starts the service; it can answer when this returns.
#[expect(clippy::unused_async, reason = "every service starts the same way")]
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(Error::Settings(problems));
    }
    metrics::describe();
    let store = store::Store::new(deps.db.clone());
    let interval = Duration::from_secs(config.sweep_interval_seconds);
    deps.lifecycle.spawn(sweep::keep_sweeping(store.clone(), deps.clone(), interval));
    let checker = check::Checker::new(config.workers);
    let videos = check::Checker::new(config.workers);
    let rpc = rpc::Rpc {
        signer: ticket::Signer::new(&deps.keys),
        fitter: fitting::Fitter::new(deps.clone(), store.clone(), checker.clone()),
        intake: intake::Intake::new(deps.clone(), store.clone(), checker, videos, config.max_video_bytes),
        config,
        deps,
        store,
    };
    Ok(Running::new(Routes::new(MediaServiceServer::new(rpc))))
}
