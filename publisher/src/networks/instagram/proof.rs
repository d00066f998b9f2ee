//! The kinds of posts of Instagram for the proof that all networks share, for both logins.

use super::{
    super::proof::{Case, Way},
    Content,
    graph::stage::{film, still},
};
use crate::{
    domain::{
        content::Media,
        settings::{InstagramKind, InstagramSettings, Settings},
    },
    testing::{PICTURE_JPEG, PICTURE_PNG},
};

/// A caption of exactly 2200 characters with 30 hashtags and 20 mentions that begins with these words.
fn longest(words: &str) -> String {
    let marks = format!("{}{}", " #a".repeat(30), " @b".repeat(20));
    let rest = 2200 - words.chars().count() - marks.len() - 1;
    format!("{words} {}{marks}", "x".repeat(rest))
}

pub(super) fn picture(media_id: uuid::Uuid) -> Media {
    still(media_id, &"d".repeat(1000))
}

fn with(words: &str, media: Vec<Media>, settings: InstagramSettings) -> Content {
    Content { text: longest(words), media, settings: Settings::Instagram(settings) }
}

fn image(words: &str) -> Content {
    let collaborators = ["ana", "bo", "cy"].map(String::from).to_vec();
    let settings = InstagramSettings { collaborators, ..InstagramSettings::default() };
    with(words, vec![picture(PICTURE_PNG)], settings)
}

fn carousel(words: &str) -> Content {
    let mut media = vec![picture(PICTURE_JPEG); 9];
    media.push(film(900_000));
    with(words, media, InstagramSettings::default())
}

fn reel(words: &str) -> Content {
    let settings = InstagramSettings {
        share_to_feed: Some(false),
        cover_offset_ms: 1500,
        ..InstagramSettings::default()
    };
    with(words, vec![film(900_000)], settings)
}

/// Nothing is written on it, and nobody is named; a picture may have any shape.
fn story(item: Media) -> Content {
    let settings = InstagramSettings { kind: Some(InstagramKind::Story), ..InstagramSettings::default() };
    Content { text: String::new(), media: vec![item], settings: Settings::Instagram(settings) }
}

fn tall() -> Media {
    Media { width: 90, height: 160, ..still(PICTURE_PNG, "") }
}

fn other_images() -> Vec<(Content, &'static str)> {
    let of = |media: Media| Content { media: vec![media], ..image("over") };
    let text = |more: &str| Content { text: format!("{}{more}", longest("over")), ..image("over") };
    let mut crowded = image("over");
    if let Settings::Instagram(settings) = &mut crowded.settings {
        settings.collaborators.push("di".into());
    }
    vec![
        (text("x"), "TEXT_TOO_LONG"),
        (text(" #a"), "TOO_MANY_HASHTAGS"),
        (text(" @b"), "TOO_MANY_MENTIONS"),
        (Content { media: vec![], ..image("over") }, "MEDIA_REQUIRED"),
        (of(Media { alt_text: "d".repeat(1001), ..picture(PICTURE_PNG) }), "ALT_TEXT_TOO_LONG"),
        (of(Media { content_type: "image/gif".into(), ..picture(PICTURE_PNG) }), "IMAGE_TYPE"),
        (of(Media { width: 79, height: 100, ..picture(PICTURE_PNG) }), "IMAGE_ASPECT"),
        (of(Media { width: 192, height: 100, ..picture(PICTURE_PNG) }), "IMAGE_ASPECT"),
        (crowded, "TOO_MANY_COLLABORATORS"),
    ]
}

fn other_carousels() -> Vec<(Content, &'static str)> {
    let mut more = carousel("over");
    more.media.push(picture(PICTURE_JPEG));
    let mut covered = carousel("over");
    covered.settings =
        Settings::Instagram(InstagramSettings { cover_offset_ms: 1, ..InstagramSettings::default() });
    vec![(more, "MIXED_MEDIA"), (covered, "NOT_A_REEL")]
}

fn other_reels() -> Vec<(Content, &'static str)> {
    let of = |media: Media| Content { media: vec![media], ..reel("over") };
    vec![
        (of(film(900_001)), "VIDEO_TOO_LONG"),
        (of(film(2_999)), "VIDEO_TOO_SHORT"),
        (of(Media { size_bytes: 300_000_001, ..film(3_000) }), "VIDEO_TOO_LARGE"),
        (of(Media { content_type: "video/webm".into(), ..film(3_000) }), "VIDEO_TYPE"),
    ]
}

fn other_stories() -> Vec<(Content, &'static str)> {
    let mut named = story(tall());
    if let Settings::Instagram(settings) = &mut named.settings {
        settings.collaborators.push("ana".into());
    }
    vec![
        (Content { text: "words".into(), ..story(tall()) }, "STORY_TEXT"),
        (Content { media: vec![tall(), tall()], ..story(tall()) }, "STORY_MEDIA"),
        (named, "STORY_COLLABORATORS"),
        (story(film(60_001)), "VIDEO_TOO_LONG"),
        (story(Media { size_bytes: 100_000_001, ..film(3_000) }), "VIDEO_TOO_LARGE"),
    ]
}

/// One case for each kind of post and login.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for network in ["instagram", "instagram_facebook"] {
        let case = |kind, content, over, shape| Case {
            network,
            kind,
            way: Way::OAuth(|account| account.handle == "@demo"),
            content,
            over,
            shape,
            // A token renews itself while it lives; one that has ended does not.
            refreshes: false,
            visible: "publish",
        };
        cases.push(case("image", image, other_images, include_str!("shapes/image.json")));
        cases.push(case("carousel", carousel, other_carousels, include_str!("shapes/carousel.json")));
        cases.push(case("reel", reel, other_reels, include_str!("shapes/reel.json")));
        let shape = include_str!("shapes/story.json");
        cases.push(case("story", |_| story(tall()), other_stories, shape));
        let shape = include_str!("shapes/video_story.json");
        cases.push(case("video story", |_| story(film(60_000)), other_stories, shape));
    }
    cases
}
