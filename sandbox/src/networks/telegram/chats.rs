//! Chats, and what a bot may do in them. Every account begins with chats that show each way in which a bot may fail.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, bot, ok};
use crate::{
    crypto,
    docs::Change,
    params::Params,
    world::{Ctx, World},
};

/// A channel or a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chat {
    pub(super) id: i64,
    /// `channel`, `supergroup` or `group`.
    pub(super) kind: String,
    pub(super) title: String,
    /// Absent in private chats.
    pub(super) username: Option<String>,
    /// The account whose bot knows it.
    account: String,
    /// `administrator`, `left` or `kicked`.
    status: String,
    can_post: bool,
    /// The supergroup that a group became.
    became: Option<i64>,
}

/// The id of an account's chat of that place.
pub(super) fn id(account: u64, place: i64) -> i64 {
    -1_001_000_000_000 - ((account % 900_000_000) as i64 * 8 + place)
}

/// The id that an account's group had before it became a supergroup.
pub(super) fn old_group(account: u64) -> i64 {
    -100_000_000 - (account % 900_000_000) as i64
}

/// The token of an account's bot.
pub(super) fn token(account: u64) -> String {
    let secret = crypto::sha256_hex(format!("telegram bot {account}").as_bytes());
    format!("{}:AA{}", account % 9_000_000_000 + 1_000_000_000, &secret[..33])
}

/// The chats of a new account: its channel, a group, a channel in which the bot may not post, one it was thrown out of,
/// a private one, one it never was in, and the id of a group that became the second.
pub(super) fn of_account(account: u64, handle: &str, display_name: &str) -> Vec<Chat> {
    let chat = |place: i64, kind: &str, suffix: &str, status: &str, can_post: bool| Chat {
        id: id(account, place),
        kind: kind.to_owned(),
        title: format!("{display_name}{}", suffix.replace('_', " ")),
        username: Some(format!("{handle}{suffix}")),
        account: handle.to_owned(),
        status: status.to_owned(),
        can_post,
        became: None,
    };
    let private = Chat { username: None, ..chat(4, "channel", "_private", "administrator", true) };
    let group = Chat {
        id: old_group(account),
        username: None,
        became: Some(id(account, 1)),
        ..chat(1, "group", "_group", "administrator", true)
    };
    vec![
        chat(0, "channel", "", "administrator", true),
        chat(1, "supergroup", "_group", "administrator", true),
        chat(2, "channel", "_readers", "administrator", false),
        chat(3, "channel", "_kicked", "kicked", false),
        private,
        chat(5, "channel", "_outside", "left", false),
        group,
    ]
}

impl Chat {
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::put("chat", self.id.to_string(), self)];
        if let Some(username) = &self.username {
            changes.push(Change::put("chat_name", username.to_lowercase(), &self.id));
        }
        changes
    }

    /// As messages carry it.
    pub(super) fn view(&self) -> Value {
        let mut view = json!({"id": self.id, "title": self.title, "type": self.kind});
        if let Some(username) = &self.username {
            view["username"] = json!(username);
        }
        view
    }

    fn status(&self, account: &str) -> &str {
        if self.account == account { &self.status } else { "left" }
    }

    /// Whether the account's bot may write here.
    pub(super) fn takes_posts_of(&self, account: &str) -> Result<(), Refusal> {
        let kind = &self.kind;
        if let Some(became) = self.became {
            let description = "Bad Request: group chat was upgraded to a supergroup chat".to_owned();
            return Err(Refusal(400, description, json!({"migrate_to_chat_id": became})));
        }
        match self.status(account) {
            "kicked" => Err(Refusal::forbidden(&format!("bot was kicked from the {kind} chat"))),
            "left" => Err(Refusal::forbidden(&format!("bot is not a member of the {kind} chat"))),
            _ if !self.can_post => {
                Err(Refusal::bad(&format!("need administrator rights in the {kind} chat")))
            }
            _ => Ok(()),
        }
    }
}

/// The chat of that id, or of that `@username`.
pub(super) fn find(world: &World, chat: &str) -> Option<Chat> {
    let id = match chat.strip_prefix('@') {
        Some(username) => world.docs.get::<i64>(NETWORK, "chat_name", &username.to_lowercase())?.to_string(),
        None => chat.to_owned(),
    };
    world.docs.get(NETWORK, "chat", &id)
}

/// The chat that a request names.
pub(super) fn named(world: &World, params: &Params) -> Result<Chat, Refusal> {
    let chat = params.present("chat_id").ok_or_else(|| Refusal::bad("chat_id is empty"))?;
    find(world, &chat).ok_or_else(|| Refusal::bad("chat not found"))
}

fn user(account: &str, id: i64) -> Value {
    json!({"id": id, "is_bot": true, "first_name": format!("{account} bot"), "username": format!("{account}_bot")})
}

pub(super) fn get_me(ctx: &Ctx, segment: &str) -> Result<Response, Refusal> {
    let (account, id) = bot(&ctx.world(), segment, ctx.now_ms())?;
    Ok(ok(&user(&account, id)))
}

pub(super) fn get_chat(ctx: &Ctx, segment: &str, params: &Params) -> Answer {
    let world = ctx.world();
    let (account, _) = bot(&world, segment, ctx.now_ms())?;
    let chat = named(&world, params)?;
    match chat.status(&account) {
        "kicked" => Err(Refusal::forbidden(&format!("bot was kicked from the {} chat", chat.kind))),
        "left" if chat.username.is_none() => Err(Refusal::bad("chat not found")),
        _ => Ok(ok(&chat.view())),
    }
}

pub(super) fn get_chat_member(ctx: &Ctx, segment: &str, params: &Params) -> Answer {
    let world = ctx.world();
    let (account, id) = bot(&world, segment, ctx.now_ms())?;
    let chat = named(&world, params)?;
    let status = chat.status(&account);
    if params.number("user_id") != Some(id) || status == "left" {
        return Err(Refusal::bad("member list is inaccessible"));
    }
    if status == "kicked" {
        return Err(Refusal::forbidden(&format!("bot was kicked from the {} chat", chat.kind)));
    }
    let mut member = json!({
        "user": user(&account, id), "status": status, "can_be_edited": false, "can_manage_chat": true,
        "can_delete_messages": true, "is_anonymous": false,
    });
    if chat.kind == "channel" {
        member["can_post_messages"] = json!(chat.can_post);
    }
    Ok(ok(&member))
}
