//! What every call of the REST API passes: the token, the version, and the way names stand in addresses. Refusals have
//! one form; their fields vary on the real network, too.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;

use super::NETWORK;
use crate::{
    accounts,
    oauth::{self, Problem, Token},
    web,
    world::{Ctx, World},
};

/// Versions that are answered; each lives about a year.
const VERSIONS: std::ops::RangeInclusive<u32> = 202_510..=202_610;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    status: u16,
    /// 0: not told.
    service: i64,
    code: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, service: 0, code, message: message.into() }
    }

    /// The token does not reach that far, or the person has no such role.
    pub(super) fn denied(what: &str) -> Self {
        let message = format!("Not enough permissions to access: {what}");
        Self { service: 100, ..Self::new(403, "ACCESS_DENIED", message) }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::new(400, "MISSING_FIELD", format!("ERROR :: {field} :: field is required but not found"))
    }

    pub(super) fn invalid(field: &str, why: &str) -> Self {
        Self::new(400, "INVALID_VALUE_FOR_FIELD", format!("ERROR :: {field} :: {why}"))
    }

    pub(super) fn too_long(field: &str, most: usize) -> Self {
        let message = format!("ERROR :: {field} :: length exceeds the maximum of {most} characters");
        Self::new(400, "FIELD_LENGTH_TOO_LONG", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("Entity {what} is not found"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut body = json!({"status": self.status, "code": self.code, "message": self.message});
        if self.service > 0 {
            body["serviceErrorCode"] = json!(self.service);
        }
        web::json(StatusCode::from_u16(self.status).expect("the statuses above are valid"), &body)
    }
}

impl From<std::io::Error> for Refused {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new(500, "INTERNAL_ERROR", "Internal Server Error")
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let (service, code, message) = match problem {
            Problem::ExpiredToken => {
                (65_602, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired")
            }
            Problem::RevokedToken => {
                (65_601, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked by the user")
            }
            _ => (65_600, "INVALID_ACCESS_TOKEN", "Invalid access token"),
        };
        Self { service, ..Self::new(401, code, message) }
    }
}

/// Who calls: the token and the member behind it.
pub(super) struct Caller {
    pub(super) token: Token,
    /// `urn:li:person:…`
    pub(super) person: String,
}

impl Caller {
    /// The token of the request, whichever API it is for.
    pub(super) fn of(ctx: &Ctx, world: &World, headers: &HeaderMap) -> Result<Self, Refused> {
        if web::bearer(headers).is_none_or(str::is_empty) {
            let message = "Empty oauth2 access token";
            return Err(Refused { service: 65_604, ..Refused::new(401, "EMPTY_ACCESS_TOKEN", message) });
        }
        let token = oauth::holder(world, NETWORK, headers, ctx.now_ms())?;
        let account = accounts::named(world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
        Ok(Self { token, person: format!("urn:li:person:{}", account.id) })
    }

    /// The same for a call of the versioned API.
    pub(super) fn versioned(
        ctx: &Ctx,
        world: &World,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, Refused> {
        let caller = Self::of(ctx, world, headers)?;
        version(headers)?;
        let raw = [uri.path(), uri.query().unwrap_or_default()].iter().any(|part| part.contains("urn:li:"));
        if raw {
            let message = "Invalid URN in the request: it must be percent-encoded";
            return Err(Refused::new(400, "ILLEGAL_ARGUMENT", message));
        }
        Ok(caller)
    }

    /// Whether the caller may act as that author with one of these scopes: as the member, or as an organization in
    /// which the member has one of these roles.
    pub(super) fn may(
        &self,
        world: &World,
        author: &str,
        member: &str,
        organization: &[&str],
        roles: &[&str],
    ) -> bool {
        match author.strip_prefix("urn:li:organization:") {
            Some(id) => {
                let role = super::organizations::role(world, &self.token.account, id);
                organization.iter().any(|scope| self.token.covers(scope))
                    && role.is_some_and(|role| roles.contains(&role.as_str()))
            }
            None => author == self.person && self.token.covers(member),
        }
    }
}

fn version(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(asked) = headers.get("linkedin-version") else {
        let message =
            "A version must be present. Please specify a version by adding the LinkedIn-Version header.";
        return Err(Refused::new(400, "VERSION_MISSING", message));
    };
    let asked = asked.to_str().unwrap_or_default();
    if asked.parse().is_ok_and(|asked| VERSIONS.contains(&asked) && (1..=12).contains(&(asked % 100))) {
        return Ok(());
    }
    let message = format!("Requested version {asked} is not active");
    Err(Refused::new(426, "NONEXISTENT_VERSION", message))
}

/// A list of a query, `name=List(a,b)`: its parentheses and commas stand as they are, its items are encoded.
pub(super) fn list(headers: &HeaderMap, uri: &Uri, name: &str) -> Result<Vec<String>, Refused> {
    let Some(raw) = uri.query().unwrap_or_default().split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    }) else {
        return Ok(Vec::new());
    };
    let inside = raw.strip_prefix("List(").and_then(|raw| raw.strip_suffix(')'));
    let speaks = headers.get("x-restli-protocol-version").is_some_and(|version| version == "2.0.0");
    let Some(inside) = inside.filter(|_| speaks) else {
        return Err(Refused::new(400, "ILLEGAL_ARGUMENT", format!("Parameter {name} is not a list")));
    };
    let decoded = |item: &str| {
        let pair = format!("x={item}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, item)| item.into_owned())
    };
    Ok(inside.split(',').filter_map(decoded).collect())
}

/// A field of a query.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether the request says that it calls this method of a resource.
pub(super) fn calls(headers: &HeaderMap, method: &str) -> bool {
    let named = headers.get("x-restli-method").and_then(|value| value.to_str().ok());
    named.is_some_and(|named| named.eq_ignore_ascii_case(method))
}

pub(super) async fn nowhere(_request: Request) -> Refused {
    Refused::new(404, "RESOURCE_NOT_FOUND", "No virtual resource found")
}
