//! Connecting through the rpcs, on both databases, against servers over a real socket. What the tests share is here;
//! `attempts` asks what a stolen, repeated or foreign callback gets, `secrets` where the tokens are afterwards, and
//! `accounts` what is seen of connected accounts.

mod accounts;
mod apps;
mod attempts;
mod secrets;

use std::sync::Mutex;

use postmesh_kit::{
    db::Db,
    testing::{FakeClock, Tokens, each_database, keys, serve, with_token},
    transport::Transport,
};
use postmesh_proto::publisher::v1::{
    AccountState as ProtoState, BeginConnectRequest, BeginConnectResponse, CompleteConnectRequest,
    ConnectWithPasswordRequest, DisconnectAccountRequest, GetAccountRequest, ListAccountsRequest,
    ListNetworksRequest, ReceiveAuthorizationRequest, ReceiveAuthorizationResponse,
    account_service_client::AccountServiceClient, account_service_server::AccountServiceServer,
    app_service_client::AppServiceClient, app_service_server::AppServiceServer,
    network_service_client::NetworkServiceClient, network_service_server::NetworkServiceServer,
};
use serde_json::json;
use tonic::{Code, Request, Status, service::Routes};
use tonic_types::StatusExt;

use super::*;
use crate::{MIGRATIONS, networks, rpc, testing::Bench};

const NOW: i64 = 1_790_000_000_000;
const PASSWORD: &str = "demo-demo-demo-demo";

/// The account rpcs over one database, with a sandbox to connect to.
struct Mesh {
    bench: Bench,
    connecting: Connecting,
    clock: FakeClock,
    tokens: Tokens,
    routes: Routes,
    user: Uuid,
    workspace: Uuid,
    told: Arc<Mutex<Vec<Uuid>>>,
}

impl Mesh {
    async fn new(db: Db) -> Self {
        let bench = Bench::new().await;
        let fake = FakeClock::at(NOW);
        let clock: Arc<dyn Clock> = Arc::new(fake.clone());
        let store = Store::new(db, "test");
        let (networks, connectors) = networks::all(&bench.http, &clock, None);
        let told = Arc::<Mutex<Vec<Uuid>>>::default();
        let ear = told.clone();
        let apps = Apps::new(BTreeMap::new(), store.clone(), keys(), clock.clone());
        let connecting = Connecting {
            vault: Vault::new(store.clone(), keys(), clock.clone(), apps.clone()),
            apps: apps.clone(),
            store,
            networks: networks.clone(),
            connectors: connectors.clone(),
            keys: keys(),
            clock,
            redirect_uri: "https://mesh.example/oauth/callback".into(),
            servers: BTreeMap::from([("bluesky".to_owned(), bench.server("bluesky"))]),
            listener: Arc::new(move |account| ear.lock().unwrap().push(account)),
            revocations: Arc::default(),
        };
        let described = rpc::networks::Networks::new(networks, connectors, connecting.servers.clone(), apps);
        let kept = rpc::app::Apps::new(connecting.apps.clone(), connecting.networks.clone());
        let routes = Routes::new(AccountServiceServer::new(rpc::account::Accounts::new(connecting.clone())))
            .add_service(AppServiceServer::new(kept))
            .add_service(NetworkServiceServer::new(described));
        let (user, workspace) = (Uuid::now_v7(), Uuid::now_v7());
        Self { bench, connecting, clock: fake, tokens: Tokens::default(), routes, user, workspace, told }
    }

    fn transport(&self, caller: &str) -> Transport {
        serve(postmesh_proto::pool(), self.routes.clone(), caller, &self.tokens)
    }

    fn accounts(&self) -> AccountServiceClient<Transport> {
        AccountServiceClient::new(self.transport("gateway"))
    }

    fn by<T>(&self, user: Uuid, workspace: Uuid, message: T) -> Request<T> {
        with_token(message, &self.tokens.mint(user, workspace, &["accounts.read", "accounts.write"]))
    }

    fn mine<T>(&self, message: T) -> Request<T> {
        self.by(self.user, self.workspace, message)
    }

    async fn begin(&self, server: &str, request_id: &str) -> Result<BeginConnectResponse, Status> {
        let ask = BeginConnectRequest {
            network: "mastodon".into(),
            server: server.into(),
            return_path: "/accounts".into(),
            request_id: request_id.into(),
        };
        Ok(self.accounts().begin_connect(self.mine(ask)).await?.into_inner())
    }

    async fn receive(
        &self,
        callback: &BTreeMap<String, String>,
    ) -> Result<ReceiveAuthorizationResponse, Status> {
        let part = |name: &str| callback.get(name).cloned().unwrap_or_default();
        let ask = ReceiveAuthorizationRequest {
            state: part("state"),
            code: part("code"),
            issuer: part("iss"),
            error: part("error"),
            error_description: part("error_description"),
        };
        Ok(self.accounts().receive_authorization(ask).await?.into_inner())
    }

    async fn complete(&self, connection_id: &str) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        let ask = CompleteConnectRequest { connection_id: connection_id.into(), ..Default::default() };
        Ok(self.accounts().complete_connect(self.mine(ask)).await?.into_inner().account.unwrap())
    }

    /// The whole dance on Mastodon.
    async fn connect(&self) -> postmesh_proto::publisher::v1::Account {
        let began = self.begin(&self.bench.server("mastodon"), "").await.unwrap();
        let callback = self.bench.press(&began.authorization_url, "authorize").await;
        self.receive(&callback).await.unwrap();
        self.complete(&began.connection_id).await.unwrap()
    }

    async fn login(&self, password: &str) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        self.login_as(password, "").await
    }

    async fn login_as(
        &self,
        password: &str,
        id: &str,
    ) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        let ask = ConnectWithPasswordRequest {
            network: "bluesky".into(),
            server: String::new(),
            identifier: "demo.test".into(),
            password: password.into(),
            request_id: id.into(),
        };
        Ok(self.accounts().connect_with_password(self.mine(ask)).await?.into_inner().account.unwrap())
    }

    async fn token_requests(&self) -> usize {
        self.bench.requests("token").await.len()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn bad_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let request = status.get_details_bad_request().unwrap();
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}
