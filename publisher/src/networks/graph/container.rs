//! Containers: where Instagram and Threads put a post that nobody sees yet. The network fetches files into them from
//! public addresses, and publishing one is keyed by its id.
//!
//! Invariant: an address is stored before the network hears of it and ends when its container is ready, an id is stored
//! the moment it is parsed; a container that failed is replaced a few times, one that is ready never is, for it may have
//! been published. Afterwards the container says whether it was; which post it became is found among those that look
//! like it, and never guessed.

use async_trait::async_trait;
use serde_json::{Value, json as object};

use super::{Api, Fault, HandleMap, Handles, Patience, Session, Work, list::one, text_of, wire};
use crate::{
    domain::{content::Media, delivery::AttemptFacts, outcome::Found},
    media::{MediaSource, Room},
    networks::wire::Proof,
};

/// The handle of the container that is published.
pub(in super::super) const CONTAINER: &str = "container";

/// Containers made for one item before it is given up.
const TRIES: i64 = 3;

/// A container that is not shown after so long is not merely late, milliseconds.
pub(in super::super) const LATE_MS: i64 = 300_000;

/// A file's address did not answer with the file.
pub(in super::super) const NOT_FETCHED: Proof = Proof::Transient(
    UNFETCHED,
    "The network could not fetch the media from this installation's public address.",
);

const UNFETCHED: &str = "MEDIA_NOT_FETCHED";

/// What is said when it never does.
pub(in super::super) fn unreachable() -> Fault {
    let message = "The network cannot fetch media from this installation: its public address must be reachable from \
                   the internet over https. The operator sets public.url; then post again.";
    Fault::Rejected { code: UNFETCHED.into(), message: message.into() }
}

/// The handle of item `i` of a carousel.
fn child(i: usize) -> String {
    format!("child.{i}")
}

/// The steps of a work that are done again when its container is gone.
pub(in super::super) fn all_steps(work: &Work) -> Vec<String> {
    let children = match work.content.media.len() {
        0 | 1 => 0,
        several => several,
    };
    (0..children).map(child).chain([CONTAINER.to_owned()]).collect()
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Standing {
    /// The network does not show it: not yet, or not any more.
    Missing,
    /// The network is at it.
    Working,
    /// It can be published.
    Finished,
    /// It was published.
    Published,
    /// Nothing will come of it; with the network's words.
    Over(String),
}

impl Standing {
    /// Where a container stands by the word for it and the words about it.
    pub(in super::super) fn of(status: &str, why: &str) -> Self {
        match status {
            "FINISHED" => Self::Finished,
            "PUBLISHED" => Self::Published,
            "ERROR" | "EXPIRED" => Self::Over(if why.is_empty() { status } else { why }.to_owned()),
            _ => Self::Working,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Missing => "not shown",
            Self::Working => "being processed",
            Self::Finished => "not published",
            Self::Published => "published",
            Self::Over(_) => "over",
        }
    }
}

/// A container's handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Kept {
    /// Empty while the container is being made.
    pub(in super::super) id: String,
    /// When it was made, Unix milliseconds.
    pub(in super::super) made_at: i64,
    /// The item's public address; empty when it has ended.
    url: String,
    /// Containers before this one.
    tries: i64,
    ready: bool,
}

impl Kept {
    fn of(handles: &dyn Handles, step: &str) -> Self {
        handles.stored().get(step).map(Self::parse).unwrap_or_default()
    }

    /// A handle as it is stored.
    pub(in super::super) fn parse(stored: &Value) -> Self {
        let number = |name: &str| stored.get(name).and_then(Value::as_i64).unwrap_or(0);
        Self {
            id: text_of(stored, "id").to_owned(),
            made_at: number("made_at"),
            url: text_of(stored, "url").to_owned(),
            tries: number("tries"),
            ready: stored.get("ready").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    async fn store(&self, handles: &mut dyn Handles, step: &str) -> Result<(), Fault> {
        let Self { id, made_at, url, tries, ready } = self;
        let value = object!({ "id": id, "made_at": made_at, "url": url, "tries": tries, "ready": ready });
        if handles.stored().contains_key(step) {
            handles.update(step, value).await
        } else {
            handles.save(step, value).await
        }
    }
}

/// What one container is made of.
pub(in super::super) struct Piece<'a> {
    /// Its handle.
    step: String,
    /// The file it holds; none for a text and for a carousel.
    item: Option<&'a Media>,
    /// The request but for the address of the file.
    fields: Value,
}

/// A network that publishes containers.
#[async_trait]
pub(in super::super) trait Containers: Sync {
    /// The way to it.
    fn api(&self) -> &Api;

    /// How a picture goes out.
    fn room(&self, session: &Session) -> Room;

    /// What is said about a post beside the address of its file.
    fn fields(&self, work: &Work) -> Value;

    /// What is said about an item of a carousel.
    fn child_fields(&self, item: &Media) -> Value;

    /// Makes a container; its id. A fault of the file that may pass has a code that begins with `MEDIA_`.
    async fn create(
        &self,
        session: &Session,
        body: &Value,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault>;

    /// Asks where a container stands.
    async fn standing(&self, session: &Session, id: &str) -> Result<Standing, Fault>;

    /// The refusal that the words of a container stand for, when a further one would end the same.
    fn final_for(&self, why: &str) -> Option<Fault>;

    /// What is said when none of several containers came to something.
    fn given_up(&self, why: &str) -> Fault;

    /// Id and address of the account's posts since the attempt that look like the work.
    async fn posts(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault>;

    /// Makes the containers of a work, as far as that is not done, and waits until they are ready; the one that is
    /// published.
    async fn contain(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Kept, Fault> {
        let items = work.content.media.as_slice();
        let mut whole = Piece { step: CONTAINER.to_owned(), item: items.first(), fields: self.fields(work) };
        if items.len() > 1 {
            let piece =
                |(i, item)| Piece { step: child(i), item: Some(item), fields: self.child_fields(item) };
            let pieces: Vec<_> = items.iter().enumerate().map(piece).collect();
            // All are made before the first is waited for: the network works on them side by side.
            for piece in &pieces {
                self.make(session, work, piece, media, handles).await?;
            }
            let mut children = Vec::with_capacity(pieces.len());
            for piece in &pieces {
                children.push(self.ready(session, work, piece, media, handles).await?.id);
            }
            whole.item = None;
            whole.fields["children"] = object!(children.join(","));
        }
        self.ready(session, work, &whole, media, handles).await
    }

    /// Makes a container unless that is done.
    async fn make(
        &self,
        session: &Session,
        work: &Work,
        piece: &Piece<'_>,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let kept = Kept::of(handles, &piece.step);
        if !kept.id.is_empty() {
            return Ok(());
        }
        let mut body = piece.fields.clone();
        let mut kept = kept;
        if let Some(item) = piece.item {
            // The address of an attempt that got no further ends; whoever has it fetches nothing more.
            unshare(work, &kept.url, media).await;
            let room = if item.is_video() { Room::any() } else { self.room(session) };
            kept.url = media.share(work.workspace_id, item.media_id, room, 0).await?.url;
            kept.store(handles, &piece.step).await?;
            body[if item.is_video() { "video_url" } else { "image_url" }] = object!(kept.url);
        }
        wire::pass("prep.media_put.before").await?;
        let made = self.create(session, &body, handles).await;
        wire::pass("prep.media_put.after").await?;
        match made {
            Ok(id) => {
                let made_at = self.api().clock.now_ms();
                Kept { id, made_at, ready: false, ..kept }.store(handles, &piece.step).await
            }
            Err(Fault::Transient { code, message, retry_after }) if code.starts_with("MEDIA_") => {
                kept.tries += 1;
                kept.store(handles, &piece.step).await?;
                let is_last = code == UNFETCHED && kept.tries >= TRIES;
                Err(if is_last { unreachable() } else { Fault::Transient { code, message, retry_after } })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Makes a container unless that is done, and waits until it is ready.
    async fn ready(
        &self,
        session: &Session,
        work: &Work,
        piece: &Piece<'_>,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Kept, Fault> {
        let mut patience = Patience::new();
        loop {
            self.make(session, work, piece, media, handles).await?;
            let kept = Kept::of(handles, &piece.step);
            if kept.ready {
                return Ok(kept);
            }
            let is_late = self.api().clock.now_ms() - kept.made_at > LATE_MS;
            let why = match self.standing(session, &kept.id).await? {
                Standing::Finished | Standing::Published => {
                    unshare(work, &kept.url, media).await;
                    let kept = Kept { url: String::new(), ready: true, ..kept };
                    kept.store(handles, &piece.step).await?;
                    continue;
                }
                Standing::Over(why) => why,
                Standing::Missing if is_late => String::new(),
                Standing::Working | Standing::Missing => {
                    patience.pause().await?;
                    continue;
                }
            };
            let kept = Kept { id: String::new(), tries: kept.tries + 1, ..kept };
            kept.store(handles, &piece.step).await?;
            if let Some(fault) = self.final_for(&why) {
                return Err(fault);
            }
            if kept.tries >= TRIES {
                return Err(self.given_up(&why));
            }
        }
    }

    /// What became of a work whose answer was lost. Without its container, when records were lost, only the posts tell.
    async fn look(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Found, Fault> {
        let id = handles.get(CONTAINER).map(|handle| text_of(handle, "id")).unwrap_or_default();
        let standing = match id {
            "" => Standing::Missing,
            id => match self.standing(session, id).await {
                // A refusal of the question says nothing about the post.
                Err(Fault::Rejected { .. }) => Standing::Missing,
                standing => standing?,
            },
        };
        let unsure = |why: &str| Found::Unsure { why: format!("the container is {}{why}", standing.word()) };
        match standing {
            Standing::Finished => return Ok(Found::Absent),
            Standing::Working => return Ok(unsure("")),
            Standing::Missing | Standing::Published | Standing::Over(_) => {}
        }
        Ok(match (one(self.posts(session, work, attempt).await?), &standing) {
            (Ok((native_id, url)), _) => {
                let evidence = format!(
                    "the container is {}, and one post since the attempt shows the same",
                    standing.word()
                );
                Found::Live { native_id, url, evidence }
            }
            // Nothing more comes of it.
            (Err(0), Standing::Over(_)) => Found::Absent,
            (Err(0), Standing::Missing) => Found::Unseen,
            (Err(0), _) => unsure(", and its post is not shown yet"),
            (Err(_), _) => unsure(", and several posts look like it"),
        })
    }
}

/// Ends an address; when that does not work now, it ends by itself within a day.
async fn unshare(work: &Work, url: &str, media: &MediaSource) {
    if !url.is_empty()
        && let Err(fault) = media.unshare(work.workspace_id, url).await
    {
        tracing::debug!(error = %fault, "a public address was left to end by itself");
    }
}
