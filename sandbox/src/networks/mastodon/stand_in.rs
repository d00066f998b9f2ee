//! What the shared layer asks of the instance: its accounts, its tokens' end, its counts and its pages.

use axum::{Router, response::Response};
use http::{HeaderMap, request::Parts};
use serde_json::{Value, json};

use super::{Account, Event, Life};
use crate::{
    control::Refusal,
    docs::Change,
    ledger::Entry,
    limits::Verdict,
    networks::{Network, StandIn},
    script::Fault,
    world::{self, Counts, Ctx, World},
};

/// A server of one dialect. All of them show the same accounts and posts, as servers that federate do.
pub(crate) struct Server(Network);

pub(crate) static MASTODON: Server = Server(Network::Mastodon);
pub(crate) static PIXELFED: Server = Server(Network::Pixelfed);
pub(crate) static GOTOSOCIAL: Server = Server(Network::Gotosocial);
pub(crate) static PLEROMA: Server = Server(Network::Pleroma);

impl StandIn for Server {
    fn network(&self) -> Network {
        self.0
    }

    fn title(&self) -> &'static str {
        match self.0 {
            Network::Pixelfed => "Pixelfed",
            Network::Gotosocial => "GoToSocial",
            Network::Pleroma => "Pleroma",
            _ => "Mastodon",
        }
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        super::routes(ctx, self.0)
    }

    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        super::account_of(ctx, parts, body)
    }

    fn server_error(&self) -> Response {
        super::server_error()
    }

    fn too_many_requests(&self, _now_ms: i64, _verdict: Verdict) -> Response {
        super::too_many_requests()
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        super::limit_headers(headers, verdict);
    }

    fn throttle(&self) -> (u64, u64) {
        (super::PER_TOKEN.limit, super::PER_TOKEN.window_s)
    }

    /// The instance keeps a state of its own.
    fn begin(&self) -> Vec<Change> {
        Vec::new()
    }

    fn add_account(&self, ctx: &Ctx, handle: &str, display_name: &str) -> Result<Value, Refusal> {
        let is_plain = handle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !(1..=30).contains(&handle.len()) || !is_plain {
            return Err(Refusal::bad("handle: 1 to 30 letters, digits and underscores"));
        }
        let mut world = ctx.world();
        if world.mastodon.account_named(handle).is_none() {
            let now_ms = ctx.now_ms();
            let account = Account {
                id: world.mastodon.next_id(now_ms),
                handle: handle.to_owned(),
                display_name: display_name.to_owned(),
                created_ms: now_ms,
            };
            world.commit(world::Event::Mastodon(Event::Account(account)))?;
        }
        let id = world.mastodon.account_named(handle).map(|account| account.id.to_string());
        Ok(json!({"network": self.0, "handle": handle, "id": id, "password": handle}))
    }

    fn accounts(&self, world: &World) -> Vec<Value> {
        let accounts = world.mastodon.accounts();
        accounts.map(|account| json!({"network": self.0, "handle": account.handle})).collect()
    }

    fn act(&self, ctx: &Ctx, account: Option<&str>, fault: &Fault) -> Result<(), Refusal> {
        let mut world = ctx.world();
        let account = match account {
            None => None,
            Some(handle) => {
                let account = world.mastodon.account_named(handle);
                Some(account.ok_or_else(|| Refusal::no_account(handle))?.id)
            }
        };
        let life = match fault {
            Fault::ExpireTokens {} => Life::Expired,
            Fault::RevokeTokens { .. } => Life::Revoked,
            _ => return Err(Refusal::bad("fault.kind: mastodon's tokens have no lifetime")),
        };
        Ok(world.commit(world::Event::Mastodon(Event::TokensEnded { account, life }))?)
    }

    fn is_live(&self, world: &World, native_id: &str) -> bool {
        world.mastodon.is_live(native_id)
    }

    fn engage(&self, ctx: &Ctx, native_id: Option<&str>, counts: Counts) -> Result<(), Refusal> {
        let event = match native_id {
            None => Event::EngagedAll {},
            Some(id) => {
                let id = id.parse().map_err(|_| Refusal::bad("native_id: a number"))?;
                Event::Engaged { id, counts }
            }
        };
        Ok(ctx.world().commit(world::Event::Mastodon(event))?)
    }

    fn counts(&self, world: &World, native_id: &str) -> Option<Counts> {
        world.mastodon.status(native_id.parse().ok()?).map(|status| status.counts)
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        format!("{}/@{}/{}", ctx.base(self.0), entry.account, entry.native_id)
    }
}
