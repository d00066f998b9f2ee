//! What a subreddit's moderators ask of posts, read before anything is uploaded or sent: a post that breaks a rule fails
//! with a sentence that names it. What cannot be told from here (patterns, karma, how lately a link was posted) is left to
//! Reddit, and so is everything where the rules are not shown to the account.
//!
//! <https://www.reddit.com/dev/api#GET_api_v1_{subreddit}_post_requirements>, which clients "may use to pre-validate", and
//! <https://www.reddit.com/dev/api#GET_api_link_flair_v2>.

use serde_json::{Value, json as object};

use super::{
    Call, Fault, Handles, Reddit, Session, Work, errors, json, name,
    publish::{Kind, settings, subreddit, title_and_text},
    signed, text_of, wire,
};

/// The handle of a submission that keeps the rules.
const STEP: &str = "rules";

/// Most flairs that are named to choose from.
const FLAIRS: usize = 10;

impl Reddit {
    /// Holds a submission against the rules of its subreddit, once. The account's own profile has none.
    pub(super) async fn rules_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let sr = subreddit(session, &work.content);
        let is_own = sr.eq_ignore_ascii_case(&format!("u_{}", name(session)));
        if is_own || work.reply.is_some() || handles.stored().contains_key(STEP) {
            return Ok(());
        }
        let rules = self.shown(session, &format!("/api/v1/{sr}/post_requirements")).await?;
        let rules = rules.unwrap_or_default();
        let broken = broken(&rules, work);
        let flair_id = settings(&work.content).flair_id;
        let is_required = rules["is_flair_required"] == true;
        let flair = if is_required || !flair_id.is_empty() {
            let flairs = self.shown(session, &format!("/r/{sr}/api/link_flair_v2")).await?;
            let flairs = flairs.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            missing(flairs, &flair_id)
        } else {
            None
        };
        if broken.is_empty() && flair.is_none() {
            return handles.save(STEP, object!({ "kept": true })).await;
        }
        let code = if broken.is_empty() { "FLAIR" } else { "SUBREDDIT_RULES" };
        let wanted: Vec<_> = broken.into_iter().chain(flair).collect();
        let message =
            format!("r/{sr} wants {}. Change the post or choose another subreddit.", wanted.join("; "));
        Err(Fault::Rejected { code: code.into(), message })
    }

    /// What Reddit shows of a subreddit; `None` where it does not show it to this account.
    async fn shown(&self, session: &Session, path: &str) -> Result<Option<Value>, Fault> {
        let call = Call::get(&session.server, path, &[("raw_json", "1")]);
        let response = signed(session, call).read(&self.http).await?;
        let body = json(&response);
        if response.status().is_success() {
            return Ok(body);
        }
        match errors::fault(&response, &body.unwrap_or_default(), self.clock.now_ms()) {
            Fault::Rejected { code, .. } if code != "SUBREDDIT_GONE" => Ok(None),
            fault => Err(fault),
        }
    }
}

/// The rules that a submission breaks, as what is wanted instead.
fn broken(rules: &Value, work: &Work) -> Vec<String> {
    let (title, text) = title_and_text(&work.content);
    let mut broken = wrong_words(rules, "title", &title);
    match Kind::of(work) {
        Kind::Text => {
            match text_of(rules, "body_restriction_policy") {
                "required" if text.is_empty() => broken.push("a text below the title".into()),
                "notAllowed" if !text.is_empty() => broken.push("a title alone, without a text".into()),
                _ => {}
            }
            if !text.is_empty() {
                broken.extend(wrong_words(rules, "body", &text));
            }
        }
        Kind::Link => broken.extend(wrong_domain(rules, settings(&work.content).link.trim())),
        Kind::Gallery => {
            let pictures = work.content.media.len();
            broken.extend(
                wrong_number(rules, "gallery", "items", pictures)
                    .map(|wanted| format!("a gallery of {wanted} pictures, this one has {pictures}")),
            );
        }
        Kind::Image | Kind::Video | Kind::Comment => {}
    }
    broken
}

/// What is wrong with the length and the words of a title or a body.
fn wrong_words(rules: &Value, part: &str, text: &str) -> Vec<String> {
    let length = text.chars().count();
    let called = if part == "body" { "text" } else { part };
    let words = |kind: &str| {
        let words = rules.get(format!("{part}_{kind}_strings")).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let mut wrong: Vec<String> = wrong_number(rules, &format!("{part}_text"), "length", length)
        .map(|wanted| format!("a {called} of {wanted} characters, this one has {length}"))
        .into_iter()
        .collect();
    let required = words("required");
    let lower = text.to_lowercase();
    if !required.is_empty() && !required.iter().any(|word| lower.contains(&word.to_lowercase())) {
        wrong.push(format!("a {called} with {}", wire::short(&required.join(" or "))));
    }
    let banned = words("blacklisted");
    if let Some(word) = banned.iter().find(|word| has_word(&lower, &word.to_lowercase())) {
        wrong.push(format!("a {called} without `{}`", wire::short(word)));
    }
    wrong
}

/// `at least 3` or `at most 5`, when a number is outside of its bounds: `<what>_min_<of>` and `<what>_max_<of>`.
fn wrong_number(rules: &Value, what: &str, of: &str, number: usize) -> Option<String> {
    let bound = |end: &str| {
        let bound = rules.get(format!("{what}_{end}_{of}")).and_then(Value::as_u64)?;
        usize::try_from(bound).ok()
    };
    let least = bound("min").filter(|least| number < *least).map(|least| format!("at least {least}"));
    least.or_else(|| bound("max").filter(|most| number > *most).map(|most| format!("at most {most}")))
}

fn wrong_domain(rules: &Value, link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok()?;
    let host = url.host_str()?;
    let is_in = |list: &str| {
        let domains = rules.get(list).and_then(Value::as_array).into_iter().flatten();
        domains.filter_map(Value::as_str).any(|domain| {
            host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    };
    match text_of(rules, "link_restriction_policy") {
        "blacklist" if is_in("domain_blacklist") => Some(format!("no links to {host}")),
        "whitelist" if !is_in("domain_whitelist") => {
            Some(format!("no links to {host}, only to sites it names"))
        }
        _ => None,
    }
}

/// The same words as a whole, not as a part of others.
fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |next: Option<char>| next.is_none_or(|c| !c.is_alphanumeric());
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            is_edge(text[..at].chars().next_back()) && is_edge(text[at + word.len()..].chars().next())
        })
}

/// What is wanted where the flair that was set is none, or not one of those that the account may choose; these are not
/// always shown.
fn missing(flairs: &[Value], flair_id: &str) -> Option<String> {
    let is_there = flairs.iter().any(|flair| text_of(flair, "id") == flair_id);
    if !flair_id.is_empty() && (is_there || flairs.is_empty()) {
        return None;
    }
    let shown = flairs.iter().take(FLAIRS);
    let shown: Vec<_> =
        shown.map(|flair| format!("{} ({})", text_of(flair, "id"), text_of(flair, "text"))).collect();
    Some(if shown.is_empty() {
        "a flair: set its id".into()
    } else {
        format!("a flair: set the id of one of {}", shown.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::{
        proof::shared::{png, with},
        reddit::proof::{in_test, set},
    };

    fn held(rules: &Value, content: crate::domain::content::Content) -> Vec<String> {
        let http = postmesh_kit::http::GuardedClient::new(&postmesh_kit::http::OutboundConfig::default());
        let reddit = Reddit::new(http, std::sync::Arc::new(postmesh_kit::clock::SystemClock));
        broken(rules, &Work { content, ..crate::testing::work(&reddit, "", 0) })
    }

    #[test]
    fn each_rule_is_told_as_what_is_wanted() {
        let rules = object!({
            "title_text_min_length": 5, "title_text_max_length": 12, "title_required_strings": ["[OC]", "[Meta]"],
            "title_blacklisted_strings": ["ass"], "body_restriction_policy": "required", "body_text_max_length": 4,
            "body_blacklisted_strings": ["buy now"], "link_restriction_policy": "blacklist",
            "domain_blacklist": ["example.org"], "gallery_min_items": 3, "gallery_max_items": null,
        });
        let link = |link: &str| {
            let settings = crate::domain::settings::RedditSettings { link: link.into(), ..in_test() };
            set(settings, with("[oc] a link", Vec::new()))
        };
        for (content, wanted) in [
            (with("[oc] class\nfine", Vec::new()), &[][..]),
            (with("[oc] ASS!\nfine", Vec::new()), &["a title without `ass`"]),
            (
                with("[oc]", Vec::new()),
                &["a title of at least 5 characters, this one has 4", "a text below the title"],
            ),
            (
                with("thirteen more\nfine", Vec::new()),
                &["a title of at most 12 characters, this one has 13", "a title with [OC] or [Meta]"],
            ),
            (
                with("[oc] title\nBuy now!", Vec::new()),
                &["a text of at most 4 characters, this one has 8", "a text without `buy now`"],
            ),
            (link("https://notexample.org/"), &[]),
            (link("https://www.example.org/x"), &["no links to www.example.org"]),
            (with("[oc] two", vec![png(); 2]), &["a gallery of at least 3 pictures, this one has 2"]),
            (with("[oc] two", vec![png(); 9]), &[]),
        ] {
            assert_eq!(held(&rules, content.clone()), wanted, "{content:?}");
        }
        let closed = object!({
            "body_restriction_policy": "notAllowed", "link_restriction_policy": "whitelist",
            "domain_whitelist": ["example.com"], "domain_blacklist": ["example.com"],
        });
        assert_eq!(held(&closed, with("a\nb", Vec::new())), ["a title alone, without a text"]);
        assert_eq!(held(&closed, link("https://a.example.com/")), [""; 0]);
        assert_eq!(held(&closed, link("https://e.org/")), ["no links to e.org, only to sites it names"]);
        assert_eq!(held(&Value::Null, with("anything", Vec::new())), [""; 0]);
    }

    #[test]
    fn a_flair_is_one_of_those_that_are_shown() {
        let flairs = [object!({ "id": "f-1", "text": "News" }), object!({ "id": "f-3", "text": "Question" })];
        let wanted = Some("a flair: set the id of one of f-1 (News), f-3 (Question)".to_owned());
        assert_eq!((missing(&flairs, ""), missing(&flairs, "f-2")), (wanted.clone(), wanted));
        assert_eq!(missing(&flairs, "f-3"), None);
        assert_eq!(missing(&[], "f-2"), None, "they are not shown to everybody");
        assert_eq!(missing(&[], ""), Some("a flair: set its id".to_owned()));
    }
}
