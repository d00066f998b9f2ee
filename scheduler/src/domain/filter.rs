//! The small grammars of a list: `state = SCHEDULED AND account_id = "…"`, and the four orders.

use postmesh_kit::status::FieldViolation;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::post::PostState;

/// Which posts of a workspace to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only posts in this state.
    pub state: Option<PostState>,
    /// Only posts with a target on this account.
    pub account_id: Option<Uuid>,
}

/// What a list is ordered by; ties are broken by id in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Order {
    /// Newest first.
    #[default]
    NewestFirst,
    /// Oldest first.
    OldestFirst,
    /// Soonest first, drafts last.
    SoonestFirst,
    /// Drafts first, then the latest planned.
    LatestFirst,
}

impl Filter {
    /// Reads a filter; empty means all.
    pub fn parse(text: &str) -> Result<Self, FieldViolation> {
        let mut filter = Self::default();
        if text.trim().is_empty() {
            return Ok(filter);
        }
        let mut words = words(text)?.into_iter();
        loop {
            let (Some(field), Some("="), Some(value)) = (words.next(), words.next().as_deref(), words.next())
            else {
                return Err(refuse("reads `field = value`, joined by AND, such as `state = SCHEDULED`"));
            };
            match field.as_str() {
                "state" if filter.state.is_none() => filter.state = Some(state(&value)?),
                "account_id" if filter.account_id.is_none() => {
                    filter.account_id =
                        Some(Uuid::parse_str(&value).map_err(|_| refuse("needs a UUID as account_id"))?);
                }
                "state" | "account_id" => return Err(refuse(format!("names {field} twice"))),
                _ => return Err(refuse(format!("knows state and account_id, not `{field}`"))),
            }
            match words.next().as_deref() {
                None => return Ok(filter),
                Some("AND") => {}
                Some(word) => return Err(refuse(format!("joins conditions by AND, not by `{word}`"))),
            }
        }
    }
}

fn state(word: &str) -> Result<PostState, FieldViolation> {
    let name = word.strip_prefix("POST_STATE_").unwrap_or(word);
    PostState::ALL.into_iter().find(|state| state.as_str().to_uppercase() == name).ok_or_else(|| {
        let known: Vec<_> = PostState::ALL.iter().map(|state| state.as_str().to_uppercase()).collect();
        refuse(format!("knows no state `{word}`; there are {}", known.join(", ")))
    })
}

/// Splits at white space and `=`, which is a word of its own; quotes hold a word together.
fn words(text: &str) -> Result<Vec<String>, FieldViolation> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '=' => rest.split_at(1),
            '"' => {
                let (word, after) =
                    rest[1..].split_once('"').ok_or_else(|| refuse("has a quote that is not closed"))?;
                words.push(word.to_owned());
                rest = after.trim_start();
                continue;
            }
            _ => rest.split_at(
                rest.find(|c: char| c.is_whitespace() || c == '=' || c == '"').unwrap_or(rest.len()),
            ),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

fn refuse(description: impl Into<String>) -> FieldViolation {
    FieldViolation::new("filter", "NOT_UNDERSTOOD", description)
}

impl Order {
    /// Reads an `order_by`; empty means newest first.
    pub fn parse(text: &str) -> Result<Self, FieldViolation> {
        let words: Vec<_> = text.split_whitespace().collect();
        match words.as_slice() {
            [] | ["create_time", "desc"] => Ok(Self::NewestFirst),
            ["create_time"] => Ok(Self::OldestFirst),
            ["schedule_time"] => Ok(Self::SoonestFirst),
            ["schedule_time", "desc"] => Ok(Self::LatestFirst),
            _ => Err(FieldViolation::new(
                "order_by",
                "NOT_UNDERSTOOD",
                "is one of `create_time desc`, `create_time`, `schedule_time`, `schedule_time desc`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_grammar_of_the_contract() {
        let account = Uuid::from_u128(7);
        assert_eq!(Filter::parse(" "), Ok(Filter::default()));
        assert_eq!(Filter::parse("state=SCHEDULED").unwrap().state, Some(PostState::Scheduled));
        assert_eq!(
            Filter::parse("state = POST_STATE_PARTLY_PUBLISHED").unwrap().state,
            Some(PostState::PartlyPublished)
        );
        let both = Filter::parse(&format!("account_id = \"{account}\" AND state = DRAFT")).unwrap();
        assert_eq!(both, Filter { state: Some(PostState::Draft), account_id: Some(account) });
    }

    #[test]
    fn refuses_the_rest_with_a_reason() {
        for (text, says) in [
            ("state", "field = value"),
            ("state = GONE", "knows no state `GONE`; there are DRAFT"),
            ("state = DRAFT OR state = FAILED", "not by `OR`"),
            ("state = DRAFT AND state = FAILED", "twice"),
            ("state = DRAFT AND", "field = value"),
            ("author = me", "not `author`"),
            ("account_id = \"x", "not closed"),
            ("account_id = x", "UUID"),
        ] {
            let refusal = Filter::parse(text).unwrap_err();
            assert_eq!(refusal.field, "filter");
            assert!(refusal.description.contains(says), "{text}: {}", refusal.description);
        }
        assert_eq!(Order::parse("text").unwrap_err().field, "order_by");
        assert_eq!(Order::parse("schedule_time  desc"), Ok(Order::LatestFirst));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = Filter::parse(&text);
            let _ = Order::parse(&text);
        }
    }
}
