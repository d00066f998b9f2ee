//! The account and its boards. Secret boards are shown to those alone who may read them.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    NETWORK,
    rest::{self, Refused},
};
use crate::{
    accounts,
    clock::iso_ms,
    docs::{Change, padded},
    oauth::Token,
    web,
    world::{Ctx, World},
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Board {
    pub(super) id: String,
    /// The account's handle.
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) is_secret: bool,
    pub(super) sections: Vec<String>,
    created_ms: i64,
}

/// The boards of a new account.
pub(super) fn of_account(id: u64, handle: &str, created_ms: i64) -> Vec<Change> {
    // Larger than a signed number of 64 bits holds: such ids are texts.
    let first = id * 8;
    let mut changes = Vec::new();
    for (n, (name, is_secret, section)) in (first + 1..).zip([
        ("Recipes", false, Some(first + 4)),
        ("Travel", false, None),
        ("Presents", true, None),
    ]) {
        let board = Board {
            id: n.to_string(),
            owner: handle.to_owned(),
            name: name.to_owned(),
            is_secret,
            sections: section.map(|section: u64| section.to_string()).into_iter().collect(),
            created_ms,
        };
        changes.push(Change::put("board_of", format!("{handle}|{}", padded(n)), &board.id));
        changes.push(Change::put("board", &board.id, &board));
    }
    changes
}

/// An account's boards.
pub(super) fn held<'w>(world: &'w World, handle: &str) -> impl Iterator<Item = Board> + use<'w> {
    let ids = world.docs.range::<String>(NETWORK, "board_of", &format!("{handle}|"));
    ids.filter_map(|(_, id)| world.docs.get(NETWORK, "board", &id))
}

/// A board the caller may use.
pub(super) fn board(world: &World, token: &Token, id: &str, secret_scope: &str) -> Result<Board, Refused> {
    let board: Board = world.docs.get(NETWORK, "board", id).ok_or_else(Refused::no_board)?;
    if board.owner != token.account {
        return Err(Refused::not_permitted());
    }
    if board.is_secret && !token.covers(secret_scope) {
        return Err(Refused::no_board());
    }
    Ok(board)
}

fn created(board: &Board) -> String {
    without_zone(board.created_ms)
}

/// A moment as this API writes it: UTC, to the second, without saying so.
pub(super) fn without_zone(ms: i64) -> String {
    iso_ms(ms).chars().take("2022-10-13T01:40:29".len()).collect()
}

pub(super) async fn user_account(State(ctx): State<Ctx>, headers: HeaderMap) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, &["user_accounts:read"])?;
    let account = accounts::named(&world, NETWORK, &token.account).ok_or_else(Refused::unauthenticated)?;
    let boards = held(&world, &account.handle).filter(|board| !board.is_secret).count();
    let body = json!({
        "id": account.id,
        "username": account.handle,
        "account_type": "BUSINESS",
        "business_name": account.display_name,
        "profile_image": "",
        "website_url": "",
        "board_count": boards,
        "follower_count": 0,
        "following_count": 0,
        "monthly_views": 0,
    });
    Ok(web::json(StatusCode::OK, &body))
}

pub(super) async fn list(State(ctx): State<Ctx>, headers: HeaderMap, uri: Uri) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, &["boards:read"])?;
    let secrets = token.covers("boards:read_secret");
    let shown = held(&world, &token.account).filter(|board| secrets || !board.is_secret);
    let items: Vec<Value> = shown.map(|board| told(&board)).collect();
    rest::page(&uri, items.into_iter())
}

fn told(board: &Board) -> Value {
    json!({
        "id": board.id,
        "name": board.name,
        "description": "",
        "privacy": if board.is_secret { "SECRET" } else { "PUBLIC" },
        "owner": {"username": board.owner},
        "created_at": created(board),
        "pin_count": 0,
        "follower_count": 0,
    })
}

pub(super) async fn sections(
    State(ctx): State<Ctx>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let world = ctx.world();
    let token = rest::caller(&ctx, &world, &headers, &["boards:read"])?;
    let board = board(&world, &token, &id, "boards:read_secret")?;
    rest::page(&uri, board.sections.into_iter().map(|id| json!({"id": id, "name": "Section"})))
}
