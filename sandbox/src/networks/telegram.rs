//! The Bot API of Telegram at `/telegram`, as <https://core.telegram.org/bots/api> describes it: the bot's token is part
//! of every path, each account is a channel whose bot is an administrator, and bots cannot read what a chat shows.
//!
//! Invariant: nothing is remembered of a request but the messages it made, so the same request twice is two messages.

mod chats;
mod send;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{StatusCode, Uri, request::Parts};
use serde_json::{Value, json};

use self::chats::Chat;
use super::{Network, StandIn};
use crate::{
    accounts::Account,
    docs::Change,
    faults::guard,
    ledger::Entry,
    limits::{Bucket, Per, Verdict},
    oauth, pages,
    params::Params,
    requests,
    script::Operation as Op,
    web,
    world::{Ctx, World},
};

pub(crate) struct Telegram;

const NETWORK: Network = Network::Telegram;

/// Twenty messages a minute into one group or channel
/// (<https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>).
const SENDS: &[Bucket] = &[Bucket::new("telegram.chat", 20, 60, 1, Per::Account)];

impl StandIn for Telegram {
    fn network(&self) -> Network {
        NETWORK
    }

    fn title(&self) -> &'static str {
        "Telegram"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        let on = |operation, buckets, methods| guard(ctx, NETWORK, operation, buckets, methods);
        Router::new()
            .route("/{bot}/sendMessage", on(Op::Publish, SENDS, any(send::message)))
            .route("/{bot}/sendPhoto", on(Op::Publish, SENDS, any(send::photo)))
            .route("/{bot}/sendVideo", on(Op::Publish, SENDS, any(send::video)))
            .route("/{bot}/sendAnimation", on(Op::Publish, SENDS, any(send::animation)))
            .route("/{bot}/sendMediaGroup", on(Op::Publish, SENDS, any(send::group)))
            .route("/{bot}/deleteMessage", on(Op::Delete, &[], any(send::delete)))
            .route("/{bot}/deleteMessages", on(Op::Delete, &[], any(send::delete_several)))
            .route("/{bot}/{method}", on(Op::Read, &[], any(method)))
            .route("/c/{chat}/{message}", get(private_page))
            .fallback(not_found)
    }

    /// The token is in the path.
    fn account_of(&self, ctx: &Ctx, parts: &Parts, _body: &[u8]) -> Option<String> {
        let token = parts.uri.path().split('/').nth(1)?.strip_prefix("bot")?;
        let world = ctx.world();
        world.docs.value(NETWORK, "token", token)?.get("account")?.as_str().map(str::to_owned)
    }

    fn logged_path(&self, uri: &Uri) -> String {
        let shown = requests::path(uri);
        match shown.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) {
            Some((token, method)) => format!("/bot{}/{method}", requests::masked(token.as_bytes())),
            None => shown,
        }
    }

    /// What the servers in front of the Bot API answer when it does not.
    fn server_error(&self) -> Response {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway\
                    </h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n";
        web::html(StatusCode::BAD_GATEWAY, page.to_owned())
    }

    fn too_many_requests(&self, now_ms: i64, verdict: Verdict) -> Response {
        let wait_s = (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(1000);
        let description = format!("Too Many Requests: retry after {wait_s}");
        Refusal(429, description, json!({"retry_after": wait_s})).into_response()
    }

    fn throttle(&self) -> (u64, u64) {
        (20, 60)
    }

    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        let account = Account::new(id.to_string(), handle, display_name, created_ms);
        let mut changes = account.changes();
        changes.push(oauth::fixed(NETWORK, handle, &chats::token(id), &[]));
        changes.extend(chats::of_account(id, handle, display_name).iter().flat_map(Chat::changes));
        changes
    }

    fn credentials(&self, _world: &World, account: &Account) -> Value {
        let id = account.id.parse().unwrap_or_default();
        json!({
            "chat": format!("@{}", account.handle),
            "chat_id": chats::id(id, 0),
            "private_chat_id": chats::id(id, 4),
            "old_group_id": chats::old_group(id),
            "bot_token": chats::token(id),
            "identifier": format!("@{}", account.handle),
            "password": chats::token(id),
        })
    }

    /// An id names its chat and its message; that of an album names all of its messages.
    fn is_live(&self, world: &World, native_id: &str) -> bool {
        let Some((chat, messages)) = native_id.split_once('/') else { return false };
        messages.split(',').all(|message| world.docs.has(NETWORK, "post", &format!("{chat}/{message}")))
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let (chat, messages) = entry.native_id.split_once('/').unwrap_or_default();
        let message = messages.split(',').next().unwrap_or_default();
        let username = chats::find(&ctx.world(), chat).and_then(|chat| chat.username);
        let place = username.unwrap_or_else(|| format!("c/{}", chat.trim_start_matches("-100")));
        format!("{}/{place}/{message}", ctx.base(NETWORK))
    }

    fn hint(&self, _base: &str) -> String {
        "give <code>@demo</code> and the bot token that <code>GET /_sandbox/accounts</code> shows".to_owned()
    }
}

/// Why a call is refused: code, description, and parameters that help.
struct Refusal(u16, String, Value);

impl Refusal {
    fn bad(description: &str) -> Self {
        Self(400, format!("Bad Request: {description}"), Value::Null)
    }

    fn forbidden(description: &str) -> Self {
        Self(403, format!("Forbidden: {description}"), Value::Null)
    }

    fn not_found() -> Self {
        Self(404, "Not Found".to_owned(), Value::Null)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self(500, "Internal Server Error: restart".to_owned(), Value::Null)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(code, description, parameters) = self;
        let mut body = json!({"ok": false, "error_code": code, "description": description});
        if !parameters.is_null() {
            body["parameters"] = parameters;
        }
        web::json(StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST), &body)
    }
}

type Answer = Result<Response, Refusal>;

fn ok(result: &Value) -> Response {
    web::json(StatusCode::OK, &json!({"ok": true, "result": result}))
}

/// The account whose bot a path names.
fn bot(world: &World, segment: &str, now_ms: i64) -> Result<(String, i64), Refusal> {
    let token = segment.strip_prefix("bot").ok_or_else(Refusal::not_found)?;
    let id = token.split_once(':').and_then(|(id, _)| id.parse().ok()).ok_or_else(Refusal::not_found)?;
    let live = oauth::live(world, NETWORK, token, now_ms);
    live.map(|token| (token.account, id)).map_err(|_| Refusal(401, "Unauthorized".to_owned(), Value::Null))
}

/// Every method without a route of its own; and the page of a post in a public chat, whose path has the same shape.
async fn method(
    State(ctx): State<Ctx>,
    Path((first, second)): Path<(String, String)>,
    params: Params,
) -> Response {
    if second.bytes().all(|b| b.is_ascii_digit()) {
        return page(&ctx, &format!("@{first}"), &second);
    }
    let answer = match second.as_str() {
        "getMe" => chats::get_me(&ctx, &first),
        "getChat" => chats::get_chat(&ctx, &first, &params),
        "getChatMember" => chats::get_chat_member(&ctx, &first, &params),
        _ => Err(Refusal::not_found()),
    };
    answer.unwrap_or_else(Refusal::into_response)
}

async fn private_page(State(ctx): State<Ctx>, Path((chat, message)): Path<(String, String)>) -> Response {
    page(&ctx, &format!("-100{chat}"), &message)
}

fn page(ctx: &Ctx, chat: &str, message: &str) -> Response {
    let native_id = {
        let world = ctx.world();
        chats::find(&world, chat).and_then(|chat| send::shown_as(&world, chat.id, message))
    };
    let account = |id: &str| ctx.world().ledger.find(NETWORK, id).map(|entry| entry.account.clone());
    let found = native_id.and_then(|id| pages::post(ctx, NETWORK, &id, &account(&id)?));
    match found {
        Some(page) => web::html(StatusCode::OK, page),
        None => web::html(StatusCode::NOT_FOUND, pages::missing("This post is not here.")),
    }
}

async fn not_found() -> Response {
    Refusal::not_found().into_response()
}
