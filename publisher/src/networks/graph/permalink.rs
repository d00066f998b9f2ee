//! The address of a post that is already there. It is read after the visible request was answered, in time that the
//! attempt can spare.
//!
//! Invariant: reading it changes no outcome. A read that fails, is late or tells nothing leaves the address empty, and
//! all reads of a post end well before its send deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Api, Session, address, is_missing, json, text_of};
use crate::store::Armed;

/// The longest that an address is waited for.
const MOST: Duration = Duration::from_secs(5);

/// What stays of the time until the send deadline.
const MARGIN: Duration = Duration::from_secs(5);

/// The first pause before a post that the network does not show yet is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// The time that an attempt can spare once it was answered.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Spare {
    until: Instant,
}

impl Spare {
    /// Of an attempt whose request has not left yet.
    pub(in super::super) fn of(armed: &Armed) -> Self {
        Self { until: Instant::now() + armed.time_left().unwrap_or_default().saturating_sub(MARGIN) }
    }

    /// What a look tells, provided that it does so in time; else nothing.
    pub(in super::super) async fn read(self, look: impl Future<Output = Option<String>>) -> String {
        let left = self.until.saturating_duration_since(Instant::now()).min(MOST);
        if left.is_zero() {
            return String::new();
        }
        timeout(left, look).await.ok().flatten().unwrap_or_default()
    }
}

impl Api {
    /// The address of a post, below that site, asked for until the network shows the post: right after it was made it may
    /// not be shown. For [`Spare::read`], which ends it.
    pub(in super::super) async fn permalink(
        &self,
        session: &Session,
        id: &str,
        (field, site): (&str, &str),
    ) -> Option<String> {
        let mut pause = PAUSE;
        loop {
            let response = self.node(session, id, field).read(&self.http).await.ok()?;
            if !is_missing(&response) {
                let body = json(&response).filter(|_| response.status().is_success())?;
                return Some(address(text_of(&body, field), site));
            }
            sleep(pause).await;
            pause *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_is_read_in_spare_time_alone() {
        let read = async |left: u64, takes: u64| {
            let spare = Spare::of(&Armed::for_tests(false, Duration::from_secs(left)));
            let began = Instant::now();
            let told = spare.read(async {
                sleep(Duration::from_secs(takes)).await;
                Some("https://network.example/p/1".to_owned())
            });
            (!told.await.is_empty(), (began.elapsed() + PAUSE).as_secs())
        };
        assert_eq!(read(60, 4).await, (true, 4));
        assert_eq!(read(60, 60).await, (false, 5), "never longer than that");
        assert_eq!(read(8, 60).await, (false, 3), "and well before the deadline");
        assert_eq!(read(5, 0).await, (false, 0), "no time to spare, no read");
        assert_eq!(read(0, 0).await, (false, 0));
    }
}
