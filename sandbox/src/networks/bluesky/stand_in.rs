//! What the shared layer asks of the PDS: its accounts, its sessions' end, its counts and its pages.

use axum::{Router, response::Response};
use http::{HeaderMap, request::Parts};
use serde_json::{Value, json};

use super::{Account, Event};
use crate::{
    control::Refusal,
    crypto,
    docs::Change,
    ledger::Entry,
    limits::Verdict,
    networks::{Network, StandIn},
    script::Fault,
    web,
    world::{self, Counts, Ctx, World},
};

pub(crate) struct Bluesky;

impl StandIn for Bluesky {
    fn network(&self) -> Network {
        Network::Bluesky
    }

    fn title(&self) -> &'static str {
        "Bluesky"
    }

    fn routes(&self, ctx: &Ctx) -> Router<Ctx> {
        super::routes(ctx)
    }

    fn account_of(&self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        super::account_of(ctx, parts, body)
    }

    fn units(&self, parts: &Parts, body: &[u8]) -> u64 {
        super::points_of(parts, body)
    }

    /// A refresh presents its token as the bearer, or as a field where the session began in the browser.
    fn refresh_token(&self, parts: &Parts, body: &[u8]) -> Option<String> {
        let bearer = web::bearer(&parts.headers).map(str::to_owned);
        bearer.or_else(|| crate::params::field(parts, body, "refresh_token"))
    }

    fn server_error(&self) -> Response {
        super::server_error()
    }

    fn too_many_requests(&self, now_ms: i64, verdict: Verdict) -> Response {
        super::too_many_requests(now_ms, verdict)
    }

    fn limit_headers(&self, headers: &mut HeaderMap, verdict: Verdict) {
        super::limit_headers(headers, verdict);
    }

    fn throttle(&self) -> (u64, u64) {
        (super::PER_ADDRESS.limit, super::PER_ADDRESS.window_s)
    }

    /// The PDS keeps a state of its own.
    fn begin(&self) -> Vec<Change> {
        Vec::new()
    }

    /// An account that exists gets a new app password.
    fn add_account(&self, ctx: &Ctx, handle: &str, display_name: &str) -> Result<Value, Refusal> {
        let is_plain = handle.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        if !(3..=253).contains(&handle.len()) || !is_plain || !handle.contains('.') {
            return Err(Refusal::bad("handle: a domain name such as name.test"));
        }
        let mut world = ctx.world();
        let password = app_password();
        let account = match world.bluesky.actor(handle) {
            Some(known) => Account { password: Some(password.clone()), ..known.clone() },
            None => Account::new(handle, display_name, password.clone(), ctx.now_ms()),
        };
        let did = account.did.clone();
        world.commit(world::Event::Bluesky(Event::Account(account)))?;
        Ok(json!({"network": Network::Bluesky, "handle": handle, "did": did, "password": password}))
    }

    fn accounts(&self, world: &World) -> Vec<Value> {
        let told = |account: &Account| {
            json!({"network": Network::Bluesky, "handle": account.handle, "did": account.did,
                "identifier": account.handle, "password": account.password})
        };
        world.bluesky.accounts().map(told).collect()
    }

    fn act(&self, ctx: &Ctx, account: Option<&str>, fault: &Fault) -> Result<(), Refusal> {
        let mut world = ctx.world();
        let did = match account {
            None => None,
            Some(handle) => {
                let account = world.bluesky.actor(handle);
                Some(account.ok_or_else(|| Refusal::no_account(handle))?.did.clone())
            }
        };
        let from = world.bluesky.next_serial(ctx.now_ms());
        if matches!(fault, Fault::RevokeTokens { .. }) {
            super::oauth::end_all(&mut world, did.as_deref())?;
        }
        let event = match *fault {
            Fault::RevokeTokens { and_password } => Event::Revoked { did, from, and_password },
            Fault::TokenLifetime { access_s } => Event::AccessLifetime { did, access_s },
            _ => Event::AccessExpired { did, from },
        };
        Ok(world.commit(world::Event::Bluesky(event))?)
    }

    fn is_live(&self, world: &World, native_id: &str) -> bool {
        world.bluesky.is_live(native_id)
    }

    fn engage(&self, ctx: &Ctx, native_id: Option<&str>, counts: Counts) -> Result<(), Refusal> {
        let event = match native_id {
            None => Event::EngagedAll {},
            Some(uri) => Event::Engaged { uri: uri.to_owned(), counts },
        };
        Ok(ctx.world().commit(world::Event::Bluesky(event))?)
    }

    fn counts(&self, world: &World, native_id: &str) -> Option<Counts> {
        world.bluesky.record(native_id).map(|record| record.counts)
    }

    fn link(&self, ctx: &Ctx, entry: &Entry) -> String {
        let rkey = entry.native_id.rsplit('/').next().unwrap_or_default();
        format!("{}/profile/{}/post/{rkey}", ctx.base(Network::Bluesky), entry.account)
    }

    fn hint(&self, _base: &str) -> String {
        "handle <code>demo.test</code>, app password <code>demo-demo-demo-demo</code>".to_owned()
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
