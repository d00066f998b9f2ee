//! `/_sandbox/*`: what tests and people steer the sandbox with. Bad input is a 400 whose `error` names the field.
//!
//! | Call | Does |
//! |---|---|
//! | `GET ledger?since=&wait_for=&timeout_ms=` | what became visible, one JSON line each; may wait for a number of lines |
//! | `GET refreshes?since=` | each presentation of a refresh token and what became of it, one JSON line each |
//! | `GET requests?since=&wait_for=&timeout_ms=` | every request to a network once it ended, one JSON line each |
//! | `POST script` / `GET` / `DELETE` | adds one rule or a list of them / shows / clears those still waiting (`script.rs`) |
//! | `POST release`, `GET held?wait_for=&timeout_ms=` | lets held requests go, once each has executed / how many are held |
//! | `POST accounts` / `GET` | makes an account and answers its credentials / lists them |
//! | `POST engage` | sets a post's counts, or derives those of all posts from their ids |
//! | `POST limits {"network","enforce"}` | whether documented rate limits refuse (by default they only count) |
//! | `GET limits` | of each bucket and account or address the busiest sliding window, with the bucket's limit |
//! | `POST clock {"advance_ms"}` | moves the networks' clock forward: codes, keys, tokens and blobs run out |
//! | `POST reset` | empties everything |

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    networks::{ALL, Network, mastodon},
    script::{Fault, Rule},
    web::{self, lock},
    world::{Counts, Ctx, Event},
};

/// The longest a waiting request is kept, milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;

pub(crate) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/ledger", get(ledger))
        .route("/refreshes", get(refreshes))
        .route("/requests", get(requests))
        .route("/script", post(add_rules).get(show_rules).delete(clear_rules))
        .route("/release", post(release))
        .route("/held", get(held))
        .route("/accounts", post(add_account).get(accounts))
        .route("/engage", post(engage))
        .route("/limits", post(limits).get(busiest))
        .route("/clock", post(move_clock))
        .route("/reset", post(reset))
        .route("/media/{sha256}", get(media))
}

/// Why a call of the controls is refused.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    /// 400; the text begins with the field's name.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }

    pub(crate) fn no_account(handle: &str) -> Self {
        Self::bad(format!("account: there is no {handle:?} on this network"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        web::json(self.0, &json!({"error": self.1}))
    }
}

impl From<JsonRejection> for Refusal {
    fn from(problem: JsonRejection) -> Self {
        bad(problem.body_text())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot keep the change: {problem}"))
    }
}

type Answer = Result<Response, Refusal>;
type Body<T> = Result<Json<T>, JsonRejection>;

fn bad(text: impl Into<String>) -> Refusal {
    Refusal::bad(text)
}

fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    /// Lines to leave out at the start.
    #[serde(default)]
    since: usize,
    /// Answer once there are this many in all.
    #[serde(rename = "wait_for")]
    reached: Option<usize>,
    timeout_ms: Option<u64>,
}

impl Until {
    /// Waits until the number is reached, or the time is up; either way the caller answers what there is.
    async fn wait(&self, mut count: watch::Receiver<usize>) {
        let Some(wanted) = self.reached else { return };
        let limit = Duration::from_millis(self.timeout_ms.unwrap_or(10_000).min(LONGEST_WAIT_MS));
        let reached = tokio::time::timeout(limit, count.wait_for(|count| *count >= wanted)).await;
        if reached.is_err() {
            tracing::debug!("a wait ended before its number was reached");
        }
    }
}

async fn ledger(State(ctx): State<Ctx>, Query(until): Query<Until>) -> Response {
    let count = ctx.world().ledger.watch();
    until.wait(count).await;
    let entries = ctx.world().ledger.since(until.since);
    lines(entries.iter().map(|entry| &**entry))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// Lines to leave out at the start.
    #[serde(default)]
    since: usize,
}

async fn refreshes(State(ctx): State<Ctx>, Query(Since { since }): Query<Since>) -> Response {
    let presented = ctx.world().refreshes.get(since..).unwrap_or_default().to_vec();
    lines(presented.iter())
}

fn lines<'a, T: Serialize + 'a>(entries: impl ExactSizeIterator<Item = &'a T>) -> Response {
    let mut lines = String::with_capacity(entries.len() * 256);
    for entry in entries {
        lines.push_str(&serde_json::to_string(entry).expect("a line is strings and numbers"));
        lines.push('\n');
    }
    web::with_type(StatusCode::OK, "application/x-ndjson", lines)
}

async fn requests(State(ctx): State<Ctx>, Query(until): Query<Until>) -> Response {
    let count = lock(&ctx.requests).watch();
    until.wait(count).await;
    let lines = lock(&ctx.requests).since(until.since);
    web::with_type(StatusCode::OK, "application/x-ndjson", lines)
}

async fn add_rules(State(ctx): State<Ctx>, body: Body<Value>) -> Answer {
    let rules = match body?.0 {
        Value::Array(rules) => rules,
        rule => vec![rule],
    };
    let rules = rules.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    let mut ids = Vec::new();
    for rule in rules {
        if rule.fault.acts_at_once() {
            rule.network.stand_in().act(&ctx, rule.account.as_deref(), &rule.fault)?;
        } else {
            ids.push(ctx.script.add(rule));
        }
    }
    Ok(ok(&json!({"ids": ids})))
}

fn checked(rule: Value) -> Result<Rule, Refusal> {
    let rule: Rule = serde_json::from_value(rule).map_err(|problem| bad(problem.to_string()))?;
    if let Some(problem) = rule.problem() {
        return Err(bad(problem));
    }
    if let Fault::Status { code, headers, .. } = &rule.fault {
        if !(200..=599).contains(code) {
            return Err(bad("fault.code must lie between 200 and 599"));
        }
        let sendable = |(name, value): (&String, &Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            http::HeaderName::try_from(name.as_str()).is_ok() && http::HeaderValue::try_from(text).is_ok()
        };
        if !headers.iter().all(sendable) {
            return Err(bad("fault.headers must be headers HTTP can carry"));
        }
    }
    Ok(rule)
}

async fn show_rules(State(ctx): State<Ctx>) -> Response {
    ok(&ctx.script.pending())
}

async fn clear_rules(State(ctx): State<Ctx>) -> Response {
    ok(&json!({"cleared": ctx.script.clear()}))
}

async fn release(State(ctx): State<Ctx>) -> Response {
    ok(&json!({"released": ctx.script.release().await}))
}

async fn held(State(ctx): State<Ctx>, Query(until): Query<Until>) -> Response {
    until.wait(ctx.script.watch_held()).await;
    let held = *ctx.script.watch_held().borrow();
    ok(&json!({"held": held}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    network: Network,
    handle: String,
    display_name: Option<String>,
}

/// Makes an account. One that exists gets new credentials (Bluesky) or is answered as it is.
async fn add_account(State(ctx): State<Ctx>, body: Body<NewAccount>) -> Answer {
    let NewAccount { network, handle, display_name } = body?.0;
    let handle = handle.trim_start_matches('@').to_ascii_lowercase();
    let display_name = display_name.unwrap_or_else(|| handle.clone());
    Ok(ok(&network.stand_in().add_account(&ctx, &handle, &display_name)?))
}

async fn accounts(State(ctx): State<Ctx>) -> Response {
    let world = ctx.world();
    ok(&ALL.iter().flat_map(|stand_in| stand_in.accounts(&world)).collect())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Engage {
    network: Network,
    native_id: Option<String>,
    #[serde(default)]
    likes: u64,
    #[serde(default)]
    reposts: u64,
    #[serde(default)]
    replies: u64,
}

async fn engage(State(ctx): State<Ctx>, body: Body<Engage>) -> Answer {
    let Engage { network, native_id, likes, reposts, replies } = body?.0;
    if let Some(id) = native_id.as_ref().filter(|id| !ctx.world().is_live(network, id)) {
        return Err(Refusal(StatusCode::NOT_FOUND, format!("native_id: there is no post {id:?}")));
    }
    let counts = Counts { likes, reposts, replies };
    network.stand_in().engage(&ctx, native_id.as_deref(), counts)?;
    Ok(ok(&json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enforce {
    network: Network,
    enforce: bool,
}

async fn limits(State(ctx): State<Ctx>, body: Body<Enforce>) -> Answer {
    let Enforce { network, enforce } = body?.0;
    ctx.world().commit(Event::Limits { network, enforce })?;
    Ok(ok(&json!({"network": network, "enforce": enforce})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

/// What was really used, whether or not the limits refuse.
async fn busiest(State(ctx): State<Ctx>) -> Response {
    let busiest = lock(&ctx.limits).busiest();
    ok(&serde_json::to_value(busiest).expect("strings and numbers"))
}

async fn move_clock(State(ctx): State<Ctx>, body: Body<Advance>) -> Answer {
    let mut world = ctx.world();
    let ahead_ms = ctx.clock.ahead() + body?.0.advance_ms as i64;
    world.commit(Event::Clock { ahead_ms })?;
    ctx.clock.set_ahead(ahead_ms);
    Ok(ok(&json!({"now_ms": ctx.now_ms()})))
}

/// Empties everything; held requests are reset without being executed.
async fn reset(State(ctx): State<Ctx>) -> Answer {
    ctx.script.clear();
    ctx.script.forget();
    ctx.world().reset()?;
    ctx.clock.set_ahead(0);
    lock(&ctx.limits).clear();
    lock(&ctx.requests).clear();
    ctx.blobs.clear().await?;
    Ok(ok(&json!({})))
}

async fn media(State(ctx): State<Ctx>, axum::extract::Path(sha256): axum::extract::Path<String>) -> Response {
    match ctx.blobs.get(&sha256).await {
        Some(bytes) => mastodon::bytes_of(bytes),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
