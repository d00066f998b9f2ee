//! A person's channel, its uploads from the newest, and the categories there are.

use axum::{Extension, extract::State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    Answer, NETWORK, Refusal, holder, ok,
    state::{CATEGORIES, Video, channel_id, code, uploads_id},
};
use crate::{accounts, clock, params::Params, script::Quirks, world::Ctx};

const READ: [&str; 3] = ["youtube.readonly", "youtube", "youtube.force-ssl"];

pub(super) async fn userinfo(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &ctx, &headers, &["userinfo.profile", "userinfo.email"])?;
    let name = accounts::named(&world, NETWORK, &token.account).map(|account| account.display_name);
    Ok(ok(
        &json!({"id": code(&token.account, 21), "name": name, "picture": "https://lh3.googleusercontent.com/a/default"}),
    ))
}

/// The channel that the person chose when they agreed; none when there is none.
pub(super) async fn channels(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &ctx, &headers, &READ)?;
    if !params.truth("mine") {
        return Err(Refusal::missing("id, mine, forHandle"));
    }
    let parts = params.text("part").unwrap_or_default();
    let account = accounts::named(&world, NETWORK, &token.account);
    let mut body = json!({
        "kind": "youtube#channelListResponse",
        "pageInfo": {"totalResults": 0, "resultsPerPage": 5},
    });
    let Some(account) = account.filter(|account| !account.handle.starts_with("nochannel")) else {
        return Ok(ok(&body));
    };
    let has = |name: &str| parts.split(',').any(|part| part == name);
    let mut item = json!({"kind": "youtube#channel", "id": account.id});
    if has("snippet") {
        item["snippet"] = json!({
            "title": account.display_name, "description": "", "customUrl": format!("@{}", account.handle),
            "thumbnails": {"default": {"url": "https://yt3.ggpht.com/default.jpg", "width": 88, "height": 88}},
        });
    }
    if has("contentDetails") {
        let playlists = json!({"likes": "", "uploads": uploads_id(&account.id)});
        item["contentDetails"] = json!({"relatedPlaylists": playlists});
    }
    if has("statistics") {
        item["statistics"] = json!({"viewCount": "0", "subscriberCount": "0", "videoCount": "0"});
    }
    body["items"] = json!([item]);
    body["pageInfo"]["totalResults"] = json!(1);
    Ok(ok(&body))
}

/// The uploads of the account's own channel, private ones included, the newest first.
pub(super) async fn playlist(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    let world = ctx.world();
    let token = holder(&world, &ctx, &headers, &READ)?;
    let asked = params.present("playlistId").ok_or_else(|| Refusal::missing("id, playlistId"))?;
    let channel = channel_id(&token.account);
    if asked != uploads_id(&channel) {
        let message = "The playlist identified with the request's playlistId parameter cannot be found.";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "youtube.playlistItem", "playlistNotFound", message));
    }
    let limit = params.number("maxResults").unwrap_or(5);
    if !(0..=50).contains(&limit) {
        let message = format!("Invalid value '{limit}'. Values must be within the range: [0, 50]");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "youtube.parameter", "invalidValue", message));
    }
    let limit = usize::try_from(limit).unwrap_or(0);
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    let prefix = format!("{}|", token.account);
    let end = params.present("pageToken");
    let mut videos: Vec<(String, Video)> = docs
        .range::<String>(NETWORK, "post_of", &prefix)
        .rev()
        .filter(|(place, _)| end.as_deref().is_none_or(|end| *place < end))
        .filter_map(|(place, id)| Some((place.to_owned(), docs.get::<Video>(NETWORK, "post", &id)?)))
        .take(limit + 1)
        .collect();
    let more = videos.len() > limit;
    videos.truncate(limit);
    let items: Vec<Value> = videos.iter().map(|(_, video)| item(video, &channel, &asked)).collect();
    let mut body = json!({
        "kind": "youtube#playlistItemListResponse", "items": items,
        "pageInfo": {"totalResults": items.len(), "resultsPerPage": limit},
    });
    if let Some((place, _)) = videos.last().filter(|_| more) {
        body["nextPageToken"] = json!(place);
    }
    Ok(ok(&body))
}

fn item(video: &Video, channel: &str, playlist: &str) -> Value {
    let at = clock::iso_ms(video.created_ms);
    json!({
        "kind": "youtube#playlistItem", "id": code(&format!("item {}", video.id), 40),
        "snippet": {
            "publishedAt": at, "channelId": channel, "title": video.meta.title,
            "description": video.meta.description, "playlistId": playlist,
            "resourceId": {"kind": "youtube#video", "videoId": video.id},
        },
        "contentDetails": {"videoId": video.id, "videoPublishedAt": at},
    })
}

pub(super) async fn categories(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    holder(&ctx.world(), &ctx, &headers, &READ)?;
    let items: Vec<Value> = CATEGORIES
        .iter()
        .map(|(id, title)| {
            json!({"kind": "youtube#videoCategory", "id": id, "snippet": {"title": title, "assignable": true}})
        })
        .collect();
    Ok(ok(&json!({"kind": "youtube#videoCategoryListResponse", "items": items})))
}
