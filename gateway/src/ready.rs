//! `/healthz`: whether every service the gateway stands before answers.

use std::{collections::HashMap, time::Duration};

use http::{Response, StatusCode};
use postmesh_kit::{health::Health, transport::Transport};
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};
use tonic::{Code, body::Body};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::json::encode;

/// An answer is good for so long, so that asking often costs nothing.
const FRESH: Duration = Duration::from_secs(1);

/// Asks the services how they are.
pub(crate) struct Ready {
    health: Health,
    last: Mutex<Option<(Instant, StatusCode, String)>>,
}

impl Ready {
    pub(crate) fn new(backends: &HashMap<String, Transport>) -> Self {
        let mut health = Health::default();
        for (package, transport) in backends {
            let client = HealthClient::new(transport.clone());
            health.add(short_name(package), move || check(client.clone()));
        }
        Self { health, last: Mutex::default() }
    }

    /// 200 when every service answers, else 503; the body names each.
    pub(crate) async fn answer(&self) -> Response<Body> {
        let mut last = self.last.lock().await;
        let (status, body) = match &*last {
            Some((at, status, body)) if at.elapsed() < FRESH => (*status, body.clone()),
            _ => {
                let services = self.health.run().await;
                let ready = services.values().all(Result::is_ok);
                let state = |outcome: Result<(), String>| outcome.err().unwrap_or_else(|| "ok".to_owned());
                let services: HashMap<_, _> =
                    services.into_iter().map(|(name, outcome)| (name, state(outcome))).collect();
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let body = json!({ "ready": ready, "services": services }).to_string();
                *last = Some((Instant::now(), status, body.clone()));
                (status, body)
            }
        };
        encode::answer(status, "application/json", body)
    }
}

/// `postmesh.auth.v1` -> `auth`.
fn short_name(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or(package)
}

async fn check(mut client: HealthClient<Transport>) -> Result<(), String> {
    match client.check(HealthCheckRequest::default()).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(answer) => Err(answer.get_ref().status().as_str_name().to_lowercase()),
        // A service that keeps no health of its own answers all the same.
        Err(status) if status.code() == Code::Unimplemented => Ok(()),
        Err(status) => Err(status.message().to_owned()),
    }
}
