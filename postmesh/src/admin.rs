//! The admin port: whether the process lives (`/healthz`), whether it can work (`/readyz`), and its metrics
//! (`/metrics`, Prometheus text).

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use postmesh_kit::{health::Health, lifecycle::Lifecycle, telemetry};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Admin {
    health: Health,
    metrics: Option<PrometheusHandle>,
}

/// Serves until the life ends; answers where.
pub(crate) async fn serve(bind: SocketAddr, health: Health, life: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(bind)
        .await
        .with_context(|| format!("cannot listen on {bind}; choose another address with admin.bind"))?;
    let addr = listener.local_addr()?;
    // A second mesh in one process, as tests make it, goes without.
    let metrics = telemetry::metrics().ok();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { health, metrics });
    let stopping = life.clone();
    life.spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopping.stopping().await })
            .await;
        if let Err(error) = served {
            tracing::error!(error = &error as &dyn std::error::Error, "the admin port ended");
        }
    });
    Ok(addr)
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let checks = admin.health.run().await;
    let code =
        if checks.values().all(Result::is_ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let shown: serde_json::Map<_, _> = checks
        .into_iter()
        .map(|(name, outcome)| (name, outcome.map_or_else(Into::into, |()| "ok".into())))
        .collect();
    (code, Json(shown))
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.metrics {
        Some(metrics) => {
            metrics.run_upkeep();
            (StatusCode::OK, metrics.render())
        }
        None => (StatusCode::NOT_FOUND, "metrics are collected by another mesh of this process\n".to_owned()),
    }
}
