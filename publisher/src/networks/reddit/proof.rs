//! The kinds of posts on Reddit, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{DiscordSettings, RedditSettings, Settings},
    },
    networks::{
        files::IN_MEMORY,
        proof::{
            Case, Way,
            shared::{film, jpeg, png, with},
        },
    },
};

pub(super) const WAY: Way = Way::OAuth(|_| true);

pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("reddit", WAY, true);
    vec![
        case("text", text, text_over, include_str!("shapes/text.json")),
        case("link", link, link_over, include_str!("shapes/link.json")),
        case("image", image, image_over, include_str!("shapes/image.json")),
        case("carousel", gallery, gallery_over, include_str!("shapes/carousel.json")),
        case("video", video, video_over, include_str!("shapes/video.json")),
    ]
}

pub(super) fn set(settings: RedditSettings, content: Content) -> Content {
    Content { settings: Settings::Reddit(settings), ..content }
}

pub(super) fn in_test() -> RedditSettings {
    RedditSettings { subreddit: "test".into(), ..RedditSettings::default() }
}

/// The text, filled up to so many characters.
fn filled(text: &str, characters: usize) -> String {
    format!("{text} 👋{}", "x".repeat(characters - text.len() - 2))
}

fn text(text: &str) -> Content {
    let settings = RedditSettings {
        title: filled(text, 300),
        flair_id: "f-1".into(),
        flair_text: "News".into(),
        nsfw: true,
        spoiler: true,
        replies_muted: true,
        ..in_test()
    };
    set(settings, with(&filled(text, 40_000), Vec::new()))
}

fn text_over() -> Vec<(Content, &'static str)> {
    let titled = |title: String| set(RedditSettings { title, ..in_test() }, with("", Vec::new()));
    let named = set(RedditSettings { subreddit: "no such/name".into(), ..in_test() }, with("x", Vec::new()));
    let foreign = Settings::Discord(DiscordSettings::default());
    vec![
        (titled("x".repeat(301)), "TITLE_TOO_LONG"),
        (with(&format!("t\n{}", "x".repeat(40_001)), Vec::new()), "TEXT_TOO_LONG"),
        (with(" ", Vec::new()), "EMPTY"),
        (named, "SUBREDDIT"),
        (Content { settings: foreign, ..with("x", Vec::new()) }, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn link(text: &str) -> Content {
    // Every text makes a link of its own: nobody has posted it before.
    let number = text.bytes().fold(0_u64, |sum, b| sum.wrapping_mul(31) + u64::from(b));
    let link = format!("https://example.com/{number}/{}", "x".repeat(1900));
    set(RedditSettings { link, ..in_test() }, with(&filled(text, 300), Vec::new()))
}

fn link_over() -> Vec<(Content, &'static str)> {
    let linked =
        |link: &str, content: Content| set(RedditSettings { link: link.into(), ..in_test() }, content);
    vec![
        (linked("ftp://example.com/", with("x", Vec::new())), "LINK"),
        (linked(&format!("https://example.com/{}", "x".repeat(2000)), with("x", Vec::new())), "LINK"),
        (linked("https://example.com/", with("x\ny", Vec::new())), "TEXT_BESIDE_MEDIA"),
        (linked("https://example.com/", with("x", vec![png()])), "LINK_AND_MEDIA"),
    ]
}

fn image(text: &str) -> Content {
    set(in_test(), with(&filled(text, 300), vec![png()]))
}

fn image_over() -> Vec<(Content, &'static str)> {
    let animation = Media { content_type: "image/gif".into(), size_bytes: (20 << 20) + 1, ..png() };
    vec![
        (with("", vec![png()]), "TITLE_REQUIRED"),
        (with("x\ny", vec![png()]), "TEXT_BESIDE_MEDIA"),
        (with("x", vec![animation]), "IMAGE_TOO_LARGE"),
    ]
}

fn gallery(text: &str) -> Content {
    let mut media = vec![png(); 10];
    media.extend(vec![jpeg(); 10]);
    set(in_test(), with(text, media))
}

fn gallery_over() -> Vec<(Content, &'static str)> {
    vec![(with("x", vec![png(); 21]), "TOO_MANY_IMAGES"), (with("x", vec![png(), film()]), "MIXED_MEDIA")]
}

fn video(text: &str) -> Content {
    set(in_test(), with(text, vec![film()]))
}

fn video_over() -> Vec<(Content, &'static str)> {
    vec![
        (with("x", vec![film(), film()]), "TOO_MANY_VIDEOS"),
        (with("x", vec![Media { size_bytes: IN_MEMORY + 1, ..film() }]), "VIDEO_TOO_LARGE"),
        (with("x", vec![Media { duration_ms: 15 * 60_000 + 1, ..film() }]), "VIDEO_TOO_LONG"),
    ]
}
