//! Names that people give themselves and their workspaces.

use postmesh_kit::status::FieldViolation;

use super::email::Email;

/// The longest name, in characters.
pub const MAX: usize = 100;

/// The user's name, or what stands before the `@` when none is given.
pub fn of_user(given: &str, email: &Email) -> Result<String, FieldViolation> {
    Ok(checked("display_name", given)?.unwrap_or_else(|| email.local().to_owned()))
}

/// The workspace's name, or one made from the user's.
pub fn of_workspace(given: &str, user: &str) -> Result<String, FieldViolation> {
    const SUFFIX: &str = "'s workspace";
    Ok(checked("workspace_display_name", given)?
        .unwrap_or_else(|| user.chars().take(MAX - SUFFIX.len()).collect::<String>() + SUFFIX))
}

/// A name without spaces around it, `None` when nothing is left.
fn checked(field: &str, given: &str) -> Result<Option<String>, FieldViolation> {
    let name = given.trim();
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
        assert_eq!(of_user("  ", &email).unwrap(), "ada");
        assert_eq!(of_user(" Ada L. ", &email).unwrap(), "Ada L.");
        assert_eq!(of_workspace("", "Ada").unwrap(), "Ada's workspace");
        assert_eq!(of_workspace("", &"é".repeat(100)).unwrap().chars().count(), MAX);
        assert_eq!(of_workspace("Engine", "Ada").unwrap(), "Engine");
    }

    #[test]
    fn refuses_long_names_and_control_characters() {
        assert!(checked("f", &"x".repeat(101)).is_err());
        assert!(checked("f", &"é".repeat(100)).is_ok());
        assert!(checked("f", "a\u{1b}[31m").is_err());
    }
}
