//! LinkedIn: members, and the organizations they administer, as two networks of one adapter. The two need different
//! products in LinkedIn's developer portal, so they have different applications, scopes and classes: what an
//! organization posted can be read back, what a member posted cannot.
//!
//! <https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api> · `connect` brings
//! accounts in, `little` writes the text, `media` uploads, `publish` builds the post, `read` looks back, `errors` says
//! what a refusal proves.

mod connect;
mod errors;
mod little;
mod media;
#[cfg(test)]
pub(crate) mod proof;
mod publish;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_media;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};

use super::{
    Capabilities, ConnectMethod, Facts, HandleMap, Handles, Kind, Network, PostMetrics, Ready, RefreshFault,
    Session, Tokens,
    limits::{Counting, Limits, Violation},
    server,
    wire::{self, Call},
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

/// The version of the interface that is spoken. Each is answered for about a year after its month
/// (<https://learn.microsoft.com/en-us/linkedin/marketing/versioning>): raise it once a year, with the changes of its
/// migration page.
const VERSION: &str = "202609";

/// Where the interface is.
const API: &str = "https://api.linkedin.com";

/// Where people are, and tokens, and uploads.
const WEB: &str = "https://www.linkedin.com";

const KINDS: &[Kind] = &[Kind::Text, Kind::Link, Kind::Image, Kind::Carousel, Kind::Video, Kind::Comment];

const CAPABILITIES: Capabilities = Capabilities {
    text_only: true,
    alt_text: true,
    threads: true,
    metrics: true,
    delete: true,
    video: true,
    comments: true,
};

/// Limits of posts per day exist and are not published; the network's own refusal says when one is reached.
const MEMBER: Facts = Facts {
    id: "linkedin",
    display_name: "LinkedIn",
    class: DeliveryClass::Nothing,
    connect: &[ConnectMethod::OAuth],
    needs_server: false,
    needs_app: true,
    scopes: &["openid", "profile", "w_member_social"],
    capabilities: Capabilities { metrics: false, ..CAPABILITIES },
    kinds: KINDS,
    permits: &[],
};

const ORGANIZATION: Facts = Facts {
    id: "linkedin_organization",
    display_name: "LinkedIn page",
    class: DeliveryClass::ReadBack,
    scopes: &["w_organization_social", "r_organization_social", "r_organization_admin"],
    capabilities: CAPABILITIES,
    ..MEMBER
};

/// What members and organizations may post: Posts API, Images API, Videos API, MultiImage API and Social Actions API
/// below learn.microsoft.com/linkedin/marketing/community-management.
pub(super) fn limits() -> Limits {
    Limits {
        text_length: 3000,
        // Characters are not defined; UTF-16 units are the strictest reading. Escapes do not count.
        text_counting: Counting::Utf16,
        comment_length: 1250,
        title_length: 400,
        images: 20,
        // No size is published, other clients take up to 8 MB; the number of pixels must be smaller than 36,152,320.
        image_bytes: 8_000_000,
        image_pixels: 36_152_319,
        image_types: ["image/jpeg", "image/png", "image/gif"].map(String::from).to_vec(),
        alt_text_length: 4086,
        videos: 1,
        video_bytes: 500_000_000,
        video_types: vec!["video/mp4".into()],
        video_min_ms: 3_000,
        video_max_ms: 1_800_000,
        ..Limits::default()
    }
}

/// Who posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Member,
    Organization,
}

/// How long a picture is given after its upload where nobody may ask whether it is ready: that scope is closed to members
/// (Images API, "Get an Image").
const SETTLES: Duration = Duration::from_secs(10);

/// The adapter, for one kind of author.
#[derive(Clone, Debug)]
pub struct Linkedin {
    http: GuardedClient,
    clock: Arc<dyn Clock>,
    who: Who,
    settles: Duration,
}

impl Linkedin {
    /// Posts for members.
    pub fn member(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, who: Who::Member, settles: SETTLES }
    }

    /// Posts for organizations.
    pub fn organization(http: GuardedClient, clock: Arc<dyn Clock>) -> Self {
        Self { http, clock, who: Who::Organization, settles: SETTLES }
    }

    /// Gives pictures that nobody may ask about so long, instead of ten seconds.
    #[must_use]
    pub fn settling_in(self, settles: Duration) -> Self {
        Self { settles, ..self }
    }

    /// The author as the network names it.
    fn author(&self, native_id: &str) -> String {
        let kind = match self.who {
            Who::Member => "person",
            Who::Organization => "organization",
        };
        format!("urn:li:{kind}:{native_id}")
    }

    /// An ordinary call; anything but a 2xx is a fault.
    async fn ask(&self, call: Call) -> Result<Response<Bytes>, Fault> {
        let response = call.read(&self.http).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.fault(&response)) }
    }

    fn fault(&self, response: &Response<Bytes>) -> Fault {
        errors::fault(response, self.clock.now_ms())
    }
}

/// What every call of the versioned interface carries.
fn versioned(call: Call, session: &Session) -> Call {
    with_version(call).bearer(session.access_token.expose())
}

fn with_version(call: Call) -> Call {
    call.header("linkedin-version", VERSION).header("x-restli-protocol-version", "2.0.0")
}

/// A name inside a path or a query: it holds colons, and that of a comment parentheses and a comma.
fn encoded(urn: &str) -> String {
    url::form_urlencoded::byte_serialize(urn.as_bytes()).collect()
}

/// A list in a query: parentheses and commas stand as they are, what is between them is encoded.
fn list<'a>(urns: impl IntoIterator<Item = &'a String>) -> String {
    let urns: Vec<_> = urns.into_iter().map(|urn| encoded(urn)).collect();
    format!("List({})", urns.join(","))
}

/// The page of a post.
fn page(server: &str, urn: &str) -> String {
    format!("{}/feed/update/{urn}/", server::sibling(server, API, WEB))
}

#[async_trait]
impl Network for Linkedin {
    fn facts(&self) -> &'static Facts {
        match self.who {
            Who::Member => &MEMBER,
            Who::Organization => &ORGANIZATION,
        }
    }

    fn limits(&self) -> Limits {
        limits()
    }

    fn validate(&self, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
        publish::validate(self.facts().display_name, self.who, limits, content, position)
    }

    async fn prepare(
        &self,
        session: &Session,
        work: &Work,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<Ready, Fault> {
        let author = self.author(&session.native_id);
        if let Some(reply) = &work.reply {
            return Ok(Ready::new(publish::comment(&author, &reply.root_native_id, &work.content)));
        }
        let mut urns = Vec::with_capacity(work.content.media.len());
        for (i, item) in work.content.media.iter().enumerate() {
            urns.push(self.upload_step(session, work, item, i, media, handles).await?);
        }
        for (i, item) in work.content.media.iter().enumerate() {
            self.wait_step(session, item, i, handles).await?;
        }
        Ok(Ready::new(publish::post(&author, &work.content, &urns)))
    }

    async fn send(&self, armed: Armed, session: &Session, work: &Work, ready: &Ready) -> Answer {
        let resend = armed.is_resend();
        let call = publish::request(session, work, ready.request.clone());
        match call.publish(&self.http, armed).await {
            Ok(response) => publish::answer(&response, session, work, resend, self.clock.now_ms()),
            Err(error) => wire::unanswered(&error),
        }
    }

    /// What a member posted cannot be read: that scope is closed to new applications.
    async fn reconcile(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Found {
        if self.who == Who::Member {
            return Found::Unsure { why: "LinkedIn does not let a member's own posts be read back".into() };
        }
        match self.matches(session, work, handles, attempt).await {
            Ok(found) => match found.as_slice() {
                [] => Found::Absent,
                [one] => Found::Live {
                    native_id: one.urn.clone(),
                    url: publish::url(&session.server, &one.urn, work.reply.as_ref()),
                    evidence: format!("the page's own posts hold it, created at {} ms", one.created_at),
                },
                several => Found::Unsure { why: format!("{} posts of the page match", several.len()) },
            },
            Err(fault) => Found::Unread(fault),
        }
    }

    fn id_in(&self, _account_native_id: &str, url: &str) -> Option<String> {
        read::id_at(url)
    }

    async fn metrics(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        if self.who == Who::Member {
            let message = "LinkedIn does not let a member's own posts be read.".into();
            return Err(Fault::Rejected { code: "NO_METRICS".into(), message });
        }
        self.counts(session, native_ids).await
    }

    async fn delete(&self, session: &Session, native_id: &str) -> Result<(), Fault> {
        let url = match read::comment_parts(native_id) {
            Some((object, id)) => {
                let (object, actor) = (encoded(object), encoded(&self.author(&session.native_id)));
                format!("{}/rest/socialActions/{object}/comments/{id}?actor={actor}", session.server)
            }
            None => format!("{}/rest/posts/{}", session.server, encoded(native_id)),
        };
        let response = versioned(Call::new(Method::DELETE, url), session).read(&self.http).await?;
        match response.status().as_u16() {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(self.fault(&response)),
        }
    }

    /// Refresh tokens come only with the reviewed product, live a year from the consent, and stay the same.
    async fn refresh(&self, session: &Session) -> Result<Tokens, RefreshFault> {
        self.renew(session).await
    }

    async fn revoke(&self, session: &Session) -> Result<(), Fault> {
        self.give_back(session).await
    }
}
