//! The kinds of posts on LinkedIn, for the proof that all networks share: each once for a member and once for a page.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{LinkedinArticle, LinkedinSettings, LinkedinVisibility, Settings, SlackSettings},
    },
    networks::proof::{
        Case, Way,
        shared::{self, with},
    },
    testing::CLIP,
};

/// The first account that the login yields.
pub(super) const WAY: Way = Way::OAuth(|_| true);

pub(crate) fn cases() -> Vec<Case> {
    [("linkedin", false), ("linkedin_organization", true)].into_iter().flat_map(of).collect()
}

fn of((network, refreshes): (&'static str, bool)) -> Vec<Case> {
    let case = Case::of(network, WAY, refreshes);
    vec![
        case("text", text, text_over, include_str!("shapes/text.json")),
        case("link", link, link_over, include_str!("shapes/link.json")),
        case("image", image, image_over, include_str!("shapes/image.json")),
        case("carousel", carousel, carousel_over, include_str!("shapes/carousel.json")),
        case("video", video, video_over, include_str!("shapes/video.json")),
    ]
}

/// A described picture.
pub(super) fn png() -> Media {
    Media { alt_text: "a dot".into(), ..shared::png() }
}

/// The largest and longest video that is accepted, as far as the content tells.
pub(super) fn film() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: 500_000_000,
        width: 240,
        height: 100,
        alt_text: String::new(),
        duration_ms: 1_800_000,
    }
}

pub(super) fn set(settings: LinkedinSettings, content: Content) -> Content {
    Content { settings: Settings::Linkedin(settings), ..content }
}

/// The text, filled up to so many UTF-16 units with characters that must be escaped and one that takes two units.
fn filled(text: &str, units: usize) -> String {
    format!("{text} (👋){}", "_".repeat(units - text.len() - 5))
}

fn text(text: &str) -> Content {
    with(&filled(text, 3000), Vec::new())
}

fn text_over() -> Vec<(Content, &'static str)> {
    let foreign = Content { settings: Settings::Slack(SlackSettings::default()), ..with("x", Vec::new()) };
    vec![
        (with(&filled("x", 3001), Vec::new()), "TEXT_TOO_LONG"),
        (with(" \n", Vec::new()), "EMPTY"),
        (foreign, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn card(title: usize, description: usize) -> LinkedinSettings {
    LinkedinSettings {
        article: Some(LinkedinArticle {
            source: "https://example.com/a_page".into(),
            title: "t".repeat(title),
            description: "d".repeat(description),
        }),
        visibility: LinkedinVisibility::LoggedIn,
        reshare_disabled: true,
        ..LinkedinSettings::default()
    }
}

fn link(text: &str) -> Content {
    set(card(400, 4086), with(text, vec![png()]))
}

fn link_over() -> Vec<(Content, &'static str)> {
    let mut nowhere = card(1, 0);
    if let Some(article) = &mut nowhere.article {
        article.source = "example.com".into();
    }
    vec![
        (set(card(401, 0), with("x", Vec::new())), "TITLE_TOO_LONG"),
        (set(card(0, 0), with("x", Vec::new())), "TITLE_REQUIRED"),
        (set(card(1, 4087), with("x", Vec::new())), "DESCRIPTION_TOO_LONG"),
        (set(card(1, 0), with("x", vec![png(); 2])), "LINK_WITH_MEDIA"),
        (set(nowhere, with("x", Vec::new())), "LINK"),
    ]
}

fn image(text: &str) -> Content {
    with(text, vec![Media { alt_text: "a".repeat(4086), ..png() }])
}

fn image_over() -> Vec<(Content, &'static str)> {
    let animation = Media { content_type: "image/gif".into(), ..png() };
    vec![
        (with("x", vec![Media { alt_text: "a".repeat(4087), ..png() }]), "ALT_TEXT_TOO_LONG"),
        (with("x", vec![Media { size_bytes: 8_000_001, ..animation.clone() }]), "IMAGE_TOO_LARGE"),
        (with("x", vec![Media { width: 36_152_320, ..animation }]), "IMAGE_TOO_MANY_PIXELS"),
    ]
}

fn carousel(text: &str) -> Content {
    let jpeg = Media { alt_text: "a photo".into(), ..shared::jpeg() };
    with(text, [vec![png(); 10], vec![jpeg; 10]].concat())
}

fn carousel_over() -> Vec<(Content, &'static str)> {
    vec![(with("x", vec![png(); 21]), "TOO_MANY_IMAGES"), (with("x", vec![png(), film()]), "MIXED_MEDIA")]
}

fn video(text: &str) -> Content {
    let settings = LinkedinSettings { media_title: "t".repeat(400), ..LinkedinSettings::default() };
    set(settings, with(text, vec![film()]))
}

fn video_over() -> Vec<(Content, &'static str)> {
    let over = |film: Media, reason| (with("x", vec![film]), reason);
    let titled = LinkedinSettings { media_title: "t".repeat(401), ..LinkedinSettings::default() };
    vec![
        over(Media { size_bytes: 500_000_001, ..film() }, "VIDEO_TOO_LARGE"),
        over(Media { size_bytes: 74_999, ..film() }, "VIDEO_TOO_SMALL"),
        over(Media { duration_ms: 1_800_001, ..film() }, "VIDEO_TOO_LONG"),
        over(Media { duration_ms: 2_999, ..film() }, "VIDEO_TOO_SHORT"),
        over(Media { width: 241, ..film() }, "VIDEO_RATIO"),
        over(Media { content_type: "video/quicktime".into(), ..film() }, "VIDEO_TYPE"),
        (with("x", vec![film(), film()]), "TOO_MANY_VIDEOS"),
        (set(titled, with("x", vec![film()])), "TITLE_TOO_LONG"),
    ]
}
