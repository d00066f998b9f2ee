//! Uploading, sending and looking back at the account's own server, which reads its own writes at once.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};
use uuid::Uuid;

use super::{
    super::thread,
    Answer, Bluesky, Call, Fault, Found, HandleMap, Handles, Limits, MediaSource, Session, Work, errors,
    facets::{Dids, mentioned},
    json,
    record::{self, MENTIONS, blob_step},
    text_of, wire,
};
use crate::{
    domain::outcome::Outcome,
    media::{CANNOT_FIT, Rendition, Room},
};

/// app/bsky/embed/images.json allows 2,000,000 bytes since 2026 and allowed 1,000,000 before; servers and apps that still
/// hold to the old text would refuse the post or not show it.
const SAFE_BYTES: i64 = 1_000_000;

impl Bluesky {
    /// Finds the versions of the posts that this part of a thread replies to, unless that is done.
    pub(super) async fn reply_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Some(reply) = &work.reply else { return Ok(()) };
        if handles.stored().contains_key(thread::REPLY) {
            return Ok(());
        }
        let Some(parent) = self.stored(session, &reply.parent_native_id).await? else {
            return Err(thread::missing(handles, self.clock.now_ms()).await);
        };
        let root_of_parent = parent.pointer("/value/reply/root");
        let root = if reply.root_native_id == reply.parent_native_id {
            Some(strong(&parent))
        } else if let Some(root) = root_of_parent.filter(|root| text_of(root, "uri") == reply.root_native_id)
        {
            Some(strong(root))
        } else {
            self.stored(session, &reply.root_native_id).await?.as_ref().map(strong)
        };
        let Some(root) = root else { return Err(thread::missing(handles, self.clock.now_ms()).await) };
        handles.save(thread::REPLY, object!({ "root": root, "parent": strong(&parent) })).await
    }

    /// A post of the account as its server holds it: `uri`, `cid` and `value`; `None` when it is not there.
    async fn stored(&self, session: &Session, uri: &str) -> Result<Option<Value>, Fault> {
        let (collection, rkey) = key_of(uri)?;
        let response = self.read(session, get_record(session, collection, rkey)).await?;
        let body = json(&response).unwrap_or_default();
        match (response.status().as_u16(), text_of(&body, "error")) {
            (200, _) if text_of(&body, "uri") == uri && !text_of(&body, "cid").is_empty() => Ok(Some(body)),
            (200, _) => Err(wire::unreadable()),
            (400, "RecordNotFound") => Ok(None),
            _ => Err(self.fault(&response)),
        }
    }

    /// Finds the accounts mentioned in the text, unless that is done.
    pub(super) async fn mentions_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let handles_of = mentioned(record::text_out(&work.content));
        if handles_of.is_empty() || handles.stored().contains_key(MENTIONS) {
            return Ok(());
        }
        let mut dids = Dids::new();
        for handle in handles_of {
            let did = self.resolve(session, &handle).await?;
            dids.insert(handle, did);
        }
        handles.save(MENTIONS, object!(dids)).await
    }

    /// Uploads one picture, unless that is done.
    pub(super) async fn upload_step(
        &self,
        session: &Session,
        work: &Work,
        i: usize,
        media: &MediaSource,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let step = blob_step(i);
        if handles.stored().contains_key(&step) {
            return Ok(());
        }
        let media_id = work.content.media[i].media_id;
        let rendition = picture(media, work.workspace_id, media_id, &session.limits).await?;
        let (width, height) = (rendition.width, rendition.height);
        wire::pass("prep.media_put.before").await?;
        let blob = self.upload(session, &rendition.content_type, rendition.bytes).await?;
        wire::pass("prep.media_put.after").await?;
        handles.save(&step, object!({ "blob": blob, "width": width, "height": height })).await
    }

    /// The DID of a handle; `None` when it has none, and the mention stays plain text.
    async fn resolve(&self, session: &Session, handle: &str) -> Result<Option<String>, Fault> {
        let path = "/xrpc/com.atproto.identity.resolveHandle";
        let call = Call::get(&session.server, path, &[("handle", handle)]);
        match self.ask(session, call).await {
            Ok(body) => {
                Ok(Some(text_of(&body, "did")).filter(|did| did.starts_with("did:")).map(str::to_owned))
            }
            Err(Fault::Rejected { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Uploads bytes; the same bytes make the same blob, so doing it twice is harmless.
    pub(super) async fn upload(
        &self,
        session: &Session,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<Value, Fault> {
        let client = self.http.bounded(wire::upload_bounds(bytes.len()));
        let call = Call::post(&session.server, "/xrpc/com.atproto.repo.uploadBlob").body(content_type, bytes);
        let response = self.call_over(&client, session, call).await;
        let response = response.map_err(|error| wire::unanswered_read(&error))?;
        if !response.status().is_success() {
            return Err(self.fault(&response));
        }
        let blob = json(&response)
            .and_then(|body| body.get("blob").cloned())
            .filter(|blob| blob.get("ref").is_some());
        blob.ok_or_else(|| Fault::Transient {
            code: "SERVER_ERROR".into(),
            message: "The server's answer to the upload holds no reference.".into(),
            retry_after: None,
        })
    }
}

/// Asks for a record of the account at its own server.
pub(super) fn get_record(session: &Session, collection: &str, rkey: &str) -> Call {
    let query = [("repo", session.native_id.as_str()), ("collection", collection), ("rkey", rkey)];
    Call::get(&session.server, "/xrpc/com.atproto.repo.getRecord", &query)
}

/// Collection and key of a post.
pub(super) fn key_of(uri: &str) -> Result<(&str, &str), Fault> {
    record::key_of(uri).ok_or_else(|| Fault::Rejected {
        code: "UNKNOWN_POST".into(),
        message: "This is not the address of a post.".into(),
    })
}

/// The reference to one version of a record.
fn strong(holder: &Value) -> Value {
    object!({ "uri": text_of(holder, "uri"), "cid": text_of(holder, "cid") })
}

/// A still small enough for every server and app; what cannot be made smaller may be as large as the lexicon says.
async fn picture(
    media: &MediaSource,
    workspace_id: Uuid,
    media_id: Uuid,
    limits: &Limits,
) -> Result<Rendition, Fault> {
    let room = Room::of(limits);
    let safe = Room { bytes: room.bytes.min(SAFE_BYTES), ..room };
    match media.read(workspace_id, media_id, safe).await {
        Err(Fault::Rejected { code, .. }) if code == CANNOT_FIT => {
            media.read(workspace_id, media_id, room).await
        }
        other => other,
    }
}

/// What the answer to `putRecord` proves.
pub(super) fn answer(response: &Response<Bytes>, session: &Session, work: &Work, now_ms: i64) -> Answer {
    let body = json(response).unwrap_or_default();
    let code = text_of(&body, "error");
    let wire = wire::seen(response, Some(code).filter(|code| !code.is_empty()), now_ms);
    let status = response.status();
    let expected = record::uri(&session.native_id, work);
    let outcome = if status.is_success() {
        if text_of(&body, "uri") == expected && !text_of(&body, "cid").is_empty() {
            accepted(session, work)
        } else {
            Outcome::Ambiguous { evidence: format!("the server answered {status} without this record") }
        }
    } else {
        let steps = || record::uploads(work);
        let proof = wire::judge(errors::RULES, status, code);
        wire::refused(proof, status, response.headers(), steps, now_ms)
    };
    Answer { outcome, wire }
}

/// The record of a work is at the server.
pub(super) fn accepted(session: &Session, work: &Work) -> Outcome {
    let url = record::page(&session.native_id, text_of(&work.plan, "rkey"));
    Outcome::Accepted { native_id: record::uri(&session.native_id, work), url }
}

/// What reading the record back tells: ours, none, or another one under the same key. Which posts a further part of a
/// thread replies to is compared once that is known: a part that went with others may be looked for before.
pub(super) fn found(
    response: &Response<Bytes>,
    session: &Session,
    work: &Work,
    handles: &HandleMap,
    fault: impl FnOnce(&Response<Bytes>) -> Fault,
) -> Found {
    let mut body = json(response).unwrap_or_default();
    let ours = record::record(work, handles);
    if work.position > 0
        && ours.get("reply").is_none()
        && let Some(value) = body.get_mut("value").and_then(Value::as_object_mut)
    {
        value.remove("reply");
    }
    match (response.status().as_u16(), text_of(&body, "error")) {
        (200, _) if body.get("value") == Some(&ours) => Found::Live {
            native_id: record::uri(&session.native_id, work),
            url: record::page(&session.native_id, text_of(&work.plan, "rkey")),
            evidence: format!("the record is stored with cid {}", wire::short(text_of(&body, "cid"))),
        },
        (200, _) if body.get("value").is_some() => {
            Found::Unsure { why: "another record is stored under the key of this post".into() }
        }
        (400, "RecordNotFound") => Found::Absent,
        _ => Found::Unread(fault(response)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::Secret, *};
    use crate::domain::content::{Content, Media};

    fn session() -> Session {
        Session {
            account_id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            network: "bluesky".into(),
            server: "https://pds.example".into(),
            native_id: "did:plc:me".into(),
            handle: "me.test".into(),
            limits: super::super::limits(),
            access_token: Secret::default(),
            refresh_token: None,
            access_expires_at: None,
            token_version: 1,
            extra: Secret::default(),
            app: None,
        }
    }

    fn work() -> Work {
        let id = Uuid::nil();
        let content = Content { text: "hi".into(), media: vec![Media::default(); 2], ..Content::default() };
        let plan = object!({ "rkey": "3lxy2abcde22k", "created_at": "2026-01-02T03:04:05.678Z" });
        Work {
            target_id: id,
            post_id: id,
            workspace_id: id,
            account_id: id,
            revision: 1,
            due_at: 0,
            key: "K".into(),
            content,
            plan,
            position: 0,
            reply: None,
        }
    }

    fn response(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    fn outcome(status: u16, body: &Value) -> Outcome {
        answer(&response(status, body), &session(), &work(), 0).outcome
    }

    const URI: &str = "at://did:plc:me/app.bsky.feed.post/3lxy2abcde22k";

    #[tokio::test]
    async fn an_animation_may_be_as_large_as_the_lexicon_says() {
        let read = |needs| async move {
            let limits = super::super::limits();
            picture(&crate::testing::source_of_bytes(needs), Uuid::nil(), Uuid::nil(), &limits).await
        };
        assert!(read(1_000_000).await.is_ok());
        assert!(read(2_000_000).await.is_ok(), "it cannot be made as small as stills are");
        assert!(matches!(read(2_000_001).await, Err(Fault::Rejected { code, .. }) if code == CANNOT_FIT));
    }

    #[test]
    fn accepts_only_the_record_it_sent() {
        let url = "https://bsky.app/profile/did:plc:me/post/3lxy2abcde22k".to_owned();
        let accepted = Outcome::Accepted { native_id: URI.into(), url };
        assert_eq!(
            outcome(200, &object!({ "uri": URI, "cid": "bafy", "validationStatus": "valid" })),
            accepted
        );
        for strange in [
            object!({}),
            object!({ "uri": URI }),
            object!({ "uri": "at://x/y/z", "cid": "b" }),
            object!("ok"),
        ] {
            assert!(matches!(outcome(200, &strange), Outcome::Ambiguous { .. }));
        }
    }

    #[test]
    fn only_listed_refusals_prove_anything() {
        let error = |status, code: &str| outcome(status, &object!({ "error": code, "message": "m" }));
        assert_eq!(error(400, "ExpiredToken"), Outcome::TokenExpired);
        assert!(matches!(error(400, "InvalidToken"), Outcome::Reconnect { .. }));
        assert!(matches!(error(401, "AccountTakedown"), Outcome::Reconnect { .. }));
        assert!(matches!(error(400, "InvalidRequest"), Outcome::Rejected { .. }));
        assert!(matches!(error(429, "RateLimitExceeded"), Outcome::Transient { .. }));
        assert!(
            matches!(error(400, "BlobNotFound"), Outcome::Stale { steps, .. } if steps == ["blob.0", "blob.1"])
        );
        for (status, code) in [
            (400, "InvalidSwap"),
            (500, "InternalServerError"),
            (502, "UpstreamFailure"),
            (503, ""),
            (429, ""),
            (401, "AuthMissing"),
            (400, ""),
            (307, ""),
            (500, "InvalidRequest"),
        ] {
            assert!(matches!(error(status, code), Outcome::Ambiguous { .. }), "{status} {code}");
        }
    }

    #[test]
    fn looking_back_compares_the_record() {
        let fault = |refusal: &Response<Bytes>| wire::refused_read(errors::RULES, refusal, 0);
        let look = |status, body: Value| {
            found(&response(status, &body), &session(), &work(), &HandleMap::new(), fault)
        };
        let ours = record::record(&work(), &HandleMap::new());
        assert!(
            matches!(look(200, object!({ "uri": URI, "cid": "b", "value": ours })), Found::Live { native_id, .. } if native_id == URI)
        );
        assert!(matches!(
            look(200, object!({ "uri": URI, "cid": "b", "value": { "text": "x" } })),
            Found::Unsure { .. }
        ));
        assert_eq!(look(400, object!({ "error": "RecordNotFound" })), Found::Absent);
        assert!(matches!(look(400, object!({ "error": "InvalidRequest" })), Found::Unread(_)));
        assert!(matches!(look(404, object!({})), Found::Unread(_)));
        assert_eq!(look(400, object!({ "error": "ExpiredToken" })), Found::Unread(Fault::TokenExpired));
    }

    proptest::proptest! {
        #[test]
        fn nothing_outside_the_table_is_definite(status in 201_u16..600, text in "\\PC{0,60}") {
            let listed = errors::RULES.iter().any(|rule| rule.fits(status, &text));
            let seen = outcome(status, &object!({ "error": text }));
            let ambiguous = matches!(seen, Outcome::Ambiguous { .. });
            proptest::prop_assert!(listed || ambiguous, "{status} {text}: {seen:?}");
            proptest::prop_assert!(status < 500 || ambiguous, "a 5xx never proves anything");
        }
    }
}
