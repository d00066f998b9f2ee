//! Starts a gateway for one test and speaks to it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use postmesh_gateway::{Config, Deps};
use postmesh_kit::{
    cache::Cache,
    lifecycle::Lifecycle,
    testing::{FakeClock, Tokens, serve},
};
use postmesh_proto::{
    auth::v1::auth_service_server::AuthServiceServer, media::v1::media_service_server::MediaServiceServer,
    publisher::v1::account_service_server::AccountServiceServer,
    scheduler::v1::post_service_server::PostServiceServer,
};
use prost::Message;
use serde_json::Value as Json;
use tonic::{service::Routes, transport::Channel};
use uuid::Uuid;

use crate::services::{Accounts, Auth, Media, Posts, Seen};

pub(crate) const EVERY_PERMISSION: &[&str] =
    &["posts.read", "posts.write", "posts.publish", "media.write", "accounts.write"];

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) seen: Seen,
    pub(crate) tokens: Tokens,
    pub(crate) http: reqwest::Client,
    pub(crate) life: Lifecycle,
}

/// A gateway with the default settings.
pub(crate) async fn world() -> World {
    world_with(Config::default()).await
}

/// A gateway on a free port.
pub(crate) async fn world_with(config: Config) -> World {
    let (tokens, seen, life) = (Tokens::default(), Seen::default(), Lifecycle::new());
    let behind = |routes| serve(postmesh_proto::pool(), routes, "gateway", &tokens);
    let backends = HashMap::from([
        ("postmesh.auth.v1".to_owned(), behind(Routes::new(AuthServiceServer::new(Auth(seen.clone()))))),
        ("postmesh.media.v1".to_owned(), behind(Routes::new(MediaServiceServer::new(Media)))),
        ("postmesh.publisher.v1".to_owned(), behind(Routes::new(AccountServiceServer::new(Accounts)))),
        (
            "postmesh.scheduler.v1".to_owned(),
            behind(Routes::new(PostServiceServer::new(Posts(seen.clone())))),
        ),
    ]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deps = Deps {
        backends,
        verifier: tokens.verifier(),
        cache: Cache::memory(),
        clock: Arc::new(FakeClock::at(1_900_000_000_000)),
        lifecycle: life.clone(),
        listener: Some(listener),
    };
    let gateway = postmesh_gateway::start(config, deps).await.unwrap();
    World { url: format!("http://{}", gateway.addr), seen, tokens, http: http_client(), life }
}

#[expect(clippy::disallowed_methods, reason = "the test speaks to its own gateway on loopback")]
pub(crate) fn http_client() -> reqwest::Client {
    postmesh_kit::tls::install_crypto();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

impl World {
    pub(crate) fn token(&self) -> String {
        self.tokens.mint(Uuid::now_v7(), Uuid::now_v7(), EVERY_PERMISSION)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap()
    }

    /// A JSON request with a token.
    pub(crate) fn ask(&self, verb: &str, path: &str) -> reqwest::RequestBuilder {
        let verb = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
        self.http.request(verb, format!("{}{path}", self.url)).bearer_auth(self.token())
    }

    /// Sends, and answers the status and the JSON.
    pub(crate) async fn json(&self, request: reqwest::RequestBuilder) -> (u16, Json) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// A gRPC-web call by hand: one request message, all frames of the answer.
    pub(crate) async fn web<M: Message>(&self, path: &str, message: &M, token: Option<&str>) -> WebAnswer {
        let mut request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/grpc-web+proto");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.header("x-grpc-web", "1").body(frame(message)).send().await.unwrap();
        let headers = response.headers().clone();
        let status = response.status().as_u16();
        WebAnswer::read(status, headers, response.bytes().await.unwrap())
    }
}

/// A message as one frame.
pub(crate) fn frame<M: Message>(message: &M) -> Bytes {
    let body = message.encode_to_vec();
    let mut out = BytesMut::from(&[0][..]);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&body);
    out.freeze()
}

/// What came back over gRPC-web.
pub(crate) struct WebAnswer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) messages: Vec<Bytes>,
    /// The `grpc-*` fields, from the last frame or from the headers.
    pub(crate) trailers: HashMap<String, String>,
}

impl WebAnswer {
    pub(crate) fn read(status: u16, headers: reqwest::header::HeaderMap, mut body: Bytes) -> Self {
        let mut messages = Vec::new();
        let mut trailers: HashMap<String, String> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        while body.len() >= 5 {
            let head = body.split_to(5);
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let payload = body.split_to(length);
            if head[0] & 0x80 == 0 {
                messages.push(payload);
                continue;
            }
            for line in String::from_utf8(payload.to_vec()).unwrap().lines() {
                if let Some((name, value)) = line.split_once(':') {
                    trailers.insert(name.to_lowercase(), value.trim().to_owned());
                }
            }
        }
        Self { status, headers, messages, trailers }
    }

    pub(crate) fn code(&self) -> &str {
        self.trailers.get("grpc-status").map_or("none", String::as_str)
    }
}
