//! What a network makes of requests, and what it tells.

use postmesh_publisher::domain::outcome::{DeliveryClass, Found};

use super::super::world::{Flight, Post, Reply, Rules, Stage, Worker, World};

impl World {
    pub(super) fn first_byte(&mut self, w: usize, rules: &Rules) -> Option<()> {
        let Worker::Armed(attempt) = self.workers[w].clone() else { return None };
        if self.now >= attempt.deadline {
            return None;
        }
        let until = attempt.deadline + rules.policy.quiesce;
        self.flights.push(Flight { revision: attempt.revision, n: attempt.n, until });
        self.workers[w] = Worker::Waiting(attempt);
        Some(())
    }

    /// What is known of this revision at the network makes the same request harmless, or does not.
    pub(super) fn executes(&mut self, flight: usize, reply: Reply, rules: &Rules) -> Option<()> {
        let may_process = rules.class == DeliveryClass::Handle;
        if reply == Reply::Processing && !may_process {
            return None;
        }
        if reply == Reply::Garbled {
            self.fails()?;
        }
        let flight = self.flights.remove(flight);
        let known = self.posts.iter().find(|post| post.revision == flight.revision).copied();
        let same = known.filter(|post| match rules.class {
            DeliveryClass::NaturalKey | DeliveryClass::Handle => true,
            DeliveryClass::IdempotencyKey => self.now < post.at + rules.key_memory,
            DeliveryClass::ReadBack | DeliveryClass::Nothing => false,
        });
        let reply = match same.map(|post| post.stage) {
            Some(_) if reply == Reply::Garbled => reply,
            Some(Stage::Visible) if reply == Reply::Processing => return None,
            Some(Stage::Visible) => Reply::Accepted,
            Some(Stage::Processing) => Reply::Processing,
            Some(Stage::Refused) => Reply::Rejected,
            None => {
                let stage = if reply == Reply::Processing { Stage::Processing } else { Stage::Visible };
                self.posts.push(Post { revision: flight.revision, stage, at: self.now });
                reply
            }
        };
        self.answers.push((flight.n, reply));
        Some(())
    }

    pub(super) fn processed(&mut self, stage: Stage) -> Option<()> {
        let place = self.posts.iter().position(|post| post.stage == Stage::Processing)?;
        if stage == Stage::Refused {
            self.fails()?;
        }
        self.posts[place].stage = stage;
        Some(())
    }

    /// What an honest read tells now.
    pub(super) fn read(&self, rules: &Rules) -> Found {
        let unsure = || Found::Unsure { why: String::new() };
        if rules.class == DeliveryClass::Nothing {
            return unsure();
        }
        match self.posts.iter().find(|post| post.revision == self.row.revision) {
            Some(post) if post.stage == Stage::Processing => unsure(),
            Some(post) if post.stage == Stage::Visible && self.now >= post.at + rules.read_lag => {
                Found::Live { native_id: "1".into(), url: String::new(), evidence: String::new() }
            }
            _ => Found::Absent,
        }
    }
}
