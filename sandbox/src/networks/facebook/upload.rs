//! How the bytes of videos arrive: as a file of the app in pieces, for the feed, or at the upload address of a draft.

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    NETWORK, Video,
    graph::{self, Refusal},
    video,
};
use crate::{
    crypto,
    docs::Change,
    media::{self, Stored},
    networks::graph::{Answer, Ask},
    oauth::Token,
    params::Params,
    script::Quirks,
    world::{Ctx, World},
};

/// A file on its way to the app, for the feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    length: u64,
    mime: String,
    partial: Option<Stored>,
}

/// `POST /{app}/uploads`.
pub(super) async fn open(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let token = ask.token(&world, NETWORK)?;
    of_a_person(&world, &token)?;
    if token.client_id != ask.id {
        return Err(Refusal::missing(&ask.id, "post"));
    }
    let length = ask.params.number("file_length").and_then(|length| u64::try_from(length).ok());
    let length = length.ok_or_else(|| Refusal::parameter("The parameter file_length is required."))?;
    let mime = ask.params.present("file_type").unwrap_or_default();
    if !["video/mp4", "image/jpeg", "image/jpg", "image/png", "application/pdf"].contains(&mime.as_str()) {
        return Err(Refusal::parameter("The parameter file_type is not supported."));
    }
    let id = format!("upload:{}", crypto::token::<16>());
    world.keep(NETWORK, vec![Change::put("upload", &id, &Session { length, mime, partial: None })])?;
    // The signature belongs to the id.
    Ok(graph::ok(&json!({ "id": format!("{id}?sig={}", crypto::token::<6>()) })))
}

/// `GET /upload:…`: where to go on.
pub(super) fn offset(world: &World, id: &str) -> Answer {
    let session: Session =
        world.docs.get(NETWORK, "upload", id).ok_or_else(|| Refusal::missing(id, "get"))?;
    let offset = session.partial.map_or(0, |partial| partial.size);
    Ok(graph::ok(&json!({ "id": id, "file_offset": offset })))
}

/// `POST /upload:…`: the bytes; the file's handle once all are there.
pub(super) async fn receive_file(ctx: &Ctx, headers: &HeaderMap, id: &str, bytes: Bytes) -> Answer {
    let session: Option<Session> = {
        let world = ctx.world();
        of_a_person(&world, &graph::holder(ctx, &world, NETWORK, headers, &Params::default())?)?;
        world.docs.get(NETWORK, "upload", id)
    };
    let session = session.ok_or_else(|| Refusal::missing(id, "post"))?;
    let offset = number(headers, "file_offset").unwrap_or(0);
    let stored = match join(ctx, session.partial.as_ref(), offset, &bytes, &session.mime).await? {
        Ok(stored) => stored,
        Err(answer) => return Ok(answer),
    };
    let mut world = ctx.world();
    if stored.size < session.length {
        let session = Session { partial: Some(stored), ..session };
        world.keep(NETWORK, vec![Change::put("upload", id, &session)])?;
        return Ok(graph::interrupted(
            "PartialRequestError",
            "The request did not contain the rest of the file",
            true,
        ));
    }
    let handle = format!("4:{}", crypto::token::<32>());
    world.keep(NETWORK, vec![Change::put("file", &handle, &stored), Change::remove("upload", id)])?;
    Ok(graph::ok(&json!({ "h": handle })))
}

/// Files of an app are uploaded by people, not by Pages.
fn of_a_person(world: &World, token: &Token) -> Result<(), Refusal> {
    match super::acts_for(world, token) {
        Some(_) => Err(Refusal::new(100, 0, "(#100) A user access token is required for this upload.")),
        None => Ok(()),
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What was there with what came, provided that it goes on where it stopped.
async fn join(
    ctx: &Ctx,
    partial: Option<&Stored>,
    offset: u64,
    bytes: &Bytes,
    mime: &str,
) -> Result<Result<Stored, Response>, Refusal> {
    let held = partial.map_or(0, |partial| partial.size);
    if offset != held {
        let text = format!("The offset is {offset}, expected {held}");
        return Ok(Err(graph::interrupted("OffsetInvalidError", &text, true)));
    }
    let mut whole = match partial {
        Some(partial) => ctx.blobs.get(&partial.sha256).await.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        None => Vec::new(),
    };
    whole.extend_from_slice(bytes);
    Ok(Ok(media::store(ctx, &whole.into(), Some(mime)).await?))
}

/// `POST` to the upload address of a draft: bytes, or a file to fetch.
pub(super) async fn receive(
    State(ctx): State<Ctx>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    Extension(quirks): Extension<Quirks>,
    bytes: Bytes,
) -> Answer {
    graph::holder(&ctx, &ctx.world(), NETWORK, &headers, &Params::default())?;
    let video: Option<Video> = ctx.world().docs.get(NETWORK, "video", &id);
    let video = video.filter(|video| video.file.is_none());
    let Some(video) = video else {
        return Ok(graph::interrupted("ProcessingFailedError", "There is no such upload", false));
    };
    let address = headers.get("file_url").and_then(|value| value.to_str().ok());
    let stored = if let Some(url) = address {
        match ctx.fetch(url).await {
            Ok(fetched) => media::store(&ctx, &fetched.bytes, fetched.mime.as_deref()).await?,
            Err(why) => return Ok(graph::interrupted("ProcessingFailedError", &why.to_string(), false)),
        }
    } else {
        let (Some(offset), Some(size)) = (number(&headers, "offset"), number(&headers, "file_size")) else {
            return Ok(graph::interrupted(
                "ProcessingFailedError",
                "offset and file_size are required",
                false,
            ));
        };
        let stored = match join(&ctx, video.partial.as_ref(), offset, &bytes, "video/mp4").await? {
            Ok(stored) => stored,
            Err(answer) => return Ok(answer),
        };
        if stored.size < size {
            let video = Video { partial: Some(stored), ..video };
            ctx.world().keep(NETWORK, vec![Change::put("video", &id, &video)])?;
            return Ok(graph::interrupted(
                "PartialRequestError",
                "Partial request (did not match length of file)",
                true,
            ));
        }
        stored
    };
    if !stored.is_video() {
        return Ok(graph::interrupted("ProcessingFailedError", "The file is not a video", false));
    }
    let (ms, fails) = quirks.processing.unwrap_or((video::PROCESSING_MS, false));
    let ready_ms = ctx.now_ms().saturating_add_unsigned(ms);
    let video = Video { partial: None, file: Some(stored), ready_ms, fails, ..video };
    ctx.world().keep(NETWORK, vec![Change::put("video", &id, &video)])?;
    Ok(graph::success())
}
