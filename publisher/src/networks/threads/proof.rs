//! The kinds of posts on Threads, for the proof that every network's kinds share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{Settings, ThreadsSettings},
    },
    networks::{
        graph::stage::{film, still},
        proof::{Case, Way},
    },
    testing::{PICTURE_JPEG, PICTURE_PNG},
};

/// One case for each kind.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("text", text, over_text, include_str!("shapes/text.json")),
        case("image", image, over_image, include_str!("shapes/image.json")),
        case("video", video, over_video, include_str!("shapes/video.json")),
        case("carousel", carousel, over_carousel, include_str!("shapes/carousel.json")),
    ]
}

fn case(
    kind: &'static str,
    content: fn(&str) -> Content,
    over: fn() -> Vec<(Content, &'static str)>,
    shape: &'static str,
) -> Case {
    Case {
        network: "threads",
        kind,
        way: Way::OAuth(|_| true),
        content,
        over,
        shape,
        // An expired token can no longer be renewed: the user connects again.
        refreshes: false,
        visible: "publish",
    }
}

/// A text of exactly 500, in which the emoji counts its four bytes.
fn full(text: &str) -> String {
    let start = format!("{text} 👋 ");
    let counted = start.chars().count() + 3;
    format!("{start}{}", "x".repeat(500 - counted))
}

pub(super) fn picture() -> Media {
    still(PICTURE_JPEG, &"a".repeat(1000))
}

pub(super) fn with(text: String, media: Vec<Media>) -> Content {
    Content { text, media, ..Content::default() }
}

fn text(text: &str) -> Content {
    let settings = ThreadsSettings {
        topic_tag: "t".repeat(50),
        link_attachment: "https://example.com/".into(),
        ..ThreadsSettings::default()
    };
    Content { settings: Settings::Threads(settings), ..with(full(text), Vec::new()) }
}

fn over_text() -> Vec<(Content, &'static str)> {
    let settings =
        |settings| Content { settings: Settings::Threads(settings), ..with("x".into(), Vec::new()) };
    let topic = |topic: String| settings(ThreadsSettings { topic_tag: topic, ..ThreadsSettings::default() });
    let link = ThreadsSettings { link_attachment: "example.com".into(), ..ThreadsSettings::default() };
    vec![
        (with("x".repeat(501), Vec::new()), "TEXT_TOO_LONG"),
        (with(format!("{}👋", "x".repeat(497)), Vec::new()), "TEXT_TOO_LONG"),
        (with(" ".into(), Vec::new()), "EMPTY"),
        (topic("t".repeat(51)), "TOPIC"),
        (topic("a.b".into()), "TOPIC"),
        (settings(link), "LINK"),
    ]
}

fn image(text: &str) -> Content {
    with(full(text), vec![picture()])
}

fn over_image() -> Vec<(Content, &'static str)> {
    let one = |item: Media| with(String::new(), vec![item]);
    let gif = |size_bytes| Media { content_type: "image/gif".into(), size_bytes, ..picture() };
    let link =
        ThreadsSettings { link_attachment: "https://example.com/".into(), ..ThreadsSettings::default() };
    vec![
        (one(Media { alt_text: "a".repeat(1001), ..picture() }), "ALT_TEXT_TOO_LONG"),
        (one(gif(10)), "IMAGE_TYPE"),
        (one(gif(8_000_001)), "IMAGE_TOO_LARGE"),
        (one(Media { width: 11, ..picture() }), "ASPECT_RATIO"),
        (Content { settings: Settings::Threads(link), ..one(picture()) }, "LINK_WITH_MEDIA"),
    ]
}

fn video(text: &str) -> Content {
    with(full(text), vec![film(1_000)])
}

fn over_video() -> Vec<(Content, &'static str)> {
    let one = |item: Media| with(String::new(), vec![item]);
    vec![
        (one(Media { size_bytes: 1_000_000_001, ..film(1_000) }), "VIDEO_TOO_LARGE"),
        (one(Media { duration_ms: 300_001, ..film(1_000) }), "VIDEO_TOO_LONG"),
        (one(Media { content_type: "video/webm".into(), ..film(1_000) }), "VIDEO_TYPE"),
    ]
}

fn carousel(text: &str) -> Content {
    let mut media = vec![film(1_000), still(PICTURE_PNG, "")];
    media.resize(20, still(PICTURE_JPEG, ""));
    with(full(text), media)
}

fn over_carousel() -> Vec<(Content, &'static str)> {
    let mixed = [vec![film(1_000)], vec![picture(); 20]].concat();
    vec![
        (with(String::new(), vec![picture(); 21]), "TOO_MANY_IMAGES"),
        (with(String::new(), vec![film(1_000); 21]), "TOO_MANY_VIDEOS"),
        (with(String::new(), mixed), "MIXED_MEDIA"),
    ]
}
