//! An account's tokens: opened from the vault, refreshed with a committed intent, given up when they are gone.
//!
//! **Invariant:** the answer of a refresh is stored before anything else happens; a refusal is believed only after the
//! row was read again, because another process may have refreshed in between. After a lost answer the old access token
//! is used until it expires, then there is one more try; when its answer is lost as well, the user connects again.

use std::sync::Arc;

use postmesh_kit::faults;

use super::pause;
use crate::{
    deps::Parts,
    domain::{
        outcome::Wire,
        state::State,
        step::{Event, Problem, step},
    },
    error::Error,
    metrics,
    networks::{RefreshFault, Session},
    store::{
        Change,
        accounts::{AccountState, RefreshIntent},
    },
};
use uuid::Uuid;

/// Deliveries that are taken out of parking in one transaction.
const BATCH: i64 = 200;

/// What opening an account's tokens told.
pub(super) enum Opened {
    /// It can publish.
    Ready(Arc<Session>),
    /// It cannot, until a user connects it.
    Closed,
}

/// What asking for new tokens told.
pub(super) enum Refreshed {
    /// The row was read again.
    Opened(Opened),
    /// The answer to an earlier asking was lost: the tokens at hand serve until then.
    Kept {
        /// When the access token expires, Unix milliseconds; `None` when the network no longer takes it.
        until: Option<i64>,
    },
}

/// What the user reads when nobody can tell which tokens are valid.
const LOST_TWICE: &str = "The network's answers to the renewal of this authorization were lost, so it can no longer be used. \
     Connect the account again.";

/// Opens the tokens.
pub(super) async fn open(parts: &Parts, account_id: Uuid) -> Result<Opened, Error> {
    match parts.vault.session(account_id).await {
        Ok(session) => Ok(Opened::Ready(Arc::new(session))),
        Err(Error::NeedsReconnect(_) | Error::AccountNotFound(_)) => Ok(Opened::Closed),
        Err(error) => Err(error),
    }
}

/// Opens the tokens and makes the account's deliveries fit what was found: parked ones come back when it is connected,
/// waiting ones are parked when it is not, or cancelled when a user disconnected it. What is in doubt then is asked about
/// when its time is up, since the network cannot be.
pub(super) async fn open_and_tidy(parts: &Parts, account_id: Uuid) -> Result<Opened, Error> {
    let opened = open(parts, account_id).await?;
    match &opened {
        Opened::Ready(_) => unpark(parts, account_id).await?,
        Opened::Closed => {
            let account = parts.store.sealed_account(account_id).await?.map(|(account, _)| account);
            match account {
                Some(account) if account.state == AccountState::NeedsReconnect => {
                    let problem = Problem::new("RECONNECT", account.state_message);
                    parts.store.park_account(account_id, &problem).await?;
                }
                // It opened a moment ago; the next look finds the tokens.
                Some(account) if account.state == AccountState::Connected => {
                    return Err(Error::Vault("the account changed while it was opened".into()));
                }
                Some(_) | None => {
                    let problem = Problem::new("DISCONNECTED", "The account was disconnected.");
                    parts.store.cancel_account(account_id, &problem).await?;
                }
            }
            ask_about_doubts(parts, account_id).await?;
        }
    }
    Ok(opened)
}

async fn unpark(parts: &Parts, account_id: Uuid) -> Result<(), Error> {
    loop {
        let parked = parts.store.parked(account_id, BATCH).await?;
        let is_last = parked.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        let now = parts.clock.now_ms();
        let mut changes = Vec::with_capacity(parked.len());
        for row in &parked {
            let (before, class) = (row.decision()?, parts.network(&row.network)?.facts().class);
            let event = if now >= before.late_at { Event::Tick } else { Event::Reconnected };
            if let Ok((after, effects)) = step(&before, event, class, &parts.policy, now, 0.0) {
                changes.push(Change::new(row, before.state, after, effects, Wire::default()).0);
            }
        }
        if !changes.is_empty() {
            parts.store.apply(changes).await?;
            parts.ring_events();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Lost answers of an account that cannot be asked at its network: each is in doubt once nothing of it can be under way,
/// and a user is asked once the time for looking is over.
async fn ask_about_doubts(parts: &Parts, account_id: Uuid) -> Result<(), Error> {
    if !parts.clock.is_steady() {
        return Ok(()); // nothing is too late by a clock that leapt
    }
    let now = parts.clock.now_ms();
    let mut changes = Vec::new();
    for row in parts.store.line(account_id, now, BATCH).await? {
        let (before, class) = (row.decision()?, parts.network(&row.network)?.facts().class);
        let is_over = before.next_at.is_some_and(|at| at <= now);
        if !is_over || !matches!(before.state, State::Sending | State::Unknown) {
            continue;
        }
        if let Ok((after, effects)) = step(&before, Event::Tick, class, &parts.policy, now, 0.0)
            && after.state != before.state
        {
            changes.push(Change::new(&row, before.state, after, effects, Wire::default()).0);
        }
    }
    if !changes.is_empty() {
        parts.store.apply(changes).await?;
        parts.ring_events();
    }
    Ok(())
}

/// Asks the network for new tokens. `is_refused`: the network no longer takes the access token.
pub(super) async fn refresh(parts: &Parts, session: &Session, is_refused: bool) -> Result<Refreshed, Error> {
    let tries = match parts.vault.intend_refresh(session, is_refused).await? {
        RefreshIntent::Committed { tries } => tries,
        RefreshIntent::Waits { until } => return Ok(Refreshed::Kept { until: Some(until) }),
        RefreshIntent::Outdated => return Ok(Refreshed::Opened(open(parts, session.account_id).await?)),
        RefreshIntent::Exhausted => return give_up(parts, session, LOST_TWICE).await,
    };
    let network = parts.network(&session.network)?;
    let count =
        |result: &'static str| ::metrics::counter!(metrics::REFRESHES, "result" => result).increment(1);
    let answered = network.refresh(session).await;
    // Lost here like an answer that was lost on its way.
    let answered = match faults::at("token.response").await {
        Ok(()) => answered,
        Err(lost) => Err(RefreshFault::Lost(lost.to_string())),
    };
    match answered {
        Ok(tokens) => {
            let mut tries = 0;
            // The network may have forgotten the old pair by now: this must not be lost.
            while let Err(error) = parts.vault.store_refreshed(session, &tokens).await {
                tracing::error!(error = &error as &dyn std::error::Error, account.id = %session.account_id, "new tokens could not be stored; trying again");
                tokio::time::sleep(pause(tries)).await;
                tries += 1;
            }
            count("refreshed");
            Ok(Refreshed::Opened(open(parts, session.account_id).await?))
        }
        Err(RefreshFault::NotExecuted { why, retry_after }) => {
            count("not_executed");
            parts.vault.withdraw_refresh(session).await?;
            Err(Error::NetworkUnavailable { message: why, retry_after })
        }
        Err(RefreshFault::Lost(why)) => {
            count("lost");
            tracing::warn!(why, tries, account.id = %session.account_id, "the answer to a refresh was lost");
            if tries > 1 {
                return give_up(parts, session, LOST_TWICE).await;
            }
            Ok(Refreshed::Kept { until: session.access_expires_at.filter(|_| !is_refused) })
        }
        Err(RefreshFault::Revoked(why)) => {
            count("revoked");
            give_up(parts, session, &why).await
        }
    }
}

async fn give_up(parts: &Parts, session: &Session, why: &str) -> Result<Refreshed, Error> {
    close(parts, session, why).await?;
    Ok(Refreshed::Opened(open_and_tidy(parts, session.account_id).await?))
}

/// Notes that the authorization is gone, unless newer tokens were stored meanwhile, and parks what waits.
pub(super) async fn close(parts: &Parts, session: &Session, message: &str) -> Result<(), Error> {
    if parts.vault.need_reconnect(session, message).await? {
        parts.store.park_account(session.account_id, &Problem::new("RECONNECT", message)).await?;
        parts.ring_events();
    }
    Ok(())
}
