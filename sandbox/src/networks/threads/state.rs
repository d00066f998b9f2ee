//! What Threads keeps: containers for a day, posts until they are deleted, and who may do what.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{NETWORK, words::Refusal};
use crate::{
    accounts::{self, Account},
    media::Stored,
    oauth::{self, Token},
    params::Params,
    web,
    world::{Ctx, World},
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

/// A post's page.
pub(super) fn permalink(ctx: &Ctx, id: &str) -> String {
    format!("{}/_posts/{}/{id}", ctx.public_url, NETWORK.name())
}

/// The key of a post among those of its account.
pub(super) fn key_of(account: &str, id: &str) -> String {
    format!("{account}|{id:0>20}")
}

/// The token of a request: the parameter, or the header that the whole Graph takes as well.
pub(super) fn holder(
    ctx: &Ctx,
    world: &World,
    headers: &HeaderMap,
    params: &Params,
    scope: &str,
) -> Result<Token, Refusal> {
    let secret = params.present("access_token").or_else(|| web::bearer(headers).map(str::to_owned));
    let token = oauth::live(world, NETWORK, secret.as_deref().unwrap_or_default(), ctx.now_ms())?;
    if token.covers("threads_basic") && token.covers(scope) { Ok(token) } else { Err(Refusal::permission()) }
}

/// The account of a token.
pub(super) fn account(world: &World, token: &Token) -> Result<Account, Refusal> {
    accounts::named(world, NETWORK, &token.account).ok_or_else(Refusal::permission)
}

/// Whether a path names the account of the token, for reading.
pub(super) fn is_me(account: &Account, id: &str) -> bool {
    id == "me" || id == account.id
}
