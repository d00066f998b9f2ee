//! E-mail addresses: what is accepted, and how two are compared.
//!
//! Invariant: two addresses that differ only in case have the same [`Email::key`].

use postmesh_kit::status::FieldViolation;

/// The longest address that can be delivered to (RFC 5321), in characters.
const MAX: usize = 254;

/// An address that could receive mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address typed by a person; spaces around it are dropped.
    pub fn parse(typed: &str) -> Result<Self, FieldViolation> {
        let refuse = |reason, description: &str| Err(FieldViolation::new("email", reason, description));
        let email = typed.trim();
        if email.is_empty() {
            return refuse("REQUIRED", "is required");
        }
        if email.chars().count() > MAX {
            return refuse("TOO_LONG", "must have at most 254 characters");
        }
        match email.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => Ok(Self(email.to_owned())),
            _ => refuse("NOT_AN_EMAIL", "must be an e-mail address such as ada@example.com"),
        }
    }

    /// As typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which addresses are compared and unique.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.0.as_str(), |(local, _)| local)
    }
}

/// Letters, digits and the signs of RFC 5322 atoms, in parts joined by single dots. Quoted forms are not accepted.
fn is_local(local: &str) -> bool {
    let is_atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    (1..=64).contains(&local.len())
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(is_atom))
}

/// At least two labels of letters, digits and inner hyphens; the last one is not a number.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(is_label)
        && !last.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_addresses_people_have() {
        for address in [
            "ada@example.com",
            "a@b.co",
            "first.last+tag@sub.example.co.uk",
            "o'hara@example.ie",
            "grüße@bücher.example",
        ] {
            assert!(Email::parse(address).is_ok(), "{address}");
        }
        assert_eq!(Email::parse("  Ada@Example.COM ").unwrap().key(), "ada@example.com");
        assert_eq!(Email::parse("Ada@Example.COM").unwrap().local(), "Ada");
    }

    #[test]
    fn refuses_what_is_none() {
        for address in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "a b@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a.@example.com",
            "a@-x.com",
            "a@x-.com",
            "a@x..com",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a\n@example.com",
            "a@exa\u{0}mple.com",
            "a,b@example.com",
            "<a@example.com>",
            "a@b@example.com",
        ] {
            assert!(Email::parse(address).is_err(), "{address:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.com", "b".repeat(252))).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_what_it_accepts(typed in ".{0,80}") {
            if let Ok(email) = Email::parse(&typed) {
                prop_assert_eq!(email.as_str(), typed.trim());
                prop_assert!(!email.as_str().chars().any(char::is_control));
                let key = email.key();
                prop_assert_eq!(key.to_lowercase(), key);
            }
        }
    }
}
