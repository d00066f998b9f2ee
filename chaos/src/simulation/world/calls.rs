//! Calls to networks, and what goes wrong with them.

use std::time::Duration;

use postmesh_publisher::domain::outcome::{DeliveryClass, Fault, Outcome};
use rand::RngExt as _;
use uuid::Uuid;

use super::{Event, Log, World, silence};
use crate::simulation::{
    network::{Asked, Send, Trouble},
    worker::{LOOK, Msg, Place},
};

impl World {
    /// The one visible request leaves, with whatever happens to it.
    pub(in crate::simulation) fn call_publish(
        &mut self,
        place: Place,
        send: Send,
        nonce: u64,
        deadline: i64,
    ) {
        let trouble = self.trouble();
        let line = || format!("{} attempt {} leaves, {trouble:?}", Log::target(send.target), send.n);
        self.log.say(self.now, line);
        self.later(deadline - self.now, Event::Hear(place, Msg::Answered { nonce, answer: silence() }));
        let wait = match trouble {
            Trouble::Unreachable => {
                let answer = Outcome::NotSent { why: "it could not connect".into() }.into();
                self.back(place, Msg::Answered { nonce, answer });
                return;
            }
            Trouble::Lost { is_noticed } => {
                if is_noticed {
                    self.back(place, Msg::Answered { nonce, answer: silence() });
                }
                return;
            }
            // As late as quiescence allows.
            Trouble::Late => self.rng.random_range(0..deadline + self.policy.quiesce - self.now),
            Trouble::Slow => self.rng.random_range(1_000..9_000),
            _ => self.rng.random_range(20..400),
        };
        self.later(wait, Event::Publish { place, send, trouble, nonce, deadline });
    }

    pub(in crate::simulation) fn trouble(&mut self) -> Trouble {
        if !self.chance(0.4) {
            return Trouble::None;
        }
        let wait = self.rng.random_bool(0.5).then(|| Duration::from_secs(self.rng.random_range(1..60)));
        let is_noticed = self.rng.random_bool(0.5);
        match self.rng.random_range(0..24) {
            0 | 1 => Trouble::Lost { is_noticed },
            2 => Trouble::Unreachable,
            3..=5 => Trouble::Silence,
            6..=8 => Trouble::Reset,
            9..=11 => Trouble::Fails,
            12 | 13 => Trouble::Garbage,
            14..=16 => Trouble::Late,
            17 | 18 => Trouble::Slow,
            19..=21 => Trouble::Throttled { wait },
            22 => Trouble::Unavailable,
            _ => Trouble::Refused,
        }
    }

    pub(in crate::simulation) fn arrives(
        &mut self,
        place: Place,
        send: &Send,
        trouble: Trouble,
        nonce: u64,
        deadline: i64,
    ) {
        if self.is_away(send.account) {
            self.back(place, Msg::Answered { nonce, answer: silence() });
            return;
        }
        let answer = self.networks.publish(send, trouble, self.now, &mut self.rng);
        self.refused_in_doubt |= send.is_resend && matches!(answer.outcome, Outcome::Rejected { .. });
        if send.left_at <= self.forgot_at
            && let Some(request) = self.networks.requests.last_mut()
        {
            request.retry_after_ms = None; // whoever sent it may not hear of it
        }
        let line =
            || format!("{} attempt {} is executed: {:?}", Log::target(send.target), send.n, answer.outcome);
        self.log.say(self.now, line);
        if matches!(trouble, Trouble::Silence | Trouble::Late) || self.now >= deadline {
            return;
        }
        let answer = if trouble == Trouble::Reset { silence() } else { answer };
        self.back(place, Msg::Answered { nonce, answer });
    }

    pub(in crate::simulation) fn call_refresh(&mut self, place: Place, version: i64) {
        let wait = self.rng.random_range(20..300);
        self.later(wait, Event::Refresh { place, version });
    }

    pub(in crate::simulation) fn call_prepare(
        &mut self,
        place: Place,
        id: Uuid,
        begins: bool,
        tokens: i64,
        has_container: bool,
    ) {
        let wait = self.rng.random_range(5..300);
        self.later(wait, Event::Prepare { place, id, begins, tokens, has_container });
    }

    pub(in crate::simulation) fn prepares(
        &mut self,
        account: Uuid,
        tokens: i64,
        has_container: bool,
    ) -> Result<Option<String>, Fault> {
        let transient =
            || Fault::Transient { code: "AWAY".into(), message: "away".into(), retry_after: None };
        if self.is_away(account) || self.chance(0.03) {
            return Err(transient());
        }
        let class = self.networks.accounts[&account].class;
        if has_container || class != DeliveryClass::Handle {
            return Ok(None);
        }
        self.networks.make_container(account, tokens, self.now).map(Some)
    }

    pub(in crate::simulation) fn call_look(&mut self, place: Place, asked: Asked, tokens: i64) {
        let begun = self.clock(place.worker);
        let wait = self.rng.random_range(20..400);
        let wait = if self.chance(0.02) { LOOK + 1_000 } else { wait };
        self.later(wait, Event::Look { place, asked, tokens, begun });
    }
}
