//! What a subreddit's moderators ask of posts: told by `post_requirements` and `link_flair_v2`, and kept when something is
//! submitted.

use serde_json::{Value, json};
use url::Url;

use super::Refusal;
use crate::params::Params;

/// Flairs that every subreddit has: id and text.
const FLAIRS: [(&str, &str); 2] = [("f-1", "News"), ("f-3", "Question")];

/// What is asked; by default nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) flair: bool,
    /// Least and most characters of a title; 0 for no bound.
    pub(super) title: (usize, usize),
    /// A title holds one of these, and none of those.
    pub(super) title_words: (&'static [&'static str], &'static [&'static str]),
    /// `none`, `required` or `notAllowed`.
    pub(super) body: &'static str,
    /// Where links may not lead.
    pub(super) domains: &'static [&'static str],
    /// Least and most pictures of a gallery; 0 for no bound.
    pub(super) gallery: (usize, usize),
}

pub(super) const NONE: Rules = Rules {
    flair: false,
    title: (0, 0),
    title_words: (&[], &[]),
    body: "none",
    domains: &[],
    gallery: (0, 0),
};

/// Something of everything.
pub(super) const STRICT: Rules = Rules {
    flair: true,
    title: (10, 60),
    title_words: (&["[OC]", "[Meta]"], &["spam"]),
    body: "required",
    domains: &["example.org"],
    gallery: (3, 5),
};

/// What is about to be submitted.
pub(super) enum Shape<'a> {
    Text(&'a str),
    Link(&'a str),
    Gallery(usize),
    Other,
}

impl Rules {
    /// As the API tells them.
    pub(super) fn told(&self) -> Value {
        let bound = |bound: usize| if bound == 0 { Value::Null } else { json!(bound) };
        let policy = if self.domains.is_empty() { "none" } else { "blacklist" };
        json!({
            "title_text_min_length": bound(self.title.0), "title_text_max_length": bound(self.title.1),
            "title_required_strings": self.title_words.0, "title_blacklisted_strings": self.title_words.1,
            "title_regexes": [], "body_restriction_policy": self.body, "body_text_min_length": null,
            "body_text_max_length": null, "body_required_strings": [], "body_blacklisted_strings": [],
            "body_regexes": [], "is_flair_required": self.flair, "link_restriction_policy": policy,
            "domain_blacklist": self.domains, "domain_whitelist": [], "link_repost_age": null,
            "gallery_min_items": bound(self.gallery.0), "gallery_max_items": bound(self.gallery.1),
            "gallery_captions_requirement": "none", "gallery_urls_requirement": "none",
            "guidelines_text": null, "guidelines_display_policy": null,
        })
    }

    /// The flairs to choose from.
    pub(super) fn flairs() -> Value {
        FLAIRS.map(|(id, text)| json!({"id": id, "text": text, "type": "text", "text_editable": true})).into()
    }

    /// Refuses what breaks a rule.
    pub(super) fn keep(&self, params: &Params, title: &str, shape: &Shape<'_>) -> Result<(), Refusal> {
        let lower = title.to_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| lower.contains(&word.to_lowercase()));
        let length = title.chars().count();
        let outside =
            |number: usize, (least, most): (usize, usize)| number < least || (most > 0 && number > most);
        let (required, banned) = self.title_words;
        let flair = params.present("flair_id");
        let refusal = match shape {
            _ if outside(length, self.title) => {
                ("SUBMIT_VALIDATION_MIN_LENGTH", "the title is too short or too long", "title")
            }
            _ if !required.is_empty() && !holds(required) => {
                ("SUBMIT_VALIDATION_TITLE_REQUIREMENT", "the title lacks a word", "title")
            }
            _ if holds(banned) => (
                "SUBMIT_VALIDATION_BLACKLISTED_STRING",
                "the title holds a word that is not allowed",
                "title",
            ),
            Shape::Text("") if self.body == "required" => {
                ("SUBMIT_VALIDATION_BODY_REQUIRED", "posts here need a body", "body")
            }
            Shape::Text(text) if self.body == "notAllowed" && !text.is_empty() => {
                ("SUBMIT_VALIDATION_BODY_NOT_ALLOWED", "posts here have no body", "body")
            }
            Shape::Link(url) if self.bans(url) => ("DOMAIN_BANNED", "that domain is not allowed here", "url"),
            Shape::Gallery(items) if outside(*items, self.gallery) => {
                ("SUBMIT_VALIDATION_GALLERY_SIZE", "too few or too many pictures", "items")
            }
            _ => match flair {
                Some(id) if !FLAIRS.iter().any(|(known, _)| *known == id) => {
                    ("BAD_FLAIR_TEMPLATE_ID", "that flair does not exist", "flair")
                }
                None if self.flair => {
                    ("SUBMIT_VALIDATION_FLAIR_REQUIRED", "Your post must contain post flair.", "flair")
                }
                _ => return Ok(()),
            },
        };
        Err(Refusal::error(refusal.0, refusal.1, refusal.2))
    }

    fn bans(&self, url: &str) -> bool {
        let url = Url::parse(url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        self.domains.iter().any(|domain| host == *domain || host.ends_with(&format!(".{domain}")))
    }
}
