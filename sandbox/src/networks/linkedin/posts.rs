//! Posts: made, found by their author, read, deleted. Making one answers its id in a header and nothing else.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    NETWORK, media, organizations,
    rest::{self, Caller, Refused},
    text,
};
use crate::{
    crypto,
    docs::{Change, View, padded},
    ledger::{Attached, Entry},
    script::Quirks,
    web::{self, RequestId},
    world::{Ctx, World},
};

/// Longest commentary, in UTF-16 units of what is shown.
const COMMENTARY: usize = 3000;

/// How long the same text by the same author is a duplicate, milliseconds.
const DUPLICATE_MS: i64 = 86_400_000;

/// A post or a comment; its URN is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Post {
    pub(super) urn: String,
    pub(super) author: String,
    /// The commentary as reads answer it, or the text of a comment.
    pub(super) commentary: String,
    pub(super) content: Value,
    pub(super) visibility: String,
    /// The other name of a post, under which comments are kept.
    pub(super) activity: String,
    pub(super) created_ms: i64,
}

/// The names of the fields there are.
const FIELDS: [&str; 8] = [
    "author",
    "commentary",
    "visibility",
    "distribution",
    "lifecycleState",
    "isReshareDisabledByAuthor",
    "content",
    "reshareContext",
];

pub(super) async fn create(
    State(ctx): State<Ctx>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let body: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|_| Refused::new(400, "ILLEGAL_ARGUMENT", "The body is no JSON object"))?;
    if let Some(unknown) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let message = format!("ERROR :: /{unknown} :: unrecognized field found but not allowed");
        return Err(Refused::new(422, "UNPROCESSABLE_ENTITY", message));
    }
    let text_of = |name: &str| {
        body.get(name).and_then(Value::as_str).ok_or_else(|| Refused::missing(&format!("/{name}")))
    };
    let author = text_of("author")?.to_owned();
    if !caller.may(&world, &author, "w_member_social", &["w_organization_social"], organizations::POSTERS) {
        return Err(Refused::denied("posts.CREATE.20260901"));
    }
    if text_of("lifecycleState")? != "PUBLISHED" {
        return Err(Refused::invalid("/lifecycleState", "only PUBLISHED is accepted"));
    }
    let visibility = text_of("visibility")?.to_owned();
    let is_member = author == caller.person;
    match visibility.as_str() {
        "PUBLIC" | "LOGGED_IN" => {}
        "CONNECTIONS" if is_member => {}
        _ => return Err(Refused::invalid("/visibility", "is not allowed for this author")),
    }
    let feed = body.get("distribution").and_then(|distribution| distribution.get("feedDistribution"));
    if !matches!(feed.and_then(Value::as_str), Some("MAIN_FEED" | "NONE")) {
        return Err(Refused::missing("/distribution/feedDistribution"));
    }
    let pieces = text::parse(text_of("commentary")?);
    let shown = text::shown(&pieces);
    if shown.encode_utf16().count() > COMMENTARY {
        return Err(Refused::too_long("/commentary", COMMENTARY));
    }
    let content = body.get("content").cloned().unwrap_or_default();
    let (attached, is_ugc) = attached(&world, &author, &content, ctx.now_ms())?;
    if shown.is_empty() && content.is_null() {
        return Err(Refused::invalid("/commentary", "a post needs a text or a content"));
    }
    let now_ms = ctx.now_ms();
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let key = format!("{author}|{}", crypto::sha256_hex(squeezed.as_bytes()));
    let before: Option<(String, i64)> = world.docs.get(NETWORK, "text", &key);
    if let Some((urn, at_ms)) = before.filter(|_| !squeezed.is_empty())
        && now_ms - at_ms < DUPLICATE_MS
    {
        let message = format!("Content is a duplicate of {urn}");
        return Err(Refused::new(422, "DUPLICATE_POST", message));
    }
    let id = world.next_id(NETWORK, now_ms);
    let activity = format!("urn:li:activity:{}", world.next_id(NETWORK, now_ms));
    let urn = format!("urn:li:{}:{id}", if is_ugc { "ugcPost" } else { "share" });
    let commentary = text::stored(&pieces);
    let made =
        Post { urn: urn.clone(), author, commentary, content, visibility, activity, created_ms: now_ms };
    let name = organizations::name_of(&world, &made.author, &caller.token.account);
    let entry = Entry::new(NETWORK, "post", &name, &urn, shown, request_id).with_media(attached);
    let changes = vec![
        Change::put("post", &urn, &made),
        Change::put("post_of", format!("{}|{}", made.author, padded(id)), &urn),
        Change::put("activity", &made.activity, &urn),
        Change::put("text", key, &(&urn, now_ms)),
    ];
    world.show(NETWORK, changes, vec![entry])?;
    Ok(created(&urn))
}

/// 201 with the id in a header and nothing else.
pub(super) fn created(id: &str) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    let id = HeaderValue::from_str(id).expect("ids are printable ASCII");
    response.headers_mut().insert("x-restli-id", id);
    response
}

/// The files of a content, and whether the post becomes one of user-generated content.
fn attached(
    world: &World,
    author: &str,
    content: &Value,
    now_ms: i64,
) -> Result<(Vec<Attached>, bool), Refused> {
    let Some(content) = content.as_object() else { return Ok((Vec::new(), false)) };
    let mut kinds = content.iter();
    let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else {
        return Err(Refused::invalid("/content", "exactly one kind of content is allowed"));
    };
    match kind.as_str() {
        "media" => {
            let file = file(world, author, value, now_ms)?;
            let is_video = file.mime.starts_with("video/");
            Ok((vec![file], is_video))
        }
        "multiImage" => {
            let images = value.get("images").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if !(2..=20).contains(&images.len()) {
                return Err(Refused::invalid("/content/multiImage/images", "2 to 20 images are allowed"));
            }
            let files = images.iter().map(|image| file(world, author, image, now_ms));
            let files = files.collect::<Result<Vec<_>, _>>()?;
            if files.iter().any(|file| file.mime.starts_with("video/")) {
                return Err(Refused::invalid("/content/multiImage/images", "only images are allowed"));
            }
            Ok((files, true))
        }
        "article" => article(world, author, value, now_ms).map(|files| (files, false)),
        _ => Err(Refused::invalid(&format!("/content/{kind}"), "is not supported here")),
    }
}

fn file(world: &World, author: &str, media: &Value, now_ms: i64) -> Result<Attached, Refused> {
    let urn = media.get("id").and_then(Value::as_str).ok_or_else(|| Refused::missing("/content/media/id"))?;
    let alt = media.get("altText").and_then(Value::as_str).unwrap_or_default();
    if alt.chars().count() > 4086 {
        return Err(Refused::too_long("/content/media/altText", 4086));
    }
    let asset = media::find(world, urn)
        .ok_or_else(|| Refused::invalid("/content/media/id", &format!("{urn} does not exist")))?;
    if asset.owner != author {
        return Err(Refused::new(403, "ACCESS_DENIED", media::FOREIGN));
    }
    match (asset.status(now_ms), &asset.stored) {
        ("AVAILABLE", Some(stored)) => Ok(stored.attached(alt)),
        (status, _) => {
            let message = format!("The asset {urn} is not AVAILABLE but {status}");
            Err(Refused::new(422, "UNPROCESSABLE_ENTITY", message))
        }
    }
}

fn article(world: &World, author: &str, article: &Value, now_ms: i64) -> Result<Vec<Attached>, Refused> {
    let of = |name: &str| article.get(name).and_then(Value::as_str);
    let source = of("source").ok_or_else(|| Refused::missing("/content/article/source"))?;
    if !source.starts_with("https://") && !source.starts_with("http://") {
        return Err(Refused::invalid("/content/article/source", "is not an address"));
    }
    let title = of("title").filter(|title| !title.is_empty());
    let title = title.ok_or_else(|| Refused::missing("/content/article/title"))?;
    if title.chars().count() > 400 {
        return Err(Refused::too_long("/content/article/title", 400));
    }
    if of("description").is_some_and(|text| text.chars().count() > 4086) {
        return Err(Refused::too_long("/content/article/description", 4086));
    }
    let thumbnail = of("thumbnail").map(|urn| file(world, author, &json!({"id": urn}), now_ms));
    Ok(thumbnail.transpose()?.into_iter().collect())
}

/// Whether the caller may read what that author posted: members may not read what they posted themselves.
pub(super) fn may_read(caller: &Caller, world: &World, author: &str) -> bool {
    caller.may(world, author, "r_member_social", &["r_organization_social"], organizations::POSTERS)
}

/// The posts of one author, the newest first, or several by their names.
pub(super) async fn find(
    State(ctx): State<Ctx>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let docs = world.docs.at(quirks.as_of(ctx.now_ms()));
    if rest::calls(&headers, "BATCH_GET") {
        let (mut results, mut errors) = (Map::new(), Map::new());
        for urn in rest::list(&headers, &uri, "ids")? {
            match read_one(&caller, &world, docs, &urn) {
                Ok(post) => results.insert(urn, shown(&post)),
                Err(_) => errors.insert(urn, json!({"status": 404})),
            };
        }
        return Ok(web::json(StatusCode::OK, &json!({"results": results, "errors": errors})));
    }
    if rest::query(&uri, "q").as_deref() != Some("author") || !rest::calls(&headers, "FINDER") {
        return Err(Refused::new(400, "ILLEGAL_ARGUMENT", "Unknown finder"));
    }
    let author = rest::query(&uri, "author").unwrap_or_default();
    if !may_read(&caller, &world, &author) {
        return Err(Refused::denied("partnerApiPostsExternal.FINDER-author.20260901"));
    }
    let number = |name: &str, default| {
        rest::query(&uri, name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(default)
    };
    let (start, count) = (number("start", 0), number("count", 10).min(100));
    let urns = docs.range::<String>(NETWORK, "post_of", &format!("{author}|")).rev();
    let posts = urns.filter_map(|(_, urn)| docs.get::<Post>(NETWORK, "post", &urn));
    let elements: Vec<Value> = posts.skip(start).take(count).map(|post| shown(&post)).collect();
    let paging = json!({"start": start, "count": count, "links": []});
    Ok(web::json(StatusCode::OK, &json!({"elements": elements, "paging": paging})))
}

pub(super) async fn read(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    Extension(quirks): Extension<Quirks>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let post = read_one(&caller, &world, world.docs.at(quirks.as_of(ctx.now_ms())), &urn)?;
    Ok(web::json(StatusCode::OK, &shown(&post)))
}

fn read_one(caller: &Caller, world: &World, docs: View<'_>, urn: &str) -> Result<Post, Refused> {
    let post: Post = docs.get(NETWORK, "post", urn).ok_or_else(|| Refused::not_found(urn))?;
    if !may_read(caller, world, &post.author) {
        return Err(Refused::denied("partnerApiPostsExternal.GET.20260901"));
    }
    Ok(post)
}

fn shown(post: &Post) -> Value {
    let mut body = json!({
        "id": post.urn,
        "author": post.author,
        "commentary": post.commentary,
        "visibility": post.visibility,
        "lifecycleState": "PUBLISHED",
        "createdAt": post.created_ms,
        "publishedAt": post.created_ms,
        "lastModifiedAt": post.created_ms,
        "isReshareDisabledByAuthor": false,
        "distribution": {"feedDistribution": "MAIN_FEED", "thirdPartyDistributionChannels": []},
    });
    if !post.content.is_null() {
        body["content"] = post.content.clone();
    }
    body
}

/// Deleting what is gone succeeds. That the text was posted stays known.
pub(super) async fn remove(
    State(ctx): State<Ctx>,
    Path(urn): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let caller = Caller::versioned(&ctx, &world, &headers, &uri)?;
    let Some(post) = world.docs.get::<Post>(NETWORK, "post", &urn) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let scopes = &["w_organization_social"];
    if !caller.may(&world, &post.author, "w_member_social", scopes, organizations::POSTERS) {
        return Err(Refused::denied("posts.DELETE.20260901"));
    }
    world.keep(NETWORK, vec![Change::remove("post", &urn), Change::remove("activity", &post.activity)])?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
