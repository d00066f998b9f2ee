//! Who calls, and how everything is refused: a number and a sentence.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::NETWORK;
use crate::{
    oauth::{self, Token},
    web,
    world::{Ctx, World},
};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    status: u16,
    code: i64,
    message: String,
}

impl Refused {
    pub(super) fn new(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// What does not fit the description of the call.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new(400, 1, format!("Invalid request: {}", why.into()))
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(401, 2, "Authentication failed.")
    }

    pub(super) fn not_permitted() -> Self {
        Self::new(403, 29, "You are not permitted to access that resource.")
    }

    pub(super) fn no_board() -> Self {
        Self::new(404, 40, "Board not found.")
    }

    pub(super) fn no_pin() -> Self {
        Self::new(404, 50, "Pin not found.")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut body = json!({"code": self.code, "message": self.message});
        if self.status == 401 {
            body["status"] = json!("failure");
        }
        web::json(StatusCode::from_u16(self.status).expect("the statuses used here are valid"), &body)
    }
}

impl From<std::io::Error> for Refused {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        Self::new(500, 0, "Something went wrong on our end. Sorry about that.")
    }
}

/// The token of the request, provided it lives and covers these scopes. An expired, a revoked and an unknown one look
/// the same.
pub(super) fn caller(
    ctx: &Ctx,
    world: &World,
    headers: &HeaderMap,
    scopes: &[&str],
) -> Result<Token, Refused> {
    let token = oauth::holder(world, NETWORK, headers, ctx.now_ms());
    let token = token.map_err(|_| Refused::unauthenticated())?;
    if !scopes.iter().all(|scope| token.covers(scope)) {
        let message = format!("Authorization failed. Required scopes: {}", scopes.join(", "));
        return Err(Refused::new(403, 3, message));
    }
    Ok(token)
}

/// A field of a query.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// One page of a list, and the bookmark of the next.
pub(super) fn page(uri: &Uri, items: impl Iterator<Item = Value>) -> Result<Response, Refused> {
    let size = match query(uri, "page_size") {
        None => 25,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|size| (1..=250).contains(size))
            .ok_or_else(|| Refused::invalid("page_size must be between 1 and 250"))?,
    };
    let start = match query(uri, "bookmark").filter(|bookmark| !bookmark.is_empty()) {
        None => 0,
        Some(bookmark) => bookmark
            .strip_prefix("b0")
            .and_then(|start| start.parse::<usize>().ok())
            .ok_or_else(|| Refused::invalid("the bookmark is not valid"))?,
    };
    let mut found: Vec<Value> = items.skip(start).take(size + 1).collect();
    let bookmark = (found.len() > size).then(|| format!("b0{}", start + size));
    found.truncate(size);
    Ok(web::json(StatusCode::OK, &json!({"items": found, "bookmark": bookmark})))
}

pub(super) async fn nowhere() -> Refused {
    Refused::new(404, 11, "API method not found.")
}
