//! What the instance says about itself: limits, version, nodeinfo.

use axum::{Extension, extract, response::Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::{ok, text::PER_URL};
use crate::{networks::Network, web, world::Ctx};

pub(crate) const MAX_CHARACTERS: usize = 500;
pub(crate) const MAX_ATTACHMENTS: usize = 4;
pub(crate) const MAX_DESCRIPTION: usize = 1500;
pub(crate) const MAX_IMAGE: usize = 16_777_216;
pub(crate) const MAX_VIDEO: usize = 103_809_024;
pub(crate) const MAX_OPTIONS: usize = 4;
pub(crate) const MAX_OPTION: usize = 50;
/// Seconds a poll may run.
pub(crate) const POLL_EXPIRY: std::ops::RangeInclusive<i64> = 300..=2_629_746;
pub(crate) const MIME_TYPES: [&str; 24] = [
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/webp",
    "image/avif",
    "video/webm",
    "video/mp4",
    "video/quicktime",
    "video/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/vnd.wave",
    "audio/ogg",
    "audio/vorbis",
    "audio/mpeg",
    "audio/mp3",
    "audio/webm",
    "audio/flac",
    "audio/aac",
    "audio/m4a",
    "audio/mp4",
];
const VERSION: &str = "4.5.0";
const ABOUT: &str = "A stand-in instance: what is posted here stays on this machine.";

/// Characters a post may have.
pub(crate) fn max_characters(network: Network) -> usize {
    match network {
        Network::Gotosocial | Network::Pleroma => 5000,
        _ => MAX_CHARACTERS,
    }
}

/// The version as each software writes it.
fn version(network: Network) -> &'static str {
    match network {
        Network::Pixelfed => "3.5.3 (compatible; Pixelfed 0.12.5)",
        Network::Gotosocial => "0.19.1",
        Network::Pleroma => "2.7.2 (compatible; Pleroma 2.9.1)",
        _ => VERSION,
    }
}

fn configuration(network: Network) -> Value {
    json!({
        "urls": {"streaming": null, "status": null, "about": null, "privacy_policy": null, "terms_of_service": null},
        "vapid": {"public_key": ""},
        "accounts": {"max_featured_tags": 10, "max_pinned_statuses": 5},
        "statuses": {
            "max_characters": max_characters(network),
            "max_media_attachments": MAX_ATTACHMENTS,
            "characters_reserved_per_url": PER_URL,
        },
        "media_attachments": {
            "supported_mime_types": MIME_TYPES,
            "description_limit": MAX_DESCRIPTION,
            "image_size_limit": MAX_IMAGE,
            "image_matrix_limit": 33_177_600,
            "video_size_limit": MAX_VIDEO,
            "video_frame_rate_limit": 120,
            "video_matrix_limit": 8_294_400,
        },
        "polls": {
            "max_options": MAX_OPTIONS,
            "max_characters_per_option": MAX_OPTION,
            "min_expiration": POLL_EXPIRY.start(),
            "max_expiration": POLL_EXPIRY.end(),
        },
        "translation": {"enabled": false},
        "limited_federation": true,
    })
}

pub(crate) async fn v2(
    extract::State(ctx): extract::State<Ctx>,
    Extension(network): Extension<Network>,
) -> Response {
    let mut body = json!({
        "domain": host(&ctx),
        "title": "Sandbox",
        "version": version(network),
        "source_url": "https://github.com/mastodon/mastodon",
        "description": ABOUT,
        "usage": {"users": {"active_month": ctx.world().mastodon.accounts().count()}},
        "thumbnail": {"url": format!("{}/media/header.svg", ctx.base(network))},
        "icon": [],
        "languages": ["en"],
        "configuration": configuration(network),
        "registrations": {"enabled": false, "approval_required": false, "message": null, "url": null},
        "api_versions": {"mastodon": 7},
        "contact": {"email": "", "account": null},
        "rules": [],
    });
    if network != Network::Mastodon
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("api_versions");
    }
    ok(&body)
}

pub(crate) async fn v1(
    extract::State(ctx): extract::State<Ctx>,
    Extension(network): Extension<Network>,
) -> Response {
    let (users, statuses) = {
        let world = ctx.world();
        (world.mastodon.accounts().count(), world.mastodon.status_count())
    };
    ok(&json!({
        "uri": host(&ctx),
        "title": "Sandbox",
        "short_description": ABOUT,
        "description": ABOUT,
        "email": "",
        "version": version(network),
        "urls": {"streaming_api": null},
        "stats": {"user_count": users, "status_count": statuses, "domain_count": 0},
        "thumbnail": format!("{}/media/header.svg", ctx.base(network)),
        "languages": ["en"],
        "registrations": false,
        "approval_required": false,
        "invites_enabled": false,
        "configuration": configuration(network),
        "contact_account": null,
        "rules": [],
    }))
}

pub(crate) async fn nodeinfo_links(
    extract::State(ctx): extract::State<Ctx>,
    Extension(network): Extension<Network>,
) -> Response {
    ok(&json!({"links": [{
        "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0",
        "href": format!("{}/nodeinfo/2.0", ctx.base(network)),
    }]}))
}

pub(crate) async fn nodeinfo(
    extract::State(ctx): extract::State<Ctx>,
    Extension(network): Extension<Network>,
) -> Response {
    let world = ctx.world();
    let users = world.mastodon.accounts().count();
    let body = json!({
        "version": "2.0",
        "software": {"name": network.name(), "version": version(network)},
        "protocols": ["activitypub"],
        "services": {"outbound": [], "inbound": []},
        "usage": {
            "users": {"total": users, "activeMonth": users, "activeHalfyear": users},
            "localPosts": world.mastodon.status_count(),
        },
        "openRegistrations": false,
        "metadata": {"nodeName": "Sandbox", "nodeDescription": ABOUT},
    });
    web::json(StatusCode::OK, &body)
}

fn host(ctx: &Ctx) -> &str {
    let url = ctx.public_url.as_str();
    url.split_once("://").map_or(url, |(_, host)| host)
}
