//! From a code to a token of an hour, from that to one of 60 days, and on to further ones.

use axum::response::Response;
use serde_json::json;

use super::{DIALECT, NETWORK};
use crate::{
    accounts,
    networks::graph::{self, Answer, Ask},
    oauth::{self, Problem},
};

const LONG_MS: i64 = 60 * 86_400_000;

/// `user_id` is a number larger than a double holds exactly.
pub(super) async fn exchange(ask: Ask) -> Response {
    if ask.params.text("grant_type").as_deref() != Some("authorization_code") {
        return graph::code_refused(&Problem::MissingCode);
    }
    let mut world = ask.ctx.world();
    let issued = oauth::client(&world, &DIALECT, &ask.headers, &ask.params)
        .and_then(|app| oauth::exchange(&ask.ctx, &mut world, &DIALECT, &app, &ask.params));
    match issued {
        Ok(issued) => {
            let account = accounts::named(&world, NETWORK, &issued.account);
            let id: u64 = account.and_then(|account| account.id.parse().ok()).unwrap_or_default();
            graph::ok(&json!({ "access_token": issued.access_token, "user_id": id }))
        }
        Err(problem) => graph::code_refused(&problem),
    }
}

/// `GET /access_token`.
pub(super) async fn lengthen(ask: Ask) -> Answer {
    Ok(graph::issued(&graph::lengthened(&ask, &DIALECT, "th_exchange_token", LONG_MS)?, None))
}

/// `GET /refresh_access_token`.
pub(super) async fn renew(ask: Ask) -> Answer {
    Ok(graph::issued(&graph::renewed(&ask, &DIALECT, "th_refresh_token", LONG_MS)?, None))
}
