//! What happens under a post: comments and the sums of reactions. A comment is named after the activity of its post,
//! which is not the number of the post.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::{
    NETWORK, organizations,
    posts::{self, Post},
    rest::{self, Caller, Refused},
};
use crate::{
    docs::{Change, padded},
    ledger::Entry,
    script::Quirks,
    web::{self, RequestId},
    world::{Counts, Ctx, World},
};

/// Longest comment, characters.
const COMMENT: usize = 1250;

/// The post of that name, or of that activity.
fn post(world: &World, urn: &str) -> Result<Post, Refused> {
    let of_activity: Option<String> = world.docs.get(NETWORK, "activity", urn);
    let urn = of_activity.as_deref().unwrap_or(urn);
    world.docs.get(NETWORK, "post", urn).ok_or_else(|| Refused::not_found(urn))
}

pub(super) async fn comment(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|_| Refused::new(400, "ILLEGAL_ARGUMENT", "The body is no JSON"))?;
    let of = |path: &str| {
        body.pointer(path).and_then(Value::as_str).ok_or_else(|| Refused::missing(path)).map(str::to_owned)
    };
    let (actor, object, text) = (of("/actor")?, of("/object")?, of("/message/text")?);
    if !caller.may(&world, &actor, "w_member_social", &["w_organization_social"], organizations::POSTERS) {
        return Err(Refused::denied("socialActions/comments.CREATE.20260901"));
    }
    if object != urn {
        return Err(Refused::invalid("/object", "is not the one of the address"));
    }
    if text.trim().is_empty() {
        return Err(Refused::missing("/message/text"));
    }
    if text.chars().count() > COMMENT {
        return Err(Refused::too_long("/message/text", COMMENT));
    }
    let parent = post(&world, &urn)?;
    let now_ms = ctx.now_ms();
    let id = world.next_id(NETWORK, now_ms);
    let made = Post {
        urn: format!("urn:li:comment:({},{id})", parent.activity),
        author: actor,
        commentary: text.clone(),
        content: Value::Null,
        visibility: "PUBLIC".to_owned(),
        activity: parent.activity.clone(),
        created_ms: now_ms,
    };
    let name = organizations::name_of(&world, &made.author, &caller.token.account);
    let entry = Entry::new(NETWORK, "comment", &name, &made.urn, text, request_id).replying_to(&parent.urn);
    let changes = vec![
        Change::put("post", &made.urn, &made),
        Change::put("post_comments", format!("{}|{}", parent.activity, padded(id)), &made.urn),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    let mut response = web::json(StatusCode::CREATED, &shown(&made));
    let header = posts::created(&id.to_string());
    response.headers_mut().extend(header.headers().clone());
    Ok(response)
}

fn shown(comment: &Post) -> Value {
    let id = comment.urn.trim_end_matches(')').rsplit(',').next().unwrap_or_default();
    json!({
        "id": id,
        "commentUrn": comment.urn,
        "actor": comment.author,
        "object": comment.activity,
        "message": {"attributes": [], "text": comment.commentary},
        "created": {"actor": comment.author, "time": comment.created_ms},
        "lastModified": {"actor": comment.author, "time": comment.created_ms},
    })
}

pub(super) async fn comments(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let parent = post(&world, &urn)?;
    if !posts::may_read(&caller, &world, &parent.author) {
        return Err(Refused::denied("socialActions/comments.GET_ALL.20260901"));
    }
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let number = |name: &str, default| {
        rest::query(&uri, name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(default)
    };
    let (start, count) = (number("start", 0), number("count", 10).min(100));
    let urns = docs.range::<String>(NETWORK, "post_comments", &format!("{}|", parent.activity)).rev();
    let found = urns.filter_map(|(_, urn)| docs.get::<Post>(NETWORK, "post", &urn));
    let elements: Vec<Value> = found.skip(start).take(count).map(|comment| shown(&comment)).collect();
    let paging = json!({"start": start, "count": count, "links": []});
    Ok(web::json(StatusCode::OK, &json!({"elements": elements, "paging": paging})))
}

/// The sums of reactions to a post or a comment.
pub(super) async fn summary(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let found = post(&world, &urn)?;
    if !posts::may_read(&caller, &world, &found.author) {
        return Err(Refused::denied("socialActions.GET.20260901"));
    }
    let Counts { likes, replies, .. } = world.counts(NETWORK, &found.urn).unwrap_or_default();
    let body = json!({
        "target": found.urn,
        "likesSummary": {"totalLikes": likes, "aggregatedTotalLikes": likes, "likedByCurrentUser": false},
        "commentsSummary": {"totalFirstLevelComments": replies, "aggregatedTotalComments": replies},
    });
    Ok(web::json(StatusCode::OK, &body))
}

pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path((urn, id)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let activity = post(&world, &urn).map_or(urn, |parent| parent.activity);
    let name = format!("urn:li:comment:({activity},{id})");
    let comment: Post = world.docs.get(NETWORK, "post", &name).ok_or_else(|| Refused::not_found(&name))?;
    let actor = rest::query(&uri, "actor").unwrap_or_default();
    let scopes = &["w_organization_social"];
    let may = caller.may(&world, &comment.author, "w_member_social", scopes, organizations::POSTERS);
    if !may || actor != comment.author {
        return Err(Refused::denied("socialActions/comments.DELETE.20260901"));
    }
    world.keep(NETWORK, vec![Change::remove("post", &name)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
