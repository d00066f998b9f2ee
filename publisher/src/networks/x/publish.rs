//! Making a post: checks, the body of the one request, and what its answer proves.

use bytes::Bytes;
use http::Response;
use serde_json::json as object;

use super::{
    super::{server, validate::Check},
    API, Answer, Content, Limits, SITE, Session, Violation, Work, errors, json, text_of, upload, wire,
};
use crate::domain::{
    content::Media,
    outcome::Outcome,
    settings::{Settings, XReplySettings, XSettings},
};

/// Animations (<https://docs.x.com/x-api/media/quickstart/best-practices>): 15 MB, 1280 × 1080 pixels, one in a post.
const GIF: (i64, i32, i32) = (15_000_000, 1280, 1080);

/// Videos, same page: 32 × 32 to 1280 × 1024 pixels are sure to be taken; larger ones are scaled down by X.
const LEAST_SIDE: i32 = 32;

/// Everything that X would refuse from an account with these limits.
pub(super) fn validate(limits: &Limits, content: &Content, position: i64) -> Vec<Violation> {
    let mut check = Check::new("X", limits);
    // Animations have a size limit of their own, which is checked below.
    let mut common = content.clone();
    for item in common.media.iter_mut().filter(|item| is_gif(item)) {
        item.size_bytes = 0;
    }
    check.content(&common, position);
    check.settings(&content.settings, matches!(content.settings, Settings::X(_)));
    let (bytes, width, height) = GIF;
    for (i, item) in content.media.iter().enumerate() {
        if is_gif(item) && item.size_bytes > bytes {
            let text = format!("the animation has {} bytes, X accepts at most {bytes}", item.size_bytes);
            check.add(format!("media[{i}]"), "IMAGE_TOO_LARGE", text);
        }
        if is_gif(item) && (item.width > width || item.height > height) {
            let text = format!(
                "the animation has {} x {} pixels, X accepts at most {width} x {height}",
                item.width, item.height
            );
            check.add(format!("media[{i}]"), "IMAGE_TOO_MANY_PIXELS", text);
        }
        let small = item.width.min(item.height);
        if item.is_video() && (1..LEAST_SIDE).contains(&small) {
            let text = format!("the video is {small} pixels wide or high, X asks for at least {LEAST_SIDE}");
            check.add(format!("media[{i}]"), "VIDEO_TOO_SMALL", text);
        }
    }
    if content.media.len() > 1 && content.media.iter().any(is_gif) {
        let text = "X takes an animation only by itself: remove the other media";
        check.add("media", "MIXED_MEDIA", text.to_owned());
    }
    let cashtags = cashtags(&content.text);
    if cashtags > 1 {
        let text = format!("the text has {cashtags} cashtags, X accepts at most 1");
        check.add("text", "TOO_MANY_CASHTAGS", text);
    }
    check.into_violations()
}

/// GIF files go up as animations.
pub(super) fn is_gif(item: &Media) -> bool {
    item.content_type == "image/gif"
}

/// How many words are `$` and one to six letters, as X marks them.
fn cashtags(text: &str) -> usize {
    let is_tag = |word: &str| {
        let name = word.strip_prefix('$').unwrap_or_default();
        let end = name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len());
        (1..=6).contains(&end) && !name[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    };
    text.split_whitespace().filter(|word| is_tag(word)).count()
}

fn settings(content: &Content) -> XSettings {
    match &content.settings {
        Settings::X(settings) => settings.clone(),
        _ => XSettings::default(),
    }
}

/// The body of the post; the same bytes for the same work and uploads.
pub(super) fn body(work: &Work, media_ids: &[String]) -> Bytes {
    let settings = settings(&work.content);
    let mut body = object!({});
    let fields = body.as_object_mut().expect("the literal above is an object");
    let text = work.content.text.trim();
    if !text.is_empty() {
        fields.insert("text".into(), object!(text));
    }
    if !media_ids.is_empty() {
        fields.insert("media".into(), object!({ "media_ids": media_ids }));
    }
    let who = settings.reply_settings.map(|who| match who {
        XReplySettings::Following => "following",
        XReplySettings::MentionedUsers => "mentionedUsers",
        XReplySettings::Subscribers => "subscribers",
        XReplySettings::Verified => "verified",
    });
    match (&work.reply, who) {
        // Who may reply is a matter of the whole conversation, which its first post decides.
        (Some(reply), _) => {
            let reply = object!({ "in_reply_to_tweet_id": reply.parent_native_id });
            fields.insert("reply".into(), reply);
        }
        (None, Some(who)) => {
            fields.insert("reply_settings".into(), object!(who));
        }
        (None, None) => {}
    }
    if settings.made_with_ai {
        fields.insert("made_with_ai".into(), object!(true));
    }
    if settings.paid_partnership {
        fields.insert("paid_partnership".into(), object!(true));
    }
    body.to_string().into()
}

/// Where people see a post of the account.
pub(super) fn page(session: &Session, id: &str) -> String {
    let site = server::sibling(&session.server, API, SITE);
    format!("{site}/{}/status/{id}", session.handle.trim_start_matches('@'))
}

/// What the answer to the request proves.
pub(super) fn answer(
    response: &Response<Bytes>,
    session: &Session,
    work: &Work,
    resend: bool,
    now_ms: i64,
) -> Answer {
    let status = response.status();
    if status.is_success() {
        let wire = wire::seen(response, None, now_ms);
        let body = json(response).unwrap_or_default();
        let id = body.get("data").map(|data| text_of(data, "id")).unwrap_or_default();
        let outcome = if id.is_empty() {
            Outcome::Ambiguous { evidence: format!("X answered {status} without a post") }
        } else {
            Outcome::Accepted { native_id: id.to_owned(), url: page(session, id) }
        };
        return Answer { outcome, wire };
    }
    let code = errors::code(response).unwrap_or_default();
    let wire = wire::seen(response, Some(code.as_str()).filter(|code| !code.is_empty()), now_ms);
    if resend && errors::DUPLICATE.fits(status.as_u16(), &code) {
        let evidence = "X refused the repetition because the account has posted the same text".to_owned();
        return Answer { outcome: Outcome::Ambiguous { evidence }, wire };
    }
    let first = [errors::DUPLICATE, errors::MEDIA_GONE];
    let special = first.iter().any(|rule| rule.fits(status.as_u16(), &code));
    let rules = if special { first.as_slice() } else { errors::RULES };
    // A repetition whose uploads are refused may meet the post that an earlier attempt made of them.
    let proof = if special && resend { None } else { wire::judge(rules, status, &code) };
    let steps = || (0..work.content.media.len()).map(upload::step).collect();
    let outcome = wire::refused(proof, status, response.headers(), steps, now_ms);
    Answer { outcome: outcome.waiting(errors::wait(proof)), wire }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cashtags_are_counted_as_x_marks_them() {
        for (text, count) in [
            ("$TSLA", 1),
            ("$TSLA, $aapl!", 2),
            ("$5 and $ and US$", 0),
            ("$TOOLONGNAME", 0),
            ("$A1", 0),
            ("$BRK.A", 1),
        ] {
            assert_eq!(cashtags(text), count, "{text}");
        }
    }
}
