//! The account's lease and tokens: taken up, handed to whoever asks, refreshed one at a time, given up.

use std::sync::Arc;

use postmesh_kit::faults::{Bug, bug};
use ractor::ActorRef;

use super::{AGAIN, Answer, Msg, State, Taken};
use crate::{
    actors::{
        accounts, run,
        session::{self, Opened, Refreshed},
    },
    error::Error,
    networks::Session,
};

/// Pause between two refreshes ahead of time when the first did not succeed, milliseconds.
const NEXT_REFRESH: i64 = 5_000;

impl State {
    /// Everything that rests on the account's old tokens is read again.
    pub(super) fn changed(&mut self) {
        self.heard += 1;
        self.fence = None;
        self.session = None;
        self.again_at = 0;
        self.paused_until = 0;
        self.line.forget_idle();
        self.may_have_more = true;
    }

    pub(super) fn ask_session(&mut self, stale: Option<i64>, reply: Answer) {
        self.heard += 1;
        self.waiting.push((stale, reply));
    }

    /// Answers those who wait for tokens, or notes that new ones are needed.
    pub(super) fn answer_waiting(&mut self) {
        let Some(session) = self.session.clone() else { return };
        let about_to_end = self.is_about_to_end(&session);
        let mut kept = Vec::new();
        for (stale, reply) in std::mem::take(&mut self.waiting) {
            let is_refused = stale == Some(session.token_version);
            if is_refused {
                self.refused = stale;
            }
            if is_refused || (about_to_end && !reply.is_closed()) {
                kept.push((stale, reply));
            } else {
                let _ = reply.send(Ok(session.clone()));
            }
        }
        self.wants_refresh |= !kept.is_empty();
        self.waiting = kept;
    }

    pub(super) fn refuse_waiting(&mut self, refusal: impl Fn() -> Error) {
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(refusal()));
        }
    }

    pub(super) fn is_about_to_end(&self, session: &Session) -> bool {
        let now = self.now();
        // Tokens that live shortly are refreshed in the last fifth of their life, not all the time.
        let ahead = self.parts.config.refresh_ahead_ms;
        let ahead = self.token_life.map_or(ahead, |life| ahead.min(life / 5));
        session.refresh_token.is_some()
            && now >= self.no_refresh_before
            && session.access_expires_at.is_some_and(|at| at - now < ahead)
    }

    /// Takes the lease and reads the tokens.
    pub(super) fn take_up(&mut self, myself: &ActorRef<Msg>) {
        if self.is_taking || self.is_refreshing {
            return;
        }
        self.is_taking = true;
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let taken = async {
                let fence = parts.store.acquire_lease(account_id, parts.owner, parts.config.lease_ms).await?;
                let opened = if fence.is_some() {
                    session::open_and_tidy(&parts, account_id).await?
                } else {
                    session::open(&parts, account_id).await?
                };
                Ok(Taken { fence, opened })
            };
            Msg::Taken(taken.await)
        });
    }

    pub(super) fn taken(&mut self, myself: &ActorRef<Msg>, taken: Result<Taken, Error>) {
        self.is_taking = false;
        match taken {
            Ok(Taken { fence: Some(fence), opened: Opened::Ready(session) }) => {
                self.fence = Some(fence);
                self.session = Some(session);
                // Whoever served it meanwhile may have moved the line on.
                self.is_behind = true;
            }
            // Another process serves it; reading its tokens is allowed all the same.
            Ok(Taken { fence: None, opened: Opened::Ready(session) }) => {
                let account_id = self.account_id;
                for (stale, reply) in self.waiting.drain(..) {
                    let fresh = stale != Some(session.token_version);
                    let _ = reply.send(if fresh {
                        Ok(session.clone())
                    } else {
                        Err(Error::NotOwner(account_id))
                    });
                }
                self.give_up(myself);
            }
            Ok(Taken { opened: Opened::Closed, .. }) => {
                let account_id = self.account_id;
                self.refuse_waiting(|| Error::NeedsReconnect(account_id));
                self.parts.ring_events();
                self.give_up(myself);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "an account could not be taken up");
                self.again_at = self.now() + AGAIN;
            }
        }
    }

    /// Nothing can be done for this account here: tells the supervisor to end this actor.
    pub(super) fn give_up(&mut self, myself: &ActorRef<Msg>) {
        self.line.forget_idle();
        self.again_at = self.now() + i64::try_from(self.parts.config.sweep_ms).unwrap_or(AGAIN);
        let idle =
            accounts::Msg::Idle { account_id: self.account_id, heard: self.heard, actor: myself.get_id() };
        let _ = self.supervisor.cast(idle);
    }

    /// Asks the network for new tokens; one at a time.
    pub(super) fn refresh(&mut self, myself: &ActorRef<Msg>) {
        if self.is_refreshing && !bug(Bug::RefreshWithoutSingleFlight) {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        self.is_refreshing = true;
        self.wants_refresh = false;
        let parts = self.parts.clone();
        let lifecycle = parts.lifecycle.clone();
        let is_refused = self.refused == Some(session.token_version);
        run(&lifecycle, myself, async move {
            // Whoever stood still for long may have been succeeded, and a refresh token can be used once.
            let refreshed = match parts.store.holds_lease(session.account_id, parts.owner).await {
                Ok(true) => session::refresh(&parts, &session, is_refused).await,
                Ok(false) => Err(Error::NotOwner(session.account_id)),
                Err(error) => Err(error),
            };
            Msg::Refreshed(refreshed)
        });
    }

    pub(super) fn refreshed(&mut self, myself: &ActorRef<Msg>, refreshed: Result<Refreshed, Error>) {
        self.is_refreshing = false;
        match refreshed {
            Ok(Refreshed::Opened(Opened::Ready(session))) => {
                self.token_life = session.access_expires_at.map(|at| at - self.now());
                self.session = Some(session);
                // What was asked for with the old tokens was answered by this refresh.
                for (stale, _) in &mut self.waiting {
                    *stale = None;
                }
            }
            Ok(Refreshed::Opened(Opened::Closed)) => {
                let account_id = self.account_id;
                self.session = None;
                self.refuse_waiting(|| Error::NeedsReconnect(account_id));
                self.parts.ring_events();
                self.give_up(myself);
            }
            Ok(Refreshed::Kept { until }) => {
                let now = self.now();
                self.no_refresh_before = until.unwrap_or(0).max(now + AGAIN);
                if until.is_none_or(|at| at <= now) {
                    self.wants_refresh = true; // the one more try
                    self.again_at = now + AGAIN;
                }
                self.answer_with_what_holds();
            }
            Err(Error::NotOwner(_)) => {
                self.fence = None; // it is taken up again, or given up
                self.line.forget_idle();
                self.may_have_more = true;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "tokens could not be refreshed");
                // A hiccup: while the old tokens hold, everything goes on with them.
                let asked = match &error {
                    Error::NetworkUnavailable { retry_after: Some(wait), .. } => {
                        i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(self.parts.policy.hint_most)
                    }
                    _ => 0,
                };
                let now = self.now();
                self.no_refresh_before = now + NEXT_REFRESH.max(asked);
                let holds = |session: &Arc<Session>| session.access_expires_at.is_none_or(|at| at > now);
                if !self.session.as_ref().is_some_and(holds) {
                    self.again_at = now + AGAIN.max(asked);
                }
                self.answer_with_what_holds();
            }
        }
    }

    /// Answers those who wait: with the tokens at hand, unless these are over or are the ones that were refused.
    fn answer_with_what_holds(&mut self) {
        let now = self.now();
        let holds = |session: &Arc<Session>| session.access_expires_at.is_none_or(|at| at > now);
        let session = self.session.clone().filter(holds);
        for (stale, reply) in self.waiting.drain(..) {
            let still_good = session.clone().filter(|session| stale != Some(session.token_version));
            let _ = reply.send(still_good.ok_or_else(|| Error::NetworkUnavailable {
                message: "the network did not give new tokens; try again in a moment".into(),
                retry_after: None,
            }));
        }
    }

    /// The account lost its authorization: notes it and takes the line out of memory.
    pub(super) fn park(&mut self, message: Option<String>) {
        let (Some(message), Some(session)) = (message, self.session.take()) else { return };
        self.fence = None;
        self.line.forget_idle();
        let (parts, supervisor) = (self.parts.clone(), self.supervisor.clone());
        let account_id = self.account_id;
        self.again_at = self.now() + AGAIN;
        let lifecycle = parts.lifecycle.clone();
        lifecycle.spawn(async move {
            if let Err(error) = session::close(&parts, &session, &message).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a lost authorization was not noted"
                );
            }
            let _ = supervisor.cast(accounts::Msg::Changed(account_id));
        });
    }
}
