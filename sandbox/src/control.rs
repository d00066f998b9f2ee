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
    crypto,
    networks::{Network, bluesky, mastodon},
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

struct Refusal(StatusCode, String);

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
    Refusal(StatusCode::BAD_REQUEST, text.into())
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
            act(&ctx, &rule)?;
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

/// Carries out a fault that needs no request.
fn act(ctx: &Ctx, rule: &Rule) -> Result<(), Refusal> {
    let mut world = ctx.world();
    let unknown = || bad(format!("account: there is no {:?} on this network", rule.account));
    let event = match rule.network {
        Network::Mastodon => {
            let account = match &rule.account {
                None => None,
                Some(handle) => Some(world.mastodon.account_named(handle).ok_or_else(unknown)?.id),
            };
            let life = match rule.fault {
                Fault::ExpireTokens {} => mastodon::Life::Expired,
                Fault::RevokeTokens { .. } => mastodon::Life::Revoked,
                _ => return Err(bad("fault.kind: mastodon's tokens have no lifetime")),
            };
            Event::Mastodon(mastodon::Event::TokensEnded { account, life })
        }
        Network::Bluesky => {
            let did = match &rule.account {
                None => None,
                Some(handle) => Some(world.bluesky.actor(handle).ok_or_else(unknown)?.did.clone()),
            };
            let from = world.bluesky.next_serial(ctx.now_ms());
            Event::Bluesky(match rule.fault {
                Fault::RevokeTokens { and_password } => bluesky::Event::Revoked { did, from, and_password },
                Fault::TokenLifetime { access_s } => bluesky::Event::AccessLifetime { did, access_s },
                _ => bluesky::Event::AccessExpired { did, from },
            })
        }
    };
    Ok(world.commit(event)?)
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

/// Makes an account. One that exists gets new credentials (Bluesky) or is answered as it is (Mastodon).
async fn add_account(State(ctx): State<Ctx>, body: Body<NewAccount>) -> Answer {
    let NewAccount { network, handle, display_name } = body?.0;
    let handle = handle.trim_start_matches('@').to_ascii_lowercase();
    let plain = |extra: &'static str| {
        handle.bytes().all(|b| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b))
    };
    let display_name = display_name.unwrap_or_else(|| handle.clone());
    let mut world = ctx.world();
    match network {
        Network::Mastodon => {
            if !(1..=30).contains(&handle.len()) || !plain("_") {
                return Err(bad("handle: 1 to 30 letters, digits and underscores"));
            }
            if world.mastodon.account_named(&handle).is_none() {
                let now_ms = ctx.now_ms();
                let id = world.mastodon.next_id(now_ms);
                let account =
                    mastodon::Account { id, handle: handle.clone(), display_name, created_ms: now_ms };
                world.commit(Event::Mastodon(mastodon::Event::Account(account)))?;
            }
            let id = world.mastodon.account_named(&handle).map(|account| account.id.to_string());
            Ok(ok(&json!({"network": network, "handle": handle, "id": id, "password": handle})))
        }
        Network::Bluesky => {
            if !(3..=253).contains(&handle.len()) || !plain(".-") || !handle.contains('.') {
                return Err(bad("handle: a domain name such as name.test"));
            }
            let password = app_password();
            let account = match world.bluesky.actor(&handle) {
                Some(known) => bluesky::Account { password: Some(password.clone()), ..known.clone() },
                None => bluesky::Account::new(&handle, &display_name, password.clone(), ctx.now_ms()),
            };
            let did = account.did.clone();
            world.commit(Event::Bluesky(bluesky::Event::Account(account)))?;
            Ok(ok(&json!({"network": network, "handle": handle, "did": did, "password": password})))
        }
    }
}

/// Four groups of four letters and digits, as the real ones look.
fn app_password() -> String {
    let letters: Vec<char> = crypto::random::<16>()
        .iter()
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
        .collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}

async fn accounts(State(ctx): State<Ctx>) -> Response {
    let world = ctx.world();
    let mastodon =
        world.mastodon.accounts().map(|a| json!({"network": Network::Mastodon, "handle": a.handle}));
    let bluesky = world
        .bluesky
        .accounts()
        .map(|a| json!({"network": Network::Bluesky, "handle": a.handle, "did": a.did}));
    ok(&mastodon.chain(bluesky).collect())
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
    let mut world = ctx.world();
    if let Some(id) = native_id.as_ref().filter(|id| !world.is_live(network, id)) {
        return Err(Refusal(StatusCode::NOT_FOUND, format!("native_id: there is no post {id:?}")));
    }
    let counts = Counts { likes, reposts, replies };
    let event = match (network, native_id) {
        (Network::Mastodon, None) => Event::Mastodon(mastodon::Event::EngagedAll {}),
        (Network::Mastodon, Some(id)) => {
            let id = id.parse().map_err(|_| bad("native_id: a number"))?;
            Event::Mastodon(mastodon::Event::Engaged { id, counts })
        }
        (Network::Bluesky, None) => Event::Bluesky(bluesky::Event::EngagedAll {}),
        (Network::Bluesky, Some(uri)) => Event::Bluesky(bluesky::Event::Engaged { uri, counts }),
    };
    world.commit(event)?;
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
