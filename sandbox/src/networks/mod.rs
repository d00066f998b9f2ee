//! The stand-in networks. A further one is a module that implements [`StandIn`], and one entry in [`ALL`].

pub(crate) mod bluesky;
pub(crate) mod discord;
pub(crate) mod facebook;
pub(crate) mod graph;
pub(crate) mod instagram;
pub(crate) mod linkedin;
pub(crate) mod mastodon;
pub(crate) mod pinterest;
pub(crate) mod reddit;
pub(crate) mod slack;
mod stand_in;
pub(crate) mod telegram;
pub(crate) mod threads;
pub(crate) mod tiktok;
pub(crate) mod x;
pub(crate) mod youtube;

use axum::{Router, extract::DefaultBodyLimit, response::Response};
use serde::{Deserialize, Serialize};

pub(crate) use self::stand_in::StandIn;
use crate::{control, faults::RetryAfter, limits::Verdict, pages, world::Ctx};

/// Every network, in the order of [`Network`].
pub(crate) static ALL: [&dyn StandIn; 17] = [
    &mastodon::MASTODON,
    &bluesky::Bluesky,
    &x::X,
    &linkedin::Linkedin,
    &facebook::Facebook,
    &instagram::Instagram,
    &threads::Threads,
    &youtube::Youtube,
    &tiktok::Tiktok,
    &pinterest::Pinterest,
    &reddit::Reddit,
    &discord::Discord,
    &telegram::Telegram,
    &slack::Slack,
    &mastodon::PIXELFED,
    &mastodon::GOTOSOCIAL,
    &mastodon::PLEROMA,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Network {
    Mastodon,
    Bluesky,
    X,
    Linkedin,
    Facebook,
    Instagram,
    Threads,
    Youtube,
    Tiktok,
    Pinterest,
    Reddit,
    Discord,
    Telegram,
    Slack,
    Pixelfed,
    Gotosocial,
    Pleroma,
}

/// The whole of the sandbox behind one port.
pub(crate) fn router(ctx: &Ctx) -> Router {
    let mut router = Router::new().merge(pages::routes()).nest("/_sandbox", control::routes());
    for stand_in in ALL {
        router = router.nest(&format!("/{}", stand_in.network().name()), stand_in.routes(ctx));
    }
    // The fault layer bounds bodies.
    router.layer(DefaultBodyLimit::disable()).with_state(ctx.clone())
}

impl Network {
    /// Its path prefix and its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mastodon => "mastodon",
            Self::Bluesky => "bluesky",
            Self::X => "x",
            Self::Linkedin => "linkedin",
            Self::Facebook => "facebook",
            Self::Instagram => "instagram",
            Self::Threads => "threads",
            Self::Youtube => "youtube",
            Self::Tiktok => "tiktok",
            Self::Pinterest => "pinterest",
            Self::Reddit => "reddit",
            Self::Discord => "discord",
            Self::Telegram => "telegram",
            Self::Slack => "slack",
            Self::Pixelfed => "pixelfed",
            Self::Gotosocial => "gotosocial",
            Self::Pleroma => "pleroma",
        }
    }

    /// What stands in for it.
    pub(crate) fn stand_in(self) -> &'static dyn StandIn {
        ALL[self as usize]
    }

    /// The network's own 429, to be lifted after that many seconds.
    pub(crate) fn throttled(self, now_ms: i64, retry_after_s: u64) -> Response {
        let (limit, window_s) = self.stand_in().throttle();
        let reset_ms = now_ms + retry_after_s as i64 * 1000;
        self.refused(now_ms, Verdict { allowed: false, limit, remaining: 0, window_s, reset_ms })
    }

    /// The network's own 429 for a limit that is used up.
    pub(crate) fn refused(self, now_ms: i64, verdict: Verdict) -> Response {
        let mut response = self.stand_in().too_many_requests(now_ms, verdict);
        self.stand_in().limit_headers(response.headers_mut(), verdict);
        response.extensions_mut().insert(RetryAfter((verdict.reset_ms - now_ms).max(0)));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Network};

    #[test]
    fn each_network_is_found_by_the_name_it_has_in_json() {
        for (index, stand_in) in ALL.iter().enumerate() {
            let network = stand_in.network();
            assert_eq!(network as usize, index, "{}", network.name());
            assert_eq!(serde_json::to_value(network).unwrap(), network.name());
        }
        assert_eq!(Network::Pleroma as usize + 1, ALL.len());
    }
}
