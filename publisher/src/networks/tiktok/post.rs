//! What videos and photos have in common: checks, what the creator may do now, and the form of the one request.

use bytes::{BufMut, Bytes, BytesMut};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json as object};

use super::{
    super::validate::Check, Call, Content, Fault, Handles, Limits, Session, Tiktok, Violation, Work,
};
use crate::domain::settings::{Settings, TiktokPrivacy, TiktokSettings};

/// The handle of what the creator may do.
const CREATOR: &str = "creator";

/// Longest description of photos, UTF-16 units.
const DESCRIPTION: i32 = 4000;

/// Pixels of each side of a video.
const SIDES: std::ops::RangeInclusive<i32> = 360..=4096;

/// Everything the network would refuse.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let has_video = content.media.iter().any(crate::domain::content::Media::is_video);
    let longer = Limits { text_length: limits.text_length.max(DESCRIPTION), ..limits.clone() };
    let mut check = Check::new("TikTok", if has_video { limits } else { &longer });
    check.content(content, position);
    check.no_threads(position);
    check.settings(&content.settings, matches!(content.settings, Settings::Tiktok(_)));
    check.title("settings.tiktok.title", &settings(content).title);
    for (i, item) in content.media.iter().enumerate().filter(|(_, item)| item.is_video()) {
        let is_known = item.width > 0 && item.height > 0;
        if is_known && !(SIDES.contains(&item.width) && SIDES.contains(&item.height)) {
            let text = format!(
                "the video is {} x {}, TikTok accepts 360 to 4096 pixels on each side",
                item.width, item.height
            );
            check.add(format!("media[{i}]"), "VIDEO_SIZE", text);
        }
    }
    check.into_violations()
}

/// Whether it is a video; photos otherwise.
pub(super) fn is_video(work: &Work) -> bool {
    work.content.media.first().is_some_and(crate::domain::content::Media::is_video)
}

pub(super) fn settings(content: &Content) -> TiktokSettings {
    match &content.settings {
        Settings::Tiktok(settings) => settings.clone(),
        _ => TiktokSettings::default(),
    }
}

/// What the creator may do, and who sees the post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Creator {
    pub(super) privacy: String,
    comment_disabled: bool,
    duet_disabled: bool,
    stitch_disabled: bool,
}

impl Creator {
    /// Whether everybody will see the post, and its id will be told.
    pub(super) fn is_public(&self) -> bool {
        self.privacy == "PUBLIC_TO_EVERYONE"
    }

    /// The description of a direct post of either kind.
    pub(super) fn info(&self, settings: &TiktokSettings) -> Map<String, Value> {
        let mut info = Map::new();
        info.insert("privacy_level".into(), object!(self.privacy));
        info.insert("disable_comment".into(), object!(self.comment_disabled || settings.comments_disabled));
        info.insert("brand_content_toggle".into(), object!(settings.brand_content));
        info.insert("brand_organic_toggle".into(), object!(settings.brand_organic));
        info
    }

    /// What only videos have.
    pub(super) fn video_info(&self, settings: &TiktokSettings) -> Map<String, Value> {
        let mut info = self.info(settings);
        info.insert("disable_duet".into(), object!(self.duet_disabled || settings.duet_disabled));
        info.insert("disable_stitch".into(), object!(self.stitch_disabled || settings.stitch_disabled));
        info.insert("is_aigc".into(), object!(settings.made_with_ai));
        info
    }
}

impl Tiktok {
    /// Asks what the creator may do now, unless that is done; drafts need no answer. A privacy that is no longer offered
    /// is told, never exchanged for another one.
    pub(super) async fn creator_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<Option<Creator>, Fault> {
        let settings = settings(&work.content);
        if settings.to_inbox {
            return Ok(None);
        }
        if !handles.stored().contains_key(CREATOR) {
            let call = Self::post(session, "/v2/post/publish/creator_info/query/", "{}");
            let data = self.ask(call).await?;
            let creator = allowed(&data, work, &settings)?;
            let creator = serde_json::to_value(creator).expect("plain texts and booleans");
            handles.save(CREATOR, creator).await?;
        }
        let stored = handles.stored().get(CREATOR).cloned().unwrap_or_default();
        let creator = serde_json::from_value(stored).map_err(|_| super::wire::unreadable())?;
        Ok(Some(creator))
    }
}

/// The creator's own choices against those of the post.
fn allowed(data: &Value, work: &Work, settings: &TiktokSettings) -> Result<Creator, Fault> {
    let options = data.get("privacy_level_options").and_then(Value::as_array);
    let options: Vec<&str> = options.into_iter().flatten().filter_map(Value::as_str).collect();
    let offers = |privacy: &TiktokPrivacy| options.contains(&word(*privacy));
    let open = [
        TiktokPrivacy::PublicToEveryone,
        TiktokPrivacy::FollowerOfCreator,
        TiktokPrivacy::MutualFollowFriends,
        TiktokPrivacy::SelfOnly,
    ];
    let privacy = match settings.privacy {
        Some(privacy) => Some(privacy).filter(offers),
        None => open.into_iter().find(offers),
    };
    let Some(privacy) = privacy else {
        return Err(Fault::Rejected {
            code: "PRIVACY_NOT_OFFERED".into(),
            message:
                "The account does not offer this privacy. Choose another one in the settings of the post."
                    .into(),
        });
    };
    let most_s = data.get("max_video_post_duration_sec").and_then(Value::as_i64).filter(|most| *most > 0);
    let length_ms = work.content.media.iter().map(|item| item.duration_ms).max().unwrap_or(0);
    if let Some(most_s) = most_s.filter(|most_s| length_ms > most_s * 1000) {
        return Err(Fault::Rejected {
            code: "VIDEO_TOO_LONG".into(),
            message: format!("This account may post videos of at most {most_s} s. Use a shorter one."),
        });
    }
    let truth = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or(false);
    Ok(Creator {
        privacy: word(privacy).to_owned(),
        comment_disabled: truth("comment_disabled"),
        duet_disabled: truth("duet_disabled"),
        stitch_disabled: truth("stitch_disabled"),
    })
}

/// The network's word.
fn word(privacy: TiktokPrivacy) -> &'static str {
    match privacy {
        TiktokPrivacy::PublicToEveryone => "PUBLIC_TO_EVERYONE",
        TiktokPrivacy::MutualFollowFriends => "MUTUAL_FOLLOW_FRIENDS",
        TiktokPrivacy::FollowerOfCreator => "FOLLOWER_OF_CREATOR",
        TiktokPrivacy::SelfOnly => "SELF_ONLY",
    }
}

/// The one visible request: a head of JSON, a line break, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Bytes,
}

/// What is needed beside the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Whether everybody will see the post.
    pub(super) public: bool,
    /// Where a video's last bytes go; none for photos.
    pub(super) upload: Option<LastBytes>,
}

/// The last bytes of a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastBytes {
    pub(super) publish_id: String,
    pub(super) url: String,
    pub(super) content_type: String,
    pub(super) start: u64,
    pub(super) size: u64,
}

impl Request {
    /// The bytes of [`super::Ready`].
    pub(super) fn written(&self) -> Bytes {
        let head = serde_json::to_vec(&self.head).expect("plain texts, numbers and booleans");
        let mut written = BytesMut::with_capacity(head.len() + 1 + self.body.len());
        written.put_slice(&head);
        written.put_u8(b'\n');
        written.put_slice(&self.body);
        written.freeze()
    }

    /// Back from these bytes.
    pub(super) fn read(written: &Bytes) -> Option<Self> {
        let end = written.iter().position(|byte| *byte == b'\n')?;
        let head = serde_json::from_slice(&written[..end]).ok()?;
        Some(Self { head, body: written.slice(end + 1..) })
    }

    /// The call: bytes for an address that needs no token, or the description of photos.
    pub(super) fn call(&self, session: &Session) -> Call {
        match &self.head.upload {
            Some(last) => put(&last.url, &last.content_type, last.start, last.size, self.body.clone()),
            None => Tiktok::post(session, "/v2/post/publish/content/init/", self.body.clone()),
        }
    }
}

/// A chunk of a video on its way.
pub(super) fn put(url: &str, content_type: &str, start: u64, size: u64, chunk: Bytes) -> Call {
    let end = start + (chunk.len() as u64).saturating_sub(1);
    Call::new(Method::PUT, url.to_owned())
        .header("content-range", &format!("bytes {start}-{end}/{size}"))
        .body(content_type, chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let last = LastBytes {
            publish_id: "v_pub_file~v2-1.5".into(),
            url: "https://upload.example/video/?upload_id=1".into(),
            content_type: "video/mp4".into(),
            start: 10,
            size: 13,
        };
        for upload in [None, Some(last)] {
            let request =
                Request { head: Head { public: true, upload }, body: Bytes::from_static(b"a\n\0b") };
            let written = request.written();
            assert_eq!(Request::read(&written), Some(request));
        }
        assert_eq!(Request::read(&Bytes::from_static(b"{}")), None);
    }
}
