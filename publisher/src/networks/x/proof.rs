//! X's kinds of posts for the proof that all networks share.

use super::{
    super::proof::{
        Case, Way,
        shared::{film, png},
    },
    Content,
};
use crate::domain::content::Media;

/// A text of exactly 280 weighted characters that begins with these words.
fn at_limit(words: &str) -> Content {
    let rest = 280 - words.chars().count() - 1 - 23 - 1;
    Content {
        text: format!("{words} https://example.com/a/long/path {}", "x".repeat(rest)),
        ..Content::default()
    }
}

fn picture() -> Media {
    Media { alt_text: "d".repeat(1000), ..png() }
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
        (with(vec![film(), film()]), "TOO_MANY_VIDEOS"),
        (with(vec![film(), picture()]), "MIXED_MEDIA"),
        (with(vec![Media { size_bytes: 512_000_001, ..film() }]), "VIDEO_TOO_LARGE"),
        (with(vec![Media { duration_ms: 140_001, ..film() }]), "VIDEO_TOO_LONG"),
        (with(vec![Media { duration_ms: 499, ..film() }]), "VIDEO_TOO_SHORT"),
    ]
}

fn pictures(words: &str, count: usize) -> Content {
    Content { media: vec![picture(); count], ..at_limit(words) }
}

/// Text with a link, one picture, four pictures, a video.
pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("x", Way::OAuth(|_| true), true);
    vec![
        case("text", at_limit, longer, include_str!("shapes/text.json")),
        case("image", |words| pictures(words, 1), more_pictures, include_str!("shapes/image.json")),
        case("carousel", |words| pictures(words, 4), more_pictures, include_str!("shapes/carousel.json")),
        case(
            "video",
            |words| Content { media: vec![film()], ..at_limit(words) },
            larger_videos,
            include_str!("shapes/video.json"),
        ),
    ]
}
