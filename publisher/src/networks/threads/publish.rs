//! Making a post: checks, containers, the one request, and what its answer proves.
//!
//! Invariant: addresses of media are stored before the network hears of them, containers the moment their ids are
//! parsed, and a container that was once ready is never replaced by `prepare`, for it may have been published.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{thread, validate::Check},
    Answer, Call, Content, Fault, Handles, Limits, MediaSource, Session, Threads, Violation, Work, errors,
    graph::{self, Patience},
    wire::{self, json, text_of},
};
use crate::{
    domain::{
        content::Media,
        outcome::Outcome,
        settings::{Settings, ThreadsReplyControl, ThreadsSettings},
    },
    media::Room,
};

/// The handle of the container that is published.
pub(super) const CONTAINER: &str = "container";

/// How often a file that the network could not download is offered again.
const FETCHES: i64 = 3;

/// A container that is not found after so long is not merely late, milliseconds.
const LATE_MS: i64 = 300_000;

/// Everything the network would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("Threads", limits);
    check.content(content, position);
    check.settings(&content.settings, matches!(content.settings, Settings::Threads(_)));
    let settings = settings(content);
    let topic = settings.topic_tag.as_str();
    if topic.contains(['.', '&', '#']) || topic.chars().count() > 50 {
        let text = format!("`{topic}` is not a topic: at most 50 characters, without `#`, `.` and `&`");
        check.add("settings.threads.topic_tag", "TOPIC", text);
    }
    let link = settings.link_attachment.as_str();
    if !link.is_empty() && !content.media.is_empty() {
        let text = "Threads shows a link card only under a text without media".to_owned();
        check.add("settings.threads.link_attachment", "LINK_WITH_MEDIA", text);
    }
    let is_link = url::Url::parse(link).is_ok_and(|link| matches!(link.scheme(), "http" | "https"));
    if !link.is_empty() && !is_link {
        check.add("settings.threads.link_attachment", "LINK", format!("`{link}` is not an http(s) address"));
    }
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| !item.is_video()) {
        let (width, height) = (i64::from(item.width), i64::from(item.height));
        if width > 10 * height || height > 10 * width {
            let text = format!("the picture is {width} x {height}, Threads accepts at most 10 to 1");
            check.add(format!("media[{i}]"), "ASPECT_RATIO", text);
        }
    }
    check.into_violations()
}

/// A container that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    id: String,
    /// When it was made, Unix milliseconds.
    made_at: i64,
}

impl Container {
    fn parse(stored: &Value) -> Option<Self> {
        let id = text_of(stored, "id").to_owned();
        let made_at = stored.get("made_at").and_then(Value::as_i64)?;
        (!id.is_empty()).then_some(Self { id, made_at })
    }

    fn stored(&self, is_ready: bool) -> Value {
        object!({ "id": self.id, "made_at": self.made_at, "ready": is_ready })
    }

    /// What the one request is made from.
    pub(super) fn request(&self) -> Bytes {
        self.stored(true).to_string().into()
    }
}

/// The one visible request: the prepared container and the token.
pub(super) fn request(session: &Session, prepared: &Bytes) -> Call {
    let prepared: Value = serde_json::from_slice(prepared).unwrap_or_default();
    let fields = [("creation_id", text_of(&prepared, "id")), ("access_token", session.access_token.expose())];
    Call::post(&session.server, "/v1.0/me/threads_publish").form(&fields)
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, prepared: &Bytes, now_ms: i64) -> Answer {
    let wire = graph::seen(response, now_ms);
    let body = json(response).unwrap_or_default();
    let id = graph::id_of(&body, "id");
    if response.status().is_success() {
        let outcome = if id.is_empty() {
            Outcome::Ambiguous {
                evidence: format!("the network answered {} without a post", response.status()),
            }
        } else {
            Outcome::Accepted { native_id: id, url: String::new() }
        };
        return Answer { outcome, wire };
    }
    let proof = graph::judge(errors::RULES, response);
    let made_at =
        serde_json::from_slice(prepared).ok().as_ref().and_then(Container::parse).map(|c| c.made_at);
    let is_gone = proof.is_some()
        && errors::code(response) == errors::NOT_THERE
        && made_at.is_some_and(|made_at| now_ms - made_at > LATE_MS);
    let outcome = if is_gone {
        let message = "The network no longer knows the prepared post; it is prepared again.";
        let steps = vec![CONTAINER.to_owned()];
        Outcome::Stale { steps, code: "CONTAINER_GONE".into(), message: message.into() }
    } else {
        graph::refused(proof, response, now_ms)
    };
    Answer { outcome, wire }
}

impl Threads {
    /// A text, a picture or a video.
    pub(super) async fn single(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Container, Fault> {
        let shared = match work.content.media.first() {
            Some(item) if unfinished(handles, CONTAINER) => {
                Some((item, share(work, item, 0, media, handles, session).await?))
            }
            _ => None,
        };
        let mut fields = match &shared {
            Some((item, url)) => file(item, url),
            None => vec![("media_type", "TEXT".to_owned())],
        };
        fields.extend(post_fields(work));
        self.ready(session, CONTAINER, 0, &fields, work.reply.is_some(), handles).await
    }

    /// Two or more files: one container each, then one for all of them.
    pub(super) async fn carousel(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Container, Fault> {
        let mut children = Vec::new();
        if unfinished(handles, CONTAINER) {
            // All are made first: the network works on them side by side.
            for (i, item) in work.content.media.iter().enumerate() {
                let step = step(i);
                if unfinished(handles, &step) {
                    let url = share(work, item, i, media, handles, session).await?;
                    let mut fields = file(item, &url);
                    fields.push(("is_carousel_item", "true".to_owned()));
                    self.made(session, &step, i, &fields, false, handles).await?;
                }
            }
            for i in 0..work.content.media.len() {
                children.push(self.wait(session, &step(i), i, handles).await?.id);
            }
        }
        let mut fields = vec![("media_type", "CAROUSEL".to_owned()), ("children", children.join(","))];
        fields.extend(post_fields(work));
        self.ready(session, CONTAINER, 0, &fields, work.reply.is_some(), handles).await
    }

    /// Makes a container unless that is done, and waits until it can be published.
    async fn ready(
        &self,
        session: &Session,
        step: &str,
        i: usize,
        fields: &[(&str, String)],
        is_reply: bool,
        handles: &mut dyn Handles,
    ) -> Result<Container, Fault> {
        self.made(session, step, i, fields, is_reply, handles).await?;
        self.wait(session, step, i, handles).await
    }

    async fn made(
        &self,
        session: &Session,
        step: &str,
        i: usize,
        fields: &[(&str, String)],
        is_reply: bool,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let stored = handles.stored().get(step);
        if stored.is_some_and(|stored| Container::parse(stored).is_some()) {
            return Ok(());
        }
        let is_first = stored.is_none();
        wire::pass("prep.media_put.before").await?;
        let mut form: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form.push(("access_token", session.access_token.expose()));
        let call = Call::post(&session.server, "/v1.0/me/threads").form(&form);
        let response = call.read(&self.http).await?;
        if !response.status().is_success() {
            return Err(match errors::code(&response).as_str() {
                errors::NOT_THERE if is_reply => thread::missing(handles, self.clock.now_ms()).await,
                errors::NOT_FETCHED => self.not_fetched(i, handles).await,
                _ => self.fault(&response),
            });
        }
        let id = graph::id_of(&json(&response).unwrap_or_default(), "id");
        if id.is_empty() {
            return Err(wire::unreadable());
        }
        wire::pass("prep.media_put.after").await?;
        let made = Container { id, made_at: self.clock.now_ms() }.stored(false);
        if is_first { handles.save(step, made).await } else { handles.update(step, made).await }
    }

    /// Waits, for a bounded while, until a container is `FINISHED`.
    async fn wait(
        &self,
        session: &Session,
        step: &str,
        i: usize,
        handles: &mut dyn Handles,
    ) -> Result<Container, Fault> {
        let stored = handles.stored().get(step).cloned().unwrap_or_default();
        let container = Container::parse(&stored).ok_or_else(wire::unreadable)?;
        if stored["ready"] == true {
            return Ok(container);
        }
        let mut patience = Patience::new();
        loop {
            let (status, why) = self.status(session, &container.id).await?;
            match status.as_str() {
                "FINISHED" | "PUBLISHED" => {
                    handles.update(step, container.stored(true)).await?;
                    return Ok(container);
                }
                "ERROR" => {
                    let fault = if why.starts_with("FAILED_DOWNLOADING") {
                        self.not_fetched(i, handles).await
                    } else {
                        refused_media(&why)
                    };
                    handles.update(step, Value::Null).await?;
                    return Err(fault);
                }
                "EXPIRED" => {
                    handles.update(step, Value::Null).await?;
                    return Err(wire::unreadable());
                }
                _ => patience.pause().await?,
            }
        }
    }

    /// Status and error message of a container.
    pub(super) async fn status(&self, session: &Session, id: &str) -> Result<(String, String), Fault> {
        let path = format!("/v1.0/{}", super::read::segment(id));
        let call = Self::get(session, &path, &[("fields", "id,status,error_message")]);
        let body = json(&self.ask(call).await?).unwrap_or_default();
        Ok((text_of(&body, "status").to_owned(), text_of(&body, "error_message").to_owned()))
    }

    /// What follows when the network could not download a file: once more from a new address, a few times.
    async fn not_fetched(&self, i: usize, handles: &mut dyn Handles) -> Fault {
        let step = format!("fetch.{i}");
        let tries = handles.stored().get(&step).and_then(Value::as_i64).unwrap_or(0) + 1;
        let noted = match tries {
            1 => handles.save(&step, object!(tries)).await,
            _ => handles.update(&step, object!(tries)).await,
        };
        let forgotten = handles.update(&share_step(i), Value::Null).await;
        if let Err(fault) = noted.and(forgotten) {
            return fault;
        }
        if tries >= FETCHES {
            return Fault::Rejected {
                code: "MEDIA_NOT_FETCHED".into(),
                message: "The network could not download the media. The operator makes public.url an address that is \
                          reachable from the internet; then post again."
                    .into(),
            };
        }
        Fault::Transient {
            code: "MEDIA_NOT_FETCHED".into(),
            message: "The network could not download the media from this server.".into(),
            retry_after: None,
        }
    }
}

/// The public address of a file, stored before the network hears of it.
async fn share(
    work: &Work,
    item: &Media,
    i: usize,
    media: &MediaSource,
    handles: &mut dyn Handles,
    session: &Session,
) -> Result<String, Fault> {
    let step = share_step(i);
    let url = |handles: &dyn Handles| {
        let stored = handles.stored().get(&step).and_then(Value::as_str);
        stored.map(str::to_owned)
    };
    if let Some(stored) = url(handles) {
        return Ok(stored);
    }
    let room = if item.is_video() { Room::any() } else { Room::of(&session.limits) };
    let shared = media.share(work.workspace_id, item.media_id, room, 0).await?;
    if handles.stored().contains_key(&step) {
        handles.update(&step, object!(shared.url)).await?;
    } else {
        handles.save(&step, object!(shared.url)).await?;
    }
    url(handles).ok_or_else(wire::unreadable)
}

/// Whether the container of a step is still to be made.
fn unfinished(handles: &dyn Handles, step: &str) -> bool {
    handles.stored().get(step).and_then(Container::parse).is_none()
}

/// The handle of item `i` of a carousel.
fn step(i: usize) -> String {
    format!("item.{i}")
}

/// The handle of the address of file `i`.
fn share_step(i: usize) -> String {
    format!("share.{i}")
}

fn file(item: &Media, url: &str) -> Vec<(&'static str, String)> {
    let (kind, name) = if item.is_video() { ("VIDEO", "video_url") } else { ("IMAGE", "image_url") };
    let mut fields = vec![("media_type", kind.to_owned()), (name, url.to_owned())];
    if !item.alt_text.is_empty() {
        fields.push(("alt_text", item.alt_text.clone()));
    }
    fields
}

/// The fields that belong to the post as a whole.
fn post_fields(work: &Work) -> Vec<(&'static str, String)> {
    let settings = settings(&work.content);
    let control = settings.reply_control.map(|control| match control {
        ThreadsReplyControl::AccountsYouFollow => "accounts_you_follow",
        ThreadsReplyControl::MentionedOnly => "mentioned_only",
        ThreadsReplyControl::FollowersOnly => "followers_only",
    });
    let fields = [
        ("text", work.content.text.trim().to_owned()),
        ("reply_to_id", work.reply.as_ref().map(|reply| reply.parent_native_id.clone()).unwrap_or_default()),
        ("reply_control", control.unwrap_or_default().to_owned()),
        ("topic_tag", settings.topic_tag),
        ("link_attachment", settings.link_attachment),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

pub(super) fn settings(content: &Content) -> ThreadsSettings {
    match &content.settings {
        Settings::Threads(settings) => settings.clone(),
        _ => ThreadsSettings::default(),
    }
}

/// The words of `error_message`, for people.
fn refused_media(why: &str) -> Fault {
    let what = match why {
        "INVALID_ASPEC_RATIO" | "INVALID_ASPECT_RATIO" => "is too wide or too high",
        "INVALID_DURATION" => "is too long or too short",
        "INVALID_BIT_RATE" | "INVALID_FRAME_RATE" => "has too many bits or pictures in a second",
        "INVALID_AUDIO_CHANNELS" | "INVALID_AUDIO_CHANNEL_LAYOUT" | "FAILED_PROCESSING_AUDIO" => {
            "has sound that the network cannot use"
        }
        _ => "cannot be processed",
    };
    Fault::Rejected {
        code: "MEDIA_REFUSED".into(),
        message: format!("The network says that the picture or video {what}. Use another one."),
    }
}
