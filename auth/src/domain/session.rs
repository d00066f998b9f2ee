//! How long tokens live, and what presenting a refresh token leads to.

/// An access token is good this long, in milliseconds.
pub const ACCESS_LIFE_MS: i64 = 15 * 60 * 1000;
/// A session ends this long after it began, however often it is refreshed, in milliseconds.
pub const SESSION_LIFE_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// After a refresh token was used, repeating it gets the same answer for this long, in milliseconds.
pub const GRACE_MS: i64 = 10 * 1000;

/// What a refresh token that was already used leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A parallel request of the same client: it gets the same pair.
    SameAnswer,
    /// Somebody else has the token: the session ends.
    Reuse,
}

/// Decides about a refresh token used at `used_at` and presented again at `now`.
pub fn repeat(used_at: i64, now: i64) -> Repeat {
    if now - used_at <= GRACE_MS { Repeat::SameAnswer } else { Repeat::Reuse }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_ends_after_ten_seconds() {
        assert_eq!(repeat(1_000, 1_000), Repeat::SameAnswer);
        assert_eq!(repeat(1_000, 11_000), Repeat::SameAnswer);
        assert_eq!(repeat(1_000, 11_001), Repeat::Reuse);
        assert_eq!(repeat(1_000, 900), Repeat::SameAnswer, "clocks of replicas differ a little");
    }
}
