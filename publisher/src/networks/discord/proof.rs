//! The kinds of posts on Discord, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{DiscordSettings, Settings, SlackSettings},
    },
    networks::proof::{
        Case, Way,
        shared::{film, jpeg, png, with},
    },
};

/// The stand-in's webhook.
pub(super) const WAY: Way =
    Way::Login(|account| (String::new(), account["webhook_path"].as_str().unwrap_or_default().to_owned()));

pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("discord", WAY, false);
    vec![
        case("text", text, text_over, include_str!("shapes/text.json")),
        case("image", image, image_over, include_str!("shapes/files.json")),
        case("carousel", carousel, carousel_over, include_str!("shapes/files.json")),
        case("video", video, video_over, include_str!("shapes/files.json")),
    ]
}

pub(super) fn set(settings: DiscordSettings, content: Content) -> Content {
    Content { settings: Settings::Discord(settings), ..content }
}

/// The text, filled up to so many characters, one of them beyond the basic plane.
fn filled(text: &str, characters: usize) -> String {
    format!("{text} 👋{}", "x".repeat(characters - text.len() - 2))
}

fn text(text: &str) -> Content {
    let settings =
        DiscordSettings { username: "n".repeat(80), mentions_notify: false, suppress_embeds: true };
    set(settings, with(&filled(text, 2000), Vec::new()))
}

fn text_over() -> Vec<(Content, &'static str)> {
    let named = |name: &str| {
        set(DiscordSettings { username: name.into(), ..DiscordSettings::default() }, with("x", Vec::new()))
    };
    let foreign = Content { settings: Settings::Slack(SlackSettings::default()), ..with("x", Vec::new()) };
    vec![
        (with(&filled("x", 2001), Vec::new()), "TEXT_TOO_LONG"),
        (with(" ", Vec::new()), "EMPTY"),
        (named(&"n".repeat(81)), "USERNAME_TOO_LONG"),
        (named("My Discord bot"), "USERNAME_RESERVED"),
        (foreign, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn image(text: &str) -> Content {
    with(text, vec![Media { alt_text: "a".repeat(1024), ..png() }])
}

fn image_over() -> Vec<(Content, &'static str)> {
    let animation = Media { content_type: "image/gif".into(), size_bytes: (10 << 20) + 1, ..png() };
    vec![
        (with("x", vec![Media { alt_text: "a".repeat(1025), ..png() }]), "ALT_TEXT_TOO_LONG"),
        (with("x", vec![animation]), "IMAGE_TOO_LARGE"),
    ]
}

fn carousel(text: &str) -> Content {
    let mut media = vec![png(); 5];
    media.extend(vec![jpeg(); 4]);
    media.push(film());
    with(text, media)
}

fn carousel_over() -> Vec<(Content, &'static str)> {
    let heavy = Media { size_bytes: 9 << 20, ..film() };
    vec![
        (with("x", vec![png(); 11]), "TOO_MANY_IMAGES"),
        (with("x", [vec![png(); 10], vec![film()]].concat()), "MIXED_MEDIA"),
        (with("x", vec![heavy; 3]), "MEDIA_TOO_LARGE"),
    ]
}

fn video(text: &str) -> Content {
    with(text, vec![film()])
}

fn video_over() -> Vec<(Content, &'static str)> {
    vec![
        (with("x", vec![Media { size_bytes: (10 << 20) + 1, ..film() }]), "VIDEO_TOO_LARGE"),
        (with("x", vec![film(); 11]), "TOO_MANY_VIDEOS"),
    ]
}
