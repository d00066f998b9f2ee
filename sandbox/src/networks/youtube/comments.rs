//! Comments below videos. Nothing keeps a comment from being made twice.

use axum::{Extension, extract::State, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    Answer, NETWORK, Refusal, holder, ok,
    state::{Comment, Video, channel_id, code},
};
use crate::{
    clock,
    docs::{Change, padded},
    ledger::Entry,
    params::Params,
    script::Quirks,
    web::RequestId,
    world::{Ctx, World},
};

const WRITE: [&str; 1] = ["youtube.force-ssl"];
const LONGEST: usize = 10_000;

fn refused(status: StatusCode, reason: &'static str, message: &str) -> Refusal {
    Refusal::new(status, "youtube.commentThread", reason, message)
}

pub(super) async fn insert(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &WRITE)?;
    let snippet = params.get("snippet").cloned().unwrap_or_default();
    let text = snippet.pointer("/topLevelComment/snippet/textOriginal").and_then(Value::as_str);
    let text = text.unwrap_or_default().trim().to_owned();
    let bad = StatusCode::BAD_REQUEST;
    if text.is_empty() {
        return Err(refused(bad, "commentTextRequired", "The comment's text is missing."));
    }
    if text.chars().count() > LONGEST {
        return Err(refused(bad, "commentTextTooLong", "The comment's text is too long."));
    }
    let video = snippet.get("videoId").and_then(Value::as_str).unwrap_or_default();
    let video: Video = world.docs.get(NETWORK, "post", video).ok_or_else(Refusal::no_video)?;
    if video.meta.kids == Some(true) || video.meta.privacy == "private" && video.account != token.account {
        let message = "The video has disabled comments.";
        return Err(refused(StatusCode::FORBIDDEN, "commentsDisabled", message));
    }
    let number = world.next_id(NETWORK, ctx.now_ms());
    let comment = Comment {
        id: format!("Ug{}", code(&format!("comment {number}"), 24)),
        number,
        account: token.account,
        video: video.id,
        text,
        created_ms: ctx.now_ms(),
    };
    let entry = Entry::new(NETWORK, "comment", &comment.account, &comment.id, &comment.text, request_id)
        .replying_to(&comment.video);
    let changes = vec![
        Change::put("post_comment", &comment.id, &comment),
        Change::put("post_comment_of", format!("{}|{}", comment.video, padded(number)), &comment.id),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(ok(&thread(&world, &comment)))
}

/// The comments of a video from the newest, or those of these ids.
pub(super) async fn threads(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    holder(&world, &ctx, &headers, &WRITE)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let limit = params.number("maxResults").unwrap_or(20).clamp(1, 100);
    let limit = usize::try_from(limit).unwrap_or(20);
    let found: Vec<Comment> = if let Some(video) = params.present("videoId") {
        if docs.get::<Video>(NETWORK, "post", &video).is_none() {
            return Err(Refusal::no_video());
        }
        let ids = docs.range::<String>(NETWORK, "post_comment_of", &format!("{video}|")).rev();
        ids.filter_map(|(_, id)| docs.get(NETWORK, "post_comment", &id)).take(limit).collect()
    } else {
        let ids = params.present("id").ok_or_else(|| Refusal::missing("id, videoId"))?;
        ids.split(',').filter_map(|id| docs.get(NETWORK, "post_comment", id)).collect()
    };
    let items: Vec<Value> = found.iter().map(|comment| thread(&world, comment)).collect();
    let page = json!({"totalResults": items.len(), "resultsPerPage": limit});
    Ok(ok(&json!({"kind": "youtube#commentThreadListResponse", "items": items, "pageInfo": page})))
}

pub(super) async fn list(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    holder(&world, &ctx, &headers, &WRITE)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let ids = params.present("id").ok_or_else(|| Refusal::missing("id, parentId"))?;
    let found = ids.split(',').filter_map(|id| docs.get::<Comment>(NETWORK, "post_comment", id));
    let items: Vec<Value> = found.map(|found| comment(&world, &found)).collect();
    Ok(ok(&json!({"kind": "youtube#commentListResponse", "items": items})))
}

pub(super) async fn remove(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &ctx, &headers, &WRITE)?;
    let id = params.text("id").unwrap_or_default();
    let message = "The comment cannot be found.";
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "youtube.comment", "commentNotFound", message);
    let comment: Comment = world.docs.get(NETWORK, "post_comment", &id).ok_or_else(missing)?;
    if comment.account != token.account {
        return Err(Refusal::forbidden("The request is not properly authorized to delete the comment."));
    }
    let place = format!("{}|{}", comment.video, padded(comment.number));
    let changes = vec![Change::remove("post_comment", id), Change::remove("post_comment_of", place)];
    world.keep(NETWORK, changes)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn thread(world: &World, of: &Comment) -> Value {
    let replies = world.counts(NETWORK, &of.id).unwrap_or_default().replies;
    json!({
        "kind": "youtube#commentThread", "id": of.id,
        "snippet": {
            "channelId": channel_id(&of.account), "videoId": of.video, "topLevelComment": comment(world, of),
            "canReply": true, "totalReplyCount": replies, "isPublic": true,
        },
    })
}

fn comment(world: &World, of: &Comment) -> Value {
    let at = clock::iso_ms(of.created_ms);
    json!({
        "kind": "youtube#comment", "id": of.id,
        "snippet": {
            "videoId": of.video, "textDisplay": of.text, "textOriginal": of.text,
            "authorDisplayName": format!("@{}", of.account),
            "authorChannelId": {"value": channel_id(&of.account)},
            "likeCount": world.counts(NETWORK, &of.id).unwrap_or_default().likes,
            "publishedAt": at, "updatedAt": at,
        },
    })
}
