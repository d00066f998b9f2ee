//! Calls held back because of what the network answered: those of one account that make nothing visible ("too many"),
//! and all calls of our application there ("used up"). In memory: what a process has not heard itself, it hears with
//! its first call. (Sends of one account are held in the database, in ARM.)

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::{domain::outcome::Fault, networks::Session};

/// A kind of calls, which networks limit apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Calls {
    /// Uploads of pictures.
    Uploads,
    /// Reads of posts and their counts.
    Reads,
}

/// Our application at one server of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OurApp {
    pub(crate) network: String,
    pub(crate) server: String,
    client_id: String,
}

impl OurApp {
    /// The one that speaks for this account.
    pub(crate) fn of(session: &Session) -> Self {
        let client_id = session.app.as_ref().map(|app| app.client_id.clone()).unwrap_or_default();
        Self { network: session.network.clone(), server: session.server.clone(), client_id }
    }
}

/// More than this many are looked through for those that are over.
const MANY: usize = 1_000;

/// Until when which calls are held, Unix milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    accounts: Mutex<HashMap<(Uuid, Calls), i64>>,
    apps: Mutex<HashMap<OurApp, (i64, Fault)>>,
}

impl Holds {
    /// The network wants no more of these calls for that long.
    pub(crate) fn hold(&self, account_id: Uuid, calls: Calls, wait: Duration, most: i64, now: i64) {
        let mut held = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() > MANY {
            held.retain(|_, until| *until > now);
        }
        let until = held.entry((account_id, calls)).or_default();
        *until = (*until).max(end(wait, most, now));
    }

    /// Until when these calls wait, when they do.
    pub(crate) fn until(&self, account_id: Uuid, calls: Calls, now: i64) -> Option<i64> {
        let held = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&(account_id, calls)).copied().filter(|until| *until > now)
    }

    /// Hears what the network answered: a refusal of our application as a whole holds all that it would ask next.
    pub(crate) fn hear(&self, app: OurApp, refusal: Option<&Fault>, most: i64, now: i64) {
        let Some((refusal, wait)) = refusal.and_then(|refusal| Some((refusal, refusal.exhausted()?))) else {
            return;
        };
        tracing::warn!(
            network = app.network,
            client.id = app.client_id,
            %refusal,
            "the network refuses our application as a whole; its calls wait"
        );
        let mut held = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(app, (end(wait, most, now), refusal.clone()));
    }

    /// What the network would answer our application, while it is held.
    pub(crate) fn refusal(&self, app: &OurApp, now: i64) -> Option<Fault> {
        let held = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, refusal) = held.get(app).filter(|(until, _)| *until > now)?;
        Some(refusal.clone().waiting(Some(Duration::from_millis((until - now).unsigned_abs()))))
    }
}

fn end(wait: Duration, most: i64, now: i64) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_one_kind_of_one_account_for_as_long_as_was_asked_and_allowed() {
        let (holds, account) = (Holds::default(), Uuid::from_u128(1));
        holds.hold(account, Calls::Uploads, Duration::from_secs(9), 60_000, 1_000);
        holds.hold(account, Calls::Uploads, Duration::from_secs(1), 60_000, 1_000);
        assert_eq!(
            holds.until(account, Calls::Uploads, 9_999),
            Some(10_000),
            "a shorter wish takes nothing away"
        );
        assert_eq!(holds.until(account, Calls::Uploads, 10_000), None);
        assert_eq!(holds.until(account, Calls::Reads, 1_000), None);
        assert_eq!(holds.until(Uuid::from_u128(2), Calls::Uploads, 1_000), None);
        holds.hold(account, Calls::Reads, Duration::from_hours(9_000), 60_000, 0);
        assert_eq!(holds.until(account, Calls::Reads, 0), Some(60_000), "a year is a mistake");
    }

    #[test]
    fn holds_an_application_for_what_concerns_it_and_says_why() {
        let app = |client_id: &str| OurApp {
            network: "x".into(),
            server: "https://api.x.com".into(),
            client_id: client_id.into(),
        };
        let refusal = |code: &str| Fault::Transient {
            code: code.into(),
            message: "add credits".into(),
            retry_after: Some(Duration::from_secs(9)),
        };
        let holds = Holds::default();
        holds.hear(app("a"), Some(&refusal("RATE_LIMITED")), 60_000, 0);
        holds.hear(app("a"), None, 60_000, 0);
        assert_eq!(holds.refusal(&app("a"), 0), None, "that is about one account");
        holds.hear(app("a"), Some(&refusal("CREDITS_DEPLETED")), 60_000, 1_000);
        let left = refusal("CREDITS_DEPLETED").waiting(Some(Duration::from_secs(4)));
        assert_eq!(holds.refusal(&app("a"), 6_000), Some(left));
        assert_eq!(holds.refusal(&app("a"), 10_000), None);
        assert_eq!(holds.refusal(&app("b"), 6_000), None, "another workspace's own");
    }
}
