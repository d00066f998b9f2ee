//! ConfirmTarget: a user settles a target whose answer was lost. The publisher takes the answer first, and only what it
//! made of it is stored here; repeating an answer there changes nothing.
//!
//! A crash between the two loses nothing: the publisher's event brings its state here, and a target that was to be
//! posted again shows up as dropped, which RetryTarget takes up.

use postmesh_kit::{
    identity::Identity,
    ids,
    status::{FieldViolation, Violations},
};
use postmesh_proto::{
    common::v1::{TargetConfirmation, target_confirmation::Answer},
    scheduler::v1 as proto,
};
use prost::Message as _;
use url::Url;

use super::{
    Posts,
    change::{Wish, again, answer},
    convert, whole,
};
use crate::{
    domain::{Change, Post, change::Confirmed},
    error::Error,
    neighbours,
};

/// Characters of an address at most.
const MAX_URL_CHARS: usize = 2_048;

impl Posts {
    pub(super) async fn confirm(
        &self,
        me: &Identity,
        request: proto::ConfirmTargetRequest,
    ) -> Result<proto::ConfirmTargetResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "ConfirmTarget", &request.request_id, &request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let target_id = violations.take(ids::parse("target_id", &request.target_id));
        let found = violations.take(checked(request.confirmation));
        let ((post_id, target_id), found) = whole(post_id.zip(target_id).zip(found), violations)?;

        let post = self.existing(me.workspace_id, post_id).await?;
        let target = post
            .targets
            .iter()
            .find(|target| target.id == target_id)
            .ok_or(Error::TargetNotFound(target_id))?;
        if target.offered_at.is_none() {
            return Err(Error::NotConfirmable(target_id, neighbours::NEVER_SENT.to_owned()));
        }
        let repeats = matches!(&found, Answer::LiveUrl(url) if *url == target.url);
        if target.state.is_visible() && !repeats {
            return Err(Error::NotConfirmable(
                target_id,
                format!("the target is published already, at {}; that stands", target.url),
            ));
        }
        let revision = target.revision;
        let post_again = matches!(found, Answer::PostAgain(_));
        if post_again {
            // Before anything is settled: what cannot be posted again must not be dropped for it.
            let (wanted, media) = again(&post, target_id);
            self.check_again(&post, wanted, &media).await?;
        }
        let url = if let Answer::LiveUrl(url) = &found { url.clone() } else { String::new() };
        let confirmation = TargetConfirmation { answer: Some(found) };
        let mut publisher = self.deps.publisher.clone();
        let state =
            neighbours::confirm(&mut publisher, me.workspace_id, target_id, revision, confirmation).await?;
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id,
            etag: String::new(),
            change: Change::Confirm(Confirmed { target_id, revision, state, url, again: post_again }),
            repeat,
            encode: answer!(ConfirmTargetResponse),
        };
        self.fulfil(wish).await
    }
}

/// Exactly one answer, with a sound address.
fn checked(confirmation: Option<TargetConfirmation>) -> Result<Answer, FieldViolation> {
    let answer = confirmation.and_then(|confirmation| confirmation.answer).ok_or_else(|| {
        FieldViolation::new("confirmation", "REQUIRED", "needs one answer: live_url, post_again or drop")
    })?;
    if let Answer::LiveUrl(url) = &answer {
        let refuse = |reason, description: String| {
            Err(FieldViolation::new("confirmation.live_url", reason, description))
        };
        let chars = url.chars().count();
        if chars > MAX_URL_CHARS {
            return refuse(
                "TOO_LONG",
                format!("has {chars} characters; at most {MAX_URL_CHARS} are allowed"),
            );
        }
        let sound =
            Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !sound || url.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return refuse(
                "NOT_A_URL",
                "must be the whole address of the post, beginning with https:// or http://".to_owned(),
            );
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> Option<&'static str> {
        checked(Some(TargetConfirmation { answer: Some(Answer::LiveUrl(url.to_owned())) }))
            .err()
            .map(|v| v.reason)
    }

    #[test]
    fn an_answer_is_one_and_its_address_whole() {
        assert_eq!(checked(None).unwrap_err().reason, "REQUIRED");
        assert_eq!(checked(Some(TargetConfirmation { answer: None })).unwrap_err().field, "confirmation");
        for sound in ["https://x.example/a/1", "http://x.example", "https://[::1]:8090/p?q=1#f"] {
            assert_eq!(refusal(sound), None, "{sound}");
        }
        for bad in [
            "",
            "x.example/1",
            "//x.example/1",
            "ftp://x.example/1",
            "javascript:alert(1)",
            "https://",
            "https://x.example/a b",
            "https://x.example/\0",
        ] {
            assert_eq!(refusal(bad), Some("NOT_A_URL"), "{bad:?}");
        }
        let long = format!("https://x.example/{}", "a".repeat(MAX_URL_CHARS));
        assert_eq!(refusal(&long), Some("TOO_LONG"));
        assert_eq!(refusal(&long[..MAX_URL_CHARS]), None);
    }
}
