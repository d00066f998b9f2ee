//! Making a post: checks, the one request, and what its answer proves.

use bytes::Bytes;
use http::Response;
use serde_json::json as object;

use super::{
    super::{text, thread, validate::Check},
    Answer, Call, Content, Facts, Fault, Handles, Limits, Mastodon, Session, Violation, Work, errors, json,
    read, text_of,
    upload::step,
    wire,
};
use crate::domain::{
    outcome::Outcome,
    settings::{MastodonSettings, Settings, Visibility},
};

/// Everything a server with these limits would refuse.
pub(super) fn validate(facts: &Facts, limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new(facts.display_name, limits);
    if !facts.capabilities.threads {
        check.no_threads(position);
    }
    let settings = settings(content);
    let link = usize::try_from(limits.link_length).unwrap_or(0);
    let length =
        text::length(content.text.trim(), link, true) + text::length(&settings.spoiler_text, link, true);
    check.text(content, length, content.text.len());
    check.media(content);
    match &content.settings {
        Settings::None | Settings::Mastodon(_) => {}
        other => check.foreign_settings(other.network()),
    }
    let language = settings.language.as_str();
    let is_code = language.len() == 2 && language.chars().all(|c| c.is_ascii_lowercase());
    if !language.is_empty() && !is_code {
        let text = format!("`{language}` is not a two-letter language code of ISO 639-1, such as `en`");
        check.add("settings.mastodon.language", "LANGUAGE", text);
    }
    check.into_violations()
}

/// The body of the post; the same bytes for the same work and handles.
pub(super) fn body(work: &Work, media_ids: &[String]) -> Bytes {
    let settings = settings(&work.content);
    let mut body = object!({ "status": work.content.text.trim() });
    let fields = body.as_object_mut().expect("the literal above is an object");
    if let Some(reply) = &work.reply {
        fields.insert("in_reply_to_id".into(), object!(reply.parent_native_id));
    }
    if !media_ids.is_empty() {
        fields.insert("media_ids".into(), object!(media_ids));
    }
    if !settings.spoiler_text.is_empty() {
        fields.insert("spoiler_text".into(), object!(settings.spoiler_text));
    }
    if settings.sensitive || !settings.spoiler_text.is_empty() {
        fields.insert("sensitive".into(), object!(true));
    }
    if !settings.language.is_empty() {
        fields.insert("language".into(), object!(settings.language));
    }
    let visibility = settings.visibility.map(|visibility| match visibility {
        Visibility::Public => "public",
        Visibility::Unlisted => "unlisted",
        Visibility::Private => "private",
        Visibility::Direct => "direct",
    });
    if let Some(visibility) = visibility {
        fields.insert("visibility".into(), object!(visibility));
    }
    body.to_string().into()
}

/// The one visible request. The key keeps servers from posting twice for an hour.
pub(super) fn request(session: &Session, key: &str, body: Bytes) -> Call {
    Call::post(&session.server, "/api/v1/statuses")
        .bearer(session.access_token.expose())
        .header("idempotency-key", key)
        .body("application/json", body)
}

/// What the answer to it proves.
pub(super) fn answer(response: &Response<Bytes>, media: usize, resend: bool, now_ms: i64) -> Answer {
    let body = json(response).unwrap_or_default();
    let text = text_of(&body, "error");
    let wire = wire::seen(response, Some(text).filter(|text| !text.is_empty()), now_ms);
    let status = response.status();
    if status.is_success() {
        let (id, uri) = (text_of(&body, "id"), text_of(&body, "uri"));
        let outcome = if id.is_empty() || uri.is_empty() {
            Outcome::Ambiguous { evidence: format!("the server answered {status} without a post") }
        } else {
            Outcome::Accepted { native_id: id.into(), url: read::page(&body) }
        };
        return Answer { outcome, wire };
    }
    let gone = (!resend).then(|| wire::judge(&[errors::MEDIA_GONE], status, text)).flatten();
    let proof = gone.filter(|_| text.contains("not found or already attached"));
    let proof = proof.or_else(|| wire::judge(errors::RULES, status, text));
    let steps = || (0..media).map(step).collect();
    Answer { outcome: wire::refused(proof, status, response.headers(), steps, now_ms), wire }
}

impl Mastodon {
    /// Looks for the part of the thread before this one, unless that is done: some relatives of Mastodon post a reply
    /// to nothing as a post of its own.
    pub(super) async fn parent_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Some(reply) = &work.reply else { return Ok(()) };
        if handles.stored().contains_key(thread::REPLY) {
            return Ok(());
        }
        if !self.counts(session, &reply.parent_native_id).await?.found {
            return Err(thread::missing(handles, self.clock.now_ms()).await);
        }
        handles.save(thread::REPLY, object!({ "parent": reply.parent_native_id })).await
    }
}

pub(super) fn settings(content: &Content) -> MastodonSettings {
    match &content.settings {
        Settings::Mastodon(settings) => settings.clone(),
        _ => MastodonSettings::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::delivery::Reply;

    fn content(text: &str) -> Content {
        Content { text: text.into(), ..Content::default() }
    }

    fn response(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }

    fn outcome(status: u16, error: &str, resend: bool) -> Outcome {
        answer(&response(status, &object!({ "error": error })), 2, resend, 0).outcome
    }

    fn work(content: &Content) -> Work {
        let id = uuid::Uuid::nil();
        Work {
            target_id: id,
            post_id: id,
            workspace_id: id,
            account_id: id,
            revision: 1,
            due_at: 0,
            key: "K".into(),
            content: content.clone(),
            plan: Value::Null,
            position: 0,
            reply: None,
        }
    }

    #[test]
    fn builds_the_same_bytes_for_the_same_work() {
        let mut content = content("hello \n");
        content.settings = Settings::Mastodon(MastodonSettings {
            visibility: Some(Visibility::Unlisted),
            spoiler_text: "careful".into(),
            sensitive: false,
            language: "de".into(),
        });
        let built = body(&work(&content), &["9".into(), "10".into()]);
        assert_eq!(
            built,
            r#"{"language":"de","media_ids":["9","10"],"sensitive":true,"spoiler_text":"careful","status":"hello","visibility":"unlisted"}"#
        );
        assert_eq!(built, body(&work(&content), &["9".into(), "10".into()]));
        let mut part = work(&self::content("hi"));
        assert_eq!(body(&part, &[]), r#"{"status":"hi"}"#);
        part.reply = Some(Reply { parent_native_id: "8".into(), root_native_id: "7".into() });
        assert_eq!(body(&part, &[]), r#"{"in_reply_to_id":"8","status":"hi"}"#);
    }

    #[test]
    fn accepts_only_an_answer_that_holds_a_post() {
        let post = object!({ "id": "103", "uri": "https://m.example/users/ana/statuses/103", "url": "https://m.example/@ana/103" });
        let accepted = answer(&response(200, &post), 0, false, 0);
        assert_eq!(
            accepted.outcome,
            Outcome::Accepted { native_id: "103".into(), url: "https://m.example/@ana/103".into() }
        );
        assert_eq!(accepted.wire.http_status, Some(200));
        for strange in
            [object!({}), object!({ "id": 5 }), object!({ "id": "5", "scheduled_at": "2030" }), object!("hi")]
        {
            assert!(matches!(
                answer(&response(200, &strange), 0, false, 0).outcome,
                Outcome::Ambiguous { .. }
            ));
        }
    }

    #[test]
    fn only_listed_refusals_prove_anything() {
        assert!(
            matches!(outcome(422, "Validation failed: Text character limit of 500 exceeded", false), Outcome::Rejected { code, .. } if code == "TEXT_TOO_LONG")
        );
        let gone = "The post you are trying to reply to does not appear to exist.";
        assert!(matches!(outcome(404, gone, false), Outcome::Rejected { code, .. } if code == "PARENT_GONE"));
        assert!(matches!(outcome(401, "The access token was revoked", false), Outcome::Reconnect { .. }));
        assert!(matches!(outcome(429, "Too many requests", false), Outcome::Transient { .. }));
        for (status, text) in [
            (500, "Validation failed: Text can't be blank"),
            (503, "There was a temporary problem serving your request, please try again"),
            (502, ""),
            (429, "<html>"),
            (403, "<html>"),
            (401, "This API requires an authenticated user"),
            (404, "Record not found"),
            (408, "Too many requests"),
            (301, ""),
            (422, "Something new"),
        ] {
            assert!(matches!(outcome(status, text, false), Outcome::Ambiguous { .. }), "{status} {text}");
        }
    }

    #[test]
    fn missing_uploads_are_made_again_only_before_anything_may_be_visible() {
        let text = "Media 1, 2 not found or already attached to another post";
        assert!(
            matches!(outcome(422, text, false), Outcome::Stale { steps, .. } if steps == ["media.0", "media.1"])
        );
        assert!(matches!(outcome(422, text, true), Outcome::Ambiguous { .. }));
    }

    #[test]
    fn counts_like_the_server() {
        let limits = super::super::limits();
        let facts = &super::super::dialect::MASTODON.facts;
        let check = |content: &Content| {
            validate(facts, &limits, content, 0).into_iter().map(|v| v.reason).collect::<Vec<_>>()
        };
        assert_eq!(check(&content(&"x".repeat(500))), [""; 0]);
        assert_eq!(check(&content(&"x".repeat(501))), ["TEXT_TOO_LONG"]);
        let link = format!("{} https://example.com/{}", "x".repeat(476), "y".repeat(300));
        assert_eq!(check(&content(&link)), [""; 0]);
        assert_eq!(check(&content(" \n")), ["EMPTY"]);
        let mut warned = content(&"x".repeat(495));
        let settings = MastodonSettings {
            spoiler_text: "123456".into(),
            language: "english".into(),
            ..Default::default()
        };
        warned.settings = Settings::Mastodon(settings);
        assert_eq!(check(&warned), ["TEXT_TOO_LONG", "LANGUAGE"]);
        let text = &validate(facts, &limits, &content(&"x".repeat(501)), 0)[0].description;
        assert_eq!(text, "the text has 501 characters, Mastodon accepts at most 500 on this account");
    }

    proptest::proptest! {
        #[test]
        fn nothing_outside_the_table_is_definite(status in 201_u16..600, text in "\\PC{0,60}") {
            let listed = errors::RULES.iter().any(|rule| rule.fits(status, &text));
            let listed = listed || text.starts_with("Media ");
            let seen = outcome(status, &text, false);
            let ambiguous = matches!(seen, Outcome::Ambiguous { .. });
            proptest::prop_assert!(listed || ambiguous, "{status} {text}: {seen:?}");
            proptest::prop_assert!(status < 500 || ambiguous, "a 5xx never proves anything");
        }
    }
}
