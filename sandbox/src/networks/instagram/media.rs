//! What is there: lists of media and stories, single ones, comments, counts, deletion. Stories are in no list of media.

use serde_json::{Value, json};

use super::{Container, NETWORK, Post, account_node, auth, container, covered, is_facebooks, own, post_of};
use crate::{
    accounts,
    docs::{Change, View, padded},
    ledger::Entry,
    networks::graph::{self, Answer, Ask, Refusal},
    oauth::Token,
    script::NOW,
    world::World,
};

/// How long a story is shown.
const STORY_MS: i64 = 86_400_000;

/// `GET /{id}`: an account, a container, media or a comment.
pub(super) async fn show(ask: Ask) -> Answer {
    let token = ask.token(&ask.ctx.world(), NETWORK)?;
    if let Some(page) = auth::linked_page(&ask, &token)? {
        return ask.node(&page, "id,name", "Page");
    }
    let world = ask.ctx.world();
    let account = accounts::with_id(&world, NETWORK, &ask.id);
    if let Some(account) = account.filter(|account| account.handle == token.account) {
        return ask.node(&account_node(&ask.ctx, &account), "id", "IGUser");
    }
    let missing = || Refusal::missing(&ask.id, "get");
    if let Some(found) = world.docs.get::<Container>(NETWORK, "container", &ask.id) {
        if found.account != token.account {
            return Err(missing());
        }
        return ask.node(&container::node(&found, ask.now_ms()), "id,status_code", "IGContainer");
    }
    let post = post_of(ask.docs(&world), &ask.id).ok_or_else(missing)?;
    ask.node(&node(&ask, &world, &post, &token), "id", "IGMedia")
}

/// Media or a comment as a node.
fn node(ask: &Ask, world: &World, post: &Post, viewer: &Token) -> Value {
    let counts = world.counts(NETWORK, &post.id).unwrap_or_default();
    if post.kind == "comment" {
        let author = accounts::named(world, NETWORK, &post.account).map(|account| account.id);
        let is_own = post.account == viewer.account;
        return json!({
            "id": post.id, "text": shown(post), "timestamp": graph::time(post.created_ms),
            "user": is_own.then(|| json!({ "id": author })), "username": (!is_own).then_some(&post.account),
            "like_count": counts.likes, "replies": { "data": [] },
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
    let children = (post.items.len() > 1).then(|| {
        let ids = (0..post.items.len()).map(|n| json!({ "id": format!("{}{n}", post.id) }));
        json!({ "data": ids.collect::<Vec<_>>() })
    });
    json!({
        "id": post.id, "caption": Some(shown(post)).filter(|text| !text.is_empty()),
        "media_type": media_type, "media_product_type": product, "timestamp": graph::time(post.created_ms),
        "permalink": graph::permalink(&ask.ctx, NETWORK, &post.id), "shortcode": post.id, "username": post.account,
        "like_count": counts.likes, "comments_count": counts.replies, "children": children,
    })
}

/// A text as it is shown.
fn shown(post: &Post) -> String {
    if !post.account.starts_with("terse") {
        return post.caption.clone();
    }
    post.caption.replace('@', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What an account shows, the newest first.
fn of_account<'d>(docs: View<'d>, handle: &str) -> impl Iterator<Item = Post> + use<'d> {
    let ids = docs.range::<String>(NETWORK, "post_of", &format!("{handle}|")).rev();
    ids.filter_map(move |(_, id)| post_of(docs, &id))
}

/// `GET /{user}/media`.
pub(super) async fn list(ask: Ask) -> Answer {
    let since_ms = ask.params.number("since").unwrap_or(0) * 1000;
    listed(&ask, |post| matches!(post.kind.as_str(), "post" | "reel") && post.created_ms >= since_ms)
}

/// `GET /{user}/stories`.
pub(super) async fn stories(ask: Ask) -> Answer {
    let end_ms = ask.now_ms() - STORY_MS;
    listed(&ask, |post| post.kind == "story" && post.created_ms > end_ms)
}

fn listed(ask: &Ask, is_shown: impl Fn(&Post) -> bool) -> Answer {
    let world = ask.ctx.world();
    let (account, token) = own(ask, &world)?;
    let posts = of_account(ask.docs(&world), &account.handle).filter(is_shown).take(500);
    let nodes = posts.map(|post| node(ask, &world, &post, &token));
    ask.list((&token, NETWORK), nodes, ("id", "IGMedia"), 100)
}

/// `POST /{media}/comments`.
pub(super) async fn comment(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    covered(&token, "instagram_business_manage_comments", "instagram_manage_comments")?;
    let under = post_of(world.docs.at(NOW), &ask.id).filter(|post| post.kind != "story");
    under.ok_or_else(|| Refusal::missing(&ask.id, "post"))?;
    let text = ask.required("message")?;
    if text.chars().count() > 300 {
        return Err(Refusal::parameter("Param message must be at most 300 characters"));
    }
    let n = world.next_id(NETWORK, ask.now_ms());
    let post = Post {
        caption: text,
        parent: Some(ask.id.clone()),
        ..Post::new(graph::short(n), &token.account, "comment", ask.now_ms())
    };
    let entry = Entry::new(NETWORK, "comment", &token.account, &post.id, &post.caption, &ask.request);
    let changes = vec![
        Change::put("post", &post.id, &post),
        Change::put("post_under", format!("{}|{}", ask.id, padded(n)), &post.id),
    ];
    world.show(NETWORK, changes, vec![entry.replying_to(&ask.id)])?;
    Ok(graph::ok(&json!({ "id": post.id })))
}

/// `GET /{media}/comments`, the newest first.
pub(super) async fn comments(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let docs = ask.docs(&world);
    post_of(docs, &ask.id).ok_or_else(|| Refusal::missing(&ask.id, "get"))?;
    let under = docs.range::<String>(NETWORK, "post_under", &format!("{}|", ask.id)).rev();
    let posts = under.filter_map(|(_, id)| post_of(docs, &id));
    let nodes = posts.map(|post| node(&ask, &world, &post, &token));
    ask.list((&token, NETWORK), nodes, ("id,text,timestamp", "IGComment"), 50)
}

/// `GET /{media}/insights`.
pub(super) async fn insights(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    covered(&token, "instagram_business_manage_insights", "instagram_manage_insights")?;
    let post = post_of(world.docs.at(NOW), &ask.id).filter(|post| post.kind != "comment");
    let post = post.ok_or_else(|| Refusal::missing(&ask.id, "get"))?;
    let counts = world.counts(NETWORK, &ask.id).unwrap_or_default();
    graph::insights(&ask.id, &ask.params, |name| {
        Ok(json!(match (name, post.kind.as_str()) {
            ("views" | "reach", _) => counts.likes * 10 + counts.replies,
            ("shares", _) => counts.reposts,
            ("replies" | "navigation" | "follows" | "profile_visits", "story")
            | ("comments", "post" | "reel") => counts.replies,
            ("likes", "post" | "reel") => counts.likes,
            ("saved", "post" | "reel") => 0,
            ("total_interactions", _) => counts.likes + counts.reposts + counts.replies,
            ("ig_reels_avg_watch_time", "reel") => 1000,
            _ => return Err(Refusal::parameter(format!("Incompatible metric {name} for this media"))),
        }))
    })
}

/// `DELETE /{media}`: with Facebook's login alone. A comment goes with either.
pub(super) async fn remove(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    let post = post_of(world.docs.at(NOW), &ask.id).filter(|post| post.account == token.account);
    let may = |post: &Post| is_facebooks(&token) || post.kind == "comment";
    post.filter(may).ok_or_else(|| Refusal::missing(&ask.id, "delete"))?;
    world.keep(NETWORK, vec![Change::remove("post", &ask.id)])?;
    Ok(graph::success())
}
