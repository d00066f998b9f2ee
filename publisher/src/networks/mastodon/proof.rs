//! The kinds of posts on Mastodon and its relatives, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{MastodonSettings, Settings, SlackSettings, Visibility},
    },
    networks::proof::{
        Case, Way,
        shared::{self, with},
    },
    testing::{CLIP, PICTURE_JPEG},
};

const WAY: Way = Way::OAuth(|_| true);

pub(crate) fn cases() -> Vec<Case> {
    let case = |network, kind, content, over, shape| Case {
        network,
        kind,
        way: WAY,
        content,
        over,
        shape,
        refreshes: false,
        visible: "publish",
    };
    let shapes = [
        include_str!("shapes/text.json"),
        include_str!("shapes/image.json"),
        include_str!("shapes/carousel.json"),
        include_str!("shapes/video.json"),
    ];
    let [text_shape, image_shape, album_shape, video_shape] = shapes;
    vec![
        case("mastodon", "text", text, text_over, text_shape),
        case("mastodon", "image", image, image_over, image_shape),
        case("mastodon", "carousel", album, album_over, album_shape),
        case("mastodon", "video", video, video_over, video_shape),
        case("pixelfed", "image", image, bare, image_shape),
        case("pixelfed", "carousel", album, album_over, album_shape),
        case("pixelfed", "video", video, bare, video_shape),
        case("gotosocial", "text", long_text, long_text_over, text_shape),
        case("gotosocial", "image", image, image_over, image_shape),
        case("pleroma", "text", long_text, long_text_over, text_shape),
        case("pleroma", "video", video, video_over, video_shape),
    ]
}

/// The text, filled up to so many characters.
fn filled(text: &str, length: usize) -> String {
    format!("{text} {}", "é".repeat(length - text.len() - 1))
}

/// Warning and text share the limit.
fn warned(text: &str, length: usize) -> Content {
    let settings = MastodonSettings {
        visibility: Some(Visibility::Unlisted),
        spoiler_text: "careful".into(),
        sensitive: false,
        language: "en".into(),
    };
    Content {
        text: filled(text, length - "careful".len()),
        settings: Settings::Mastodon(settings),
        ..Content::default()
    }
}

fn text(text: &str) -> Content {
    warned(text, 500)
}

fn long_text(text: &str) -> Content {
    warned(text, 5000)
}

fn text_over() -> Vec<(Content, &'static str)> {
    let language = MastodonSettings { language: "english".into(), ..MastodonSettings::default() };
    let language = Content { settings: Settings::Mastodon(language), ..with("x", Vec::new()) };
    let foreign = Content { settings: Settings::Slack(SlackSettings::default()), ..with("x", Vec::new()) };
    vec![
        (warned("x", 501), "TEXT_TOO_LONG"),
        (with(" ", Vec::new()), "EMPTY"),
        (language, "LANGUAGE"),
        (foreign, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn long_text_over() -> Vec<(Content, &'static str)> {
    vec![(warned("x", 5001), "TEXT_TOO_LONG"), (with(" ", Vec::new()), "EMPTY")]
}

fn bare() -> Vec<(Content, &'static str)> {
    vec![(with("words alone", Vec::new()), "MEDIA_REQUIRED")]
}

fn png() -> Media {
    Media { alt_text: "é".repeat(1500), ..shared::png() }
}

fn gif() -> Media {
    Media { content_type: "image/gif".into(), ..png() }
}

fn image(text: &str) -> Content {
    with(text, vec![Media { media_id: PICTURE_JPEG, content_type: "image/jpeg".into(), ..png() }])
}

fn image_over() -> Vec<(Content, &'static str)> {
    let one = |media| with("x", vec![media]);
    vec![
        (one(Media { alt_text: "é".repeat(1501), ..png() }), "ALT_TEXT_TOO_LONG"),
        (one(Media { size_bytes: 16_777_217, ..gif() }), "IMAGE_TOO_LARGE"),
        (one(Media { width: 33_177_601, ..gif() }), "IMAGE_TOO_MANY_PIXELS"),
        (one(Media { content_type: "image/bmp".into(), ..png() }), "IMAGE_TYPE"),
    ]
}

fn album(text: &str) -> Content {
    with(text, vec![png(); 4])
}

fn album_over() -> Vec<(Content, &'static str)> {
    vec![(with("x", vec![png(); 5]), "TOO_MANY_IMAGES"), (with("x", vec![png(), film()]), "MIXED_MEDIA")]
}

fn film() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: 103_809_024,
        width: 3840,
        height: 2160,
        duration_ms: 1000,
        ..png()
    }
}

fn video(text: &str) -> Content {
    with(text, vec![film()])
}

fn video_over() -> Vec<(Content, &'static str)> {
    let one = |media| with("x", vec![media]);
    vec![
        (with("x", vec![film(); 2]), "TOO_MANY_VIDEOS"),
        (one(Media { size_bytes: 103_809_025, ..film() }), "VIDEO_TOO_LARGE"),
        (one(Media { height: 2161, ..film() }), "VIDEO_TOO_MANY_PIXELS"),
        (one(Media { content_type: "video/webm".into(), ..film() }), "VIDEO_TYPE"),
    ]
}
