//! The OAuth 2 authorization server behind the networks that keep documents. A network's `Dialect` says which rules
//! apply; the routes, the bodies and the words of a refusal stay with the network.
//!
//! ```text
//!   app ──▶ authorize.rs: a person agrees ──▶ code ──▶ grants.rs: exchange, refresh, renew ──▶ tokens.rs: live?
//! ```
//! Invariant: a code makes at most one grant, and ending a grant ends every token that came from it.

mod authorize;
mod faults;
mod grants;
mod tokens;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

#[cfg_attr(
    not(test),
    expect(unused_imports, reason = "tokens without a code: for a network that hands them out")
)]
pub(crate) use self::grants::{Grant, issue};
pub(crate) use self::{
    authorize::page,
    faults::act,
    grants::{Issued, client, exchange, refresh, renew},
    tokens::{Token, account_of, fixed, holder, live, revoke},
};
use crate::{networks::Network, world::World};

/// Whether the code is bound to a verifier that the app keeps (RFC 7636); only S256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pkce {
    Required,
    Optional,
    /// Challenges are not looked at.
    None,
}

/// How access tokens are renewed. Times are milliseconds; none: until revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// There are no refresh tokens.
    None,
    /// One refresh token for the life of the grant, which runs from the consent.
    Fixed { ms: Option<i64> },
    /// Each use ends a refresh token and gives the next one, which lives that long.
    Rotating { ms: Option<i64>, reuse: Reuse },
}

/// What a refresh token does that was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Nothing; the grant goes on.
    Refuse,
    /// It is taken for stolen: the whole grant ends.
    #[cfg_attr(not(test), expect(dead_code, reason = "RFC 9700's rule, which no network here documents"))]
    RevokeFamily,
    /// It works again and gives a further pair.
    #[cfg_attr(not(test), expect(dead_code, reason = "what a network does that only promises a new token"))]
    Repeat,
}

/// When a grant comes with a refresh token at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offline {
    Always,
    /// When this scope was asked for.
    Scope(&'static str),
    /// When the authorization request had this field with this value.
    Field(&'static str, &'static str),
}

/// The rules of one network.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) network: Network,
    /// Where the authorization page is, below the network's base.
    pub(crate) authorize_path: &'static str,
    /// How long a code lives, milliseconds.
    pub(crate) code_ms: i64,
    pub(crate) pkce: Pkce,
    /// How long an access token lives, milliseconds; none: until revoked.
    pub(crate) access_ms: Option<i64>,
    pub(crate) refresh: Refresh,
    pub(crate) offline: Offline,
    /// The scopes there are; empty: any.
    pub(crate) scopes: &'static [&'static str],
    /// Between two scopes of an answer.
    pub(crate) scope_separator: char,
    /// What the id of an app is called.
    pub(crate) client_field: &'static str,
    /// Whether an app may come without its secret.
    pub(crate) public_clients: bool,
    pub(crate) access_prefix: &'static str,
    pub(crate) refresh_prefix: &'static str,
    /// What the browser brings back from a person who declines.
    pub(crate) denied: &'static [(&'static str, &'static str)],
    /// The parameter in which the browser brings back the granted scopes.
    pub(crate) echo_scope: Option<&'static str>,
    /// What follows the address the browser is sent back to, such as `#_`.
    pub(crate) suffix: &'static str,
}

impl Dialect {
    /// The plainest rules: codes of ten minutes, access tokens of one hour, nothing else.
    pub(crate) const fn of(network: Network) -> Self {
        Self {
            network,
            authorize_path: "/oauth/authorize",
            code_ms: 600_000,
            pkce: Pkce::None,
            access_ms: Some(3_600_000),
            refresh: Refresh::None,
            offline: Offline::Always,
            scopes: &[],
            scope_separator: ' ',
            client_field: "client_id",
            public_clients: false,
            access_prefix: "",
            refresh_prefix: "",
            denied: &[("error", "access_denied")],
            echo_scope: None,
            suffix: "",
        }
    }
}

/// An app that may ask people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) name: String,
    /// Where browsers may be sent back to; empty: to any http(s) address.
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
}

/// The app of that id: one of the documents of kind `app`, or the one that every network has.
pub(crate) fn app(world: &World, network: Network, client_id: &str) -> Option<App> {
    let is_default = || client_id.strip_prefix("sandbox-") == Some(network.name());
    world.docs.get(network, "app", client_id).or_else(|| {
        is_default().then(|| App {
            client_id: client_id.to_owned(),
            client_secret: format!("{client_id}-secret"),
            name: "Postmesh".to_owned(),
            redirect_uris: Vec::new(),
        })
    })
}

/// Why an app or a token is refused; each network has its own words for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no such app")]
    UnknownClient,
    #[error("the app's secret is another one")]
    BadSecret,
    #[error("there is no code in the request")]
    MissingCode,
    /// Used codes are unknown too.
    #[error("there is no such code")]
    UnknownCode,
    #[error("the code has expired")]
    ExpiredCode,
    #[error("it was given to another app")]
    OtherClient,
    #[error("the redirect address is not the one of the authorization request")]
    RedirectMismatch,
    #[error("the code verifier is missing")]
    PkceMissing,
    #[error("the code verifier does not fit the challenge")]
    PkceMismatch,
    #[error("there is no such refresh token")]
    UnknownRefresh,
    #[error("the refresh token was used before")]
    UsedRefresh,
    #[error("the refresh token has expired")]
    ExpiredRefresh,
    #[error("the refresh token was revoked")]
    RevokedRefresh,
    #[error("the token is too young to be renewed")]
    TooYoung,
    #[error("there is no such token")]
    UnknownToken,
    #[error("the token has expired")]
    ExpiredToken,
    #[error("the token was revoked")]
    RevokedToken,
    #[error("the sandbox cannot keep what it was told")]
    Unkept(#[from] std::io::Error),
}

impl Problem {
    /// The name of RFC 6749 section 5.2, or of RFC 6750 for an access token.
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Self::UnknownClient | Self::BadSecret => "invalid_client",
            Self::MissingCode | Self::PkceMissing | Self::TooYoung => "invalid_request",
            Self::UnknownCode
            | Self::ExpiredCode
            | Self::OtherClient
            | Self::RedirectMismatch
            | Self::PkceMismatch
            | Self::UnknownRefresh
            | Self::UsedRefresh
            | Self::ExpiredRefresh
            | Self::RevokedRefresh => "invalid_grant",
            Self::UnknownToken | Self::ExpiredToken | Self::RevokedToken => "invalid_token",
            Self::Unkept(_) => "server_error",
        }
    }
}

/// The scopes of a parameter, whichever way the network separates them.
fn words(text: &str) -> Vec<String> {
    text.split([' ', '+', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
