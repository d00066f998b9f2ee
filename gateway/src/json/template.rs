//! Path templates of `google.api.http`: `/v1/posts/{post_id}:cancel`, `/v1/{name=shelves/*}/books`.
//!
//! A template is matched segment by segment on the still encoded path, so an encoded slash stays inside its segment.
//! Invariant: a variable covers a range of segments that the template itself contains.

use super::percent;

/// A path template, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    /// The custom verb after the last colon.
    pub(crate) verb: Option<String>,
    pub(crate) variables: Vec<Variable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `*`: any one segment.
    One,
    /// `**`: all that is left; only at the end.
    Rest,
}

/// A part of the path that fills a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Dotted field path, by proto names.
    pub(crate) field: String,
    start: usize,
    end: usize,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the path template `{template}` is malformed: {why}")]
pub(crate) struct Malformed {
    template: String,
    why: &'static str,
}

/// What a path gave for one variable: the field and its text, or `None` where it is not percent-encoded UTF-8.
pub(crate) type Capture<'t> = (&'t str, Option<String>);

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = |why| Malformed { template: text.to_owned(), why };
        let rest = text.strip_prefix('/').ok_or_else(|| malformed("it must begin with a slash"))?;
        let (path, verb) = match rest.rfind(':') {
            Some(colon) if !rest[colon..].contains(['/', '}']) => {
                (&rest[..colon], Some(rest[colon + 1..].to_owned()))
            }
            _ => (rest, None),
        };
        let mut template = Self { segments: Vec::new(), verb, variables: Vec::new() };
        for part in outer_segments(path) {
            let Some(inner) = part.strip_prefix('{') else {
                template
                    .segments
                    .push(segment(part).ok_or_else(|| malformed("a segment is empty or holds a brace"))?);
                continue;
            };
            let inner = inner.strip_suffix('}').ok_or_else(|| malformed("a brace is not closed"))?;
            let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
            if field.is_empty() {
                return Err(malformed("a variable has no name"));
            }
            let start = template.segments.len();
            for part in pattern.split('/') {
                template
                    .segments
                    .push(segment(part).ok_or_else(|| malformed("a variable's pattern is malformed"))?);
            }
            let end = template.segments.len();
            template.variables.push(Variable { field: field.to_owned(), start, end });
        }
        let rest_at = template.segments.iter().position(|s| *s == Segment::Rest);
        if rest_at.is_some_and(|at| at + 1 != template.segments.len()) {
            return Err(malformed("`**` must come last"));
        }
        Ok(template)
    }

    /// What the variables hold when the (still encoded) path fits.
    pub(crate) fn matches(&self, path: &str) -> Option<Vec<Capture<'_>>> {
        let mut path = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            path = path.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        let given: Vec<&str> = path.split('/').collect();
        let open_ended = self.segments.last() == Some(&Segment::Rest);
        if given.len() < self.segments.len() || (given.len() > self.segments.len() && !open_ended) {
            return None;
        }
        let fits = self.segments.iter().zip(&given).all(|(segment, given)| match segment {
            Segment::Literal(literal) => percent::decode(given).is_some_and(|given| given == *literal),
            Segment::One | Segment::Rest => !given.is_empty(),
        });
        fits.then(|| {
            self.variables
                .iter()
                .map(|variable| (variable.field.as_str(), self.capture(variable, &given)))
                .collect()
        })
    }

    fn capture(&self, variable: &Variable, given: &[&str]) -> Option<String> {
        let open_ended = self.segments[variable.end - 1] == Segment::Rest;
        let taken = if open_ended { &given[variable.start..] } else { &given[variable.start..variable.end] };
        if let [only] = taken {
            return percent::decode(only);
        }
        // Over several segments an encoded slash stays encoded, or it would read as a separator.
        let decoded: Option<Vec<_>> = taken.iter().map(|part| percent::decode_but_slashes(part)).collect();
        decoded.map(|parts| parts.join("/"))
    }

    /// How exact the template is: of two that fit, the greater one is meant.
    pub(crate) fn exactness(&self) -> (bool, usize, bool) {
        let literals = self.segments.iter().filter(|s| matches!(s, Segment::Literal(_))).count();
        (self.verb.is_some(), literals, self.segments.last() != Some(&Segment::Rest))
    }
}

fn segment(text: &str) -> Option<Segment> {
    match text {
        "*" => Some(Segment::One),
        "**" => Some(Segment::Rest),
        "" => None,
        literal if literal.contains(['{', '}', '*']) => None,
        literal => Some(Segment::Literal(literal.to_owned())),
    }
}

/// Splits at the slashes that are not inside braces.
fn outer_segments(path: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b'/' if depth == 0 => {
                parts.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(template: &str, path: &str) -> Option<Vec<(String, Option<String>)>> {
        let template = Template::parse(template).unwrap();
        let found = template.matches(path)?;
        Some(found.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
    }

    fn one(field: &str, value: &str) -> Vec<(String, Option<String>)> {
        vec![(field.to_owned(), Some(value.to_owned()))]
    }

    #[test]
    fn matches_every_form_of_template() {
        assert_eq!(captures("/v1/me", "/v1/me"), Some(vec![]));
        assert_eq!(captures("/v1/me", "/v1/me/"), None);
        assert_eq!(captures("/v1/posts/{post_id}", "/v1/posts/a%2Fb%20c"), Some(one("post_id", "a/b c")));
        assert_eq!(captures("/v1/posts/{post_id}", "/v1/posts/"), None);
        assert_eq!(captures("/v1/posts/{post_id}:cancel", "/v1/posts/7:cancel"), Some(one("post_id", "7")));
        assert_eq!(captures("/v1/posts/{post_id}:cancel", "/v1/posts/7"), None);
        assert_eq!(captures("/v1/posts:watch", "/v1/posts:watch"), Some(vec![]));
        assert_eq!(captures("/v1/{post.id}", "/v1/7"), Some(one("post.id", "7")));
        assert_eq!(
            captures("/v1/{name=shelves/*}/books", "/v1/shelves/7/books"),
            Some(one("name", "shelves/7"))
        );
        assert_eq!(captures("/v1/{name=shelves/*}/books", "/v1/boxes/7/books"), None);
        assert_eq!(captures("/v1/{name=files/**}", "/v1/files/a/b%2Fc"), Some(one("name", "files/a/b%2Fc")));
        assert_eq!(
            captures("/v1/posts/{post_id}", "/v1/posts/%ff"),
            Some(vec![("post_id".to_owned(), None)])
        );
    }

    #[test]
    fn refuses_templates_that_mean_nothing() {
        for bad in ["v1", "/v1/{", "/v1/{}", "/v1//x", "/v1/{name=a//b}", "/v1/**/x", "/v1/a{b}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
