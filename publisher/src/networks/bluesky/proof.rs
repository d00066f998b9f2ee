//! The kinds of posts on Bluesky, for the proof that all networks share: with an app password, and once from the browser.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{BlueskySettings, Settings, SlackSettings},
    },
    networks::proof::{
        Case, Way,
        shared::{self, with},
    },
    testing::{CLIP, PICTURE_JPEG},
};

/// The stand-in's account with its app password.
const PASSWORD: Way = Way::Login(|_| ("demo.test".into(), "demo-demo-demo-demo".into()));

pub(crate) fn cases() -> Vec<Case> {
    let case = |kind, way, content, over, shape| Case {
        network: "bluesky",
        kind,
        way,
        content,
        over,
        shape,
        refreshes: true,
        visible: "publish",
    };
    vec![
        case("text", PASSWORD, text, text_over, include_str!("shapes/text.json")),
        case("text", Way::OAuth(|_| true), text, text_over, include_str!("shapes/text.json")),
        case("link", PASSWORD, link, Vec::new, include_str!("shapes/link.json")),
        case("image", PASSWORD, image, image_over, include_str!("shapes/image.json")),
        case("carousel", PASSWORD, album, album_over, include_str!("shapes/carousel.json")),
        case("video", PASSWORD, video, video_over, include_str!("shapes/video.json")),
        case("video", Way::OAuth(|_| true), video, video_over, include_str!("shapes/video.json")),
    ]
}

/// The text, filled up to so many characters.
fn filled(text: &str, length: usize) -> String {
    format!("{text} {}", "é".repeat(length - text.len() - 1))
}

fn set(languages: &[&str], labels: &[&str]) -> Settings {
    let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    Settings::Bluesky(BlueskySettings { languages: own(languages), self_labels: own(labels) })
}

fn text(text: &str) -> Content {
    Content { settings: set(&["en", "de", "pt-BR"], &["nudity"]), ..with(&filled(text, 300), Vec::new()) }
}

fn text_over() -> Vec<(Content, &'static str)> {
    let foreign = Settings::Slack(SlackSettings::default());
    let settings = |settings| Content { settings, ..with("x", Vec::new()) };
    vec![
        (with(&filled("x", 301), Vec::new()), "TEXT_TOO_LONG"),
        (with(&"👩‍👩‍👧‍👦".repeat(121), Vec::new()), "TEXT_TOO_LARGE"),
        (with(" ", Vec::new()), "EMPTY"),
        (settings(set(&["en", "de", "fr", "it"], &[])), "TOO_MANY_LANGUAGES"),
        (settings(set(&["english"], &[])), "LANGUAGE"),
        (settings(set(&[], &["spam"])), "SELF_LABEL"),
        (settings(foreign), "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

/// Nobody answers there, so it gets no card.
fn link(text: &str) -> Content {
    with(&format!("{text} https://page.invalid/a?b=c"), Vec::new())
}

fn png() -> Media {
    Media { alt_text: "é".repeat(2000), ..shared::png() }
}

fn image(text: &str) -> Content {
    with(text, vec![Media { media_id: PICTURE_JPEG, content_type: "image/jpeg".into(), ..png() }])
}

fn image_over() -> Vec<(Content, &'static str)> {
    let one = |media| with("x", vec![media]);
    let gif = Media { content_type: "image/gif".into(), size_bytes: 2_000_001, ..png() };
    vec![
        (one(Media { alt_text: "é".repeat(2001), ..png() }), "ALT_TEXT_TOO_LONG"),
        (one(gif), "IMAGE_TOO_LARGE"),
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
        size_bytes: 300_000_000,
        width: 64,
        height: 64,
        duration_ms: 180_000,
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
        (one(Media { size_bytes: 300_000_001, ..film() }), "VIDEO_TOO_LARGE"),
        (one(Media { duration_ms: 180_001, ..film() }), "VIDEO_TOO_LONG"),
        (one(Media { content_type: "video/quicktime".into(), ..film() }), "VIDEO_TYPE"),
    ]
}
