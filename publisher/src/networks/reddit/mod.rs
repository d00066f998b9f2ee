//! Reddit through the Data API: submissions to a subreddit or the account's own profile, and comments below them.
//!
//! <https://www.reddit.com/dev/api> and <https://support.reddithelp.com/hc/en-us/articles/16160319875092> · `connect` brings
//! accounts in, `rules` holds a post against those of its subreddit, `assets` uploads beforehand, `publish` builds the
//! request, `read` looks back, `errors` says what a refusal proves. Rejections come with status 200. There is no idempotency key: a lost answer is settled by the account's
//! own listing. Posts with media have no id when they are accepted, and appear in that listing later.

mod assets;
mod connect;
mod errors;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::Value;

use super::{
    App, Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready,
    RefreshFault, Secret, Session, Tokens,
    limits::{Counting, Limits, Permits, Violation},
    server,
    wire::{self, Call, json, text_of},
};
use crate::{
    domain::{
        content::Content,
        delivery::{AttemptFacts, Work},
        outcome::{Answer, DeliveryClass, Fault, Found},
    },
    media::MediaSource,
    store::Armed,
};

/// Where the API answers.
const SERVER: &str = "https://oauth.reddit.com";

/// Where people agree, where tokens come from, and where people read.
const SITE: &str = "https://www.reddit.com";

/// Naming the account; posting, with flair; reading back and counting; deleting.
const SCOPES: &[&str] = &["identity", "submit", "flair", "read", "history", "edit"];

const FACTS: Facts = Facts {
    id: "reddit",
    display_name: "Reddit",
    class: DeliveryClass::ReadBack,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: SCOPES,
    capabilities: Capabilities {
        text_only: true,
        alt_text: false,
        threads: true,
        metrics: true,
        delete: true,
        video: true,
        comments: true,
    },
    kinds: &[Kind::Text, Kind::Link, Kind::Image, Kind::Carousel, Kind::Video, Kind::Comment],
    permits: PERMITS,
};

/// Reddit's own limits of posting depend on the account's karma and tell of themselves; a hundred calls a minute are the
/// whole app's (Data API Wiki). This keeps one account from using them up.
const PERMITS: &[Permits] = &[Permits::per_minutes(10, 1)];

/// What Reddit takes: titles and texts of `r2/r2/lib/validator` in reddit-archive/reddit, pictures and videos of the help
/// pages. Reddit itself takes videos up to 1 GB; ours travel in one request.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 40_000,
        text_counting: Counting::Scalars,
        comment_length: 10_000,
        // The title alone is shown beside links, pictures and videos.
        caption_length: 300,
        title_length: 300,
        images: 20,
        image_bytes: 20 << 20,
        image_types: ["image/jpeg", "image/png", "image/gif"].map(String::from).to_vec(),
        videos: 1,
        video_bytes: super::files::IN_MEMORY,
        video_types: ["video/mp4", "video/quicktime"].map(String::from).to_vec(),
        video_max_ms: 15 * 60_000,
        ..Limits::default()
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Reddit {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
}

impl Reddit {
    /// Speaks through this client.
    pub fn new(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock }
    }

    /// A call that makes nothing visible; its answer, or why it refused.
    async fn ask(&self, session: &Session, call: Call) -> Result<Value, Fault> {
        let response = signed(session, call).read(&self.http).await?;
        self.body(&response)
    }

    /// The body of an answer that refuses nothing: neither by its status nor in itself.
    fn body(&self, response: &Response<Bytes>) -> Result<Value, Fault> {
        let body = json(response).unwrap_or_default();
        if response.status().is_success() && body.is_object() && errors::code(&body).is_empty() {
            return Ok(body);
        }
        Err(errors::fault(response, &body, self.clock.now_ms()))
    }

    /// A call of the token endpoints, which the app signs.
    async fn token_call(
        &self,
        server: &str,
        app: &App,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Response<Bytes>, postmesh_kit::http::Error> {
        let pair = format!("{}:{}", app.client_id, app.client_secret.expose());
        let call = Call::post(server::sibling(server, SERVER, SITE), path)
            .header("authorization", &format!("Basic {}", STANDARD.encode(pair)))
            .header("user-agent", &agent(&app.client_id, "postmesh"));
        call.form(fields).ask(&self.http).await
    }
}

/// How a client introduces itself; others are blocked (Data API Wiki, "user agent").
fn agent(client_id: &str, owner: &str) -> String {
    let plain = |text: &str| {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect::<String>()
    };
    format!("web:postmesh.{}:v{} (by /u/{})", plain(client_id), env!("CARGO_PKG_VERSION"), plain(owner))
}

/// A call in the name of an account.
fn signed(session: &Session, call: Call) -> Call {
    let client_id = session.app.as_ref().map_or("app", |app| app.client_id.as_str());
    call.bearer(session.access_token.expose()).header("user-agent", &agent(client_id, name(session)))
}

/// The account's name, without what stands before it in its handle.
fn name(session: &Session) -> &str {
    session.handle.trim_start_matches("u/")
}

#[async_trait]
impl Network for Reddit {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(limits, content, position)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        self.rules_step(session, work, handles).await?;
        let mut assets = Vec::with_capacity(work.content.media.len());
        for (i, item) in work.content.media.iter().enumerate() {
            assets.push(self.asset_step(session, work, item, i, media, handles).await?);
        }
        if work.content.media.iter().any(crate::domain::content::Media::is_video) {
            assets.push(self.poster_step(session, work, handles).await?);
        }
        Ok(Ready::new(publish::body(session, work, &assets)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let resend = armed.is_resend();
        let call = signed(session, publish::request(session, work, ready.request.clone()));
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(session, &response, resend, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        _handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        self.found(session, work, attempt).await.unwrap_or_else(Found::Unread)
    }

    async fn poll(&self, session: &Session, work: &Work, handle: &str) -> Answer {
        self.appeared(session, work, handle).await.into()
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        publish::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let mut counts = Vec::with_capacity(native_ids.len());
        for ids in native_ids.chunks(read::AT_ONCE) {
            counts.extend(self.counts(session, ids).await?);
        }
        Ok(counts)
    }

    /// The answer is the same whether or not there was anything to delete.
    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let call = Call::post(&session.server, "/api/del").form(&[("id", native_id)]);
        self.ask(session, call).await.map(drop)
    }

    /// The refresh token stays the same for ever; an answer that repeats it changes nothing.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        let revoked = || RefreshFault::Revoked("Reddit gave no lasting authorization; connect again".into());
        let refresh = session.refresh_token.as_ref().ok_or_else(revoked)?;
        let Some(app) = &session.app else {
            let why = "no application is set for Reddit".into();
            return Err(RefreshFault::NotExecuted { why, retry_after: None });
        };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let response = self.token_call(&session.server, app, connect::TOKEN, &fields).await;
        let response = response.map_err(|error| wire::unrefreshed(&error))?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, "") => super::connect::tokens(&body, self.clock.now_ms())
                .ok_or_else(|| RefreshFault::Lost("Reddit's answer holds no token".into())),
            (200, "invalid_grant") => Err(RefreshFault::Revoked("invalid_grant".into())),
            (400, _) if body["error"] == 400 => Err(RefreshFault::Revoked(text_of(&body, "message").into())),
            (401, _) if body["error"] == 401 => {
                let why = "Reddit does not know the application; check its id and secret".into();
                Err(RefreshFault::NotExecuted { why, retry_after: None })
            }
            _ => Err(wire::refused_refresh(&response, self.clock.now_ms())),
        }
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        let Some(app) = &session.app else { return Ok(()) };
        let (token, hint) = match &session.refresh_token {
            Some(refresh) => (refresh, "refresh_token"),
            None => (&session.access_token, "access_token"),
        };
        let fields = [("token", token.expose()), ("token_type_hint", hint)];
        let response = self.token_call(&session.server, app, "/api/v1/revoke_token", &fields).await;
        let response = response.map_err(|error| wire::unanswered_read(&error))?;
        // 401: the application is gone, and every authorization with it.
        if response.status().is_success() || response.status().as_u16() == 401 {
            return Ok(());
        }
        Err(errors::fault(&response, &json(&response).unwrap_or_default(), self.clock.now_ms()))
    }
}
