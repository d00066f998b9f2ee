//! Incoming webhooks of Discord at `/discord`, as <https://docs.discord.com/developers/resources/webhook> describes them:
//! whoever knows a webhook's address may post, and can read again only what has a known id.
//!
//! Invariant: a webhook has no idempotency key, so the same request twice is two messages.

mod messages;

use axum::{
    Router,
    extract::{Path, Request, State},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Network, StandIn};
use crate::{
    accounts::Account,
    crypto,
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{self, Bucket, Per, Verdict},
    oauth, pages, requests,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Discord;

const NETWORK: Network = Network::Discord;

/// Thirty messages a minute through one webhook, five in two seconds.
const SENDS: &[Bucket] = &[
    Bucket::new("discord.webhook", 30, 60, 1, Per::Account),
    Bucket::new("discord.burst", 5, 2, 1, Per::Account),
];

impl StandIn for Discord {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Discord"
    }

    /// The API answers with and without the number of its version.
    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        let mut router = Router::new();
        for api in ["/api", "/api/v10"] {
            router = router
                .route(
                    &format!("{api}/webhooks/{{id}}/{{token}}"),
                    on(Op::Read, &[], get(show))
                        .merge(on(Op::Publish, SENDS, axum::routing::post(messages::execute)))
                        .merge(on(Op::Revoke, &[], axum::routing::delete(remove))),
                )
                .route(
                    &format!("{api}/webhooks/{{id}}/{{token}}/messages/{{message}}"),
                    on(Op::Read, &[], get(messages::show)).merge(on(
                        Op::Delete,
                        &[],
                        axum::routing::delete(messages::remove),
                    )),
                );
        }
        router
            .route_layer(from_fn(only_bots))
            .route("/channels/{guild}/{channel}/{message}", get(page))
            .fallback(not_found)
    }

    /// The token is in the path.
    fn account_of(&self, ctx: &Ctx, parts: &Parts, _body: &[u8]) -> Option<String> {
        let (id, _) = webhook_in(parts.uri.path())?;
        ctx.world().docs.value(NETWORK, "webhook", id)?.get("account")?.as_str().map(str::to_owned)
    }

    fn logged_path(&self, uri: &Uri) -> String {
        let shown = requests::path(uri);
        match webhook_in(uri.path()) {
            Some((_, token)) => shown.replacen(token, &requests::masked(token.as_bytes()), 1),
            None => shown,
        }
    }

    fn server_error(&self) -> Response {
        web::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({"message": "500: Internal Server Error", "code": 0}),
        )
    }

    fn too_many_requests(&self, now_ms: i64, verdict: Verdict) -> Response {
        let wait_ms = (verdict.reset_ms - now_ms).max(0);
        let seconds = wait_ms as f64 / 1000.0;
        let body = json!({"message": "You are being rate limited.", "retry_after": seconds, "global": false});
        let mut response = web::json(StatusCode::TOO_MANY_REQUESTS, &body);
        let headers = response.headers_mut();
        limits::set(headers, "retry-after", wait_ms.unsigned_abs().div_ceil(1000));
        limits::set(headers, "x-ratelimit-scope", "user");
        response
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        let now_ms = crate::clock::true_now_ms();
        limits::set(headers, "x-ratelimit-limit", verdict.limit);
        limits::set(headers, "x-ratelimit-remaining", verdict.remaining);
        limits::set(headers, "x-ratelimit-reset", verdict.reset_ms as f64 / 1000.0);
        limits::set(headers, "x-ratelimit-reset-after", (verdict.reset_ms - now_ms).max(0) as f64 / 1000.0);
        limits::set(headers, "x-ratelimit-bucket", "80c17d2f203122d936070c88c8d10f33");
    }

    fn throttle(&self) -> (u64, u64) {
        (5, 2)
    }

    /// An account is a webhook; one whose name begins with `forum` belongs to a forum channel.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let token = token(id);
        let webhook = Webhook {
            id: id.to_string(),
            token: token.clone(),
            account: handle.to_owned(),
            name: display_name.to_owned(),
            channel_id: (id + 1).to_string(),
            guild_id: (id + 2).to_string(),
            is_forum: handle.starts_with("forum"),
        };
        let mut changes = Account::new(id.to_string(), handle, display_name, created_ms).changes();
        changes.push(oauth::fixed(NETWORK, handle, &token, &[]));
        changes.push(Change::put("webhook", &webhook.id, &webhook));
        changes
    }

    fn credentials(&self, _world: &World, account: &Account) -> Value {
        let id = account.id.parse().unwrap_or_default();
        let path = format!("/api/webhooks/{id}/{}", token(id));
        json!({"webhook_path": path, "identifier": "", "password": path})
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let world = ctx.world();
        let account = crate::accounts::named(&world, NETWORK, &entry.account);
        let webhook = account.and_then(|account| world.docs.get::<Webhook>(NETWORK, "webhook", &account.id));
        let place = webhook.map(|webhook| format!("{}/{}", webhook.guild_id, webhook.channel_id));
        format!("{}/channels/{}/{}", ctx.base(NETWORK), place.unwrap_or_default(), entry.native_id)
    }

    fn hint(&self, base: &str) -> String {
        format!(
            "give <code>{base}</code> and the path that <code>GET /_sandbox/accounts</code> shows, as one address"
        )
    }
}

/// One webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Webhook {
    id: String,
    token: String,
    account: String,
    name: String,
    channel_id: String,
    guild_id: String,
    is_forum: bool,
}

impl Webhook {
    fn view(&self) -> Value {
        json!({
            "id": self.id, "type": 1, "name": self.name, "avatar": null, "channel_id": self.channel_id,
            "guild_id": self.guild_id, "application_id": null, "token": self.token,
        })
    }
}

/// The token of an account's webhook.
fn token(id: u64) -> String {
    let secret = crypto::sha256_hex(format!("discord webhook {id}").as_bytes());
    format!("{secret}_-{}", &secret[..2])
}

/// Id and token in a path.
fn webhook_in(path: &str) -> Option<(&str, &str)> {
    let rest = path.split_once("/webhooks/")?.1;
    let mut parts = rest.split('/');
    Some((parts.next()?, parts.next()?))
}

/// Why a call is refused: status, code and message, perhaps with a tree of errors.
struct Refusal(u16, i64, &'static str, Value);

impl Refusal {
    const fn plain(status: u16, code: i64, message: &'static str) -> Self {
        Self(status, code, message, Value::Null)
    }

    /// A field of the body that is not as it must be.
    fn invalid(field: &str, code: &str, message: &str) -> Self {
        let errors = json!({field: {"_errors": [{"code": code, "message": message}]}});
        Self(400, 50035, "Invalid Form Body", errors)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::plain(500, 0, "500: Internal Server Error")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code, message, errors) = self;
        let mut body = json!({"message": message, "code": code});
        if !errors.is_null() {
            body["errors"] = errors;
        }
        web::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body)
    }
}

type Answer = Result<Response, Refusal>;

/// The webhook of a path, provided its token is the right one.
fn webhook(world: &World, id: &str, token: &str, now_ms: i64) -> Result<Webhook, Refusal> {
    let webhook: Option<Webhook> = world.docs.get(NETWORK, "webhook", id);
    let webhook = webhook.ok_or(Refusal::plain(404, 10015, "Unknown Webhook"))?;
    let is_live = oauth::live(world, NETWORK, token, now_ms).is_ok();
    if webhook.token == token && is_live {
        Ok(webhook)
    } else {
        Err(Refusal::plain(401, 50027, "Invalid Webhook Token"))
    }
}

/// What stands before the API blocks clients that do not introduce themselves as bots do.
async fn only_bots(request: Request, next: Next) -> Response {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    if agent.is_some_and(|agent| agent.starts_with("DiscordBot (") && agent.contains("://")) {
        return next.run(request).await;
    }
    let page = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>\
                <body><h1>Sorry, you have been blocked</h1></body></html>";
    web::html(StatusCode::FORBIDDEN, page.to_owned())
}

async fn show(State(ctx): State<Ctx>, Path((id, token)): Path<(String, String)>) -> Answer {
    let webhook = webhook(&ctx.world(), &id, &token, ctx.now_ms())?;
    Ok(web::json(StatusCode::OK, &webhook.view()))
}

async fn remove(State(ctx): State<Ctx>, Path((id, token)): Path<(String, String)>) -> Answer {
    let mut world = ctx.world();
    let webhook = webhook(&world, &id, &token, ctx.now_ms())?;
    world.keep(NETWORK, vec![Change::remove("webhook", webhook.id)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn page(State(ctx): State<Ctx>, Path((_, _, message)): Path<(String, String, String)>) -> Response {
    let account = ctx.world().ledger.find(NETWORK, &message).map(|entry| entry.account.clone());
    match account.and_then(|account| pages::post(&ctx, NETWORK, &message, &account)) {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("This message is not here.")),
    }
}

async fn not_found() -> Response {
    Refusal::plain(404, 0, "404: Not Found").into_response()
}
