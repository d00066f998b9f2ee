//! What is there: lists of media and stories, single ones, comments, counts, deletion. Stories are in no list of media.

use axum::{
    Extension,
    extract::{Path, State},
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Container, NETWORK, Post, account_node, auth, container, covered, is_facebooks, own, post_of};
use crate::{
    accounts,
    docs::{Change, View, padded},
    ledger::Entry,
    networks::graph::{self, Answer, Refusal},
    params::Params,
    script::{NOW, Quirks},
    web::RequestId,
    world::{Ctx, World},
};

/// How long a story is shown.
const STORY_MS: i64 = 86_400_000;

/// `GET /{id}`: an account, a container, media or a comment.
pub(super) async fn show(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let token = graph::holder(&ctx, &ctx.world(), NETWORK, &headers, &params)?;
    if let Some(page) = auth::linked_page(&ctx, &token, &id, &params) {
        return page;
    }
    let world = ctx.world();
    if let Some(account) = accounts::with_id(&world, NETWORK, &id).filter(|it| it.handle == token.account) {
        let fields = graph::fields(&params, "id");
        return Ok(graph::ok(&graph::project(&account_node(&ctx, &account), &fields, "IGUser")?));
    }
    if let Some(found) = world.docs.get::<Container>(NETWORK, "container", &id) {
        if found.account != token.account {
            return Err(Refusal::missing(&id, "get"));
        }
        let fields = graph::fields(&params, "id,status_code");
        let node = container::node(&found, ctx.now_ms());
        return Ok(graph::ok(&graph::project(&node, &fields, "IGContainer")?));
    }
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let post = post_of(docs, &id).ok_or_else(|| Refusal::missing(&id, "get"))?;
    let fields = graph::fields(&params, "id");
    Ok(graph::ok(&graph::project(&node(&world, &post), &fields, "IGMedia")?))
}

/// Media or a comment as a node.
fn node(world: &World, post: &Post) -> Value {
    let counts = world.counts(NETWORK, &post.id).unwrap_or_default();
    if post.kind == "comment" {
        return json!({
            "id": post.id, "text": post.caption, "timestamp": graph::time(post.created_ms),
            "username": post.account, "like_count": counts.likes, "replies": { "data": [] },
        });
    }
    let film = post.items.iter().any(|item| item.file.is_video());
    let media_type = match (post.items.len(), film) {
        (2.., _) => "CAROUSEL_ALBUM",
        (_, true) => "VIDEO",
        _ => "IMAGE",
    };
    let product = match post.kind.as_str() {
        "reel" => "REELS",
        "story" => "STORY",
        _ => "FEED",
    };
    let path = if post.kind == "reel" { "reel" } else { "p" };
    let children = (post.items.len() > 1).then(|| {
        let ids = (0..post.items.len()).map(|n| json!({ "id": format!("{}{n}", post.id) }));
        json!({ "data": ids.collect::<Vec<_>>() })
    });
    json!({
        "id": post.id, "caption": Some(&post.caption).filter(|text| !text.is_empty()),
        "media_type": media_type, "media_product_type": product, "timestamp": graph::time(post.created_ms),
        "permalink": format!("https://www.instagram.com/{path}/{}/", post.id), "username": post.account,
        "like_count": counts.likes, "comments_count": counts.replies, "children": children,
    })
}

/// What an account shows, the newest first.
fn of_account<'d>(docs: View<'d>, handle: &str) -> impl Iterator<Item = Post> + use<'d> {
    let ids = docs.range::<String>(NETWORK, "post_of", &format!("{handle}|")).rev();
    ids.filter_map(move |(_, id)| post_of(docs, &id))
}

/// `GET /{user}/media`.
pub(super) async fn list(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let since_ms = params.number("since").unwrap_or(0) * 1000;
    listed(&ctx, &id, &headers, quirks, &params, "media", |post| {
        matches!(post.kind.as_str(), "post" | "reel") && post.created_ms >= since_ms
    })
}

/// `GET /{user}/stories`.
pub(super) async fn stories(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let end_ms = ctx.now_ms() - STORY_MS;
    listed(&ctx, &id, &headers, quirks, &params, "stories", |post| {
        post.kind == "story" && post.created_ms > end_ms
    })
}

fn listed(
    ctx: &Ctx,
    id: &str,
    headers: &HeaderMap,
    quirks: Quirks,
    params: &Params,
    edge: &str,
    is_shown: impl Fn(&Post) -> bool,
) -> Answer {
    let world = ctx.world();
    let (account, token) = own(ctx, &world, headers, params, id)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let fields = graph::fields(params, "id");
    let mut nodes = Vec::new();
    for post in of_account(docs, &account.handle).filter(is_shown).take(500) {
        nodes.push(graph::project(&node(&world, &post), &fields, "IGMedia")?);
    }
    let address = format!("{}/v26.0/{id}/{edge}", ctx.base(NETWORK));
    Ok(graph::ok(&graph::page(&nodes, params, 100, &address, &token.secret)))
}

/// `POST /{media}/comments`.
pub(super) async fn comment(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(RequestId(request)): Extension<RequestId>,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    covered(&token, "instagram_business_manage_comments", "instagram_manage_comments")?;
    let under = post_of(world.docs.at(NOW), &id).filter(|post| post.kind != "story");
    under.ok_or_else(|| Refusal::missing(&id, "post"))?;
    let text = params.present("message");
    let text = text.ok_or_else(|| Refusal::parameter("The parameter message is required"))?;
    if text.chars().count() > 300 {
        return Err(Refusal::parameter("Param message must be at most 300 characters"));
    }
    let n = world.next_id(NETWORK, ctx.now_ms());
    let post = Post {
        id: graph::short(n).to_string(),
        account: token.account.clone(),
        kind: "comment".to_owned(),
        caption: text,
        items: Vec::new(),
        created_ms: ctx.now_ms(),
        parent: Some(id.clone()),
    };
    let entry = Entry::new(NETWORK, "comment", &token.account, &post.id, &post.caption, request);
    let changes = vec![
        Change::put("post", &post.id, &post),
        Change::put("post_under", format!("{id}|{}", padded(n)), &post.id),
    ];
    world.show(NETWORK, changes, vec![entry.replying_to(&id)])?;
    Ok(graph::ok(&json!({ "id": post.id })))
}

/// `GET /{media}/comments`, the newest first.
pub(super) async fn comments(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    post_of(docs, &id).ok_or_else(|| Refusal::missing(&id, "get"))?;
    let fields = graph::fields(&params, "id,text,timestamp");
    let mut nodes = Vec::new();
    for (_, id) in docs.range::<String>(NETWORK, "post_under", &format!("{id}|")).rev() {
        if let Some(post) = post_of(docs, &id) {
            nodes.push(graph::project(&node(&world, &post), &fields, "IGComment")?);
        }
    }
    let address = format!("{}/v26.0/{id}/comments", ctx.base(NETWORK));
    Ok(graph::ok(&graph::page(&nodes, &params, 50, &address, &token.secret)))
}

/// `GET /{media}/insights`: a metric that does not fit the kind fails the whole call.
pub(super) async fn insights(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    covered(&token, "instagram_business_manage_insights", "instagram_manage_insights")?;
    let post = post_of(world.docs.at(NOW), &id).filter(|post| post.kind != "comment");
    let post = post.ok_or_else(|| Refusal::missing(&id, "get"))?;
    let counts = world.counts(NETWORK, &id).unwrap_or_default();
    let metrics = params.present("metric").unwrap_or_default();
    let mut data = Vec::new();
    for name in metrics.split(',').map(str::trim) {
        let value = match (name, post.kind.as_str()) {
            ("views" | "reach", _) => counts.likes * 10 + counts.replies,
            ("shares", _) => counts.reposts,
            ("replies" | "navigation" | "follows" | "profile_visits", "story")
            | ("comments", "post" | "reel") => counts.replies,
            ("likes", "post" | "reel") => counts.likes,
            ("saved", "post" | "reel") => 0,
            ("total_interactions", _) => counts.likes + counts.reposts + counts.replies,
            ("ig_reels_avg_watch_time", "reel") => 1000,
            _ => return Err(Refusal::parameter(format!("Incompatible metric {name} for this media"))),
        };
        data.push(json!({
            "name": name, "period": "lifetime", "values": [{ "value": value }], "title": name,
            "id": format!("{id}/insights/{name}/lifetime"),
        }));
    }
    Ok(graph::ok(&json!({ "data": data })))
}

/// `DELETE /{media}`: with Facebook's login alone. A comment goes with either.
pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = graph::holder(&ctx, &world, NETWORK, &headers, &params)?;
    let post = post_of(world.docs.at(NOW), &id).filter(|post| post.account == token.account);
    let post = post.ok_or_else(|| Refusal::missing(&id, "delete"))?;
    if !is_facebooks(&token) && post.kind != "comment" {
        return Err(Refusal::missing(&id, "delete"));
    }
    world.keep(NETWORK, vec![Change::remove("post", &id)])?;
    Ok(super::success())
}
