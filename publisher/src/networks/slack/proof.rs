//! The kinds of posts on Slack, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{DiscordSettings, Settings, SlackSettings},
    },
    networks::{
        files::IN_MEMORY,
        proof::{
            Case, Way,
            shared::{film, jpeg, png, with},
        },
    },
};

/// A channel that the app is in.
pub(super) const WAY: Way = Way::OAuth(|channel| channel.handle == "#general");

pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("slack", WAY, false);
    vec![
        case("text", text, text_over, include_str!("shapes/text.json")),
        case("image", image, image_over, include_str!("shapes/image.json")),
        case("carousel", carousel, carousel_over, include_str!("shapes/carousel.json")),
        case("video", video, video_over, include_str!("shapes/image.json")),
    ]
}

/// The text, filled up to so many units of what is sent: `&` takes five.
fn filled(text: &str, units: usize) -> String {
    format!("{text}&{}", "x".repeat(units - text.len() - 5))
}

fn text(text: &str) -> Content {
    let settings = Settings::Slack(SlackSettings { unfurl_disabled: true });
    Content { settings, ..with(&filled(text, 40_000), Vec::new()) }
}

fn text_over() -> Vec<(Content, &'static str)> {
    let foreign = Settings::Discord(DiscordSettings::default());
    vec![
        (with(&filled("x", 40_001), Vec::new()), "TEXT_TOO_LONG"),
        (with("\n", Vec::new()), "EMPTY"),
        (Content { settings: foreign, ..with("x", Vec::new()) }, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn image(text: &str) -> Content {
    with(text, vec![Media { alt_text: "a".repeat(1000), ..png() }])
}

fn image_over() -> Vec<(Content, &'static str)> {
    vec![(with("x", vec![Media { alt_text: "a".repeat(1001), ..png() }]), "ALT_TEXT_TOO_LONG")]
}

fn carousel(text: &str) -> Content {
    let mut media = vec![png(); 5];
    media.extend(vec![jpeg(); 4]);
    media.push(film());
    with(text, media)
}

fn carousel_over() -> Vec<(Content, &'static str)> {
    vec![
        (with("x", vec![png(); 11]), "TOO_MANY_IMAGES"),
        (with("x", [vec![png(); 10], vec![film()]].concat()), "MIXED_MEDIA"),
    ]
}

fn video(text: &str) -> Content {
    with(text, vec![Media { alt_text: "a".repeat(1000), ..film() }])
}

fn video_over() -> Vec<(Content, &'static str)> {
    vec![
        (with("x", vec![Media { size_bytes: IN_MEMORY + 1, ..film() }]), "VIDEO_TOO_LARGE"),
        (with("x", vec![film(); 11]), "TOO_MANY_VIDEOS"),
    ]
}
