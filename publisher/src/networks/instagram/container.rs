//! Containers: where the network puts media that nobody sees yet. It fetches them from a public address, which is stored
//! before the network hears of it and ends when the container is ready. A container that failed is replaced, a few
//! times; one that is ready never is.

use http::Method;
use serde_json::{Value, json as object};

use super::{
    super::wire::{Proof, judge},
    Fault, Handles, Instagram, MediaSource, Session, Work, errors, graph, json, read, text_of, wire,
};
use crate::{domain::content::Media, media::Room};

/// Containers made for one item before it is given up.
const TRIES: i64 = 3;

/// The handle of the container that is published.
pub(super) const CONTAINER: &str = "container";

/// The handle of item `i` of a carousel.
pub(super) fn child(i: usize) -> String {
    format!("child.{i}")
}

/// What one container is made of.
pub(super) struct Piece<'a> {
    /// Its handle.
    pub(super) step: String,
    /// The item it holds; none for a carousel.
    pub(super) item: Option<&'a Media>,
    /// The request but for the address of the item.
    pub(super) fields: Value,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The network is at it; also when it does not show it yet.
    Working,
    /// It can be published.
    Finished,
    /// It was published.
    Published,
    /// Nothing will come of it; with the network's words.
    Over(String),
}

impl Instagram {
    /// Asks where a container stands.
    pub(super) async fn stage(&self, session: &Session, id: &str) -> Result<Stage, Fault> {
        let query = [("fields", "status_code,status")];
        let response = Self::call(session, Method::GET, &read::segment(id), &query).read(&self.http).await?;
        if graph::is_missing(&response) {
            // Seen right after a container was made.
            return Ok(Stage::Working);
        }
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let body = json(&response).ok_or_else(wire::unreadable)?;
        Ok(match text_of(&body, "status_code") {
            "FINISHED" => Stage::Finished,
            "PUBLISHED" => Stage::Published,
            "ERROR" | "EXPIRED" => Stage::Over(text_of(&body, "status").to_owned()),
            _ => Stage::Working,
        })
    }

    /// Makes a container unless that is done.
    pub(super) async fn make_step(
        &self,
        session: &Session,
        work: &Work,
        piece: &Piece<'_>,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Piece { step, item, fields } = piece;
        let kept = Kept::of(handles, step);
        if !kept.id.is_empty() {
            return Ok(());
        }
        // The address of an attempt that got no further ends; whoever has it fetches nothing more.
        unshare(work, &kept.url, media).await;
        let url = match *item {
            Some(item) => share(work, item, media).await?,
            None => String::new(),
        };
        let kept = Kept { url, ..kept };
        kept.store(handles, step).await?;
        match self.create(session, *item, &kept.url, fields).await {
            Ok(id) => Kept { id, ..kept }.store(handles, step).await,
            Err(Fault::Transient { code, message, retry_after }) if code.starts_with("MEDIA_") => {
                let kept = Kept { tries: kept.tries + 1, ..kept };
                kept.store(handles, step).await?;
                let is_last = code == "MEDIA_UNREACHABLE" && kept.tries >= TRIES;
                Err(if is_last { unreachable() } else { Fault::Transient { code, message, retry_after } })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Makes a container unless that is done, and waits until it is ready; its id.
    pub(super) async fn container_step(
        &self,
        session: &Session,
        work: &Work,
        piece: &Piece<'_>,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let mut patience = graph::Patience::new();
        loop {
            self.make_step(session, work, piece, media, handles).await?;
            let kept = Kept::of(handles, &piece.step);
            if kept.ready {
                return Ok(kept.id);
            }
            match self.stage(session, &kept.id).await? {
                Stage::Finished | Stage::Published => {
                    unshare(work, &kept.url, media).await;
                    let kept = Kept { url: String::new(), ready: true, ..kept };
                    kept.store(handles, &piece.step).await?;
                }
                Stage::Working => patience.pause().await?,
                Stage::Over(why) => {
                    if let Some(fault) = final_for(&why) {
                        return Err(fault);
                    }
                    if kept.tries + 1 >= TRIES {
                        return Err(failed(&why));
                    }
                    let kept = Kept { id: String::new(), tries: kept.tries + 1, ..kept };
                    kept.store(handles, &piece.step).await?;
                }
            }
        }
    }

    async fn create(
        &self,
        session: &Session,
        item: Option<&Media>,
        url: &str,
        fields: &Value,
    ) -> Result<String, Fault> {
        let mut body = fields.clone();
        match item {
            Some(item) if item.is_video() => body["video_url"] = object!(url),
            Some(_) => body["image_url"] = object!(url),
            None => {}
        }
        let path = format!("{}/media", read::segment(&session.native_id));
        wire::pass("prep.media_put.before").await?;
        let response = Self::call(session, Method::POST, &path, &[]).json(&body).read(&self.http).await?;
        wire::pass("prep.media_put.after").await?;
        if !response.status().is_success() {
            let now_ms = self.clock.now_ms();
            let is_passing = graph::judge(errors::CONTAINER, &response).is_some();
            let rules = if is_passing { errors::CONTAINER } else { errors::RULES };
            return Err(graph::fault(rules, &response, now_ms));
        }
        let id = graph::id_of(&json(&response).unwrap_or_default(), "id");
        if id.is_empty() { Err(wire::unreadable()) } else { Ok(id) }
    }
}

/// A container's handle.
#[derive(Default)]
struct Kept {
    /// Empty while the container is being made.
    id: String,
    /// The item's public address; empty when it has ended.
    url: String,
    /// Containers before this one.
    tries: i64,
    ready: bool,
}

impl Kept {
    fn of(handles: &dyn Handles, step: &str) -> Self {
        let Some(stored) = handles.stored().get(step) else { return Self::default() };
        Self {
            id: text_of(stored, "id").to_owned(),
            url: text_of(stored, "url").to_owned(),
            tries: stored.get("tries").and_then(Value::as_i64).unwrap_or(0),
            ready: stored.get("ready").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    async fn store(&self, handles: &mut dyn Handles, step: &str) -> Result<(), Fault> {
        let Self { id, url, tries, ready } = self;
        let value = object!({ "id": id, "url": url, "tries": tries, "ready": ready });
        if handles.stored().contains_key(step) {
            handles.update(step, value).await
        } else {
            handles.save(step, value).await
        }
    }
}

/// A public address of an item: pictures as JPEG.
async fn share(work: &Work, item: &Media, media: &MediaSource) -> Result<String, Fault> {
    let room = if item.is_video() { Room::any() } else { Room::of(&super::limits()).jpeg() };
    Ok(media.share(work.workspace_id, item.media_id, room, 0).await?.url)
}

/// Ends an address; when that does not work now, it ends by itself within a day.
async fn unshare(work: &Work, url: &str, media: &MediaSource) {
    if !url.is_empty()
        && let Err(fault) = media.unshare(work.workspace_id, url).await
    {
        tracing::debug!(error = %fault, "a public address was left to end by itself");
    }
}

/// The subcode in the words of a container that failed: `-2/2207003`, or prose that ends with one.
fn subcode(status: &str) -> Option<String> {
    let mut numbers = status.split(|c: char| !c.is_ascii_digit()).filter(|number| number.starts_with("2207"));
    numbers.next_back().map(|number| format!("/{number}"))
}

/// The refusal that the words of a container stand for, when a further container would end the same.
fn final_for(status: &str) -> Option<Fault> {
    match judge(errors::RULES, http::StatusCode::BAD_REQUEST, &subcode(status)?)? {
        Proof::Rejected(code, message) => {
            Some(Fault::Rejected { code: code.into(), message: message.into() })
        }
        _ => None,
    }
}

fn failed(status: &str) -> Fault {
    let message = format!("Instagram could not take the media: {}", wire::short(status));
    Fault::Rejected { code: "MEDIA_REFUSED".into(), message }
}

fn unreachable() -> Fault {
    let message =
        "Instagram cannot fetch media from this installation: its public address must be reachable from \
                   the internet over https."
            .into();
    Fault::Rejected { code: "MEDIA_UNREACHABLE".into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_why_a_container_failed() {
        for (status, code) in [
            ("352/2207026", Some("VIDEO_REFUSED")),
            ("Error: Media upload has failed with error code 2207026", Some("VIDEO_REFUSED")),
            ("36003/2207009", Some("IMAGE_ASPECT")),
            ("-2/2207003", None),
            ("EXPIRED", None),
            ("", None),
        ] {
            let found = final_for(status);
            let found = found.as_ref().map(|fault| match fault {
                Fault::Rejected { code, .. } => code.as_str(),
                _ => "another",
            });
            assert_eq!(found, code, "{status}");
        }
    }
}
