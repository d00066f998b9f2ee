//! What waits outside of any line: posts a network is still processing, lost answers that a person was asked about (a
//! late find still wins), and parked deliveries whose time is over.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{Accounts, jitter, line::account_effects};
use crate::{
    deps::Parts,
    domain::{
        outcome::{Answer, Fault, Found, Outcome, Wire},
        step::{Effect, Event, step},
    },
    error::Error,
    store::{Change, Stored},
};

/// Deliveries looked at in one run.
const LIMIT: i64 = 200;
/// Networks asked at once.
const AT_ONCE: usize = 8;

/// One run.
pub(super) async fn reconcile(parts: Arc<Parts>, accounts: Accounts) {
    if !parts.clock.is_steady() {
        return; // nothing is too late by a clock that leapt
    }
    let now = parts.clock.now_ms();
    let rows = match parts.store.beside_the_line(now, LIMIT).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "waiting deliveries could not be read");
            return;
        }
    };
    stream::iter(rows)
        .for_each_concurrent(AT_ONCE, |row| {
            let (parts, accounts) = (parts.clone(), accounts.clone());
            async move {
                if let Err(error) = one(&parts, &accounts, &row).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, target.id = %row.target_id, "a waiting delivery was not looked at");
                }
            }
        })
        .await;
}

async fn one(parts: &Parts, accounts: &Accounts, row: &Stored) -> Result<(), Error> {
    let network = parts.network(&row.network)?;
    let (class, policy) = (network.facts().class, &parts.policy);
    let before = row.decision()?;
    let now = parts.clock.now_ms();
    let Ok((ticked, effects)) = step(&before, Event::Tick, class, policy, now, jitter()) else {
        return Ok(());
    };
    let asks = effects.iter().any(|effect| matches!(effect, Effect::Poll | Effect::Look));
    let (wire, event) = if asks {
        let session = match accounts.session(row.account_id, None).await {
            Ok(session) => Some(session),
            Err(Error::NeedsReconnect(_)) => None,
            Err(error) => return Err(error),
        };
        let work = row.work(&parts.keys)?;
        if effects.contains(&Effect::Poll) {
            let answer = match &session {
                Some(session) => {
                    let handle = row.processing_handle.as_deref().unwrap_or_default();
                    network.poll(session, &work, handle).await
                }
                None => Answer::from(Outcome::Ambiguous { evidence: "the account is not connected".into() }),
            };
            if let (Outcome::TokenExpired, Some(session)) = (&answer.outcome, &session) {
                accounts.session(row.account_id, Some(session.token_version)).await?;
            }
            (answer.wire, Event::Polled(answer.outcome))
        } else {
            let found = match (&session, parts.store.attempt_facts(row).await?) {
                (Some(session), Some(facts)) => {
                    let handles =
                        parts.vault.handles(&[row]).await?.remove(&row.target_id).unwrap_or_default();
                    let found = network.reconcile(session, &work, &handles, &facts).await;
                    if matches!(found, Found::Unread(Fault::TokenExpired)) {
                        accounts.session(row.account_id, Some(session.token_version)).await?;
                    }
                    found
                }
                _ => Found::Unsure { why: "the account is not connected".into() },
            };
            (Wire::default(), Event::Looked(found))
        }
    } else {
        (Wire::default(), Event::Tick)
    };
    let (after, effects) = if asks {
        let Ok(stepped) = step(&ticked, event, class, policy, now, jitter()) else { return Ok(()) };
        stepped
    } else {
        (ticked, effects)
    };
    if after == before {
        return Ok(());
    }
    let (change, left) = Change::new(row, before.state, after, effects, wire.within(policy.hint_most));
    let reports = change.reports;
    parts.store.apply(vec![change]).await?;
    if reports {
        parts.ring_events();
    }
    if account_effects(&left).1.is_some() {
        accounts.changed(row.account_id);
    }
    Ok(())
}
