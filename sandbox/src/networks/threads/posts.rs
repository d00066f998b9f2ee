//! Reading posts and containers, the quota, the counts, and deleting.

use serde_json::{Value, json};

use super::{
    NETWORK,
    state::{Container, Post, holder, is_me, key_of},
    words::{self, Answer, Refusal},
};
use crate::{
    accounts::Account,
    docs::Change,
    networks::graph::{self, Ask},
    world::World,
};

const DAY_MS: i64 = 86_400_000;

/// `GET /{id}`: the account, a container or a post. Posts have no `status`.
pub(super) async fn object(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let (_, account) = holder(&ask, &world, "threads_basic")?;
    if is_me(&account, &ask.id) {
        return ask.node(&profile(&account), "id", "User");
    }
    let own = |owner: &str| owner == account.handle;
    let container = world.docs.get::<Container>(NETWORK, "container", &ask.id).filter(|c| own(&c.account));
    if let Some(container) = container {
        let status = container.status(ask.now_ms());
        let problem = container.problem.filter(|_| status == "ERROR");
        let node = json!({ "id": container.id, "status": status, "error_message": problem });
        return ask.node(&node, "id", "Container");
    }
    let post = ask.docs(&world).get::<Post>(NETWORK, "post", &ask.id).filter(|post| own(&post.account));
    let post = post.ok_or_else(|| words::missing(&ask.id))?;
    if ask.wants("status") {
        return Err(words::parameter("Tried accessing nonexisting field (status)"));
    }
    ask.node(&entity(&ask, &account, &post), "id", "Media")
}

/// `GET /{user}/threads`: posts of one's own, without replies, the newest first.
pub(super) async fn listing(ask: Ask) -> Answer {
    list(&ask, "post_of", "threads_basic")
}

/// `GET /{user}/replies`: one's own replies, the newest first.
pub(super) async fn replies(ask: Ask) -> Answer {
    list(&ask, "post_reply_of", "threads_read_replies")
}

fn list(ask: &Ask, kind: &str, scope: &str) -> Answer {
    let world = ask.ctx.world();
    let (token, account) = holder(ask, &world, scope)?;
    if !is_me(&account, &ask.id) {
        return Err(words::missing(&ask.id));
    }
    let since_ms = ask.params.number("since").unwrap_or(0) * 1000;
    let docs = ask.docs(&world);
    let ids = docs.range::<String>(NETWORK, kind, &format!("{}|", account.handle)).rev();
    let posts = ids.filter_map(|(_, id)| docs.get::<Post>(NETWORK, "post", &id));
    let posts = posts.take_while(|post| post.created_ms >= since_ms).take(500);
    ask.list((&token, NETWORK), posts.map(|post| entity(ask, &account, &post)), ("id", "Media"), 100)
}

/// `GET /{user}/threads_publishing_limit`.
pub(super) async fn quota(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let (token, account) = holder(&ask, &world, "threads_content_publish")?;
    if !is_me(&account, &ask.id) {
        return Err(words::missing(&ask.id));
    }
    let (posts, replies) = used(&world, &account.handle, ask.now_ms());
    let all = json!({
        "quota_usage": posts,
        "config": { "quota_total": 250, "quota_duration": 86_400 },
        "reply_quota_usage": replies,
        "reply_config": { "quota_total": 1000, "quota_duration": 86_400 },
    });
    ask.list((&token, NETWORK), [all].into_iter(), ("quota_usage", "PublishingLimit"), 1)
}

/// Posts and replies of the last day, deleted ones not counted.
pub(super) fn used(world: &World, handle: &str, now_ms: i64) -> (usize, usize) {
    let count = |kind: &str| {
        let ids = world.docs.range::<String>(NETWORK, kind, &format!("{handle}|")).rev();
        let posts = ids.filter_map(|(_, id)| world.docs.get::<Post>(NETWORK, "post", &id));
        posts.take_while(|post| now_ms - post.created_ms < DAY_MS).count()
    };
    (count("post_of"), count("post_reply_of"))
}

/// `GET /{media}/insights`.
pub(super) async fn insights(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let (token, _) = holder(&ask, &world, "threads_manage_insights")?;
    let post = world.docs.get::<Post>(NETWORK, "post", &ask.id).filter(|post| post.account == token.account);
    let counts = post.and_then(|_| world.counts(NETWORK, &ask.id)).ok_or_else(|| words::missing(&ask.id))?;
    graph::insights(&ask.id, &ask.params, |name| {
        Ok(json!(match name {
            "views" => (counts.likes + counts.reposts + counts.replies) * 10,
            "likes" => counts.likes,
            "replies" => counts.replies,
            "reposts" => counts.reposts,
            "quotes" | "shares" => 0,
            _ => return Err(unknown_metric()),
        }))
    })
}

fn unknown_metric() -> Refusal {
    words::parameter("(#100) metric[0] must be one of the following values: views, likes, …")
}

/// `DELETE /{media}`.
pub(super) async fn remove(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let (token, _) = holder(&ask, &world, "threads_delete")?;
    let post = world.docs.get::<Post>(NETWORK, "post", &ask.id).filter(|post| post.account == token.account);
    let post = post.ok_or_else(|| words::missing(&ask.id))?;
    let key = key_of(&post.account, &ask.id);
    let changes = vec![
        Change::remove("post", &ask.id),
        Change::remove("post_of", &key),
        Change::remove("post_reply_of", &key),
    ];
    world.keep(NETWORK, changes)?;
    Ok(graph::ok(&json!({ "success": true, "deleted_id": ask.id })))
}

fn profile(account: &Account) -> Value {
    json!({
        "id": account.id,
        "username": account.handle,
        "name": account.display_name,
        "threads_profile_picture_url": format!("https://cdn.example/{}.jpg", account.handle),
        "threads_biography": "",
    })
}

/// A post as a node. What it does not have is null, so that it is left out.
fn entity(ask: &Ask, account: &Account, post: &Post) -> Value {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let named = |id: &String| json!({ "id": id });
    let children: Vec<Value> = post.children.iter().map(named).collect();
    json!({
        "id": post.id,
        "media_product_type": "THREADS",
        "media_type": post.media_type,
        "permalink": graph::permalink(&ask.ctx, NETWORK, &post.id),
        "owner": { "id": account.id },
        "username": account.handle,
        "timestamp": graph::time(post.created_ms),
        "shortcode": post.id,
        "is_quote_post": false,
        "text": some(&post.text),
        "topic_tag": some(&post.topic_tag),
        "children": (!children.is_empty()).then(|| json!({ "data": children })),
        "replied_to": post.reply_to.as_ref().map(named),
        "root_post": post.root.as_ref().map(named),
        "is_reply": post.reply_to.is_some(),
    })
}
