//! Whole stories of the service against the sandbox: the real routes, actors, database and sockets, nothing faked but
//! the networks and the pictures. A life of the service can be ended as a crash ends it.

mod limits;
mod lost_answers;
mod many;
mod publishing;
mod questions;
mod restarts;
mod restored;
mod tenants;
mod threads;
mod thumbnails;
mod tokens;

use std::{collections::BTreeMap, time::Duration};

use postmesh_kit::{
    clock::{Clock, SystemClock},
    config::{DatabaseConfig, Secret},
    db::Db,
    http::OutboundConfig,
    lifecycle::Lifecycle,
    read,
    testing::{Tokens, keys, postgres_url, serve, with_token},
    time,
    transport::Transport,
};
use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::{
        self as proto, account_service_client::AccountServiceClient,
        delivery_service_client::DeliveryServiceClient,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::{
    Config, Deps, MIGRATIONS,
    testing::{Bench, PNG, media_client},
};

/// Nothing in these stories takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database that outlives the lives of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// Short times, so that stories end soon; the same order of magnitude between them as the defaults.
fn quick() -> Config {
    Config {
        send_timeout_ms: 1_500,
        quiesce_ms: 500,
        prep_lead_ms: 2_000,
        backoff_first_ms: 50,
        backoff_most_ms: 400,
        sweep_ms: 100,
        lease_ms: 1_000,
        idle_ms: 200,
        grace_ms: 5_000,
        ..Config::default()
    }
}

/// One running service, its sandbox, and what a scheduler and a person would hold.
struct Mesh {
    bench: Bench,
    config: Config,
    kind: Kind,
    schema: String,
    folder: TempDir,
    tokens: Tokens,
    workspace: Uuid,
    life: Option<Life>,
}

struct Life {
    runtime: Runtime,
    lifecycle: Lifecycle,
    scheduler: Transport,
    analytics: Transport,
    gateway: Transport,
}

impl Mesh {
    async fn new(kind: Kind, config: Config) -> Self {
        // Shown for a story that fails.
        let log = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::INFO);
        let _ = log.try_init();
        let bench = Bench::new().await;
        let config = Config { outbound: OutboundConfig { allow: vec![bench.address()] }, ..config };
        let mut mesh = Self {
            bench,
            config,
            kind,
            schema: format!("t_{}", Uuid::now_v7().simple()),
            folder: tempfile::tempdir().unwrap(),
            tokens: Tokens::default(),
            workspace: Uuid::now_v7(),
            life: None,
        };
        mesh.start().await;
        mesh
    }

    /// Begins a life of the service on the same database.
    async fn start(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = if self.kind == Kind::Postgres { postgres_url() } else { String::new() };
        let (folder, schema, config) =
            (self.folder.path().to_owned(), self.schema.clone(), self.config.clone());
        let lifecycle = Lifecycle::new();
        let life = lifecycle.clone();
        let started = runtime.spawn(async move {
            let database = DatabaseConfig { url: Secret::new(url), connections: 8 };
            let db = Db::open(&database, &folder, &schema).await.unwrap();
            db.migrate(&MIGRATIONS).await.unwrap();
            let clock = std::sync::Arc::new(SystemClock);
            let deps = Deps { db, clock, lifecycle: life, keys: keys(), media: media_client() };
            crate::start(config, deps).await.unwrap()
        });
        let running = started.await.unwrap();
        let call = |caller| serve(postmesh_proto::pool(), running.routes.clone(), caller, &self.tokens);
        self.life = Some(Life {
            scheduler: call("scheduler"),
            analytics: call("analytics"),
            gateway: call("gateway"),
            runtime,
            lifecycle,
        });
    }

    /// Ends the service as a crash does: no task runs on, nothing is stored any more, connections break.
    fn crash(&mut self) {
        self.life.take().unwrap().runtime.shutdown_background();
    }

    /// Ends the service as an operator does; whether everything ended by itself.
    async fn stop(&mut self) -> bool {
        let life = self.life.take().unwrap();
        let lifecycle = life.lifecycle.clone();
        let clean = life
            .runtime
            .spawn(async move { lifecycle.shutdown(Duration::from_secs(10)).await })
            .await
            .unwrap();
        life.runtime.shutdown_background();
        clean
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    fn deliveries(&self) -> DeliveryServiceClient<Transport> {
        DeliveryServiceClient::new(self.life().scheduler.clone())
    }

    fn accounts(&self) -> AccountServiceClient<Transport> {
        AccountServiceClient::new(self.life().gateway.clone())
    }

    fn mine<T>(&self, message: T) -> tonic::Request<T> {
        with_token(
            message,
            &self.tokens.mint(Uuid::from_u128(7), self.workspace, &["accounts.read", "accounts.write"]),
        )
    }

    async fn bluesky(&self) -> String {
        let login = proto::ConnectWithPasswordRequest {
            network: "bluesky".into(),
            server: self.bench.server("bluesky"),
            identifier: "demo.test".into(),
            password: "demo-demo-demo-demo".into(),
            request_id: String::new(),
        };
        let answer = self.accounts().connect_with_password(self.mine(login)).await.unwrap().into_inner();
        answer.account.unwrap().id
    }

    async fn mastodon(&self) -> String {
        self.by_browser("mastodon").await
    }

    async fn by_browser(&self, network: &str) -> String {
        let begin = proto::BeginConnectRequest {
            network: network.into(),
            server: self.bench.server(network),
            return_path: "/accounts".into(),
            request_id: String::new(),
        };
        let began = self.accounts().begin_connect(self.mine(begin)).await.unwrap().into_inner();
        let mut query = self.bench.press(&began.authorization_url, "authorize").await;
        let mut take = |name: &str| query.remove(name).unwrap_or_default();
        let received = proto::ReceiveAuthorizationRequest {
            state: take("state"),
            code: take("code"),
            issuer: take("iss"),
            error: String::new(),
            error_description: String::new(),
        };
        self.accounts().receive_authorization(received).await.unwrap();
        let complete =
            proto::CompleteConnectRequest { connection_id: began.connection_id, native_ids: Vec::new() };
        let answer = self.accounts().complete_connect(self.mine(complete)).await.unwrap().into_inner();
        answer.account.unwrap().id
    }

    /// Both accounts, by network.
    async fn both(&self) -> Vec<(&'static str, String)> {
        vec![("mastodon", self.mastodon().await), ("bluesky", self.bluesky().await)]
    }

    /// A delivery of a text to an account, due in so many milliseconds.
    fn a_delivery(&self, account: &str, text: &str, due_in: i64) -> proto::Delivery {
        proto::Delivery {
            target_id: Uuid::now_v7().to_string(),
            post_id: Uuid::now_v7().to_string(),
            workspace_id: self.workspace.to_string(),
            account_id: account.to_owned(),
            revision: 1,
            due_time: Some(time::to_proto(SystemClock.now_ms() + due_in)),
            max_lateness: Some(time::duration_to_proto(600_000)),
            content: Some(proto::Content { text: text.to_owned(), media: vec![], settings: None }),
            thread: None,
        }
    }

    /// Hands deliveries over; all must be accepted.
    async fn deliver(&self, deliveries: Vec<proto::Delivery>) -> Vec<String> {
        let answer =
            self.deliveries().deliver(proto::DeliverRequest { deliveries }).await.unwrap().into_inner();
        let accepted = |result: proto::DeliverResult| {
            assert_eq!(result.outcome(), proto::DeliverOutcome::Accepted, "{result:?}");
            result.target_id
        };
        answer.results.into_iter().map(accepted).collect()
    }

    async fn recall(&self, target_id: &str) -> proto::RecallResult {
        let items = vec![proto::RecallItem { target_id: target_id.to_owned(), revision: 1 }];
        let request = proto::RecallRequest { workspace_id: self.workspace.to_string(), items };
        self.deliveries().recall(request).await.unwrap().into_inner().results.remove(0)
    }

    /// Follows the events from the first one until each target is in a state that `ends` accepts; answers all events.
    async fn follow(
        &self,
        targets: &[String],
        ends: impl Fn(TargetState) -> bool,
    ) -> Vec<proto::DeliveryEvent> {
        let mut stream = self
            .deliveries()
            .tail_events(proto::TailEventsRequest { after_sequence: 0 })
            .await
            .unwrap()
            .into_inner();
        let mut seen: Vec<proto::DeliveryEvent> = Vec::new();
        let mut states: BTreeMap<String, TargetState> = BTreeMap::new();
        let following = async {
            while targets.iter().any(|target| !states.get(target).is_some_and(|state| ends(*state))) {
                let answer = stream.message().await.unwrap().unwrap();
                for event in answer.events {
                    assert!(seen.last().is_none_or(|last| last.sequence < event.sequence), "out of order");
                    states.insert(event.target_id.clone(), event.state());
                    seen.push(event);
                }
            }
        };
        // What is proven is that all end, not how soon: a small machine takes its time over many.
        let patience = PATIENCE + Duration::from_millis(100) * u32::try_from(targets.len()).unwrap();
        let in_time = tokio::time::timeout(patience, following).await.is_ok();
        assert!(in_time, "still waiting after {} events; {:?}", seen.len(), self.rows().await);
        seen
    }

    /// Where every delivery is that is not final: state, next moment, tries, attempts.
    async fn rows(&self) -> Vec<(String, i64, i64, i64)> {
        let url = if self.kind == Kind::Postgres { postgres_url() } else { String::new() };
        let database = DatabaseConfig { url: Secret::new(url), connections: 1 };
        let db = Db::open(&database, self.folder.path(), &self.schema).await.unwrap();
        let rows: Result<_, sqlx::Error> = read!(db, c => {
            sqlx::query_as("select state, next_at, tries, attempt_n from deliveries where next_at is not null")
                .fetch_all(&mut *c).await
        });
        rows.unwrap()
    }

    /// Everything that was prepared, as it is stored.
    async fn stored_handles(&self) -> String {
        let url = if self.kind == Kind::Postgres { postgres_url() } else { String::new() };
        let database = DatabaseConfig { url: Secret::new(url), connections: 1 };
        let db = Db::open(&database, self.folder.path(), &self.schema).await.unwrap();
        let handles: Result<Vec<String>, sqlx::Error> = read!(db, c => {
            sqlx::query_scalar("select handle from handles").fetch_all(&mut *c).await
        });
        let handles = handles.unwrap();
        assert!(!handles.is_empty(), "they are kept");
        handles.concat()
    }

    /// Waits until each target is final; its last event.
    async fn ends(&self, targets: &[String]) -> Vec<proto::DeliveryEvent> {
        let is_final = |state: TargetState| {
            matches!(
                state,
                TargetState::Published
                    | TargetState::Failed
                    | TargetState::Cancelled
                    | TargetState::Missed
                    | TargetState::NeedsConfirmation
            )
        };
        let events = self.follow(targets, is_final).await;
        let last =
            |target: &String| events.iter().rev().find(|event| event.target_id == *target).unwrap().clone();
        targets.iter().map(last).collect()
    }

    /// Waits until so many requests are held by the sandbox.
    async fn held(&self, count: usize) {
        let held = self.bench.read(&format!("held?wait_for={count}&timeout_ms=20000")).await;
        assert_eq!(held["held"], count);
    }

    async fn fault(&self, network: &str, fault: Value) {
        self.bench.fault(network, "publish", fault).await;
    }

    /// Clears what a story leaves behind.
    async fn end(mut self) {
        if self.life.is_some() {
            self.stop().await;
        }
        if self.kind == Kind::Postgres {
            let pool = sqlx::PgPool::connect(&postgres_url()).await.unwrap();
            let drop = sqlx::AssertSqlSafe(format!("drop schema \"{}\" cascade", self.schema));
            sqlx::query(drop).execute(&pool).await.unwrap();
        }
    }
}

fn picture() -> proto::ContentMedia {
    proto::ContentMedia {
        media_id: Uuid::from_u128(9).to_string(),
        content_type: "image/png".into(),
        size_bytes: i64::try_from(PNG.len()).unwrap(),
        width: 1,
        height: 1,
        alt_text: "a dot".into(),
        duration_ms: 0,
    }
}

/// Texts in the order in which they became visible.
fn texts(ledger: &[Value]) -> Vec<&str> {
    ledger.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

fn hold() -> Value {
    json!({ "kind": "hold" })
}
