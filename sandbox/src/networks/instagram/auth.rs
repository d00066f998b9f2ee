//! Both logins. Instagram's gives a token of an hour for a code, which becomes one of sixty days, which renews itself
//! once it is a day old. Facebook's gives a person's token and Pages, of which one is linked to the account.

use axum::response::Response;
use serde_json::{Value, json};

use super::{NETWORK, account_node, forbidden, is_facebooks};
use crate::{
    accounts::{self, Account},
    docs::Change,
    networks::graph::{self, Answer, Ask, Refusal},
    oauth::{self, Dialect, Problem, Token},
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

/// `POST /oauth/access_token` of `api.instagram.com`; its refusals have a form of their own.
pub(super) async fn code(ask: Ask) -> Response {
    let mut world = ask.ctx.world();
    let issued = oauth::client(&world, &OWN, &ask.headers, &ask.params)
        .and_then(|app| oauth::exchange(&ask.ctx, &mut world, &OWN, &app, &ask.params));
    let issued = match issued {
        Ok(issued) => issued,
        Err(problem) => return graph::code_refused(&problem),
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

/// `GET /access_token`.
pub(super) async fn long_lived(ask: Ask) -> Answer {
    renewing(&ask)?;
    Ok(graph::issued(&graph::lengthened(&ask, &OWN, "ig_exchange_token", LONG_MS)?, None))
}

/// `GET /refresh_access_token`.
pub(super) async fn refresh(ask: Ask) -> Answer {
    if !renewing(&ask)?.covers("instagram_business_basic") {
        return Err(forbidden());
    }
    let issued = graph::renewed(&ask, &OWN, "ig_refresh_token", LONG_MS)?;
    Ok(graph::issued(&issued, Some(issued.scope(&OWN))))
}

/// The token of Instagram's own login; Facebook's do not renew themselves.
fn renewing(ask: &Ask) -> Result<Token, Refusal> {
    let token = ask.token(&ask.ctx.world(), NETWORK)?;
    if is_facebooks(&token) { Err(Refusal::parameter("Unsupported grant_type")) } else { Ok(token) }
}

/// Facebook's login: a code, or a short token for a long one.
pub(super) async fn facebook(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let app = oauth::client(&world, &FACEBOOK, &ask.headers, &ask.params)?;
    let issued = match ask.params.present("fb_exchange_token") {
        Some(short) => oauth::renew(&ask.ctx, &mut world, &FACEBOOK, &short, 0, Some(LONG_MS))?,
        None => oauth::exchange(&ask.ctx, &mut world, &FACEBOOK, &app, &ask.params)?,
    };
    Ok(graph::issued(&issued, None))
}

/// Who a token is. With Instagram's login `id` is the app's name for the account, and `user_id` its own.
pub(super) async fn me(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    let (node, kind) = if is_facebooks(&token) {
        (json!({ "id": format!("{}0", account.id), "name": account.display_name }), "User")
    } else {
        let mut node = account_node(&ask.ctx, &account);
        node["id"] = json!(format!("{}9", account.id));
        (node, "IGUser")
    };
    ask.node(&node, "id", kind)
}

pub(super) async fn permissions(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    facebooks(&token, "permissions")?;
    let data = token.scopes.iter().map(|scope| json!({ "permission": scope, "status": "granted" }));
    Ok(graph::ok(&json!({ "data": data.collect::<Vec<Value>>() })))
}

pub(super) async fn deauthorize(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    facebooks(&token, "permissions")?;
    oauth::revoke(&mut world, NETWORK, &token.secret)?;
    Ok(graph::success())
}

/// What Instagram's own host does not have.
fn facebooks(token: &Token, edge: &str) -> Result<(), Refusal> {
    if is_facebooks(token) { Ok(()) } else { Err(Refusal::no_field(edge, "IGUser")) }
}

/// `GET /me/accounts`: a Page that is linked to no account, and one that is.
pub(super) async fn pages(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    facebooks(&token, "accounts")?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    let mut nodes = Vec::new();
    for linked in [false, true] {
        let secret = if linked {
            Some(oauth::renew(&ask.ctx, &mut world, &FACEBOOK, &token.secret, 0, None)?.access_token)
        } else {
            None
        };
        let node = page_node(&ask.ctx, &account, linked, secret.as_deref());
        if let Some(secret) = node["access_token"].as_str() {
            world.keep(NETWORK, vec![Change::put("page_token", secret, &node["id"])])?;
        }
        nodes.push(node);
    }
    ask.list((&token, NETWORK), nodes.into_iter(), ("id,name,access_token,tasks", "Page"), 1)
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
pub(super) fn linked_page(ask: &Ask, token: &Token) -> Result<Option<Value>, Refusal> {
    let mut world = ask.ctx.world();
    let account = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
    if !is_facebooks(token) || ask.id != format!("{}8", account.id) {
        return Ok(None);
    }
    let issued = oauth::renew(&ask.ctx, &mut world, &FACEBOOK, &token.secret, 0, None)?;
    Ok(Some(page_node(&ask.ctx, &account, true, Some(&issued.access_token))))
}
