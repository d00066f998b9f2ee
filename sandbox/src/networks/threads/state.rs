//! What Threads keeps: containers for a day, posts until they are deleted, and who may do what.

use serde::{Deserialize, Serialize};

use super::{
    NETWORK,
    words::{self, Refusal},
};
use crate::{
    accounts::{self, Account},
    media::Stored,
    networks::graph::Ask,
    oauth::Token,
    world::World,
};

/// How long a container waits to be published, milliseconds.
pub(super) const CONTAINER_MS: i64 = 86_400_000;
/// How long pictures are processed unless the script says otherwise, milliseconds.
pub(super) const IMAGE_MS: i64 = 200;
/// The same for videos.
pub(super) const VIDEO_MS: i64 = 600;

/// A post before it is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) account: String,
    pub(super) media_type: String,
    #[serde(default)]
    pub(super) text: String,
    #[serde(default)]
    pub(super) files: Vec<File>,
    /// The containers of a carousel's items.
    #[serde(default)]
    pub(super) children: Vec<String>,
    pub(super) is_item: bool,
    #[serde(default)]
    pub(super) reply_to: Option<String>,
    #[serde(default)]
    pub(super) topic_tag: String,
    #[serde(default)]
    pub(super) link: String,
    pub(super) created_ms: i64,
    pub(super) ready_ms: i64,
    /// Why its processing fails, if it does.
    #[serde(default)]
    pub(super) problem: Option<String>,
    /// The post it became.
    #[serde(default)]
    pub(super) published: Option<String>,
}

/// One file with its description.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) stored: Stored,
    #[serde(default)]
    pub(super) alt: String,
}

impl Container {
    /// Its status as the network tells it.
    pub(super) fn status(&self, now_ms: i64) -> &'static str {
        if self.published.is_some() {
            "PUBLISHED"
        } else if now_ms >= self.created_ms + CONTAINER_MS {
            "EXPIRED"
        } else if now_ms < self.ready_ms {
            "IN_PROGRESS"
        } else if self.problem.is_some() {
            "ERROR"
        } else {
            "FINISHED"
        }
    }
}

/// A post.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Post {
    pub(super) id: String,
    pub(super) account: String,
    pub(super) media_type: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) children: Vec<String>,
    #[serde(default)]
    pub(super) reply_to: Option<String>,
    #[serde(default)]
    pub(super) root: Option<String>,
    #[serde(default)]
    pub(super) topic_tag: String,
    pub(super) created_ms: i64,
}

/// The key of a post among those of its account.
pub(super) fn key_of(account: &str, id: &str) -> String {
    format!("{account}|{id:0>20}")
}

/// The token of a request and its account, provided that it covers what is asked for.
pub(super) fn holder(ask: &Ask, world: &World, scope: &str) -> Result<(Token, Account), Refusal> {
    let token = ask.token(world, NETWORK)?;
    let covers = token.covers("threads_basic") && token.covers(scope);
    let account = accounts::named(world, NETWORK, &token.account).filter(|_| covers);
    Ok((token, account.ok_or_else(words::permission)?))
}

/// Whether a path names the account of the token, for reading.
pub(super) fn is_me(account: &Account, id: &str) -> bool {
    id == "me" || id == account.id
}
