//! What can be read: the account, a subreddit's rules, listings, and what became of posts.

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    Answer, NETWORK, Refusal, holder,
    posts::{self, Post, Subreddit},
    rules::Rules,
};
use crate::{accounts, params::Params, script::Quirks, web, world::Ctx};

pub(super) async fn me(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &headers, "identity", ctx.now_ms())?;
    let account = accounts::named(&world, NETWORK, &token.account);
    let account = account.ok_or(Refusal::Http(StatusCode::UNAUTHORIZED, "Unauthorized", None))?;
    let icon = "https://styles.redditmedia.com/t5_x/styles/profileIcon.png?width=256&s=0";
    Ok(web::json(
        StatusCode::OK,
        &json!({
            "id": account.id, "name": account.handle, "icon_img": icon, "is_suspended": false, "verified": true,
            "has_verified_email": true, "link_karma": 100, "comment_karma": 100,
            "created_utc": (account.created_ms / 1000) as f64,
            "subreddit": {"display_name": format!("u_{}", account.handle), "title": account.display_name},
        }),
    ))
}

/// A subreddit that the caller may see, by a token that covers a scope.
fn seen(ctx: &Ctx, headers: &HeaderMap, scope: &str, name: &str) -> Result<(String, Subreddit), Refusal> {
    let token = holder(&ctx.world(), headers, scope, ctx.now_ms())?;
    let found = posts::subreddit(name, &token.account);
    let found = found.ok_or(Refusal::Http(StatusCode::NOT_FOUND, "Not Found", None))?;
    if found.1.is_open {
        Ok(found)
    } else {
        Err(Refusal::Http(StatusCode::FORBIDDEN, "Forbidden", Some("private")))
    }
}

pub(super) async fn requirements(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let (_, subreddit) = seen(&ctx, &headers, "submit", &name)?;
    Ok(web::json(StatusCode::OK, &subreddit.rules.told()))
}

pub(super) async fn about(State(ctx): State<Ctx>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let (name, subreddit) = seen(&ctx, &headers, "read", &name)?;
    let data = json!({
        "display_name": name, "submission_type": subreddit.takes, "allow_images": subreddit.media,
        "allow_videos": subreddit.media, "allow_galleries": subreddit.media, "over18": false,
        "subreddit_type": "public", "user_is_banned": false,
    });
    Ok(web::json(StatusCode::OK, &json!({"kind": "t5", "data": data})))
}

pub(super) async fn flairs(State(ctx): State<Ctx>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    seen(&ctx, &headers, "flair", &name)?;
    Ok(web::json(StatusCode::OK, &Rules::flairs()))
}

pub(super) async fn submitted(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    listing(&ctx, &headers, &params, quirks, &name, "post_of")
}

pub(super) async fn comments(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    listing(&ctx, &headers, &params, quirks, &name, "post_comment_of")
}

/// What an account made, the newest first; `after` is the fullname of the last one of the page before.
fn listing(
    ctx: &Ctx,
    headers: &HeaderMap,
    params: &Params,
    quirks: Quirks,
    name: &str,
    index: &str,
) -> Answer {
    let world = ctx.world();
    let now_ms = ctx.now_ms();
    holder(&world, headers, "history", now_ms)?;
    let as_of = quirks.as_of(now_ms);
    let docs = world.docs.at(as_of);
    let names: Vec<String> =
        docs.range::<String>(NETWORK, index, &format!("{name}|")).rev().map(|(_, name)| name).collect();
    let all = names.iter().filter_map(|name| docs.get::<Post>(NETWORK, "post", name));
    let all: Vec<_> = all.filter(|post| post.listed_ms <= as_of.min(now_ms)).collect();
    let after = params.present("after");
    let from =
        after.and_then(|after| all.iter().position(|post| post.name() == after)).map_or(0, |at| at + 1);
    let limit = params.number("limit").map_or(25, |limit| limit.clamp(1, 100)) as usize;
    let page: Vec<_> = all.iter().skip(from).take(limit).collect();
    let more = from + page.len() < all.len();
    let after = page.last().filter(|_| more).map(|post| post.name());
    let raw = params.text("raw_json").as_deref() == Some("1");
    let children: Vec<_> = page
        .iter()
        .map(|post| post.child(ctx, world.counts(NETWORK, &post.name()).unwrap_or_default(), raw))
        .collect();
    Ok(listed(&children, after.as_deref()))
}

fn listed(children: &[Value], after: Option<&str>) -> Response {
    let data = json!({"after": after, "dist": children.len(), "children": children});
    web::json(StatusCode::OK, &json!({"kind": "Listing", "data": data}))
}

/// Deleted posts are among them, without author and text.
pub(super) async fn info(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let world = ctx.world();
    holder(&world, &headers, "read", ctx.now_ms())?;
    let raw = params.text("raw_json").as_deref() == Some("1");
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let ids = params.text("id").unwrap_or_default();
    let found = ids.split(',').take(100).filter_map(|name| {
        let post: Post = docs.get(NETWORK, "post", name).or_else(|| world.docs.get(NETWORK, "gone", name))?;
        Some(post.child(&ctx, world.counts(NETWORK, name).unwrap_or_default(), raw))
    });
    Ok(listed(&found.collect::<Vec<_>>(), None))
}
