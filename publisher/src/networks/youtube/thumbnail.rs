//! The picture that is shown before a video plays. It is set once the video's id is stored; setting it again changes
//! nothing; and the video is published with it or without it.
//!
//! ```text
//!  send: 201 and the id ──▶ processing, id stored ──▶ poll: POST …/thumbnails/set ──▶ published
//!  after a lost answer:     reconcile finds the id ──▶ one try ──▶ published
//! ```
//! <https://developers.google.com/youtube/v3/docs/thumbnails/set>; it costs 50 units of the application's quota.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};

use super::{
    super::{
        validate::Check,
        wire::{Proof, Rule, rule},
    },
    Answer, Call, Fault, Found, Session, Work, Youtube, errors, server, upload, video, wire,
};
use crate::{
    domain::{
        content::Media,
        outcome::{Outcome, RATE_LIMITED},
    },
    media::Room,
};

/// Most bytes of a thumbnail (`maxSize` of thumbnails.set in the API's discovery document).
const MOST_BYTES: i64 = 2_097_152;

/// What a thumbnail may be (`accept` there).
const TYPES: [&str; 2] = ["image/jpeg", "image/png"];

/// What the media service makes one of: stills of any size, the larger and the other ones as a copy.
const STILLS: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];

/// How long a video waits for its thumbnail, milliseconds.
const PATIENCE: i64 = 300_000;

/// How long at least between two tries of it.
const PAUSE: Duration = Duration::from_mins(1);

/// How long a look at a lost answer waits for the thumbnail: the account's line stands meanwhile.
const GLANCE: Duration = Duration::from_secs(5);

/// What a refused thumbnail means; the rest is as everywhere.
const RULES: &[Rule] = &[
    rule(
        403,
        "forbidden",
        Proof::Rejected(
            "THUMBNAIL_NOT_ALLOWED",
            "YouTube does not let this channel set thumbnails. Verify its phone number at youtube.com/verify.",
        ),
    ),
    rule(400, "invalidImage", REFUSED),
    rule(400, "imageFormatUnsupported", REFUSED),
    rule(400, "imageTooTall", REFUSED),
    rule(400, "imageTooWide", REFUSED),
    rule(400, "mediaBodyRequired", REFUSED),
    // The channel has set many in a short time; nobody says how many, nor for how long.
    rule(
        429,
        "uploadRateLimitExceeded",
        Proof::Transient(RATE_LIMITED, "YouTube takes no more thumbnails of this channel now."),
    ),
    // It was there a moment ago: not every machine of YouTube's knows it yet.
    rule(404, "videoNotFound", Proof::Transient("VIDEO_NOT_READY", "YouTube does not know the video yet.")),
];

const REFUSED: Proof =
    Proof::Rejected("THUMBNAIL_REFUSED", "YouTube does not accept this picture as a thumbnail.");

/// What YouTube would refuse as a thumbnail. Without a type nothing is known of the picture: it was checked when the post
/// was planned.
pub(super) fn validate(check: &mut Check<'_>, picture: &Media) {
    const FIELD: &str = "settings.youtube.thumbnail_media_id";
    let kind = picture.content_type.as_str();
    if kind.is_empty() || STILLS.contains(&kind) {
        return;
    }
    let text = if picture.is_video() {
        "a video cannot be a thumbnail: choose a JPEG or PNG picture".to_owned()
    } else {
        format!("YouTube takes no {kind} as a thumbnail: choose a JPEG or PNG picture")
    };
    check.add(FIELD, "THUMBNAIL_TYPE", text);
    // Stills are made smaller.
    if picture.size_bytes > MOST_BYTES {
        let size = picture.size_bytes;
        let text = format!("the thumbnail has {size} bytes, YouTube accepts at most {MOST_BYTES}");
        check.add(FIELD, "THUMBNAIL_TOO_LARGE", text);
    }
}

impl Youtube {
    /// A video that is there, and whose thumbnail comes next, is not published yet.
    pub(super) fn before_thumbnail(&self, answer: Answer, work: &Work) -> Answer {
        match answer.outcome {
            Outcome::Accepted { native_id, .. } if self.wants_thumbnail(work) => {
                let handle = format!("{native_id} {}", self.clock.now_ms());
                Answer { outcome: Outcome::Processing { handle }, ..answer }
            }
            _ => answer,
        }
    }

    /// Sets the thumbnail of a video that is there. What may pass is tried again for some minutes; then, and whenever it
    /// is refused, the video is published without it.
    pub(super) async fn after_thumbnail(&self, session: &Session, work: &Work, handle: &str) -> Outcome {
        let (id, since) = read(handle);
        let tried = self.set_thumbnail(session, work, id).await;
        let left = PATIENCE - self.clock.now_ms().saturating_sub(since);
        let fits = |wait: Duration| i64::try_from(wait.as_millis()).is_ok_and(|wait| wait <= left);
        match tried {
            Err(Fault::TokenExpired) if left > 0 => return Outcome::TokenExpired,
            Err(Fault::Transient { code, message, retry_after })
                if fits(retry_after.unwrap_or_default().max(PAUSE)) =>
            {
                let retry_after = Some(retry_after.unwrap_or_default().max(PAUSE));
                return Outcome::Transient { code, message, retry_after };
            }
            Err(fault) => tell(work, &fault),
            Ok(()) => {}
        }
        Outcome::Accepted { native_id: id.to_owned(), url: upload::page(session, id) }
    }

    /// A video that was found after a lost answer gets its thumbnail as well, in one short try: the upload's session, or
    /// the channel's list, names the same video for ever.
    pub(super) async fn found_with_thumbnail(&self, session: &Session, work: &Work, found: Found) -> Found {
        match found {
            Found::Live { native_id, url, evidence } if self.wants_thumbnail(work) => {
                let trying = self.set_thumbnail(session, work, &native_id);
                let tried = tokio::time::timeout(GLANCE, trying).await.unwrap_or_else(|_| Err(too_slow()));
                let evidence = match tried {
                    Ok(()) => evidence,
                    Err(fault) => {
                        tell(work, &fault);
                        format!("{evidence}; its thumbnail was not set: {fault}")
                    }
                };
                Found::Live { native_id, url, evidence }
            }
            other => other,
        }
    }

    fn wants_thumbnail(&self, work: &Work) -> bool {
        self.media.is_some() && video::settings(&work.content).thumbnail.is_some()
    }

    async fn set_thumbnail(&self, session: &Session, work: &Work, video: &str) -> Result<(), Fault> {
        let wanted = video::settings(&work.content).thumbnail;
        let (Some(media), Some(wanted)) = (&self.media, wanted) else { return Ok(()) };
        let room = Room { bytes: MOST_BYTES, ..Room::any() };
        let mut picture = media.read(work.workspace_id, wanted.media_id, room).await?;
        if !TYPES.contains(&picture.content_type.as_str()) {
            picture = media.read(work.workspace_id, wanted.media_id, room.jpeg()).await?;
        }
        let query = [("videoId", video), ("uploadType", "media")];
        let address = server::address(&session.server, "/upload/youtube/v3/thumbnails/set", &query);
        let bounds = wire::upload_bounds(picture.bytes.len());
        let call = Call::new(Method::POST, address)
            .bearer(session.access_token.expose())
            .body(&picture.content_type, picture.bytes);
        let response = call.read(&self.http.bounded(bounds)).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.unset(&response)) }
    }

    fn unset(&self, response: &Response<Bytes>) -> Fault {
        let (reason, now_ms) = (errors::reason(response), self.clock.now_ms());
        let is_own = |reason: &str| wire::judge(RULES, response.status(), reason).is_some();
        if !reason.as_deref().is_some_and(is_own) {
            return self.fault(response);
        }
        wire::refused_as(RULES, response, reason.as_deref(), now_ms)
    }
}

/// The video that a handle names, and since when it is there.
fn read(handle: &str) -> (&str, i64) {
    let parts = handle.split_once(' ').and_then(|(id, since)| Some((id, since.parse().ok()?)));
    parts.unwrap_or((handle, i64::MIN))
}

fn too_slow() -> Fault {
    let message = "YouTube did not answer in time.".into();
    Fault::Transient { code: "SERVER_UNREACHABLE".into(), message, retry_after: None }
}

fn tell(work: &Work, fault: &Fault) {
    tracing::warn!(%fault, target.id = %work.target_id, "a video is published without its thumbnail");
}
