//! Access tokens: whose they are, and whether they still live. A token ends by its own time, with its grant, or by a
//! fault that ends all tokens before a moment; none of these walks the tokens.

use http::{HeaderMap, request::Parts};
use serde::{Deserialize, Serialize};

use super::{Problem, grants::GrantDoc};
use crate::{
    docs::Change,
    networks::Network,
    params::field,
    web,
    world::{Ctx, World},
};

/// One access token; its secret is its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) secret: String,
    /// The grant it came from; absent for a fixed one.
    pub(crate) grant: Option<String>,
    /// The account's handle.
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_ms: i64,
    pub(crate) expires_ms: Option<i64>,
    /// Its place in time among the tokens of its network.
    pub(crate) serial: u64,
}

impl Token {
    /// Whether it was granted that scope.
    pub(crate) fn covers(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// A token as it was made known, for instance to a bot: it never expires by itself.
pub(crate) fn fixed(network: Network, account: &str, secret: &str, scopes: &[&str]) -> Change {
    let token = Token {
        secret: secret.to_owned(),
        grant: None,
        account: account.to_owned(),
        client_id: format!("sandbox-{}", network.name()),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        created_ms: 0,
        expires_ms: None,
        serial: 0,
    };
    Change::put("token", secret, &token)
}

/// The token, provided it lives.
pub(crate) fn live(world: &World, network: Network, secret: &str, now_ms: i64) -> Result<Token, Problem> {
    let token: Token = world.docs.get(network, "token", secret).ok_or(Problem::UnknownToken)?;
    let is_ended = || {
        let id = token.grant.as_deref()?;
        Some(world.docs.get::<GrantDoc>(network, "grant", id)?.ended)
    };
    let is_over = token.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
    match () {
        () if is_ended() == Some(true) => Err(Problem::RevokedToken),
        () if is_cut(world, network, Cut::Revoked, &token.account, token.serial) => {
            Err(Problem::RevokedToken)
        }
        () if is_over || is_cut(world, network, Cut::Expired, &token.account, token.serial) => {
            Err(Problem::ExpiredToken)
        }
        () => Ok(token),
    }
}

/// The token of the `Authorization` header, provided it lives.
pub(crate) fn holder(
    world: &World,
    network: Network,
    headers: &HeaderMap,
    now_ms: i64,
) -> Result<Token, Problem> {
    let secret = web::bearer(headers).or_else(|| web::bot(headers)).ok_or(Problem::UnknownToken)?;
    live(world, network, secret, now_ms)
}

/// Ends the grant behind an access or a refresh token; false when there is no such token.
pub(crate) fn revoke(world: &mut World, network: Network, secret: &str) -> Result<bool, Problem> {
    let kept = |kind: &'static str| Some((kind, world.docs.value(network, kind, secret)?));
    let Some((kind, found)) = kept("token").or_else(|| kept("refresh")) else { return Ok(false) };
    let id = found.get("grant").and_then(serde_json::Value::as_str).map(str::to_owned);
    let change = match id.and_then(|id| Some((world.docs.get::<GrantDoc>(network, "grant", &id)?, id))) {
        Some((grant, id)) => Change::put("grant", id, &GrantDoc { ended: true, ..grant }),
        None => Change::remove(kind, secret),
    };
    world.keep(network, vec![change])?;
    Ok(true)
}

/// The handle behind a token, a code or a refresh token, whether or not it still works.
pub(crate) fn account_of(ctx: &Ctx, network: Network, parts: &Parts, body: &[u8]) -> Option<String> {
    let holder = |kind: &str, secret: &str| {
        let world = ctx.world();
        world.docs.value(network, kind, secret)?.get("account")?.as_str().map(str::to_owned)
    };
    if let Some(token) = web::bearer(&parts.headers).or_else(|| web::bot(&parts.headers)) {
        return holder("token", token);
    }
    [("token", "access_token"), ("code", "code"), ("refresh", "refresh_token")]
        .into_iter()
        .find_map(|(kind, name)| holder(kind, &field(parts, body, name)?))
}

/// What a fault did to all tokens before a moment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    Expired,
    Revoked,
}

impl Cut {
    /// The key of the moment, of one account or of everybody.
    pub(super) fn key(self, account: Option<&str>) -> String {
        let word = match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        };
        format!("{word}|{}", account.unwrap_or("*"))
    }
}

/// Whether a fault ended what was handed out at that place in time.
pub(super) fn is_cut(world: &World, network: Network, cut: Cut, account: &str, serial: u64) -> bool {
    let moment = |account| world.docs.get::<u64>(network, "cutoff", &cut.key(account)).unwrap_or(0);
    let moment = moment(None).max(moment(Some(account)));
    serial < moment
}
