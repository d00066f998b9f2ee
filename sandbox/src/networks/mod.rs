//! The stand-in networks and what the shared layer asks of each: its name, whose request this is, and the shape of
//! its refusals. A further network is a folder with routes, a state and events, and one arm in each match below.

pub(crate) mod bluesky;
pub(crate) mod mastodon;

use axum::{Router, extract::DefaultBodyLimit, response::Response};
use http::{HeaderMap, request::Parts};
use serde::{Deserialize, Serialize};

use crate::{control, faults::RetryAfter, limits::Verdict, pages, world::Ctx};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Network {
    Mastodon,
    Bluesky,
}

/// The whole of the sandbox behind one port.
pub(crate) fn router(ctx: &Ctx) -> Router {
    Router::new()
        .merge(pages::routes())
        .nest("/_sandbox", control::routes())
        .nest("/mastodon", mastodon::routes(ctx))
        .nest("/bluesky", bluesky::routes(ctx))
        .layer(DefaultBodyLimit::disable()) // the fault layer bounds bodies
        .with_state(ctx.clone())
}

impl Network {
    /// Its path prefix and its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mastodon => "mastodon",
            Self::Bluesky => "bluesky",
        }
    }

    /// The handle of the account a request acts for, as far as the request tells.
    pub(crate) fn account_of(self, ctx: &Ctx, parts: &Parts, body: &[u8]) -> Option<String> {
        match self {
            Self::Mastodon => mastodon::account_of(ctx, parts, body),
            Self::Bluesky => bluesky::account_of(ctx, parts, body),
        }
    }

    /// The answer of a server that failed.
    pub(crate) fn server_error(self) -> Response {
        match self {
            Self::Mastodon => mastodon::server_error(),
            Self::Bluesky => bluesky::server_error(),
        }
    }

    /// The network's own 429, to be lifted after that many seconds.
    pub(crate) fn throttled(self, now_ms: i64, retry_after_s: u64) -> Response {
        let window_s = match self {
            Self::Mastodon => mastodon::PER_TOKEN.window_s,
            Self::Bluesky => bluesky::PER_ADDRESS.window_s,
        };
        let limit = match self {
            Self::Mastodon => mastodon::PER_TOKEN.limit,
            Self::Bluesky => bluesky::PER_ADDRESS.limit,
        };
        let reset_ms = now_ms + retry_after_s as i64 * 1000;
        self.refused(now_ms, Verdict { allowed: false, limit, remaining: 0, window_s, reset_ms })
    }

    /// The network's own 429 for a limit that is used up.
    pub(crate) fn refused(self, now_ms: i64, verdict: Verdict) -> Response {
        let mut response = match self {
            Self::Mastodon => mastodon::too_many_requests(),
            Self::Bluesky => bluesky::too_many_requests(now_ms, verdict),
        };
        self.limit_headers(response.headers_mut(), verdict);
        response.extensions_mut().insert(RetryAfter((verdict.reset_ms - now_ms).max(0)));
        response
    }

    pub(crate) fn limit_headers(self, headers: &mut HeaderMap, verdict: Verdict) {
        match self {
            Self::Mastodon => mastodon::limit_headers(headers, verdict),
            Self::Bluesky => bluesky::limit_headers(headers, verdict),
        }
    }
}
