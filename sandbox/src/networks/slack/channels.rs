//! The channels of a workspace, and which of them the app is a member of.

use axum::extract::State;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, NETWORK, Refusal, forms_only, holder, letters, ok};
use crate::{
    docs::Change,
    oauth::Token,
    params::Params,
    world::{Ctx, World},
};

/// One channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) name: String,
    account: String,
    is_private: bool,
    pub(super) is_member: bool,
    is_archived: bool,
    /// Only administrators may post.
    is_restricted: bool,
}

impl Channel {
    pub(super) fn change(&self) -> Change {
        Change::put("channel", &self.id, self)
    }

    fn view(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "is_channel": !self.is_private, "is_group": self.is_private,
            "is_private": self.is_private, "is_member": self.is_member, "is_archived": self.is_archived,
            "is_im": false, "is_mpim": false, "num_members": 3,
        })
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.is_private { "private" } else { "public" }
    }

    /// Whether the app may write here.
    pub(super) fn takes_posts_of(&self, token: &Token) -> Result<(), Refusal> {
        match () {
            () if self.is_archived => Err(Refusal::new("is_archived")),
            () if self.is_restricted => Err(Refusal::new("restricted_action")),
            () if self.is_member || (!self.is_private && token.covers("chat:write.public")) => Ok(()),
            () => Err(Refusal::new("not_in_channel")),
        }
    }
}

/// The channels of a new workspace: two that the app is in, one it may join, one it cannot see, one that is archived and
/// one for announcements.
pub(super) fn of_account(account: u64, handle: &str) -> Vec<Channel> {
    let channel = |place: u64, name: &str| Channel {
        id: format!("C{}", letters(account % 10_000_000_000 * 8 + place)),
        name: name.to_owned(),
        account: handle.to_owned(),
        is_private: false,
        is_member: true,
        is_archived: false,
        is_restricted: false,
    };
    vec![
        channel(0, "general"),
        Channel { is_member: false, ..channel(1, "random") },
        Channel { is_private: true, ..channel(2, "plans") },
        Channel { is_private: true, is_member: false, ..channel(3, "secret") },
        Channel { is_archived: true, ..channel(4, "old") },
        Channel { is_restricted: true, ..channel(5, "announcements") },
    ]
}

/// A channel of the token's workspace, provided the app can see it.
pub(super) fn named(world: &World, token: &Token, id: &str) -> Result<Channel, Refusal> {
    let channel: Option<Channel> = world.docs.get(NETWORK, "channel", id);
    channel
        .filter(|channel| channel.account == token.account && (channel.is_member || !channel.is_private))
        .ok_or_else(|| Refusal::new("channel_not_found"))
}

pub(super) async fn list(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    forms_only(&headers)?;
    let world = ctx.world();
    let token = holder(&world, &headers, &params, &["channels:read", "groups:read"], ctx.now_ms())?;
    // Without types only public channels are listed.
    let types = params.present("types").unwrap_or_else(|| "public_channel".to_owned());
    let wants = |channel: &Channel| {
        let (kind, scope) = if channel.is_private {
            ("private_channel", "groups:read")
        } else {
            ("public_channel", "channels:read")
        };
        types.split(',').any(|wanted| wanted.trim() == kind) && token.covers(scope)
    };
    let without_old = params.truth("exclude_archived");
    let all: Vec<_> = world.docs.all::<Channel>(NETWORK, "channel").map(|(_, channel)| channel).collect();
    let seen: Vec<_> = all
        .into_iter()
        .filter(|channel| channel.account == token.account && wants(channel))
        .filter(|channel| channel.is_member || !channel.is_private)
        .filter(|channel| !(without_old && channel.is_archived))
        .collect();
    let limit = params.number("limit").filter(|limit| *limit > 0).unwrap_or(100) as usize;
    let from: usize = params.present("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let next = if from + limit < seen.len() { (from + limit).to_string() } else { String::new() };
    let shown: Vec<_> = seen.iter().skip(from).take(limit).map(Channel::view).collect();
    Ok(ok(json!({"channels": shown, "response_metadata": {"next_cursor": next}})))
}

pub(super) async fn join(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &["channels:join"], ctx.now_ms())?;
    let channel = named(&world, &token, &params.text("channel").unwrap_or_default())?;
    if channel.is_archived {
        return Err(Refusal::new("is_archived"));
    }
    if channel.is_private {
        return Err(Refusal::new("method_not_supported_for_channel_type"));
    }
    if channel.is_member {
        return Ok(ok(json!({"channel": channel.view(), "warning": "already_in_channel"})));
    }
    let joined = Channel { is_member: true, ..channel };
    world.keep(NETWORK, vec![joined.change()])?;
    Ok(ok(json!({"channel": joined.view()})))
}

/// The app leaves, as when somebody removes it from the channel.
pub(super) async fn leave(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Answer {
    let mut world = ctx.world();
    let token = holder(&world, &headers, &params, &[], ctx.now_ms())?;
    let channel = named(&world, &token, &params.text("channel").unwrap_or_default())?;
    world.keep(NETWORK, vec![Channel { is_member: false, ..channel }.change()])?;
    Ok(ok(json!({})))
}
