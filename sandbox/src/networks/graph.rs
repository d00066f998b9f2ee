//! What Facebook Pages and Instagram share: the Graph API's error envelope, tokens in three places, `fields` of nested
//! names, lists by cursor, usage headers.
//!
//! <https://developers.facebook.com/docs/graph-api>. Invariant: `type` of a refusal is `OAuthException` whatever is
//! wrong, as the real API answers; only codes tell refusals apart.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde_json::{Map, Value, json};

use super::Network;
use crate::{
    crypto,
    limits::Verdict,
    oauth::{self, Problem, Token},
    params::{Params, field},
    web,
    world::{Ctx, World},
};

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: i64,
    subcode: i64,
    message: String,
    transient: bool,
}

pub(crate) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(crate) fn new(code: i64, subcode: i64, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, subcode, message: message.into(), transient: false }
    }

    /// `(#100)`: a parameter is missing or wrong.
    pub(crate) fn parameter(message: impl AsRef<str>) -> Self {
        Self::new(100, 0, format!("(#100) {}", message.as_ref()))
    }

    /// What is asked for is not there, or not for this token.
    pub(crate) fn missing(id: &str, verb: &str) -> Self {
        let text = format!(
            "Unsupported {verb} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation"
        );
        Self::new(100, 33, text)
    }

    /// A field that the node does not have.
    pub(crate) fn no_field(name: &str, node: &str) -> Self {
        Self::new(100, 0, format!("(#100) Tried accessing nonexisting field ({name}) on node type ({node})"))
    }

    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn transient(self) -> Self {
        Self { transient: true, ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let trace = crypto::token::<8>();
        let mut error = json!({
            "message": self.message, "type": "OAuthException", "code": self.code, "fbtrace_id": trace,
        });
        if self.subcode != 0 {
            error["error_subcode"] = json!(self.subcode);
        }
        if self.transient {
            error["is_transient"] = json!(true);
        }
        let mut response = web::json(self.status, &json!({ "error": error }));
        let value = HeaderValue::from_str(&trace).expect("a token is printable ASCII");
        response.headers_mut().insert(HeaderName::from_static("x-fb-trace-id"), value);
        response
    }
}

impl From<std::io::Error> for Refusal {
    fn from(problem: std::io::Error) -> Self {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        server_trouble()
    }
}

impl From<Problem> for Refusal {
    /// An access token that is refused.
    fn from(problem: Problem) -> Self {
        let text = |why: &str| format!("Error validating access token: {why}");
        match problem {
            Problem::ExpiredToken => Self::new(190, 463, text("Session has expired.")),
            Problem::RevokedToken => Self::new(190, 458, text("The user has not authorized application.")),
            Problem::UnknownClient => {
                Self::new(101, 0, "Error validating application. Cannot get application info.")
            }
            Problem::BadSecret => Self::new(1, 0, "Error validating client secret."),
            Problem::MissingCode => Self::new(100, 0, "(#100) Missing authorization code"),
            Problem::UnknownCode | Problem::OtherClient => {
                Self::new(100, 36_009, "This authorization code has been used.")
            }
            Problem::ExpiredCode => Self::new(100, 36_007, "This authorization code has expired."),
            Problem::RedirectMismatch => Self::new(
                100,
                36_008,
                "Error validating verification code. Please make sure your redirect_uri is identical to the one \
                 you used in the OAuth dialog request",
            ),
            Problem::TooYoung => Self::parameter("The access token is too young to be refreshed."),
            Problem::Unkept(problem) => problem.into(),
            _ => Self::new(190, 0, "Invalid OAuth access token - Cannot parse access token"),
        }
    }
}

fn server_trouble() -> Refusal {
    let text = "An unexpected error has occurred. Please retry your request later.";
    Refusal::new(2, 0, text).status(StatusCode::INTERNAL_SERVER_ERROR).transient()
}

/// The answer of servers that failed.
pub(crate) fn server_error() -> Response {
    server_trouble().into_response()
}

pub(crate) fn ok(body: &Value) -> Response {
    web::json(StatusCode::OK, body)
}

/// The token of a request: `Bearer`, `OAuth`, or `access_token` among the parameters.
pub(crate) fn secret(headers: &HeaderMap, params: &Params) -> Option<String> {
    let header = in_header(headers).map(str::to_owned);
    header.or_else(|| params.present("access_token"))
}

fn in_header(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    web::bearer(headers).or_else(|| value.strip_prefix("OAuth ").map(str::trim))
}

/// The token of a request, provided it lives.
pub(crate) fn holder(
    ctx: &Ctx,
    world: &World,
    network: Network,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Token, Refusal> {
    let missing = || {
        let text = "An active access token must be used to query information about the current user.";
        Refusal::new(2500, 0, text)
    };
    let secret = secret(headers, params).ok_or_else(missing)?;
    Ok(oauth::live(world, network, &secret, ctx.now_ms())?)
}

/// The account behind the tokens and codes a request may carry.
pub(crate) fn account_of(ctx: &Ctx, network: Network, parts: &Parts, body: &[u8]) -> Option<String> {
    let exchanged = || field(parts, body, "fb_exchange_token");
    let secret = in_header(&parts.headers).map(str::to_owned).or_else(exchanged);
    let named = |secret: String| {
        let world = ctx.world();
        world.docs.value(network, "token", &secret)?.get("account")?.as_str().map(str::to_owned)
    };
    secret.and_then(named).or_else(|| oauth::account_of(ctx, network, parts, body))
}

/// The names of `fields`, without what stands in braces or behind a point; `none` where the request names none.
pub(crate) fn fields(params: &Params, none: &str) -> Vec<String> {
    let text = params.present("fields").unwrap_or_else(|| none.to_owned());
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    for c in text.chars().chain([',']) {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            c if depth == 0 => name.push(c),
            _ => {}
        }
    }
    let bare = |name: String| name.split('.').next().unwrap_or_default().trim().to_owned();
    names.into_iter().map(bare).filter(|name| !name.is_empty()).collect()
}

/// A node with the fields asked for. A field that is null is left out, one that the node does not have is refused.
pub(crate) fn project(node: &Value, fields: &[String], kind: &str) -> Result<Value, Refusal> {
    let mut shown = Map::new();
    for name in fields {
        match node.get(name) {
            Some(Value::Null) => {}
            Some(value) => {
                shown.insert(name.clone(), value.clone());
            }
            None => return Err(Refusal::no_field(name, kind)),
        }
    }
    if let Some(id) = node.get("id") {
        shown.insert("id".to_owned(), id.clone());
    }
    Ok(Value::Object(shown))
}

/// One page of a list: at most `most` of the nodes, whatever is asked for. The address of the next page holds the token
/// of this one, as the real API answers it.
pub(crate) fn page(nodes: &[Value], params: &Params, most: usize, address: &str, secret: &str) -> Value {
    let asked = params.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(25);
    let size = asked.clamp(1, most);
    let begin =
        params.present("after").and_then(|cursor| cursor.strip_prefix("at-")?.parse().ok()).unwrap_or(0);
    let shown: Vec<&Value> = nodes.iter().skip(begin).take(size).collect();
    let end = begin + shown.len();
    let mut body = json!({ "data": shown });
    if !shown.is_empty() {
        body["paging"] =
            json!({ "cursors": { "before": format!("at-{begin}"), "after": format!("at-{end}") } });
        if end < nodes.len() {
            body["paging"]["next"] =
                json!(format!("{address}?access_token={secret}&limit={size}&after=at-{end}"));
        }
    }
    body
}

/// A time as Graph writes it.
pub(crate) fn time(ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// An id in Graph's shape, at most 17 digits, as one that grows.
pub(crate) fn short(id: u64) -> u64 {
    id % 100_000_000_000_000_000
}

/// How much is used: both headers, once enough calls were made.
pub(crate) fn usage(headers: &mut HeaderMap, verdict: Verdict, kind: &str, now_ms: i64) {
    let used = verdict.limit.saturating_sub(verdict.remaining);
    if used < 10 && verdict.allowed {
        return;
    }
    let percent = if verdict.allowed { used * 100 / verdict.limit.max(1) } else { 100 };
    let minutes =
        if verdict.allowed { 0 } else { (verdict.reset_ms - now_ms).max(0).unsigned_abs().div_ceil(60_000) };
    let app = json!({ "call_count": percent, "total_time": percent / 2, "total_cputime": percent / 2 });
    let mut business = json!({ "type": kind, "estimated_time_to_regain_access": minutes });
    for (name, value) in app.as_object().expect("the literal above is an object") {
        business[name] = value.clone();
    }
    let mut set = |name: &'static str, value: &Value| {
        let value = HeaderValue::from_str(&value.to_string()).expect("JSON of numbers is printable ASCII");
        headers.insert(HeaderName::from_static(name), value);
    };
    // What is used up is this account's share, not the app's.
    if verdict.allowed {
        set("x-app-usage", &app);
    }
    set("x-business-use-case-usage", &json!({ "1800000000000001": [business] }));
}

/// The refusal of a client that asked too much, which is a 400.
pub(crate) fn throttled(code: i64, of: &str) -> Response {
    let text =
        format!("(#{code}) There have been too many calls to this {of} account. Wait a bit and try again.");
    Refusal::new(code, 0, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_lose_what_stands_inside() {
        let text =
            "id,message,attachments{media_type,subattachments{target}},comments.summary(true).limit(0), from";
        let names = fields(&Params::default(), text);
        assert_eq!(names, ["id", "message", "attachments", "comments", "from"]);
    }

    #[test]
    fn a_field_that_is_not_there_is_refused_and_one_without_a_value_left_out() {
        let node = json!({ "id": "1", "message": "m", "link": null });
        let names = |text: &str| fields(&Params::default(), text);
        assert_eq!(
            project(&node, &names("message,link"), "Post").unwrap(),
            json!({ "id": "1", "message": "m" })
        );
        assert!(project(&node, &names("status"), "Post").is_err());
        assert_eq!(time(1_767_323_045_678), "2026-01-02T03:04:05+0000");
    }
}
