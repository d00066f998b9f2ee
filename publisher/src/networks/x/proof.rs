//! X's kinds of posts for the proof that all networks share.

use super::{
    super::proof::{Case, Way},
    Content,
};
use crate::{
    domain::content::Media,
    testing::{CLIP, PICTURE_PNG, PNG, clip},
};

/// A text of exactly 280 weighted characters that begins with these words.
fn at_limit(words: &str) -> Content {
    let rest = 280 - words.chars().count() - 1 - 23 - 1;
    Content {
        text: format!("{words} https://example.com/a/long/path {}", "x".repeat(rest)),
        ..Content::default()
    }
}

fn picture() -> Media {
    Media {
        media_id: PICTURE_PNG,
        content_type: "image/png".into(),
        size_bytes: i64::try_from(PNG.len()).unwrap_or_default(),
        width: 1,
        height: 1,
        alt_text: "d".repeat(1000),
        ..Media::default()
    }
}

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

fn with(media: Vec<Media>) -> Content {
    Content { media, ..at_limit("over") }
}

fn longer() -> Vec<(Content, &'static str)> {
    let mut long = at_limit("over");
    long.text.push('x');
    vec![(long, "TEXT_TOO_LONG"), (Content::default(), "EMPTY")]
}

fn more_pictures() -> Vec<(Content, &'static str)> {
    let alt = Media { alt_text: "d".repeat(1001), ..picture() };
    let gif = Media { content_type: "image/gif".into(), size_bytes: 15_000_001, ..picture() };
    vec![
        (with(vec![picture(); 5]), "TOO_MANY_IMAGES"),
        (with(vec![alt]), "ALT_TEXT_TOO_LONG"),
        (with(vec![gif]), "IMAGE_TOO_LARGE"),
    ]
}

fn larger_videos() -> Vec<(Content, &'static str)> {
    vec![
        (with(vec![video(), video()]), "TOO_MANY_VIDEOS"),
        (with(vec![video(), picture()]), "MIXED_MEDIA"),
        (with(vec![Media { size_bytes: 512_000_001, ..video() }]), "VIDEO_TOO_LARGE"),
        (with(vec![Media { duration_ms: 140_001, ..video() }]), "VIDEO_TOO_LONG"),
        (with(vec![Media { duration_ms: 499, ..video() }]), "VIDEO_TOO_SHORT"),
    ]
}

/// Text with a link, one picture, four pictures, a video.
pub(crate) fn cases() -> Vec<Case> {
    let case = Case {
        network: "x",
        kind: "text",
        way: Way::OAuth(|_| true),
        content: at_limit,
        over: longer,
        shape: include_str!("shapes/text.json"),
        refreshes: true,
        visible: "publish",
    };
    vec![
        Case {
            kind: "image",
            content: |words| Content { media: vec![picture()], ..at_limit(words) },
            over: more_pictures,
            shape: include_str!("shapes/image.json"),
            ..case
        },
        Case {
            kind: "carousel",
            content: |words| Content { media: vec![picture(); 4], ..at_limit(words) },
            over: more_pictures,
            shape: include_str!("shapes/carousel.json"),
            ..case
        },
        Case {
            kind: "video",
            content: |words| Content { media: vec![video()], ..at_limit(words) },
            over: larger_videos,
            shape: include_str!("shapes/video.json"),
            ..case
        },
        case,
    ]
}
