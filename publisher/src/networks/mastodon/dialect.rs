//! The software that speaks Mastodon's API, each with what is true of it. Only Mastodon itself and its forks remember
//! idempotency keys for certain; at the others a lost answer is settled by reading back, so they are networks of their own.

use super::{
    super::{
        Capabilities, ConnectMethod, Facts, Kind,
        limits::{Limits, Permits},
    },
    DeliveryClass,
};

/// One kind of software, or several that behave alike.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) facts: Facts,
    /// What its servers accept where they announce nothing else.
    pub(super) limits: fn() -> Limits,
    /// Its names in nodeinfo, lower case.
    software: &'static [&'static str],
}

impl Dialect {
    /// The scopes as they are asked for.
    pub(super) fn scope(&self) -> String {
        self.facts.scopes.join(" ")
    }

    /// Whether software of that name speaks it.
    pub(super) fn speaks(&self, software: &str) -> bool {
        self.software.contains(&software)
    }
}

/// The dialect that software of that name speaks.
pub(super) fn of_software(software: &str) -> Option<&'static Dialect> {
    [&MASTODON, &PIXELFED, &GOTOSOCIAL, &PLEROMA].into_iter().find(|dialect| dialect.speaks(software))
}

/// What publishing, looking back and naming the account need.
const SCOPES: &[&str] = &["read:accounts", "read:statuses", "write:statuses", "write:media"];

/// The same for software that knows no smaller scopes.
const WIDE_SCOPES: &[&str] = &["read", "write"];

const CAN: Capabilities = Capabilities {
    text_only: true,
    alt_text: true,
    threads: true,
    metrics: true,
    delete: true,
    video: true,
    comments: false,
};

const KINDS: &[Kind] = &[Kind::Text, Kind::Image, Kind::Carousel, Kind::Video, Kind::Reply];

const fn facts(id: &'static str, display_name: &'static str, class: DeliveryClass) -> Facts {
    Facts {
        id,
        display_name,
        class,
        connect: &[ConnectMethod::OAuth],
        needs_server: true,
        needs_app: false,
        scopes: SCOPES,
        capabilities: CAN,
        kinds: KINDS,
        permits: &[],
    }
}

/// Mastodon, and its forks under names of their own; glitch-soc calls itself `mastodon`.
pub(super) static MASTODON: Dialect = Dialect {
    facts: Facts { permits: PERMITS, ..facts("mastodon", "Mastodon", DeliveryClass::IdempotencyKey) },
    limits,
    software: &["mastodon", "hometown", "fedibird", "glitchcafe"],
};

/// A stock server takes 300 statuses of an account in 3 hours
/// (<https://docs.joinmastodon.org/api/rate-limits/>, `RateLimiter::FAMILIES` in app/lib/rate_limiter.rb). Its 300 calls
/// of a token in 5 minutes (config/initializers/rack_attack.rb) are never reached by statuses alone. Where a server's
/// administrators allow less, its headers say so.
const PERMITS: &[Permits] = &[Permits::per_hours(300, 3)];

/// Pixelfed: every post shows something (<https://docs.pixelfed.org>).
pub(super) static PIXELFED: Dialect = Dialect {
    facts: Facts {
        scopes: WIDE_SCOPES,
        capabilities: Capabilities { text_only: false, threads: false, ..CAN },
        kinds: &[Kind::Image, Kind::Carousel, Kind::Video],
        ..facts("pixelfed", "Pixelfed", DeliveryClass::ReadBack)
    },
    limits: || Limits { media_required: true, link_length: 0, ..limits() },
    software: &["pixelfed"],
};

/// GoToSocial (<https://docs.gotosocial.org>).
pub(super) static GOTOSOCIAL: Dialect = Dialect {
    facts: Facts { scopes: WIDE_SCOPES, ..facts("gotosocial", "GoToSocial", DeliveryClass::ReadBack) },
    limits: || Limits { text_length: 5000, ..limits() },
    software: &["gotosocial"],
};

/// Pleroma and Akkoma (<https://docs-develop.pleroma.social/backend/development/API/differences_in_mastoapi_responses/>).
pub(super) static PLEROMA: Dialect = Dialect {
    facts: facts("pleroma", "Pleroma", DeliveryClass::ReadBack),
    limits: || Limits { text_length: 5000, link_length: 0, ..limits() },
    software: &["pleroma", "akkoma"],
};

/// What a stock Mastodon server accepts; each server's own figures override these when an account is connected.
pub(in super::super) fn limits() -> Limits {
    Limits {
        text_length: 500,
        text_bytes: 0,
        link_length: 23,
        images: 4,
        image_bytes: 16_777_216,
        image_pixels: 33_177_600,
        image_types: ["image/jpeg", "image/png", "image/gif", "image/webp"].map(String::from).to_vec(),
        alt_text_length: 1500,
        videos: 1,
        video_bytes: 103_809_024,
        video_pixels: 8_294_400,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_software_has_one_network() {
        let network = |software: &str| of_software(software).map(|dialect| dialect.facts.id);
        assert_eq!(network("hometown"), Some("mastodon"));
        assert_eq!(network("akkoma"), Some("pleroma"));
        assert_eq!((network("pixelfed"), network("gotosocial")), (Some("pixelfed"), Some("gotosocial")));
        assert_eq!(network("misskey"), None);
        for dialect in [&PIXELFED, &GOTOSOCIAL, &PLEROMA] {
            assert_eq!(dialect.facts.class, DeliveryClass::ReadBack, "{}", dialect.facts.id);
        }
    }
}
