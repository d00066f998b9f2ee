//! From a code to tokens, and from tokens to further ones. Every function decides and commits under the caller's lock,
//! so a code or a refresh token presented twice at once is used once.

use std::collections::BTreeMap;

use axum::response::Response;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::{
    App, Dialect, Offline, Pkce, Problem, Refresh, Reuse, app,
    authorize::Code,
    faults::lifetime,
    tokens::{Cut, Token, is_cut, live},
};
use crate::{
    crypto,
    docs::Change,
    params::Params,
    refreshes::Outcome,
    world::{Ctx, World},
};

/// What a person granted to an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The account's handle.
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    /// The authorization request, field by field.
    pub(crate) fields: BTreeMap<String, String>,
}

impl Grant {
    /// A grant that no authorization request led to.
    #[cfg_attr(not(test), expect(dead_code, reason = "see `issue`"))]
    pub(crate) fn new(account: &str, client_id: &str, scopes: Vec<String>) -> Self {
        Self { account: account.to_owned(), client_id: client_id.to_owned(), scopes, ..Self::default() }
    }
}

/// The grant as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GrantDoc {
    pub(super) account: String,
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) created_ms: i64,
    pub(super) ended: bool,
}

/// One refresh token as it is kept; its secret is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RefreshDoc {
    grant: String,
    account: String,
    expires_ms: Option<i64>,
    serial: u64,
    used: bool,
}

/// What an app receives.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    /// Seconds; none: it does not expire.
    pub(crate) expires_in: Option<i64>,
    pub(crate) refresh_token: Option<String>,
    /// Seconds; none: it does not expire, or there is none.
    pub(crate) refresh_expires_in: Option<i64>,
    /// The account's handle.
    pub(crate) account: String,
    pub(crate) scopes: Vec<String>,
    /// The authorization request, field by field.
    pub(crate) fields: BTreeMap<String, String>,
    outcome: Outcome,
}

impl Issued {
    /// The scopes as the network writes them.
    pub(crate) fn scope(&self, dialect: &Dialect) -> String {
        self.scopes.join(&dialect.scope_separator.to_string())
    }

    /// Tells the layer around the handler what became of the token that was presented.
    pub(crate) fn mark(&self, response: &mut Response) {
        response.extensions_mut().insert(self.outcome);
    }
}

/// The app that presents itself, by HTTP Basic or by fields.
pub(crate) fn client(
    world: &World,
    dialect: &Dialect,
    headers: &HeaderMap,
    params: &Params,
) -> Result<App, Problem> {
    let basic = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), Some(secret.to_owned())))
    };
    let fields = || (params.text(dialect.client_field).unwrap_or_default(), params.present("client_secret"));
    let (id, secret) = basic().unwrap_or_else(fields);
    let app = app(world, dialect.network, &id).ok_or(Problem::UnknownClient)?;
    match secret {
        Some(secret) if secret == app.client_secret => Ok(app),
        None if dialect.public_clients => Ok(app),
        _ => Err(Problem::BadSecret),
    }
}

/// Tokens for the code of the request, which then is used up; a code that is refused is not.
pub(crate) fn exchange(
    ctx: &Ctx,
    world: &mut World,
    dialect: &Dialect,
    app: &App,
    params: &Params,
) -> Result<Issued, Problem> {
    let secret = params.present("code").ok_or(Problem::MissingCode)?;
    let code: Code = world.docs.get(dialect.network, "code", &secret).ok_or(Problem::UnknownCode)?;
    if code.client_id != app.client_id {
        return Err(Problem::OtherClient);
    }
    if ctx.now_ms() >= code.expires_ms {
        return Err(Problem::ExpiredCode);
    }
    if params.text("redirect_uri").as_deref() != Some(code.redirect_uri.as_str()) {
        return Err(Problem::RedirectMismatch);
    }
    if let Some(challenge) = code.challenge.filter(|_| dialect.pkce != Pkce::None) {
        let verifier = params.present("code_verifier").ok_or(Problem::PkceMissing)?;
        if crypto::pkce_s256(&verifier) != challenge {
            return Err(Problem::PkceMismatch);
        }
    }
    let Code { account, client_id, scopes, fields, .. } = code;
    let used = Change::remove("code", secret);
    opened(ctx, world, dialect, Grant { account, client_id, scopes, fields }, vec![used])
}

/// Tokens that no code led to.
#[cfg_attr(not(test), expect(dead_code, reason = "for a network that hands out tokens without a code"))]
pub(crate) fn issue(
    ctx: &Ctx,
    world: &mut World,
    dialect: &Dialect,
    grant: Grant,
) -> Result<Issued, Problem> {
    opened(ctx, world, dialect, grant, Vec::new())
}

fn opened(
    ctx: &Ctx,
    world: &mut World,
    dialect: &Dialect,
    grant: Grant,
    changes: Vec<Change>,
) -> Result<Issued, Problem> {
    let now_ms = ctx.now_ms();
    let offline = match dialect.offline {
        Offline::Always => true,
        Offline::Scope(scope) => grant.scopes.iter().any(|granted| granted == scope),
        Offline::Field(name, value) => grant.fields.get(name).is_some_and(|given| given == value),
    };
    let life_ms = match dialect.refresh {
        Refresh::Fixed { ms } | Refresh::Rotating { ms, .. } if offline => Some(ms),
        _ => None,
    };
    let Grant { account, client_id, scopes, fields } = grant;
    let kept = GrantDoc { account, client_id, scopes, fields, created_ms: now_ms, ended: false };
    let id = crypto::token::<12>();
    let mut made = Making { world, dialect, id: &id, grant: &kept, now_ms, changes };
    made.changes.push(Change::put("grant", &id, &kept));
    let refresh = life_ms.map(|ms| made.refresh(ms));
    let issued = made.access(dialect.access_ms, refresh, Outcome::Renewed);
    made.keep()?;
    Ok(issued)
}

/// Further tokens for a refresh token.
pub(crate) fn refresh(
    ctx: &Ctx,
    world: &mut World,
    dialect: &Dialect,
    app: &App,
    secret: &str,
) -> Result<Issued, Problem> {
    let (network, now_ms) = (dialect.network, ctx.now_ms());
    let old: RefreshDoc = world.docs.get(network, "refresh", secret).ok_or(Problem::UnknownRefresh)?;
    let grant: GrantDoc = world.docs.get(network, "grant", &old.grant).ok_or(Problem::UnknownRefresh)?;
    if grant.client_id != app.client_id {
        return Err(Problem::OtherClient);
    }
    if grant.ended || is_cut(world, network, Cut::Revoked, &old.account, old.serial) {
        return Err(Problem::RevokedRefresh);
    }
    if old.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(Problem::ExpiredRefresh);
    }
    let id = old.grant.clone();
    let mut made = Making { world, dialect, id: &id, grant: &grant, now_ms, changes: Vec::new() };
    let (refresh, outcome) = match dialect.refresh {
        Refresh::None => return Err(Problem::UnknownRefresh),
        Refresh::Fixed { .. } => ((secret.to_owned(), old.expires_ms), Outcome::Renewed),
        Refresh::Rotating { reuse: Reuse::Refuse, .. } if old.used => return Err(Problem::UsedRefresh),
        Refresh::Rotating { reuse: Reuse::RevokeFamily, .. } if old.used => {
            made.changes.push(Change::put("grant", &id, &GrantDoc { ended: true, ..grant.clone() }));
            made.keep()?;
            return Err(Problem::UsedRefresh);
        }
        Refresh::Rotating { ms, .. } => {
            let outcome = if old.used { Outcome::Repeated } else { Outcome::Rotated };
            made.changes.push(Change::put("refresh", secret, &RefreshDoc { used: true, ..old }));
            (made.refresh(ms), outcome)
        }
    };
    let issued = made.access(dialect.access_ms, Some(refresh), outcome);
    made.keep()?;
    Ok(issued)
}

/// A further token for a live one of at least that age, as networks give that have no refresh tokens. The one
/// presented goes on until its own time is over.
pub(crate) fn renew(
    ctx: &Ctx,
    world: &mut World,
    dialect: &Dialect,
    secret: &str,
    least_age_ms: i64,
    access_ms: Option<i64>,
) -> Result<Issued, Problem> {
    let now_ms = ctx.now_ms();
    let token = live(world, dialect.network, secret, now_ms)?;
    if now_ms - token.created_ms < least_age_ms {
        return Err(Problem::TooYoung);
    }
    let id = token.grant.ok_or(Problem::UnknownToken)?;
    let grant: GrantDoc = world.docs.get(dialect.network, "grant", &id).ok_or(Problem::UnknownToken)?;
    let mut made = Making { world, dialect, id: &id, grant: &grant, now_ms, changes: Vec::new() };
    let issued = made.access(access_ms, None, Outcome::Renewed);
    made.keep()?;
    Ok(issued)
}

/// The tokens of one answer, on their way into one event.
struct Making<'a> {
    world: &'a mut World,
    dialect: &'a Dialect,
    id: &'a str,
    grant: &'a GrantDoc,
    now_ms: i64,
    changes: Vec<Change>,
}

impl Making<'_> {
    fn serial(&mut self) -> u64 {
        self.world.next_id(self.dialect.network, self.now_ms)
    }

    /// A refresh token that lives that long.
    fn refresh(&mut self, ms: Option<i64>) -> (String, Option<i64>) {
        let secret = format!("{}{}", self.dialect.refresh_prefix, crypto::token::<32>());
        let kept = RefreshDoc {
            grant: self.id.to_owned(),
            account: self.grant.account.clone(),
            expires_ms: ms.map(|ms| self.now_ms + ms),
            serial: self.serial(),
            used: false,
        };
        self.changes.push(Change::put("refresh", &secret, &kept));
        (secret, kept.expires_ms)
    }

    /// The access token, and the answer it goes out with.
    fn access(
        &mut self,
        ms: Option<i64>,
        refresh: Option<(String, Option<i64>)>,
        outcome: Outcome,
    ) -> Issued {
        let ms = lifetime(self.world, self.dialect.network, &self.grant.account).or(ms);
        let token = Token {
            secret: format!("{}{}", self.dialect.access_prefix, crypto::token::<32>()),
            grant: Some(self.id.to_owned()),
            account: self.grant.account.clone(),
            client_id: self.grant.client_id.clone(),
            scopes: self.grant.scopes.clone(),
            created_ms: self.now_ms,
            expires_ms: ms.map(|ms| self.now_ms + ms),
            serial: self.serial(),
        };
        self.changes.push(Change::put("token", &token.secret, &token));
        let (refresh_token, refresh_ms) = refresh.unzip();
        Issued {
            access_token: token.secret,
            expires_in: ms.map(|ms| ms / 1000),
            refresh_token,
            refresh_expires_in: refresh_ms.flatten().map(|ms| (ms - self.now_ms) / 1000),
            account: token.account,
            scopes: token.scopes,
            fields: self.grant.fields.clone(),
            outcome,
        }
    }

    fn keep(self) -> Result<(), Problem> {
        Ok(self.world.keep(self.dialect.network, self.changes)?)
    }
}
