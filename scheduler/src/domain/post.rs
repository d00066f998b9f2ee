//! A post: what is said, where it goes, and one word for how far it got.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    settings,
    target::{Target, TargetState},
    thread::Part,
};

/// A media item on a post, with what the library knew of it when it was put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The library's id.
    pub id: Uuid,
    /// Description for people who cannot see it; never the library's unless the user left it empty.
    pub alt_text: String,
    /// Found from the content.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// How long a video plays, milliseconds; 0 for pictures, and for what was put there before there were videos.
    #[serde(default)]
    pub duration_ms: i64,
}

/// A post with its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its id.
    pub id: Uuid,
    /// The tenant.
    pub workspace_id: Uuid,
    /// Who wrote it.
    pub author_id: Uuid,
    /// The text for targets without their own.
    pub text: String,
    /// Media in their order.
    pub media: Vec<Media>,
    /// What follows it as replies, in order.
    pub thread: Vec<Part>,
    /// One per account in the order the user gave, each followed by one for each further part, in order.
    pub targets: Vec<Target>,
    /// When it is to be published, Unix milliseconds; `None` for a draft.
    pub due_at: Option<i64>,
    /// Counts up with every change by a user.
    pub revision: i64,
    /// When it was written.
    pub created_at: i64,
    /// When anything about it changed last.
    pub updated_at: i64,
    /// Orders changes of all posts; grows with each one.
    pub change_seq: i64,
}

/// One word for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PostState {
    /// Not planned.
    Draft,
    /// Planned, nothing sent.
    Scheduled,
    /// Some targets are under way.
    Publishing,
    /// Every target that was not cancelled is visible.
    Published,
    /// All ended, some visible, some not.
    PartlyPublished,
    /// All ended, none visible.
    Failed,
    /// All withdrawn.
    Cancelled,
    /// A person has to confirm or to reconnect an account.
    NeedsAttention,
}

impl PostState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Scheduled,
        Self::Publishing,
        Self::Published,
        Self::PartlyPublished,
        Self::Failed,
        Self::Cancelled,
        Self::NeedsAttention,
    ];

    /// The word stored in the database, and in filters in upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::PartlyPublished => "partly_published",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NeedsAttention => "needs_attention",
        }
    }

    /// The word for the states of a post's targets.
    pub fn of(targets: impl IntoIterator<Item = TargetState>) -> Self {
        use TargetState as S;
        let (mut visible, mut lost, mut drafts, mut waiting, mut under_way, mut attention) =
            (0, 0, 0, 0, 0, 0);
        for state in targets {
            match state {
                S::Cancelled => {}
                S::Published | S::InInbox => visible += 1,
                S::Failed | S::Missed | S::Dropped => lost += 1,
                S::Draft => drafts += 1,
                S::Scheduled | S::HandedOver | S::Preparing | S::Prepared => waiting += 1,
                S::Sending | S::Processing | S::RetryWait | S::Unknown => under_way += 1,
                S::Parked | S::NeedsConfirmation => attention += 1,
            }
        }
        if attention > 0 {
            Self::NeedsAttention
        } else if under_way > 0 || (waiting > 0 && visible + lost > 0) {
            Self::Publishing
        } else if waiting > 0 {
            Self::Scheduled
        } else if drafts > 0 {
            Self::Draft
        } else {
            match (visible, lost) {
                (0, 0) => Self::Cancelled,
                (0, _) => Self::Failed,
                (_, 0) => Self::Published,
                _ => Self::PartlyPublished,
            }
        }
    }
}

impl Post {
    /// One word for how far it got.
    pub fn state(&self) -> PostState {
        PostState::of(self.targets.iter().map(|target| target.state))
    }

    /// True when every target has ended.
    pub fn is_final(&self) -> bool {
        self.targets.iter().all(|target| target.state.is_final())
    }

    /// True when it or a part of its thread carries media, or the settings of a target name some.
    pub fn has_media(&self) -> bool {
        let names_some = |target: &Target| settings::media_ids(&target.settings).next().is_some();
        !self.media.is_empty()
            || self.thread.iter().any(|part| !part.media.is_empty())
            || self.targets.iter().any(names_some)
    }

    /// The media of one part; 0 is the post itself.
    pub fn media_of(&self, position: i32) -> &[Media] {
        match usize::try_from(position).ok().and_then(|position| position.checked_sub(1)) {
            None => &self.media,
            Some(at) => self.thread.get(at).map_or(&[], |part| part.media.as_slice()),
        }
    }

    /// The ids of all its media, each once, sorted; those that settings name are among them.
    pub fn media_ids(&self) -> Vec<Uuid> {
        self.media_ids_where(|_| true, |_| true)
    }

    /// The ids of the media that the library must keep, each once, sorted: of every part with a target that has not
    /// ended. Those that settings name belong to the first part.
    pub fn needed_media(&self) -> Vec<Uuid> {
        let open: HashSet<_> = self
            .targets
            .iter()
            .filter(|target| !target.state.is_final())
            .map(|target| target.thread_position)
            .collect();
        self.media_ids_where(|position| open.contains(&position), |target| !target.state.is_final())
    }

    fn media_ids_where(&self, part: impl Fn(i32) -> bool, target: impl Fn(&Target) -> bool) -> Vec<Uuid> {
        let of_parts = (0..=self.thread.len() as i32)
            .filter(|position| part(*position))
            .flat_map(|position| self.media_of(position))
            .map(|media| media.id);
        let named = self
            .targets
            .iter()
            .filter(|it| it.thread_position == 0 && target(it))
            .flat_map(|it| settings::media_ids(&it.settings));
        let ids: BTreeSet<_> = of_parts.chain(named).collect();
        ids.into_iter().collect()
    }

    /// Changes with every change by a user; opaque to callers.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.id.as_bytes());
        hash.update(self.revision.to_be_bytes());
        data_encoding::BASE64URL_NOPAD.encode(&hash.finalize()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_media_that_were_stored_before_there_were_videos() {
        let stored = r#"{"id":"0190b8e0-0000-7000-8000-000000000000","alt_text":"a cat","content_type":"image/png",
                         "size_bytes":9,"width":1,"height":2}"#;
        let media: Media = serde_json::from_str(stored).unwrap();
        assert_eq!((media.width, media.duration_ms), (1, 0));
        let again: Media = serde_json::from_str(&serde_json::to_string(&media).unwrap()).unwrap();
        assert_eq!(again, media);
    }

    #[test]
    fn says_one_word_for_all_targets() {
        use TargetState as S;
        let table: &[(&[S], PostState)] = &[
            (&[S::Draft, S::Draft], PostState::Draft),
            (&[S::Scheduled, S::Prepared], PostState::Scheduled),
            (&[S::HandedOver, S::Cancelled], PostState::Scheduled),
            (&[S::Scheduled, S::Draft], PostState::Scheduled),
            (&[S::Scheduled, S::Sending], PostState::Publishing),
            (&[S::Scheduled, S::Published], PostState::Publishing),
            (&[S::RetryWait], PostState::Publishing),
            (&[S::Unknown, S::Published], PostState::Publishing),
            (&[S::Published, S::InInbox], PostState::Published),
            (&[S::Published, S::Cancelled], PostState::Published),
            (&[S::Published, S::Failed], PostState::PartlyPublished),
            (&[S::Published, S::Missed, S::Cancelled], PostState::PartlyPublished),
            (&[S::Failed, S::Missed], PostState::Failed),
            (&[S::Dropped], PostState::Failed),
            (&[S::Published, S::Dropped], PostState::PartlyPublished),
            (&[S::Failed, S::Cancelled], PostState::Failed),
            (&[S::Failed, S::Draft], PostState::Draft),
            (&[S::Cancelled, S::Cancelled], PostState::Cancelled),
            (&[S::Parked, S::Sending], PostState::NeedsAttention),
            (&[S::NeedsConfirmation, S::Published], PostState::NeedsAttention),
        ];
        for (targets, word) in table {
            assert_eq!(PostState::of(targets.iter().copied()), *word, "{targets:?}");
        }
    }
}
