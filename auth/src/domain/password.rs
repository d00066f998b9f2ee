//! Which passwords are accepted: long enough, not absurdly long, and not among the first that an attacker tries.
//! No rules about kinds of characters (NIST SP 800-63B).

use std::{collections::HashSet, sync::LazyLock};

use postmesh_kit::status::FieldViolation;

/// The shortest password, in characters.
const MIN: usize = 8;
/// The longest password, in characters.
pub const MAX: usize = 128;

/// Lower case, one a line. Words also stand for themselves with digits and signs around them.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").split_whitespace().collect());

/// Rows of keys and of the alphabet: eight or more in a row are a pattern, in either direction.
const ROWS: [&str; 6] = [
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujm",
    "q1w2e3r4t5y6u7i8o9p0",
];

/// Accepts a new password for the user with this address, or says what is wrong with it.
pub fn check(password: &str, email: &str) -> Result<(), FieldViolation> {
    let refuse = |reason, description: &str| Err(FieldViolation::new("password", reason, description));
    let length = password.chars().count();
    if length < MIN {
        return refuse("TOO_SHORT", "must have at least 8 characters");
    }
    if length > MAX {
        return refuse("TOO_LONG", "must have at most 128 characters");
    }
    let lower = password.to_lowercase();
    if is_common(&lower) {
        return refuse("COMMON", "is one of the first that an attacker tries; choose another");
    }
    let email = email.trim().to_lowercase();
    if lower == email || email.split_once('@').is_some_and(|(local, _)| lower == local) {
        return refuse("SAME_AS_EMAIL", "must not be the e-mail address");
    }
    Ok(())
}

fn is_common(lower: &str) -> bool {
    let stem = lower.trim_matches(|c: char| !c.is_alphabetic());
    COMMON.contains(lower) || COMMON.contains(stem) || repeats(lower) || follows_a_row(lower)
}

/// One to four characters over and over.
fn repeats(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=4).any(|period| chars.iter().enumerate().all(|(at, c)| *c == chars[at % period]))
}

fn follows_a_row(text: &str) -> bool {
    let backwards: String = text.chars().rev().collect();
    ROWS.iter().any(|row| row.contains(text) || row.contains(&backwards))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(password: &str) -> Option<&'static str> {
        check(password, "ada.lovelace@example.com").err().map(|v| v.reason)
    }

    #[test]
    fn accepts_long_ones_of_any_kind() {
        for password in
            ["correct horse battery staple", "пароль-из-слов", "aB3$xY9!q", &"é".repeat(5).repeat(3)[..]]
        {
            if password.chars().all(|c| c == 'é') {
                assert_eq!(reason(password), Some("COMMON"));
            } else {
                assert_eq!(reason(password), None, "{password}");
            }
        }
        let longest: String = ('\u{4e00}'..).take(128).collect();
        assert_eq!(reason(&longest), None);
        assert_eq!(reason(&(longest + "x")), Some("TOO_LONG"));
    }

    #[test]
    fn refuses_short_ones_by_characters_not_bytes() {
        assert_eq!(reason("ééééééé"), Some("TOO_SHORT"));
        assert_eq!(reason(""), Some("TOO_SHORT"));
    }

    #[test]
    fn refuses_what_attackers_try_first() {
        for password in [
            "password",
            "Password123!",
            "12345678",
            "87654321",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaa",
            "abcabcabc",
            "1q2w3e4r",
            "zxcvbnm,",
            "abcdefgh",
            "Sunshine1",
            "!!football!!",
            "letmein1",
            "1qaz2wsx",
            "P@ssw0rd",
            "trustno1",
        ] {
            assert_eq!(reason(password), Some("COMMON"), "{password}");
        }
        assert_eq!(reason("ada.lovelace@example.com"), Some("SAME_AS_EMAIL"));
        assert_eq!(reason("Ada.Lovelace"), Some("SAME_AS_EMAIL"));
    }

    #[test]
    fn the_list_is_lower_case_and_long_enough_to_matter() {
        assert!(COMMON.len() >= 300, "{}", COMMON.len());
        assert!(COMMON.iter().all(|word| *word == word.to_lowercase()));
    }
}
