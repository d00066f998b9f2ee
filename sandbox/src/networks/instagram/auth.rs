//! Both logins. Instagram's gives a token of an hour for a code, which becomes one of sixty days, which renews itself
//! once it is a day old. Facebook's gives a person's token and Pages, of which one is linked to the account.

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{NETWORK, account_node, is_facebooks};
use crate::{
    accounts::{self, Account},
    docs::Change,
    networks::graph::{self, Answer, Refusal},
    oauth::{self, Dialect, Issued, Problem, Token},
    params::Params,
    web,
    world::Ctx,
};

/// Instagram's own login.
pub(super) static OWN: Dialect = Dialect {
    authorize_path: "/oauth/authorize",
    code_ms: 3_600_000,
    scopes: &[
        "instagram_business_basic",
        "instagram_business_content_publish",
        "instagram_business_manage_comments",
        "instagram_business_manage_insights",
        "instagram_business_manage_messages",
    ],
    scope_separator: ',',
    access_prefix: "IGAA",
    denied: DENIED,
    suffix: "#_",
    ..Dialect::of(NETWORK)
};

/// Facebook's login.
pub(super) static FACEBOOK: Dialect = Dialect {
    authorize_path: "/v26.0/dialog/oauth",
    access_ms: Some(5_400_000),
    scopes: &[
        "public_profile",
        "instagram_basic",
        "instagram_content_publish",
        "instagram_manage_comments",
        "instagram_manage_insights",
        "pages_show_list",
        "pages_read_engagement",
        "business_management",
    ],
    scope_separator: ',',
    access_prefix: "EAA",
    denied: DENIED,
    ..Dialect::of(NETWORK)
};

const DENIED: &[(&str, &str)] = &[
    ("error", "access_denied"),
    ("error_reason", "user_denied"),
    ("error_description", "The user denied your request"),
];

/// A long-lived token's life, milliseconds.
const LONG_MS: i64 = 5_183_944_000;
/// How old a token must be to renew itself.
const LEAST_AGE_MS: i64 = 86_400_000;

/// `POST /oauth/access_token` of `api.instagram.com`; its refusals have a form of their own.
pub(super) async fn code(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let issued = oauth::client(&world, &OWN, &headers, &params)
        .and_then(|app| oauth::exchange(&ctx, &mut world, &OWN, &app, &params));
    let issued = match issued {
        Ok(issued) => issued,
        Err(problem) => {
            let text = match problem {
                Problem::UnknownClient | Problem::BadSecret => "Invalid platform app",
                Problem::RedirectMismatch => {
                    "Error validating verification code. Please make sure your redirect_uri is identical to the one \
                     you used in the OAuth dialog request"
                }
                _ => "Matching code was not found or was already used",
            };
            let body = json!({ "error_type": "OAuthException", "code": 400, "error_message": text });
            return web::json(StatusCode::BAD_REQUEST, &body);
        }
    };
    let account = accounts::named(&world, NETWORK, &issued.account);
    let id = account.map(|account| account.id).unwrap_or_default();
    let body = if issued.account.starts_with("flat") {
        let id: u64 = id.parse().unwrap_or_default();
        json!({ "access_token": issued.access_token, "user_id": id, "permissions": issued.scopes })
    } else {
        let permissions = issued.scope(&OWN);
        json!({ "data": [{ "access_token": issued.access_token, "user_id": id, "permissions": permissions }] })
    };
    let mut response = graph::ok(&body);
    issued.mark(&mut response);
    response
}

/// `GET /access_token`: the secret of the app, and a token that lives.
pub(super) async fn long_lived(State(ctx): State<Ctx>, params: Params) -> Answer {
    let mut world = ctx.world();
    let secret = params.present("access_token").unwrap_or_default();
    let token = oauth::live(&world, NETWORK, &secret, ctx.now_ms())?;
    let app = oauth::app(&world, NETWORK, &token.client_id).ok_or(Problem::UnknownClient)?;
    if params.text("client_secret").as_deref() != Some(app.client_secret.as_str()) {
        return Err(Problem::BadSecret.into());
    }
    if params.text("grant_type").as_deref() != Some("ig_exchange_token") || is_facebooks(&token) {
        return Err(Refusal::parameter("Unsupported grant_type"));
    }
    let issued = oauth::renew(&ctx, &mut world, &OWN, &secret, 0, Some(LONG_MS))?;
    Ok(answer(&issued, false))
}

/// `GET /refresh_access_token`.
pub(super) async fn refresh(State(ctx): State<Ctx>, params: Params) -> Answer {
    let mut world = ctx.world();
    let secret = params.present("access_token").unwrap_or_default();
    let token = oauth::live(&world, NETWORK, &secret, ctx.now_ms())?;
    if params.text("grant_type").as_deref() != Some("ig_refresh_token") || is_facebooks(&token) {
        return Err(Refusal::parameter("Unsupported grant_type"));
    }
    if !token.covers("instagram_business_basic") {
        return Err(Refusal::new(10, 0, "(#10) Application does not have permission for this action"));
    }
    let issued = oauth::renew(&ctx, &mut world, &OWN, &secret, LEAST_AGE_MS, Some(LONG_MS))?;
    Ok(answer(&issued, true))
}

fn answer(issued: &Issued, permissions: bool) -> Response {
    let mut body = json!({
        "access_token": issued.access_token, "token_type": "bearer", "expires_in": issued.expires_in,
    });
    if permissions {
        body["permissions"] = json!(issued.scope(&OWN));
    }
    let mut response = graph::ok(&body);
    issued.mark(&mut response);
    response
}

/// Facebook's login: a code, or a short token for a long one.
pub(super) async fn facebook(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let app = oauth::client(&world, &FACEBOOK, &headers, &params)?;
    let issued = match params.present("fb_exchange_token") {
        Some(short) => oauth::renew(&ctx, &mut world, &FACEBOOK, &short, 0, Some(LONG_MS))?,
        None => oauth::exchange(&ctx, &mut world, &FACEBOOK, &app, &params)?,
    };
    Ok(answer(&issued, false))
}

/// Who a token is. With Instagram's login `id` is the app's name for the account, and `user_id` its own.
pub(super) async fn me(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    let (node, kind) = if is_facebooks(&token) {
        (json!({ "id": format!("{}0", account.id), "name": account.display_name }), "User")
    } else {
        let mut node = account_node(&ctx, &account);
        node["id"] = json!(format!("{}9", account.id));
        (node, "IGUser")
    };
    Ok(graph::ok(&graph::project(&node, &graph::fields(&params, "id"), kind)?))
}

pub(super) async fn permissions(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    facebooks(&token, "permissions")?;
    let data = token.scopes.iter().map(|scope| json!({ "permission": scope, "status": "granted" }));
    Ok(graph::ok(&json!({ "data": data.collect::<Vec<Value>>() })))
}

pub(super) async fn deauthorize(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    facebooks(&token, "permissions")?;
    oauth::revoke(&mut world, NETWORK, &token.secret)?;
    Ok(super::success())
}

/// What Instagram's own host does not have.
fn facebooks(token: &Token, edge: &str) -> Result<(), Refusal> {
    if is_facebooks(token) { Ok(()) } else { Err(Refusal::no_field(edge, "IGUser")) }
}

/// `GET /me/accounts`: a Page that is linked to no account, and one that is.
pub(super) async fn pages(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    facebooks(&token, "accounts")?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    let fields = graph::fields(&params, "id,name,access_token,tasks");
    let mut nodes = Vec::new();
    for linked in [false, true] {
        let secret = if linked {
            Some(oauth::renew(&ctx, &mut world, &FACEBOOK, &token.secret, 0, None)?.access_token)
        } else {
            None
        };
        let node = page_node(&ctx, &account, linked, secret.as_deref());
        if let Some(secret) = node["access_token"].as_str() {
            world.keep(NETWORK, vec![Change::put("page_token", secret, &node["id"])])?;
        }
        nodes.push(graph::project(&node, &fields, "Page")?);
    }
    let address = format!("{}/v26.0/me/accounts", ctx.base(NETWORK));
    Ok(graph::ok(&graph::page(&nodes, &params, 1, &address, &token.secret)))
}

/// The Page that is linked to an account, or the one that is not.
fn page_node(ctx: &Ctx, account: &Account, linked: bool, token: Option<&str>) -> Value {
    let (n, name) = if linked { (8, "Page") } else { (7, "Unlinked") };
    json!({
        "id": format!("{}{n}", account.id), "name": format!("{} {name}", account.display_name),
        "access_token": token, "tasks": if linked { json!(["MANAGE", "CREATE_CONTENT"]) } else { json!(["ANALYZE"]) },
        "instagram_business_account": linked.then(|| account_node(ctx, account)),
    })
}

/// The linked Page as a node, with a further token; `None` where the address names something else.
pub(super) fn linked_page(ctx: &Ctx, token: &Token, id: &str, params: &Params) -> Option<Answer> {
    let mut world = ctx.world();
    let account = accounts::named(&world, NETWORK, &token.account)?;
    if !is_facebooks(token) || id != format!("{}8", account.id) {
        return None;
    }
    let secret = match oauth::renew(ctx, &mut world, &FACEBOOK, &token.secret, 0, None) {
        Ok(issued) => issued.access_token,
        Err(problem) => return Some(Err(problem.into())),
    };
    let node = page_node(ctx, &account, true, Some(&secret));
    Some(graph::project(&node, &graph::fields(params, "id,name"), "Page").map(|node| graph::ok(&node)))
}
