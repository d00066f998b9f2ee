//! What the shared layer asks of each network: its name, its routes, whose request this is, the shape of its refusals,
//! its accounts and its posts. A network that keeps its posts as documents of kind `post` answers most of it by default.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, request::Parts};
use serde_json::{Value, json};

use super::Network;
use crate::{
    accounts::{self, Account, DEMO_ID},
    control::Refusal,
    docs::Change,
    ledger::Entry,
    limits::{self, Verdict},
    oauth,
    params::field,
    requests,
    script::{Fault, Operation},
    web,
    world::{Counts, Ctx, World},
};

/// One network.
pub(crate) trait StandIn: Sync {
    fn network(&self) -> Network;

    /// Its name as people write it.
    fn title(&self) -> &'static str;

    /// Its routes below `/<network>`, each behind [`crate::faults::guard`].
    fn routes(&self, ctx: &Ctx) -> Router<Ctx>;

    /// The handle of the account a request acts for, as far as the request tells.
    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        oauth::account_of(ctx, self.network(), parts, body)
    }

    /// What a request wants, given what its route is for: exchange and refresh often share a path.
    fn operation(&self, route: Operation, parts: &Parts, body: &[u8]) -> Operation {
        let refreshes = || field(parts, body, "grant_type").as_deref() == Some("refresh_token");
        if route == Operation::Token && refreshes() { Operation::Refresh } else { route }
    }

    /// How many times the account pays what its route costs: some requests do several things.
    fn units(&self, _parts: &Parts, _body: &[u8]) -> u64 {
        1
    }

    /// The token that a refresh presents: a refresh token, or an access token that renews itself.
    fn refresh_token(&self, parts: &Parts, body: &[u8]) -> Option<String> {
        ["refresh_token", "access_token"].into_iter().find_map(|name| field(parts, body, name))
    }

    /// The path and query of a request as the log shows them: without secrets.
    fn logged_path(&self, uri: &Uri) -> String {
        requests::path(uri)
    }

    /// The answer of a server that failed.
    fn server_error(&self) -> Response {
        web::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "internal server error"}))
    }

    /// The network's own 429 for a limit that is used up; the limit's headers are added to it.
    fn too_many_requests(&self, now_ms: i64, verdict: Verdict) -> Response {
        let body = json!({"error": "too many requests"});
        let mut response = web::json(StatusCode::TOO_MANY_REQUESTS, &body).into_response();
        let wait_s = (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(1000);
        limits::set(response.headers_mut(), "retry-after", wait_s);
        response
    }

    /// The headers in which every answer tells of the tightest limit.
    fn limit_headers(&self, _headers: &mut HeaderMap, _verdict: Verdict) {}

    /// The limit, and its window in seconds, that the `throttle` fault tells of.
    fn throttle(&self) -> (u64, u64) {
        (100, 900)
    }

    /// The documents the network begins with.
    fn begin(&self) -> Vec<Change> {
        self.account(DEMO_ID, "demo", "Demo", 0)
    }

    /// The documents of a new account: its own, and those of what belongs to it.
    fn account(&self, id: u64, handle: &str, display_name: &str, created_ms: i64) -> Vec<Change> {
        Account::new(id.to_string(), handle, display_name, created_ms).changes()
    }

    /// What is wrong with a handle, if anything.
    fn handle_problem(&self, handle: &str) -> Option<&'static str> {
        let is_plain = handle.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        (!is_plain || !(1..=64).contains(&handle.len())).then_some("1 to 64 letters, digits and _ . -")
    }

    /// What a test needs to know of an account beside handle and id: an object.
    fn credentials(&self, _world: &World, _account: &Account) -> Value {
        json!({})
    }

    /// Makes an account, or answers the one that exists.
    fn add_account(&self, ctx: &Ctx, handle: &str, display_name: &str) -> Result<Value, Refusal> {
        if let Some(problem) = self.handle_problem(handle) {
            return Err(Refusal::bad(format!("handle: {problem}")));
        }
        let network = self.network();
        let mut world = ctx.world();
        if accounts::named(&world, network, handle).is_none() {
            let now_ms = ctx.now_ms();
            let id = world.next_id(network, now_ms);
            world.keep(network, self.account(id, handle, display_name, now_ms))?;
        }
        let account = accounts::named(&world, network, handle);
        let account = account.ok_or_else(|| Refusal::bad("handle: this network makes no such account"))?;
        Ok(self.described(&world, &account))
    }

    /// An account as `/_sandbox/accounts` tells of it.
    fn described(&self, world: &World, account: &Account) -> Value {
        let mut told = json!({"network": self.network(), "handle": account.handle, "id": account.id});
        if let (Value::Object(told), Value::Object(more)) = (&mut told, self.credentials(world, account)) {
            told.extend(more);
        }
        told
    }

    /// All accounts, as `/_sandbox/accounts` lists them.
    fn accounts(&self, world: &World) -> Vec<Value> {
        let accounts = world.docs.all::<Account>(self.network(), "account");
        accounts.map(|(_, account)| self.described(world, &account)).collect()
    }

    /// Whether a rule may name that account.
    fn knows(&self, world: &World, handle: &str) -> bool {
        accounts::named(world, self.network(), handle).is_some()
    }

    /// Carries out a fault that needs no request.
    fn act(&self, ctx: &Ctx, account: Option<&str>, fault: &Fault) -> Result<(), Refusal> {
        let mut world = ctx.world();
        if let Some(handle) = account.filter(|handle| !self.knows(&world, handle)) {
            return Err(Refusal::no_account(handle));
        }
        Ok(oauth::act(&mut world, self.network(), account, fault, ctx.now_ms())?)
    }

    /// Whether a reader of the network would still find the post.
    fn is_live(&self, world: &World, native_id: &str) -> bool {
        world.docs.has(self.network(), "post", native_id)
    }

    /// Sets the counts of one post that is live, or derives those of all posts from their ids.
    fn engage(&self, ctx: &Ctx, native_id: Option<&str>, counts: Counts) -> Result<(), Refusal> {
        let network = self.network();
        let mut world = ctx.world();
        let changes = if let Some(id) = native_id {
            vec![Change::put("counts", id, &counts)]
        } else {
            let set =
                world.docs.all::<Value>(network, "counts").map(|(key, _)| Change::remove("counts", key));
            set.chain([Change::put("counts", ALL_DERIVED, &Counts::default())]).collect()
        };
        Ok(world.keep(network, changes)?)
    }

    /// The counts of a post that is live.
    fn counts(&self, world: &World, native_id: &str) -> Option<Counts> {
        let set = |key: &str| world.docs.get::<Counts>(self.network(), "counts", key);
        let derived = || set(ALL_DERIVED).map(|_| Counts::derived(native_id));
        self.is_live(world, native_id).then(|| set(native_id).or_else(derived).unwrap_or_default())
    }

    /// The page of a post at its network.
    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let id = url::form_urlencoded::byte_serialize(entry.native_id.as_bytes()).collect::<String>();
        format!("{}/_posts/{}/{id}", ctx.public_url, self.network().name())
    }

    /// How a person connects an account, as HTML below the network's address.
    fn hint(&self, _base: &str) -> String {
        "choose <code>demo</code> on the page that opens".to_owned()
    }
}

/// The key that says that the counts of all posts are derived.
const ALL_DERIVED: &str = "*";
