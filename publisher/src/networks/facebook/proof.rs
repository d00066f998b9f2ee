//! The kinds of posts of a Page for the proof that all networks share.

use super::{
    super::proof::{Case, Way},
    Content,
    graph::stage::{film, still},
};
use crate::{
    domain::{
        content::Media,
        settings::{FacebookKind, FacebookSettings, Settings},
    },
    testing::PICTURE_PNG,
};

/// A text of exactly 63 206 characters that begins with these words.
fn longest(words: &str) -> Content {
    let rest = 63_206 - words.chars().count() - 1;
    Content { text: format!("{words} {}", "x".repeat(rest)), ..Content::default() }
}

fn plain(words: &str) -> Content {
    Content { text: words.into(), ..Content::default() }
}

fn picture() -> Media {
    still(PICTURE_PNG, "a dot, described")
}

fn settings(kind: FacebookKind, link: &str, title: &str) -> Settings {
    Settings::Facebook(FacebookSettings { kind, link: link.into(), title: title.into() })
}

fn with(words: &str, media: Vec<Media>, settings: Settings) -> Content {
    Content { media, settings, ..plain(words) }
}

fn reel(words: &str, duration_ms: i64) -> Content {
    let settings = settings(FacebookKind::Reel, "", &"t".repeat(255));
    with(words, vec![film(duration_ms)], settings)
}

fn story(item: Media) -> Content {
    with("", vec![item], settings(FacebookKind::Story, "", ""))
}

fn longer() -> Vec<(Content, &'static str)> {
    let mut long = longest("over");
    long.text.push('x');
    vec![(long, "TEXT_TOO_LONG"), (Content::default(), "EMPTY")]
}

fn other_links() -> Vec<(Content, &'static str)> {
    let of = |link: &str, media| with("over", media, settings(FacebookKind::Feed, link, ""));
    vec![(of("no address", vec![]), "LINK"), (of("https://example.com", vec![picture()]), "LINK_WITH_MEDIA")]
}

fn more_pictures() -> Vec<(Content, &'static str)> {
    let gif = Media { content_type: "image/gif".into(), ..picture() };
    vec![
        (with("over", vec![picture(); 11], Settings::None), "TOO_MANY_IMAGES"),
        (with("over", vec![gif], Settings::None), "IMAGE_TYPE"),
        (with("over", vec![picture(), film(1000)], Settings::None), "MIXED_MEDIA"),
    ]
}

fn other_videos() -> Vec<(Content, &'static str)> {
    let large = Media { size_bytes: 10_000_000_001, ..film(1000) };
    let movie = Media { content_type: "video/quicktime".into(), ..film(1000) };
    let titled = settings(FacebookKind::Feed, "", &"t".repeat(256));
    vec![
        (with("over", vec![film(1000); 2], Settings::None), "TOO_MANY_VIDEOS"),
        (with("over", vec![film(14_400_001)], Settings::None), "VIDEO_TOO_LONG"),
        (with("over", vec![large], Settings::None), "VIDEO_TOO_LARGE"),
        (with("over", vec![movie], Settings::None), "VIDEO_TYPE"),
        (with("over", vec![film(1000)], titled), "TITLE_TOO_LONG"),
    ]
}

fn other_reels() -> Vec<(Content, &'static str)> {
    let picture = with("over", vec![picture()], settings(FacebookKind::Reel, "", ""));
    vec![
        (reel("over", 90_001), "VIDEO_TOO_LONG"),
        (reel("over", 2_999), "VIDEO_TOO_SHORT"),
        (picture, "REEL_MEDIA"),
    ]
}

fn other_stories() -> Vec<(Content, &'static str)> {
    let told = Content { text: "words".into(), ..story(picture()) };
    let two = Content { media: vec![picture(); 2], ..story(picture()) };
    vec![(told, "STORY_TEXT"), (two, "STORY_MEDIA"), (story(film(90_001)), "VIDEO_TOO_LONG")]
}

/// One case for each kind of post.
pub(crate) fn cases() -> Vec<Case> {
    let case = |kind, content, over, shape| Case {
        network: "facebook",
        kind,
        way: Way::OAuth(|page| page.display_name.ends_with("Page")),
        content,
        over,
        shape,
        // A Page's token has no end.
        refreshes: false,
        visible: "publish",
    };
    vec![
        case("text", longest, longer, include_str!("shapes/text.json")),
        case(
            "link",
            |words| with(words, vec![], settings(FacebookKind::Feed, "https://example.com/a?b=c", "")),
            other_links,
            include_str!("shapes/link.json"),
        ),
        case(
            "photo",
            |words| with(words, vec![picture()], Settings::None),
            more_pictures,
            include_str!("shapes/photo.json"),
        ),
        case(
            "photos",
            |words| with(words, vec![picture(); 10], Settings::None),
            more_pictures,
            include_str!("shapes/photos.json"),
        ),
        case(
            "video",
            |words| with(words, vec![film(14_400_000)], settings(FacebookKind::Feed, "", "a title")),
            other_videos,
            include_str!("shapes/video.json"),
        ),
        case("reel", |words| reel(words, 90_000), other_reels, include_str!("shapes/reel.json")),
        case("photo story", |_| story(picture()), other_stories, include_str!("shapes/photo_story.json")),
        case("video story", |_| story(film(3_000)), other_stories, include_str!("shapes/video_story.json")),
    ]
}
