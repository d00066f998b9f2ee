//! The login: code, short and long tokens of a person, what was granted, and the Pages with a token of each. A Page's
//! token taken with a long-lived one has no end of its own; taken with a short one it ends with it.

use serde_json::{Value, json};

use super::{NETWORK, Page, graph};
use crate::{
    accounts,
    docs::Change,
    networks::graph::{Answer, Ask},
    oauth::{self, Dialect, Problem, Token},
    world::{Ctx, World},
};

pub(super) static DIALECT: Dialect = Dialect {
    authorize_path: "/v26.0/dialog/oauth",
    access_ms: Some(5_400_000),
    scopes: &[
        "public_profile",
        "email",
        "pages_show_list",
        "pages_manage_posts",
        "pages_read_engagement",
        "pages_manage_engagement",
        "pages_read_user_content",
        "pages_manage_metadata",
        "read_insights",
        "business_management",
        "publish_video",
    ],
    scope_separator: ',',
    access_prefix: "EAA",
    denied: &[
        ("error", "access_denied"),
        ("error_reason", "user_denied"),
        ("error_description", "Permissions error"),
    ],
    ..Dialect::of(NETWORK)
};

/// A long-lived token's life, milliseconds.
const LONG_MS: i64 = 5_183_944_000;

/// A code becomes a short token, a short token a long one. An expired token cannot be exchanged.
pub(super) async fn access_token(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let app = oauth::client(&world, &DIALECT, &ask.headers, &ask.params)?;
    let issued = if ask.params.text("grant_type").as_deref() == Some("fb_exchange_token") {
        let secret = ask.params.present("fb_exchange_token").unwrap_or_default();
        let token = oauth::live(&world, NETWORK, &secret, ask.now_ms())?;
        if token.client_id != app.client_id {
            return Err(Problem::UnknownToken.into());
        }
        oauth::renew(&ask.ctx, &mut world, &DIALECT, &secret, 0, Some(LONG_MS))?
    } else {
        oauth::exchange(&ask.ctx, &mut world, &DIALECT, &app, &ask.params)?
    };
    Ok(graph::issued(&issued, None))
}

/// Who a token is: a person, or a Page.
pub(super) async fn me(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let node = if let Some(page) = super::acts_for(&world, &token) {
        shown(&ask.ctx, &page, None)
    } else {
        let person = accounts::named(&world, NETWORK, &token.account).ok_or(Problem::UnknownToken)?;
        json!({ "id": person.id, "name": person.display_name, "picture": picture(&ask.ctx) })
    };
    ask.node(&node, "id,name", "User")
}

pub(super) async fn permissions(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let granted = token.scopes.iter().map(String::as_str).chain(["public_profile"]);
    let data = granted.map(|scope| json!({ "permission": scope, "status": "granted" }));
    Ok(graph::ok(&json!({ "data": data.collect::<Vec<Value>>() })))
}

/// The whole grant ends, with every token of every Page that came from it.
pub(super) async fn deauthorize(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    oauth::revoke(&mut world, NETWORK, &token.secret)?;
    Ok(graph::success())
}

pub(super) async fn accounts(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    super::covered(&token, &["pages_show_list"])?;
    let own: Vec<Page> = world
        .docs
        .all::<Page>(NETWORK, "page")
        .map(|(_, page)| page)
        .filter(|page| page.owner == token.account)
        .collect();
    let mut nodes = Vec::new();
    for page in own {
        let wanted = ask.params.present("fields").is_none() || ask.wants("access_token");
        let secret = if wanted { Some(page_token(&ask.ctx, &mut world, &token, &page)?) } else { None };
        nodes.push(shown(&ask.ctx, &page, secret.as_deref()));
    }
    ask.list((&token, NETWORK), nodes.into_iter(), ("id,name,access_token,tasks", "Page"), 2)
}

pub(super) async fn debug_token(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let ours = ask.params.present("access_token").unwrap_or_default();
    let (id, secret) = ours.split_once('|').ok_or(Problem::BadSecret)?;
    let app = oauth::app(&world, NETWORK, id).ok_or(Problem::UnknownClient)?;
    if app.client_secret != secret {
        return Err(Problem::BadSecret.into());
    }
    let input = ask.params.present("input_token").unwrap_or_default();
    let data = match oauth::live(&world, NETWORK, &input, ask.now_ms()) {
        Ok(token) => json!({
            "app_id": token.client_id, "is_valid": true, "scopes": token.scopes,
            "type": if super::acts_for(&world, &token).is_some() { "PAGE" } else { "USER" },
            "expires_at": token.expires_ms.map_or(0, |ms| ms / 1000),
            "data_access_expires_at": (token.created_ms + 7_776_000_000) / 1000,
        }),
        Err(problem) => {
            json!({ "is_valid": false, "error": { "code": 190, "message": problem.to_string() } })
        }
    };
    Ok(graph::ok(&json!({ "data": data })))
}

/// A further token of the same grant, for one Page.
pub(super) fn page_token(
    ctx: &Ctx,
    world: &mut World,
    person: &Token,
    page: &Page,
) -> Result<String, Problem> {
    let life = person.expires_ms.map(|end| end - person.created_ms);
    let left = person.expires_ms.map(|end| end - ctx.now_ms());
    let ms = if life.is_some_and(|life| life <= 86_400_000) { left } else { None };
    let issued = oauth::renew(ctx, world, &DIALECT, &person.secret, 0, ms)?;
    world.keep(NETWORK, vec![Change::put("page_token", &issued.access_token, &page.id)])?;
    Ok(issued.access_token)
}

/// A Page as a node; its token only where there is one to show.
pub(super) fn shown(ctx: &Ctx, page: &Page, token: Option<&str>) -> Value {
    json!({
        "id": page.id, "name": page.name, "username": page.username, "tasks": page.tasks,
        "category": "Community", "access_token": token, "picture": picture(ctx),
        "link": format!("https://www.facebook.com/{}", page.id),
    })
}

fn picture(ctx: &Ctx) -> Value {
    json!({ "data": { "url": format!("{}/_sandbox/picture", ctx.public_url), "is_silhouette": true } })
}
