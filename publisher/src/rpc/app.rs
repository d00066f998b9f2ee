//! `AppService`: a workspace's own applications at the networks.

use postmesh_kit::{
    identity::Identity,
    status::{FieldViolation, Violations, to_status},
    time,
};
use postmesh_proto::publisher::v1 as proto;
use proto::app_service_server::AppService;
use tonic::{Request, Response, Status};

use crate::{
    apps::{Apps as Kept, Shown},
    error::Error,
    networks::{App, Networks, Secret},
};

/// Longest public id, bytes.
const CLIENT_ID: usize = 512;

/// Longest secret, bytes.
const CLIENT_SECRET: usize = 2048;

/// The service.
#[derive(Debug, Clone)]
pub struct Apps {
    kept: Kept,
    networks: Networks,
}

impl Apps {
    /// Answers with these.
    pub fn new(kept: Kept, networks: Networks) -> Self {
        Self { kept, networks }
    }

    /// A network that needs an application.
    fn network(&self, id: &str) -> Result<&'static str, FieldViolation> {
        let known = self.networks.get(id).map(|network| network.facts());
        match known {
            Some(facts) if facts.needs_app => Ok(facts.id),
            Some(facts) => {
                let text = format!("{} accounts are connected without an application", facts.display_name);
                Err(FieldViolation::new("network", "NO_APP_NEEDED", text))
            }
            None => {
                let text = format!("`{id}` is not a known network");
                Err(FieldViolation::new("network", "UNKNOWN_NETWORK", text))
            }
        }
    }
}

#[tonic::async_trait]
impl AppService for Apps {
    async fn set_app(
        &self,
        request: Request<proto::SetAppRequest>,
    ) -> Result<Response<proto::SetAppResponse>, Status> {
        let me = Identity::of(&request)?;
        let ask = request.into_inner();
        let mut violations = Violations::default();
        let network = violations.take(self.network(&ask.network));
        let (id, secret) = (ask.client_id.trim(), ask.client_secret.trim());
        violations.require(!id.is_empty(), "client_id", "REQUIRED", "is required");
        violations.require(id.len() <= CLIENT_ID, "client_id", "TOO_LONG", "has at most 512 characters");
        violations.require(
            secret.len() <= CLIENT_SECRET,
            "client_secret",
            "TOO_LONG",
            "has at most 2048 characters",
        );
        violations.into_result().map_err(|wrong| to_status(Error::Invalid(wrong)))?;
        let network = network.expect("it was taken without a violation");
        let app = App { client_id: id.to_owned(), client_secret: Secret::new(secret) };
        let set = self.kept.set(me.workspace_id, network, app).await.map_err(to_status)?;
        Ok(Response::new(proto::SetAppResponse { app: Some(to_proto(set)) }))
    }

    async fn list_apps(
        &self,
        request: Request<proto::ListAppsRequest>,
    ) -> Result<Response<proto::ListAppsResponse>, Status> {
        let me = Identity::of(&request)?;
        let apps = self.kept.list(me.workspace_id).await.map_err(to_status)?;
        Ok(Response::new(proto::ListAppsResponse { apps: apps.into_iter().map(to_proto).collect() }))
    }

    async fn delete_app(
        &self,
        request: Request<proto::DeleteAppRequest>,
    ) -> Result<Response<proto::DeleteAppResponse>, Status> {
        let me = Identity::of(&request)?;
        let network = self.network(&request.into_inner().network);
        let network = network.map_err(|wrong| to_status(Error::Invalid(vec![wrong])))?;
        self.kept.delete(me.workspace_id, network).await.map_err(to_status)?;
        Ok(Response::new(proto::DeleteAppResponse {}))
    }
}

fn to_proto(app: Shown) -> proto::App {
    proto::App {
        network: app.network,
        client_id: app.client_id,
        update_time: Some(time::to_proto(app.updated_at)),
    }
}
