//! The posts a further part of a thread replies to, as `prepare` finds them at the network.
//!
//! Invariant: a part is given up for a missing parent only when the parent stayed away longer than reads may lag
//! behind writes; the part before it has just become visible, and a replica may not know it yet.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Fault, Handles};

/// The handle of what was found.
pub(super) const REPLY: &str = "reply";

/// The handle of when it was first looked for in vain, Unix milliseconds.
const MISSING: &str = "reply.missing_since";

/// How long a parent that was not found may only be late.
const LAG: Duration = Duration::from_mins(1);

/// How soon to look again.
const AGAIN: Duration = Duration::from_secs(10);

/// What follows when the network does not know the parent: wait, then give up.
pub(super) async fn missing(handles: &mut dyn Handles, now_ms: i64) -> Fault {
    let since = handles.stored().get(MISSING).and_then(Value::as_i64);
    if since.is_none()
        && let Err(fault) = handles.save(MISSING, json!(now_ms)).await
    {
        return fault;
    }
    let waited =
        u64::try_from(now_ms - since.unwrap_or(now_ms)).map(Duration::from_millis).unwrap_or_default();
    if waited >= LAG {
        return Fault::Rejected { code: GONE.0.into(), message: GONE.1.into() };
    }
    Fault::Transient {
        code: "PARENT_NOT_SEEN".into(),
        message: "The network does not show the part of the thread before this one yet.".into(),
        retry_after: Some(AGAIN),
    }
}

/// Code and sentence of a parent that is no longer at the network.
pub(super) const GONE: (&str, &str) = (
    "PARENT_GONE",
    "The part of the thread before this one is no longer at the network. Post the remaining parts as a new thread.",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Kept;

    #[tokio::test]
    async fn a_parent_is_given_up_only_after_reads_can_no_longer_lag() {
        let mut kept = Kept::default();
        for now in [1_000, 1_001, 60_999] {
            let fault = missing(&mut kept, now).await;
            assert!(
                matches!(&fault, Fault::Transient { code, retry_after: Some(_), .. } if code == "PARENT_NOT_SEEN")
            );
        }
        assert_eq!(kept.writes, 1);
        let fault = missing(&mut kept, 61_000).await;
        assert!(matches!(&fault, Fault::Rejected { code, .. } if code == "PARENT_GONE"), "{fault:?}");
    }
}
