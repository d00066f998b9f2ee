//! YouTube's kind of post for the proof that all networks share.

use super::{
    super::proof::{Case, Way},
    Content,
};
use crate::{
    domain::{
        content::Media,
        settings::{Settings, YoutubePrivacy, YoutubeSettings},
    },
    testing::{CLIP, PICTURE_PNG, clip},
};

fn video() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).unwrap_or_default(),
        width: 64,
        height: 64,
        duration_ms: 1000,
        ..Media::default()
    }
}

/// A still may be larger than YouTube takes: a copy of it goes out.
fn picture(content_type: &str, size_bytes: i64) -> Media {
    Media {
        media_id: PICTURE_PNG,
        content_type: content_type.into(),
        size_bytes,
        width: 1280,
        height: 720,
        ..Media::default()
    }
}

fn settings() -> YoutubeSettings {
    YoutubeSettings {
        title: "t".repeat(100),
        privacy: YoutubePrivacy::Unlisted,
        // 166 words of two letters and the commas between them, and one of four with its quotes: 500.
        tags: [vec!["ab".to_owned(); 165], vec!["a b".to_owned()]].concat(),
        category_id: "27".into(),
        made_for_kids: false,
        synthetic_media: true,
        skip_notification: true,
        thumbnail: Some(picture("image/png", 2_097_153)),
    }
}

/// A description of exactly 5000 bytes that begins with these words.
fn at_limit(words: &str) -> Content {
    let rest = 5000 - words.len() - 1;
    Content {
        text: format!("{words} {}", "x".repeat(rest)),
        media: vec![video()],
        settings: Settings::Youtube(settings()),
    }
}

fn one_over() -> Vec<(Content, &'static str)> {
    let with = |media: Vec<Media>| Content { media, ..at_limit("over") };
    let set = |change: fn(&mut YoutubeSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Content { settings: Settings::Youtube(settings), ..at_limit("over") }
    };
    let mut long = at_limit("over");
    long.text.push('x');
    let untitled = Content { text: String::new(), media: vec![video()], settings: Settings::None };
    vec![
        (long, "TEXT_TOO_LARGE"),
        (with(Vec::new()), "MEDIA_REQUIRED"),
        (with(vec![video(), video()]), "TOO_MANY_VIDEOS"),
        (with(vec![picture("image/png", 9)]), "TOO_MANY_IMAGES"),
        (with(vec![Media { size_bytes: 274_877_906_945, ..video() }]), "VIDEO_TOO_LARGE"),
        (with(vec![Media { duration_ms: 43_200_001, ..video() }]), "VIDEO_TOO_LONG"),
        (set(|settings| settings.title.push('t')), "TITLE_TOO_LONG"),
        (set(|settings| settings.title = "a < b".into()), "CHARACTER_REFUSED"),
        (set(|settings| settings.tags.push(String::from("a"))), "TAGS_TOO_LONG"),
        (set(|settings| settings.category_id = "Music".into()), "CATEGORY"),
        (set(|settings| settings.thumbnail = Some(video())), "THUMBNAIL_TYPE"),
        (set(|settings| settings.thumbnail = Some(picture("image/gif", 9))), "THUMBNAIL_TYPE"),
        (set(|settings| settings.thumbnail = Some(picture("image/gif", 2_097_153))), "THUMBNAIL_TOO_LARGE"),
        (untitled, "TITLE_REQUIRED"),
    ]
}

/// A video with everything that can be set.
pub(crate) fn cases() -> Vec<Case> {
    vec![Case {
        network: "youtube",
        kind: "video",
        way: Way::OAuth(|_| true),
        content: at_limit,
        over: one_over,
        shape: include_str!("shapes/video.json"),
        refreshes: true,
        visible: "publish",
    }]
}
