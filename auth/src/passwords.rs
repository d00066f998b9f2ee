//! Hashing and checking passwords with argon2id, off the request threads and only so many at once.
//!
//! Invariant: a check costs the same whether the user exists or not.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::Error as HashError,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use crate::{config::Config, error::Error, metrics::HASH_SECONDS};

/// How long a caller waits for a free place.
const PATIENCE: Duration = Duration::from_secs(5);

/// A password as a request brought it; overwritten when dropped.
pub type Password = Zeroizing<String>;

/// Hashes and checks passwords. Clones share the places.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    places: Arc<Semaphore>,
    /// The hash that is checked when there is no user, so that the answer takes as long.
    nobody: Arc<str>,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or no user.
    Wrong,
    /// The password.
    Right,
    /// The password, hashed with weaker parameters than today's.
    RightButWeak,
}

impl Passwords {
    /// Hashes with the parameters of the settings.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let params = Params::new(config.argon2_memory_kib, config.argon2_passes, config.argon2_lanes, None)
            .map_err(|e| Error::Hash(e.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, "the password of nobody")?;
        Ok(Self {
            argon2,
            places: Arc::new(Semaphore::new(config.password_checks as usize)),
            nobody: nobody.into(),
        })
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        let argon2 = self.argon2.clone();
        self.work(move || hash(&argon2, &password)).await
    }

    /// Checks a password against a stored hash; without one, against that of nobody, which never fits.
    pub async fn check(&self, password: Password, stored: Option<String>) -> Result<Verdict, Error> {
        let argon2 = self.argon2.clone();
        let nobody = self.nobody.clone();
        self.work(move || {
            let known = stored.is_some();
            let verdict = check(&argon2, &password, stored.as_deref().unwrap_or(&nobody))?;
            Ok(if known { verdict } else { Verdict::Wrong })
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await.map_err(|_| Error::Busy)?;
        let place = place.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(move || {
            // Held until the hash is done, even when the caller has gone.
            let _place = place;
            let began = Instant::now();
            let result = task();
            metrics::histogram!(HASH_SECONDS).record(began.elapsed().as_secs_f64());
            result
        })
        .await
        .map_err(|e| Error::Hash(e.to_string()))?
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, Error> {
    let hash: PasswordHash =
        argon2.hash_password(password.as_bytes()).map_err(|e| Error::Hash(e.to_string()))?;
    Ok(hash.to_string())
}

fn check(argon2: &Argon2<'_>, password: &str, stored: &str) -> Result<Verdict, Error> {
    let stored = PasswordHash::new(stored).map_err(|e| Error::Hash(e.to_string()))?;
    match argon2.verify_password(password.as_bytes(), &stored) {
        Ok(()) if is_weaker(&stored, argon2.params()) => Ok(Verdict::RightButWeak),
        Ok(()) => Ok(Verdict::Right),
        Err(HashError::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(e) => Err(Error::Hash(e.to_string())),
    }
}

fn is_weaker(stored: &PasswordHash, today: &Params) -> bool {
    Params::try_from(stored).map_or(true, |then| {
        then.m_cost() < today.m_cost() || then.t_cost() < today.t_cost() || then.p_cost() < today.p_cost()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn stores_argon2id_with_the_recommended_parameters() {
        let passwords = Passwords::new(&Config::default()).unwrap();
        let stored = passwords.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(
            stored,
            passwords.hash(password("correct horse")).await.unwrap(),
            "each has a salt of its own"
        );
        assert_eq!(
            passwords.check(password("correct horse"), Some(stored.clone())).await.unwrap(),
            Verdict::Right
        );
        assert_eq!(passwords.check(password("correct hors"), Some(stored)).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn nobody_has_no_password_not_even_the_one_that_is_compared() {
        let passwords = Passwords::new(&Config::default()).unwrap();
        assert_eq!(passwords.check(password("the password of nobody"), None).await.unwrap(), Verdict::Wrong);
        assert!(
            passwords.nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "a check of nobody costs the same"
        );
    }

    #[tokio::test]
    async fn weaker_hashes_are_told_apart() {
        let old = Passwords::new(&Config::default()).unwrap();
        let new = Passwords::new(&Config { argon2_memory_kib: 20_480, ..Config::default() }).unwrap();
        let (weak, strong) =
            (old.hash(password("pw")).await.unwrap(), new.hash(password("pw")).await.unwrap());
        assert_eq!(new.check(password("pw"), Some(weak)).await.unwrap(), Verdict::RightButWeak);
        assert_eq!(old.check(password("pw"), Some(strong)).await.unwrap(), Verdict::Right);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_does_not_wait_for_ever() {
        let passwords = Passwords::new(&Config { password_checks: 1, ..Config::default() }).unwrap();
        let _taken = passwords.places.clone().acquire_owned().await.unwrap();
        assert!(matches!(passwords.hash(password("pw")).await, Err(Error::Busy)));
    }
}
