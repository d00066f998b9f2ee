//! Names that people give themselves and their workspaces.

use postmesh_kit::status::FieldViolation;

use super::email::Email;

/// The longest name, in characters.
pub const MAX: usize = 100;

/// The name of a user who gave none: what stands before the `@`.
pub fn of_user(email: &Email) -> String {
    email.local().to_owned()
}

/// The name of a workspace that was given none, made from its owner's.
pub fn of_workspace(owner: &str) -> String {
    const SUFFIX: &str = "'s workspace";
    owner.chars().take(MAX - SUFFIX.len()).collect::<String>() + SUFFIX
}

/// A name without spaces around it, `None` when nothing is left.
pub fn given(field: &str, text: &str) -> Result<Option<String>, FieldViolation> {
    let name = text.trim();
    if name.chars().count() > MAX {
        return Err(FieldViolation::new(field, "TOO_LONG", "must have at most 100 characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(FieldViolation::new(field, "CONTROL_CHARACTER", "must not contain control characters"));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_is_not_given() {
        let email = Email::parse("ada@example.com").unwrap();
        assert_eq!(given("f", "  ").unwrap(), None);
        assert_eq!(given("f", " Ada L. ").unwrap().as_deref(), Some("Ada L."));
        assert_eq!(of_user(&email), "ada");
        assert_eq!(of_workspace("Ada"), "Ada's workspace");
        assert_eq!(of_workspace(&"é".repeat(100)).chars().count(), MAX);
    }

    #[test]
    fn refuses_long_names_and_control_characters() {
        assert!(given("f", &"x".repeat(101)).is_err());
        assert!(given("f", &"é".repeat(100)).is_ok());
        assert!(given("f", "a\u{1b}[31m").is_err());
    }
}
