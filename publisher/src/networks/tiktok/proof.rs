//! The kinds of posts on TikTok, for the proof that every network's kinds share.

use crate::{
    domain::{
        content::{Content, Media},
        settings::{Settings, TiktokSettings},
    },
    networks::proof::{Case, Way},
    testing::{CLIP, PICTURE_JPEG, PICTURE_PNG, clip},
};

/// One case for each kind.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        // Bytes go to an address that needs no token.
        Case { refreshes: false, ..case("video", video, over_video, include_str!("shapes/video.json")) },
        case("image", image, over_image, include_str!("shapes/image.json")),
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
        network: "tiktok",
        kind,
        way: Way::OAuth(|_| true),
        content,
        over,
        shape,
        refreshes: true,
        visible: "publish",
    }
}

/// A text of exactly so many UTF-16 units, in which the emoji counts two.
fn full(text: &str, units: usize) -> String {
    let start = format!("{text} 👋 ");
    let counted = start.encode_utf16().count();
    format!("{start}{}", "x".repeat(units - counted))
}

pub(super) fn film() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).unwrap(),
        width: 360,
        height: 4096,
        alt_text: String::new(),
        duration_ms: 600_000,
    }
}

/// A PNG, which goes out as a JPEG.
pub(super) fn picture() -> Media {
    Media {
        media_id: PICTURE_PNG,
        content_type: "image/png".into(),
        size_bytes: 1_000,
        width: 32,
        height: 24,
        ..Media::default()
    }
}

pub(super) fn with(text: &str, media: Vec<Media>, settings: TiktokSettings) -> Content {
    Content { text: text.to_owned(), media, settings: Settings::Tiktok(settings) }
}

fn plain(text: &str, media: Vec<Media>) -> Content {
    with(text, media, TiktokSettings::default())
}

fn titled(text: &str, media: Vec<Media>) -> Content {
    with(text, media, TiktokSettings { title: "t".repeat(90), ..TiktokSettings::default() })
}

fn video(text: &str) -> Content {
    plain(&full(text, 2200), vec![film()])
}

fn over_video() -> Vec<(Content, &'static str)> {
    let one = |item: Media| plain("x", vec![item]);
    vec![
        (plain(&full("x", 2201), vec![film()]), "TEXT_TOO_LONG"),
        (plain("x", Vec::new()), "MEDIA_REQUIRED"),
        (plain("x", vec![film(), film()]), "TOO_MANY_VIDEOS"),
        (plain("x", vec![film(), picture()]), "MIXED_MEDIA"),
        (one(Media { size_bytes: 4_000_000_001, ..film() }), "VIDEO_TOO_LARGE"),
        (one(Media { duration_ms: 600_001, ..film() }), "VIDEO_TOO_LONG"),
        (one(Media { duration_ms: 2_999, ..film() }), "VIDEO_TOO_SHORT"),
        (one(Media { width: 359, ..film() }), "VIDEO_SIZE"),
        (one(Media { height: 4097, ..film() }), "VIDEO_SIZE"),
    ]
}

fn image(text: &str) -> Content {
    titled(&full(text, 4000), vec![picture()])
}

fn over_image() -> Vec<(Content, &'static str)> {
    let gif = Media { content_type: "image/gif".into(), ..picture() };
    let title = TiktokSettings { title: "t".repeat(91), ..TiktokSettings::default() };
    vec![
        (plain(&full("x", 4001), vec![picture()]), "TEXT_TOO_LONG"),
        (with("x", vec![picture()], title), "TITLE_TOO_LONG"),
        (plain("x", vec![gif]), "IMAGE_TYPE"),
    ]
}

fn carousel(text: &str) -> Content {
    let jpeg = Media { media_id: PICTURE_JPEG, content_type: "image/jpeg".into(), ..picture() };
    let mut media = vec![picture(); 34];
    media.push(jpeg);
    titled(&full(text, 4000), media)
}

fn over_carousel() -> Vec<(Content, &'static str)> {
    vec![(plain("x", vec![picture(); 36]), "TOO_MANY_IMAGES")]
}
