//! Consent, tokens and the one call that tells who came. Apps differ: the usual one has every product, another has only
//! "Sign In with LinkedIn" and "Share on LinkedIn"; asking for more than the app has fails the whole consent.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    NETWORK,
    rest::{Caller, Refused},
};
use crate::{
    accounts,
    docs::Change,
    oauth::{self, App, Dialect, Issued, Offline, Problem, Refresh},
    params::{Params, field},
    web,
    world::Ctx,
};

const DAY_MS: i64 = 86_400_000;

/// Scopes of the products that everybody gets.
const SHARE: &[&str] = &["openid", "profile", "email", "w_member_social"];

/// Scopes of the reviewed product "Community Management API" beside them.
const COMMUNITY: &[&str] = &[
    "w_organization_social",
    "r_organization_social",
    "rw_organization_admin",
    "r_organization_admin",
    "r_basicprofile",
];

/// An app without the reviewed product.
const SHARE_APP: &str = "sandbox-linkedin-share";

/// How long a token that was just made may still be unknown to the API, milliseconds.
const SETTLES_MS: i64 = 100;

static DIALECT: Dialect = Dialect {
    authorize_path: "/oauth/v2/authorization",
    code_ms: 30 * 60_000,
    access_ms: Some(60 * DAY_MS),
    refresh: Refresh::Fixed { ms: Some(365 * DAY_MS) },
    offline: Offline::Scope("w_organization_social"),
    scope_separator: ',',
    refresh_prefix: "AQ",
    access_prefix: "AQX",
    denied: &[
        ("error", "user_cancelled_authorize"),
        ("error_description", "The user cancelled the authorization"),
    ],
    ..Dialect::of(NETWORK)
};

pub(super) fn share_app() -> Change {
    let app = App {
        client_id: SHARE_APP.to_owned(),
        client_secret: "WPL_AP1.share.secret==".to_owned(),
        name: "Postmesh".to_owned(),
        redirect_uris: Vec::new(),
    };
    Change::put("app", SHARE_APP, &app)
}

/// The subject of a member as one app sees it: letters and digits.
pub(super) fn subject(id: u64) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (mut text, mut left) = (String::new(), id);
    while left > 0 {
        text.insert(0, DIGITS[(left % 62) as usize] as char);
        left /= 62;
    }
    text
}

/// The consent page; an app that asks for more than it has is sent back before it.
pub(super) fn page(ctx: &Ctx) -> MethodRouter<Ctx> {
    oauth::page(&DIALECT).route_layer(from_fn_with_state(ctx.clone(), within_products))
}

async fn within_products(State(ctx): State<Ctx>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, 1 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let asked = |name: &str| field(&parts, &bytes, name).unwrap_or_default();
    let client_id = asked("client_id");
    let is_known = oauth::app(&ctx.world(), NETWORK, &client_id).is_some();
    let has = |scope: &str| SHARE.contains(&scope) || (client_id != SHARE_APP && COMMUNITY.contains(&scope));
    let scope = asked("scope");
    let beyond = scope.split([' ', ',']).filter(|scope| !scope.is_empty()).find(|scope| !has(scope));
    if let (true, Some(beyond), Ok(mut back)) = (is_known, beyond, Url::parse(&asked("redirect_uri"))) {
        let text = format!("Scope \"{beyond}\" is not authorized for your application");
        back.query_pairs_mut()
            .append_pair("error", "unauthorized_scope_error")
            .append_pair("error_description", &text)
            .append_pair("state", &asked("state"));
        let location = HeaderValue::from_str(back.as_str()).expect("a parsed URL is printable ASCII");
        return (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    }
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

pub(super) async fn token(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let app = match oauth::client(&world, &DIALECT, &headers, &params) {
        Ok(app) => app,
        Err(problem) => return refused(&problem),
    };
    let issued = match params.text("grant_type").as_deref() {
        Some("authorization_code") => oauth::exchange(&ctx, &mut world, &DIALECT, &app, &params),
        Some("refresh_token") => {
            let token = params.text("refresh_token").unwrap_or_default();
            oauth::refresh(&ctx, &mut world, &DIALECT, &app, &token)
        }
        _ => Err(Problem::MissingCode),
    };
    match issued {
        Ok(issued) => {
            let mut response = web::json(StatusCode::OK, &tokens(&issued));
            issued.mark(&mut response);
            response
        }
        Err(problem) => refused(&problem),
    }
}

fn tokens(issued: &Issued) -> Value {
    let mut body = json!({
        "access_token": issued.access_token,
        "expires_in": issued.expires_in,
        "scope": issued.scope(&DIALECT),
        "token_type": "Bearer",
    });
    if let Some(refresh_token) = &issued.refresh_token {
        body["refresh_token"] = json!(refresh_token);
        body["refresh_token_expires_in"] = json!(issued.refresh_expires_in);
    }
    body
}

fn refused(problem: &Problem) -> Response {
    let (status, error, text) = match problem {
        Problem::UnknownClient | Problem::BadSecret => {
            (StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed")
        }
        Problem::UnknownRefresh
        | Problem::UsedRefresh
        | Problem::ExpiredRefresh
        | Problem::RevokedRefresh => (
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The provided authorization grant or refresh token is invalid, expired or revoked.",
        ),
        Problem::Unkept(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Internal Server Error"),
        _ => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. \
             Or authorization code expired. Or external member binding exists",
        ),
    };
    web::json(status, &json!({"error": error, "error_description": text}))
}

pub(super) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    if let Err(problem) = oauth::client(&world, &DIALECT, &headers, &params) {
        return refused(&problem);
    }
    let token = params.text("token").unwrap_or_default();
    match oauth::revoke(&mut world, NETWORK, &token) {
        Ok(_) => StatusCode::OK.into_response(),
        Err(problem) => refused(&problem),
    }
}

pub(super) async fn userinfo(State(ctx): State<Ctx>, headers: HeaderMap) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = settled(&ctx, Caller::of(&ctx, &world, &headers)?)?;
    if !caller.token.covers("openid") {
        return Err(Refused::denied("userinfo.GET.NO_VERSION"));
    }
    let account = accounts::named(&world, NETWORK, &caller.token.account).ok_or(Problem::UnknownToken)?;
    let mut body = json!({"sub": account.id});
    if caller.token.covers("profile") {
        body["name"] = json!(account.display_name);
        body["given_name"] = json!(account.display_name);
        body["family_name"] = json!("");
        body["locale"] = json!({"country": "US", "language": "en"});
    }
    if caller.token.covers("email") {
        body["email"] = json!(format!("{}@example.com", account.handle));
        body["email_verified"] = json!(true);
    }
    Ok(web::json(StatusCode::OK, &body))
}

/// A token takes a moment until every machine knows it; until then it looks revoked.
pub(super) fn settled(ctx: &Ctx, caller: Caller) -> Result<Caller, Refused> {
    if ctx.now_ms() - caller.token.created_ms < SETTLES_MS {
        return Err(Problem::RevokedToken.into());
    }
    Ok(caller)
}
