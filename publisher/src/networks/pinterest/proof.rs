//! The kinds of pins, for the proof that all networks share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{PinterestSettings, Settings, SlackSettings},
    },
    networks::proof::{
        Case, Way,
        shared::{jpeg, png, with},
    },
    testing::CLIP,
};

/// The account with its first board, which has a section.
pub(super) const WAY: Way = Way::OAuth(|account| account.handle == "demo/Recipes");

/// The number of that section: the board's own, three further.
const SECTION: &str = "13609876543120987652";

/// The account's other board.
pub(super) const TRAVEL: &str = "13609876543120987650";

pub(crate) fn cases() -> Vec<Case> {
    let case = Case::of("pinterest", WAY, true);
    vec![
        case("image", image, image_over, include_str!("shapes/image.json")),
        case("carousel", carousel, carousel_over, include_str!("shapes/carousel.json")),
        case("video", video, video_over, include_str!("shapes/video.json")),
    ]
}

/// The largest and longest video that is accepted, as far as the content tells.
pub(super) fn film() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: 2_000_000_000,
        width: 191,
        height: 100,
        duration_ms: 900_000,
        ..Media::default()
    }
}

pub(super) fn set(settings: PinterestSettings, content: Content) -> Content {
    Content { settings: Settings::Pinterest(settings), ..content }
}

/// The text, filled up to so many characters, one of them beyond the basic plane.
fn filled(text: &str, characters: usize) -> String {
    format!("{text} 👋{}", "x".repeat(characters - text.len() - 2))
}

fn titled(title: usize, link: usize) -> PinterestSettings {
    PinterestSettings {
        title: "t".repeat(title),
        link: format!("https://example.com/{}", "l".repeat(link - 20)),
        ..PinterestSettings::default()
    }
}

fn image(text: &str) -> Content {
    let settings = PinterestSettings { board_section_id: SECTION.into(), ..titled(100, 2048) };
    set(settings, with(&filled(text, 800), vec![Media { alt_text: "a".repeat(500), ..png() }]))
}

fn image_over() -> Vec<(Content, &'static str)> {
    let one = |settings| set(settings, with("x", vec![png()]));
    let foreign = Content { settings: Settings::Slack(SlackSettings::default()), ..with("x", vec![png()]) };
    let nowhere = PinterestSettings { link: "example.com".into(), ..PinterestSettings::default() };
    let named = PinterestSettings { board_section_id: "soups".into(), ..PinterestSettings::default() };
    let board = PinterestSettings { board_id: "Recipes".into(), ..PinterestSettings::default() };
    vec![
        (with(&filled("x", 801), vec![png()]), "TEXT_TOO_LONG"),
        (with("x", Vec::new()), "MEDIA_REQUIRED"),
        (one(titled(101, 20)), "TITLE_TOO_LONG"),
        (one(titled(1, 2049)), "LINK_TOO_LONG"),
        (one(nowhere), "LINK"),
        (one(named), "SECTION"),
        (one(board), "BOARD"),
        (with("x", vec![Media { alt_text: "a".repeat(501), ..png() }]), "ALT_TEXT_TOO_LONG"),
        (with("x", vec![Media { content_type: "image/gif".into(), ..png() }]), "IMAGE_TYPE"),
        (foreign, "SETTINGS_OF_ANOTHER_NETWORK"),
    ]
}

fn carousel(text: &str) -> Content {
    let mut media = [vec![png(); 3], vec![jpeg(); 2]].concat();
    media[1].alt_text = "the second of several".into();
    with(text, media)
}

fn carousel_over() -> Vec<(Content, &'static str)> {
    vec![(with("x", vec![png(); 6]), "TOO_MANY_IMAGES"), (with("x", vec![png(), film()]), "MIXED_MEDIA")]
}

fn video(text: &str) -> Content {
    let settings = PinterestSettings {
        title: "Film".into(),
        board_id: TRAVEL.into(),
        cover_offset_ms: 2_900,
        ..PinterestSettings::default()
    };
    set(settings, with(text, vec![film()]))
}

fn video_over() -> Vec<(Content, &'static str)> {
    let over = |film: Media, reason| (with("x", vec![film]), reason);
    let early = PinterestSettings { cover_offset_ms: -1, ..PinterestSettings::default() };
    vec![
        over(Media { size_bytes: 2_000_000_001, ..film() }, "VIDEO_TOO_LARGE"),
        over(Media { duration_ms: 900_001, ..film() }, "VIDEO_TOO_LONG"),
        over(Media { duration_ms: 3_999, ..film() }, "VIDEO_TOO_SHORT"),
        over(Media { width: 192, ..film() }, "VIDEO_RATIO"),
        over(Media { width: 49, ..film() }, "VIDEO_RATIO"),
        over(Media { content_type: "video/webm".into(), ..film() }, "VIDEO_TYPE"),
        (with("x", vec![film(), film()]), "TOO_MANY_VIDEOS"),
        (set(early, with("x", vec![film()])), "COVER"),
    ]
}
