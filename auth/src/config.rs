//! Settings of the auth service. Lifetimes of tokens are part of the contract and stand in `domain/session.rs`.

use serde::{Deserialize, Serialize};

/// Settings of the auth service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory of one password hash, in KiB. Raising it rehashes each password at its next login.
    pub argon2_memory_kib: u32,
    /// Passes of one password hash over its memory.
    pub argon2_passes: u32,
    /// Lanes of one password hash.
    pub argon2_lanes: u32,
    /// Password hashes computed at once; more wait, so that a flood of logins leaves the other rpcs their processors.
    pub password_checks: u32,
    /// Days for which one key signs access tokens before the next takes over.
    pub signing_key_days: u32,
    /// Failed logins that are looked at; see [`LoginLimits`].
    pub login: LoginLimits,
}

/// How many failed logins are looked at before more are refused unseen. Nothing is locked: permits come back
/// evenly over the hour, and successful logins cost none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginLimits {
    /// For one account from one address, so that an attacker elsewhere does not keep the owner out.
    pub account_from_address: Limit,
    /// From one address, whatever the account.
    pub address: Limit,
    /// For one account, wherever from.
    pub account: Limit,
}

/// A limit: so many per hour, so many at once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Per hour, evenly.
    pub per_hour: u32,
    /// At once, after a rest.
    pub burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            argon2_memory_kib: 19_456,
            argon2_passes: 2,
            argon2_lanes: 1,
            password_checks: 2,
            signing_key_days: 30,
            login: LoginLimits::default(),
        }
    }
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            account_from_address: Limit { per_hour: 12, burst: 6 },
            address: Limit { per_hour: 120, burst: 40 },
            account: Limit { per_hour: 240, burst: 60 },
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, in words.
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut require = |ok: bool, text: &str| {
            if !ok {
                wrong.push(text.to_owned());
            }
        };
        require(
            (19_456..=1_048_576).contains(&self.argon2_memory_kib),
            "auth.argon2_memory_kib must be between 19456 (the recommended minimum) and 1048576",
        );
        require((2..=100).contains(&self.argon2_passes), "auth.argon2_passes must be between 2 and 100");
        require((1..=16).contains(&self.argon2_lanes), "auth.argon2_lanes must be between 1 and 16");
        require((1..=64).contains(&self.password_checks), "auth.password_checks must be between 1 and 64");
        require(
            (1..=365).contains(&self.signing_key_days),
            "auth.signing_key_days must be between 1 and 365",
        );
        let limits = [self.login.account_from_address, self.login.address, self.login.account];
        require(
            limits.iter().all(|l| l.per_hour > 0 && l.burst > 0),
            "every limit of auth.login must be more than 0",
        );
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_every_problem_at_once() {
        assert!(Config::default().validate().is_empty());
        let weak =
            Config { argon2_memory_kib: 1024, argon2_passes: 0, signing_key_days: 0, ..Config::default() };
        assert_eq!(weak.validate().len(), 3);
    }
}
