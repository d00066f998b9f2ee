//! What the crate's own tests share: the sandbox over a real socket, a browser that agrees, and a media service that
//! holds one picture.

mod media;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use postmesh_kit::{
    clock::{Clock, SystemClock},
    http::{GuardedClient, OutboundConfig},
};
use postmesh_sandbox::{Config, Running, Sandbox};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::media::{
    CLIP, JPEG, LONG_CLIP, LONGER_CLIP, Library, PICTURE_JPEG, PICTURE_PNG, PNG, clip, library, long_clip,
    longer_clip, media_client, media_source, source_of_bytes,
};
use crate::{
    domain::{
        content::{Content, Media},
        delivery::{AttemptFacts, Work},
        outcome::Fault,
    },
    networks::{App, HandleMap, Handles, Network, Secret, Session, connect::Connected},
};

/// A running sandbox and a client that may call it, and nothing else on this machine.
pub(crate) struct Bench {
    sandbox: Running,
    pub(crate) http: GuardedClient,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let sandbox = Sandbox::start(Config::default()).await.unwrap();
        let http = GuardedClient::new(&OutboundConfig { allow: vec![sandbox.addr.to_string()] });
        Self { sandbox, http, clock: Arc::new(SystemClock) }
    }

    pub(crate) fn server(&self, network: &str) -> String {
        format!("{}/{network}", self.sandbox.url())
    }

    pub(crate) async fn stop(self) -> GuardedClient {
        self.sandbox.shutdown().await;
        self.http
    }

    /// A call of the sandbox's controls that must succeed.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(format!("{}/_sandbox/{path}", self.sandbox.url()))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = self.http.send(request).await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.body());
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// The next request of that kind goes wrong in this way.
    /// From here on the sandbox does nothing wrong.
    pub(crate) async fn clear_script(&self) {
        let url = format!("{}/_sandbox/script", self.sandbox.url());
        let answer = self.http.send(Request::delete(url).body(Bytes::new()).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.body());
    }

    pub(crate) async fn fault(&self, network: &str, operation: &str, fault: Value) {
        self.control("script", &json!({ "network": network, "operation": operation, "fault": fault })).await;
    }

    /// What a control tells.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let request =
            Request::get(format!("{}/_sandbox/{path}", self.sandbox.url())).body(Bytes::new()).unwrap();
        serde_json::from_slice(self.http.send(request).await.unwrap().body()).unwrap()
    }

    /// What became visible, once it is so many posts or the time is up.
    pub(crate) async fn ledger_of(&self, posts: usize) -> Vec<Value> {
        self.lines(&format!("ledger?wait_for={posts}&timeout_ms=20000")).await
    }

    /// The address of the sandbox as `host:port`.
    pub(crate) fn address(&self) -> String {
        self.sandbox.addr.to_string()
    }

    async fn lines(&self, path: &str) -> Vec<Value> {
        let request =
            Request::get(format!("{}/_sandbox/{path}", self.sandbox.url())).body(Bytes::new()).unwrap();
        let answer = self.http.send(request).await.unwrap();
        std::str::from_utf8(answer.body())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Everything that became visible.
    pub(crate) async fn ledger(&self) -> Vec<Value> {
        self.lines("ledger").await
    }

    /// Every request to a network.
    pub(crate) async fn all_requests(&self) -> Vec<Value> {
        self.lines("requests").await
    }

    /// The requests of one operation.
    pub(crate) async fn requests(&self, operation: &str) -> Vec<Value> {
        let all = self.lines("requests").await;
        all.into_iter().filter(|request| request["operation"] == operation).collect()
    }

    /// Opens the network's page as a browser does and presses a button; answers the query the browser comes back with.
    pub(crate) async fn press(&self, authorization_url: &str, decision: &str) -> BTreeMap<String, String> {
        let url = url::Url::parse(authorization_url).unwrap();
        let fields = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
        let pressed =
            [("account".to_owned(), "demo".to_owned()), ("decision".to_owned(), decision.to_owned())];
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.chain(pressed)).finish();
        let mut page = url.clone();
        page.set_query(None);
        let request = Request::post(page.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap();
        let answer: Response<Bytes> = self.http.send(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 302, "{:?}", answer.body());
        let back = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        back.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }
}

/// The session of an account that has just been connected.
pub(crate) fn session(network: &str, connected: Connected) -> Session {
    Session {
        account_id: Uuid::from_u128(2),
        workspace_id: Uuid::from_u128(1),
        network: network.to_owned(),
        server: connected.server,
        native_id: connected.native_id,
        handle: connected.handle,
        limits: connected.limits,
        access_token: connected.access_token,
        refresh_token: connected.refresh_token,
        access_expires_at: connected.access_expires_at,
        token_version: 1,
        extra: connected.extra,
        app: Some(app(network)),
    }
}

/// The stand-in that plays a network: some play several.
pub(crate) fn stand_in(network: &str) -> &str {
    match network {
        "linkedin_organization" => "linkedin",
        "instagram_facebook" => "instagram",
        other => other,
    }
}

/// Our application at a stand-in network.
pub(crate) fn app(network: &str) -> App {
    let network = stand_in(network);
    App {
        client_id: format!("sandbox-{network}"),
        client_secret: Secret::new(format!("sandbox-{network}-secret")),
    }
}

/// A delivery that is due, planned by its network, with `pictures` pictures.
pub(crate) fn work(network: &dyn Network, text: &str, pictures: usize) -> Work {
    let picture = Media {
        media_id: Uuid::from_u128(9),
        content_type: "image/png".into(),
        size_bytes: i64::try_from(PNG.len()).unwrap(),
        width: 1,
        height: 1,
        alt_text: "a dot".into(),
        duration_ms: 0,
    };
    let target_id = Uuid::now_v7();
    let mut work = Work {
        target_id,
        post_id: Uuid::from_u128(3),
        workspace_id: Uuid::from_u128(1),
        account_id: Uuid::from_u128(2),
        revision: 1,
        due_at: SystemClock.now_ms(),
        key: target_id.simple().to_string(),
        content: Content { text: text.into(), media: vec![picture; pictures], ..Content::default() },
        plan: Value::Null,
        position: 0,
        reply: None,
    };
    work.plan = network.plan(&work);
    work
}

/// An attempt that was armed a moment ago.
pub(crate) fn attempt() -> AttemptFacts {
    let now = SystemClock.now_ms();
    AttemptFacts {
        n: 1,
        armed_at: now,
        first_armed_at: now,
        request_sha256: Vec::new(),
        last_native_id: None,
        taken_native_ids: Vec::new(),
    }
}

/// Time enough for a send on loopback.
pub(crate) const TIME: Duration = Duration::from_secs(20);

/// Keeps handles in memory and counts the writes.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) handles: HandleMap,
    pub(crate) writes: usize,
}

#[async_trait]
impl Handles for Kept {
    fn stored(&self) -> &HandleMap {
        &self.handles
    }

    async fn save(&mut self, step: &str, value: Value) -> Result<(), Fault> {
        self.handles.entry(step.to_owned()).or_insert(value);
        self.writes += 1;
        Ok(())
    }

    async fn update(&mut self, step: &str, value: Value) -> Result<(), Fault> {
        self.handles.insert(step.to_owned(), value);
        self.writes += 1;
        Ok(())
    }
}
