//! A Slack workspace at `/slack`, as <https://docs.slack.dev/reference/methods> describes its methods: every account is a
//! workspace with channels, an app posts into those it is a member of, and refusals come with status 200.
//!
//! Invariant: nothing but its metadata tells one message from another, so the same request twice is two messages.

mod channels;
mod files;
mod messages;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::{self, Account},
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{self, Bucket, Per, Verdict},
    oauth::{self, Dialect, Problem, Token},
    pages,
    params::Params,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Slack;

const NETWORK: Network = Network::Slack;

/// About one message a second into a channel (<https://docs.slack.dev/apis/web-api/rate-limits>).
const SENDS: &[Bucket] = &[Bucket::new("slack.channel", 60, 60, 1, Per::Account)];

/// What apps outside of the Marketplace may read of conversations: once a minute.
const HISTORY: &[Bucket] = &[Bucket::new("slack.history", 1, 60, 1, Per::Account)];

static DIALECT: Dialect = Dialect {
    authorize_path: "/oauth/v2/authorize",
    access_ms: None,
    scope_separator: ',',
    access_prefix: "xoxb-",
    scopes: &[
        "chat:write",
        "chat:write.public",
        "chat:write.customize",
        "channels:read",
        "channels:join",
        "channels:history",
        "groups:read",
        "groups:history",
        "files:read",
        "files:write",
        "reactions:read",
        "users:read",
        "team:read",
    ],
    ..Dialect::of(NETWORK)
};

impl StandIn for Slack {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Slack"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        Router::new()
            .route("/oauth/v2/authorize", on(Op::Authorize, &[], oauth::page(&DIALECT)))
            .route("/api/oauth.v2.access", on(Op::Token, &[], post(access)))
            .route("/api/auth.test", on(Op::Read, &[], any(test)))
            .route("/api/auth.revoke", on(Op::Revoke, &[], any(revoke)))
            .route("/api/conversations.list", on(Op::Read, &[], any(channels::list)))
            .route("/api/conversations.join", on(Op::Session, &[], any(channels::join)))
            .route("/api/conversations.leave", on(Op::Session, &[], any(channels::leave)))
            .route("/api/conversations.history", on(Op::Read, HISTORY, any(messages::history)))
            .route("/api/conversations.replies", on(Op::Read, HISTORY, any(messages::replies)))
            .route("/api/chat.postMessage", on(Op::Publish, SENDS, post(messages::publish)))
            .route("/api/chat.delete", on(Op::Delete, &[], post(messages::delete)))
            .route("/api/chat.getPermalink", on(Op::Read, &[], any(messages::permalink)))
            .route("/api/files.getUploadURLExternal", on(Op::MediaUpload, &[], any(files::ask)))
            .route("/upload/v1/{ticket}", on(Op::MediaUpload, &[], post(files::upload)))
            .route("/api/files.completeUploadExternal", on(Op::Publish, SENDS, post(files::complete)))
            .route("/api/files.info", on(Op::Read, &[], any(files::info)))
            .route("/archives/{channel}/{message}", get(page))
            .fallback(unknown_method)
    }

    /// Slack says itself that it may have done a part.
    fn server_error(&self) -> Response {
        refuse("fatal_error")
    }

    fn too_many_requests(&self, now_ms: i64, verdict: Verdict) -> Response {
        let body = json!({"ok": false, "error": "ratelimited"});
        let mut response = web::json(StatusCode::TOO_MANY_REQUESTS, &body);
        let wait_s = (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(1000);
        limits::set(response.headers_mut(), "retry-after", wait_s);
        response
    }

    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let mut changes = Account::new(id.to_string(), handle, display_name, created_ms).changes();
        changes.extend(channels::of_account(id, handle).iter().map(channels::Channel::change));
        changes
    }

    fn credentials(&self, _world: &World, account: &Account) -> Value {
        let id = account.id.parse().unwrap_or_default();
        let named = channels::of_account(id, &account.handle)
            .into_iter()
            .map(|channel| (channel.name, json!(channel.id)));
        json!({"team_id": team(account), "channels": Value::Object(named.collect())})
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let (channel, ts) = entry.native_id.split_once('/').unwrap_or_default();
        messages::address(ctx, channel, ts)
    }

    fn hint(&self, _base: &str) -> String {
        "choose <code>demo</code> on the page that opens, then a channel".to_owned()
    }
}

/// A refusal, which comes with status 200.
fn refuse(error: &str) -> Response {
    web::json(StatusCode::OK, &json!({"ok": false, "error": error}))
}

/// Why a method refuses.
struct Refusal(String, Value);

impl Refusal {
    fn new(error: &str) -> Self {
        Self(error.to_owned(), Value::Null)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new("internal_error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({"ok": false, "error": self.0});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, self.1) {
            body.extend(more);
        }
        web::json(StatusCode::OK, &body)
    }
}

type Answer = Result<Response, Refusal>;

fn ok(mut body: Value) -> Response {
    body["ok"] = json!(true);
    web::json(StatusCode::OK, &body)
}

/// The token of a request, which must cover one of these scopes.
fn holder(
    world: &World,
    headers: &HeaderMap,
    params: &Params,
    scopes: &[&str],
    now_ms: i64,
) -> Result<Token, Refusal> {
    let secret = web::bearer(headers).map(str::to_owned).or_else(|| params.present("token"));
    let secret = secret.ok_or_else(|| Refusal::new("not_authed"))?;
    let token = oauth::live(world, NETWORK, &secret, now_ms).map_err(|problem| {
        Refusal::new(match problem {
            Problem::ExpiredToken => "token_expired",
            Problem::RevokedToken => "token_revoked",
            _ => "invalid_auth",
        })
    })?;
    if !scopes.is_empty() && !scopes.iter().any(|scope| token.covers(scope)) {
        let why = json!({"needed": scopes.join(","), "provided": token.scopes.join(",")});
        return Err(Refusal("missing_scope".to_owned(), why));
    }
    Ok(token)
}

/// Most methods that read take forms only.
fn forms_only(headers: &HeaderMap) -> Result<(), Refusal> {
    let mime = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if mime.starts_with("application/json") { Err(Refusal::new("invalid_arguments")) } else { Ok(()) }
}

/// A number in the letters that Slack's ids are made of.
fn letters(mut number: u64) -> String {
    let mut text = Vec::new();
    while number > 0 {
        text.push(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize]);
        number /= 36;
    }
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}

fn team(account: &Account) -> String {
    format!("T{}", letters(account.id.parse::<u64>().unwrap_or_default() % 100_000_000_000))
}

fn bot_user(account: &Account) -> String {
    team(account).replacen('T', "U", 1)
}

fn account_of(world: &World, token: &Token) -> Result<Account, Refusal> {
    accounts::named(world, NETWORK, &token.account).ok_or_else(|| Refusal::new("account_inactive"))
}

async fn access(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let told = |problem: Problem| {
        Refusal::new(match problem {
            Problem::UnknownClient => "invalid_client_id",
            Problem::BadSecret => "bad_client_secret",
            Problem::RedirectMismatch => "bad_redirect_uri",
            Problem::Unkept(_) => "internal_error",
            _ => "invalid_code",
        })
    };
    let app = oauth::client(&world, &DIALECT, &headers, &params).map_err(told)?;
    let issued = oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params).map_err(told)?;
    let account = accounts::named(&world, NETWORK, &issued.account);
    let account = account.ok_or_else(|| Refusal::new("account_inactive"))?;
    Ok(ok(json!({
        "access_token": issued.access_token, "token_type": "bot", "scope": issued.scope(&DIALECT),
        "bot_user_id": bot_user(&account), "app_id": "A0SANDBOX", "enterprise": null, "is_enterprise_install": false,
        "team": {"id": team(&account), "name": account.display_name}, "authed_user": {"id": "U0OWNER"},
    })))
}

async fn test(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &[], ctx.now_ms())?;
    let account = account_of(&world, &token)?;
    Ok(ok(json!({
        "url": format!("{}/", ctx.base(NETWORK)), "team": account.display_name, "user": "postmesh",
        "team_id": team(&account), "user_id": bot_user(&account), "bot_id": team(&account).replacen('T', "B", 1),
        "is_enterprise_install": false,
    })))
}

async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &[], ctx.now_ms())?;
    oauth::revoke(&mut world, NETWORK, &token.secret).map_err(|_| Refusal::new("internal_error"))?;
    Ok(ok(json!({"revoked": true})))
}

async fn page(State(ctx): State<Ctx>, Path((channel, message)): Path<(String, String)>) -> Response {
    let digits = message.trim_start_matches('p');
    let (seconds, rest) = digits.split_at_checked(digits.len().saturating_sub(6)).unwrap_or_default();
    let native_id = format!("{channel}/{seconds}.{rest}");
    let account = ctx.world().ledger.find(NETWORK, &native_id).map(|entry| entry.account.clone());
    match account.and_then(|account| pages::post(&ctx, NETWORK, &native_id, &account)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("This message is not here.")),
    }
}

async fn unknown_method() -> Response {
    refuse("unknown_method")
}
