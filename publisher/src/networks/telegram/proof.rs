//! The kinds of posts on Telegram, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{Settings, SlackSettings, TelegramSettings},
    },
    networks::proof::{
        Case, Way,
        shared::{film, jpeg, png, with},
    },
};

/// The stand-in's bot and its channel.
pub(super) const WAY: Way = Way::Login(|account| {
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    (text("chat"), text("bot_token"))
});

pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("telegram", WAY, false);
    vec![
        case("text", text, text_over, include_str!("shapes/text.json")),
        case("image", image, image_over, include_str!("shapes/image.json")),
        case("carousel", album, album_over, include_str!("shapes/carousel.json")),
        case("video", video, video_over, include_str!("shapes/video.json")),
    ]
}

/// The text, filled up to so many UTF-16 units with an emoji of two.
fn filled(text: &str, units: usize) -> String {
    let rest = units - text.len() - 3;
    format!("{text} 👋{}", "x".repeat(rest))
}

fn text(text: &str) -> Content {
    let settings = TelegramSettings { silent: true, preview_disabled: true, protect_content: true };
    Content { settings: Settings::Telegram(settings), ..with(&filled(text, 4096), Vec::new()) }
}

fn text_over() -> Vec<(Content, &'static str)> {
    let foreign = Content { settings: Settings::Slack(SlackSettings::default()), ..with("x", Vec::new()) };
    vec![
        (with(&filled("x", 4097), Vec::new()), "TEXT_TOO_LONG"),
        (with(" ", Vec::new()), "EMPTY"),
        (foreign, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn image(text: &str) -> Content {
    with(&filled(text, 1024), vec![png()])
}

fn image_over() -> Vec<(Content, &'static str)> {
    let thin = Media { width: 2_001, height: 100, ..png() };
    let animation = Media { content_type: "image/gif".into(), size_bytes: (10 << 20) + 1, ..png() };
    vec![
        (with(&filled("x", 1025), vec![png()]), "TEXT_TOO_LONG"),
        (with("x", vec![thin]), "IMAGE_RATIO"),
        (with("x", vec![animation]), "IMAGE_TOO_LARGE"),
        (with("x", vec![Media { content_type: "image/bmp".into(), ..png() }]), "IMAGE_TYPE"),
    ]
}

fn album(text: &str) -> Content {
    let mut media = vec![png(); 5];
    media.extend(vec![jpeg(); 4]);
    media.push(film());
    with(&filled(text, 1024), media)
}

fn album_over() -> Vec<(Content, &'static str)> {
    let gif = Media { content_type: "image/gif".into(), ..png() };
    let heavy = Media { size_bytes: 26 << 20, ..film() };
    vec![
        (with("x", vec![png(); 11]), "TOO_MANY_IMAGES"),
        (with("x", vec![film(); 11]), "TOO_MANY_VIDEOS"),
        (with("x", [vec![png(); 10], vec![film()]].concat()), "MIXED_MEDIA"),
        (with("x", vec![png(), gif]), "ANIMATION_IN_ALBUM"),
        (with("x", vec![heavy; 2]), "MEDIA_TOO_LARGE"),
    ]
}

fn video(text: &str) -> Content {
    with(&filled(text, 1024), vec![film()])
}

fn video_over() -> Vec<(Content, &'static str)> {
    vec![
        (with("x", vec![Media { size_bytes: (50 << 20) + 1, ..film() }]), "VIDEO_TOO_LARGE"),
        (with("x", vec![Media { content_type: "video/quicktime".into(), ..film() }]), "VIDEO_TYPE"),
    ]
}
