//! What was asked of the networks, and how often.

use std::collections::HashMap;

use super::{Case, Findings};
use crate::rig::history::Request;

/// Requests stamped in the same moment may be logged in either order.
const SLACK_MS: i64 = 20;
/// How long a request may be on its way after its process was killed or stood still; 300 ms where time is virtual.
const CRASH_SLACK_MS: i64 = 320;

/// I9: an account sends no more than its permits allow, and not before a network that refused said so.
///
/// Windows begin with their first post, so a window laid anywhere may hold the end of one and the beginning of the
/// next: fewer than twice the permits.
pub(super) fn limits_are_kept(case: &Case<'_>, found: &mut Findings) {
    let mut sends: HashMap<(&str, &str), Vec<&Request>> = HashMap::new();
    for request in case.history.requests.iter().filter(|request| request.operation == "publish") {
        if let Some(account) = &request.account {
            sends.entry((&request.network, account)).or_default().push(request);
        }
    }
    for ((network, handle), mut sends) in sends {
        sends.sort_by_key(|request| request.at_ms);
        for pair in sends.windows(2) {
            let Some(wait) = pair[0].retry_after_ms else { continue };
            let waited = pair[1].at_ms - pair[0].at_ms;
            if waited + SLACK_MS < wait {
                found.add(format!("{handle} on {network} was told to wait {wait} ms and waited {waited} ms"));
            }
        }
        let is_this =
            |account: &&crate::rig::history::Account| account.network == network && account.handle == handle;
        let permits = case.history.accounts.iter().find(is_this).and_then(|account| account.permits);
        let Some(permits) = permits else { continue };
        let most = (permits.posts * 2).saturating_sub(1);
        for (n, first) in sends.iter().enumerate() {
            let within = sends[n..].iter().take_while(|r| r.at_ms - first.at_ms < permits.window_ms).count();
            if within > most {
                let (posts, window) = (permits.posts, permits.window_ms);
                found.add(format!(
                    "{handle} on {network} sent {within} within {window} ms; its permits are {posts}"
                ));
                break;
            }
        }
    }
}

/// I10: a refresh token is presented once; once more only when the answer was lost, to a crash with the intent still
/// open or on its way.
pub(super) fn refresh_tokens_are_presented_once(case: &Case<'_>, found: &mut Findings) {
    let mut presented: HashMap<&str, Vec<&Request>> = HashMap::new();
    for request in &case.history.requests {
        // A 429 was not executed: the token is as good as before.
        if let Some(token) = request.refresh_token.as_deref().filter(|_| request.status != Some(429)) {
            presented.entry(token).or_default().push(request);
        }
    }
    let standing = &case.history.standing;
    for requests in presented.values_mut() {
        requests.sort_by_key(|request| request.at_ms);
        let again = requests.windows(2).filter(|pair| !was_lost(pair[0], pair[1], &standing.crashed_ms));
        let unexplained = again.count() as u64;
        // Where nobody noted when they were, each crash may explain one.
        let crashes = if standing.crashed_ms.is_empty() { standing.crashes } else { 0 };
        if requests.len() > 2 || unexplained > crashes {
            let (times, account) = (requests.len(), &requests[0].account);
            found.add(format!(
                "a refresh token of {account:?} was presented {times} times, {unexplained} times without need"
            ));
        }
    }
}

/// Whether the answer to the first request cannot have been stored before the second.
fn was_lost(first: &Request, second: &Request, crashed_ms: &[i64]) -> bool {
    // Bytes that were written before a crash may arrive a moment after it.
    let between = first.at_ms - CRASH_SLACK_MS..=second.at_ms;
    let was_answered = first.status.is_some_and(|status| status < 400) && first.faults.is_empty();
    !was_answered || crashed_ms.iter().any(|crash| between.contains(crash))
}
