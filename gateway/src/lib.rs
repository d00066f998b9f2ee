//! The one public door: gRPC, gRPC-web and JSON over HTTP, forwarded without knowing a single message.
//!
//! ```text
//!  server (socket, limits) ─▶ door (id, origin, throttle) ─┬▶ edge (method path -> service) ─▶ Transport
//!                                                          ├▶ tonic-web ─▶ edge
//!                                                          ├▶ json (routes from the descriptors) ─▶ edge
//!                                                          └▶ uploads, shares, oauth, ready, openapi
//! ```
//! Everything is read from the descriptors: a new public rpc of a known package needs no line here. **Internal rpcs do
//! not exist outside.** The services enforce the rules with the user's token; the gateway verifies it early, so that
//! junk ends here.
//!
//! JSON callers may send `Idempotency-Key: <UUID>`: it fills an empty `request_id` of the request.
//! `Accept: application/json; names=proto` answers field names as the contracts spell them.

mod client;
mod config;
mod contracts;
mod cors;
mod deps;
mod door;
mod edge;
mod error;
mod frames;
mod json;
pub mod metrics;
mod oauth;
mod openapi;
mod own;
mod ready;
mod server;
mod shares;
mod uploads;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use postmesh_kit::throttle::Throttle;
use tokio::{net::TcpListener, sync::Semaphore};
use tower::Layer as _;

pub use self::{config::Config, deps::Deps, error::Error};

/// Largest message, bytes.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// A started gateway.
#[derive(Debug, Clone)]
pub struct Running {
    /// Where it answers.
    pub addr: SocketAddr,
}

/// Starts the gateway; it serves until the life it was handed stops.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(Error::Config(problems));
    }
    let bind = |source| Error::Bind { bind: config.bind, source };
    let listener = match deps.listener {
        Some(listener) => listener,
        None => TcpListener::bind(config.bind).await.map_err(bind)?,
    };
    let addr = listener.local_addr().map_err(bind)?;
    metrics::describe();

    let contracts = Arc::new(contracts::Contracts::read(postmesh_proto::pool(), &deps.backends));
    let (own, reporter) = own::routes(&contracts, config.reflection).await?;
    let second = Duration::from_secs(1);
    let throttle = |name, rate, burst| Throttle::new(&deps.cache, name, rate, second, burst);
    let edge = edge::Edge::new(edge::Parts {
        contracts,
        own,
        verifier: deps.verifier,
        users: throttle("gateway_user", config.user_rate, config.user_burst),
        streams: Arc::new(Semaphore::new(config.max_streams)),
        clock: deps.clock.clone(),
        lifecycle: deps.lifecycle.clone(),
        longest_unary: Duration::from_secs(config.unary_deadline_seconds),
    });
    let json = json::Json::new(edge.clone())?;
    let door = door::Door {
        web: tonic_web::GrpcWebLayer::new().layer(edge.clone()),
        openapi: openapi::document(json.routes()).to_string().into(),
        client: client::document(&config.public_url).to_string().into(),
        json,
        edge,
        uploads: deps.backends.get("postmesh.media.v1").cloned().map(uploads::Uploads::new),
        shares: deps
            .backends
            .get("postmesh.media.v1")
            .cloned()
            .map(|media| shares::Shares::new(media, config.max_downloads)),
        callback: deps.backends.get("postmesh.publisher.v1").cloned().map(oauth::Callback::new),
        ready: ready::Ready::new(&deps.backends),
        cors: cors::Cors::new(&config.allowed_origins),
        in_flight: Semaphore::new(config.max_in_flight),
        uploads_in_flight: Semaphore::new(config.max_uploads),
        addresses: throttle("gateway_address", config.address_rate, config.address_burst),
        trusted_proxies: config.trusted_proxies,
        clock: deps.clock,
    };
    let life = deps.lifecycle;
    life.spawn({
        let life = life.clone();
        async move {
            life.stopping().await;
            reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        }
    });
    life.spawn(server::serve(listener, Arc::new(door), config.max_connections, life.clone()));
    tracing::info!(%addr, "the gateway answers");
    Ok(Running { addr })
}
