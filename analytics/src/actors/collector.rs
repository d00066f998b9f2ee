//! Reads the counts of one account's posts, one call at a time.
//!
//!   Supervisor --Collect / Refresh--> Collector --(task)--> publisher, store --Done--> Collector --Idle--> Supervisor
//!
//! Invariant: it holds nothing that the database does not; ending it at any point loses at most a turn until the
//! lease on it has run out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use postmesh_kit::{clock::Clock, lifecycle::Lifecycle};
use postmesh_proto::publisher::v1::ReadMetricsRequest;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::supervisor;
use crate::{
    deps::DeliveryClient,
    domain::{
        counts::{Counts, Failure, Reading},
        schedule::Schedule,
    },
    error::Error,
    metrics::{READS, SNAPSHOTS},
    store::{
        Store,
        readings::{Account, BATCH, Outcome, Turn},
    },
};

/// A claimed turn comes back after this long when its reader died, in milliseconds. Longer than any call may take.
const LEASE_MS: i64 = 2 * 60 * 1000;

/// What every collector works with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Where turns and counts are.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Runs the reads.
    pub lifecycle: Lifecycle,
    /// The publisher.
    pub deliveries: DeliveryClient,
    /// When counts are read.
    pub schedule: Schedule,
    /// Reads under way at once, over all accounts.
    pub places: Arc<Semaphore>,
    /// A collector without work ends after this long.
    pub idle: Duration,
}

/// Reads the counts of one account's posts.
#[derive(Debug)]
pub struct Collector {
    /// What it works with.
    pub tools: Tools,
    /// The account.
    pub account: Account,
    /// Who is told when it is idle.
    pub parent: ActorRef<supervisor::Msg>,
}

/// What a collector is told.
#[derive(Debug)]
pub enum Msg {
    /// Read what is in turn.
    Collect,
    /// Read the targets of a post now. Answers when they are stored, true when it worked.
    Refresh(Uuid, RpcReplyPort<bool>),
    /// The task has ended; true when there may be more in turn.
    Done(bool),
    /// Ask to be ended, unless work came since this many rounds.
    Rest(u64),
}

/// What a collector remembers between messages.
#[derive(Debug, Default)]
pub struct State {
    busy: bool,
    again: bool,
    refreshes: Vec<(Uuid, RpcReplyPort<bool>)>,
    rounds: u64,
}

enum Work {
    Turns,
    Post(Uuid, RpcReplyPort<bool>),
}

impl Actor for Collector {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Collect => state.again = true,
            Msg::Refresh(post, reply) => state.refreshes.push((post, reply)),
            Msg::Done(more) => {
                state.busy = false;
                state.again |= more;
            }
            Msg::Rest(rounds) => {
                if !state.busy && state.rounds == rounds {
                    let _ = self.parent.cast(supervisor::Msg::Idle(self.account));
                }
                return Ok(());
            }
        }
        self.go_on(&myself, state);
        Ok(())
    }
}

impl Collector {
    /// Starts the next piece of work unless one is under way. Who waits for an answer goes first.
    fn go_on(&self, myself: &ActorRef<Msg>, state: &mut State) {
        if state.busy {
            return;
        }
        let work = match state.refreshes.pop() {
            Some((post, reply)) => Work::Post(post, reply),
            None if std::mem::take(&mut state.again) => Work::Turns,
            None => {
                let rounds = state.rounds;
                myself.send_after(self.tools.idle, move || Msg::Rest(rounds));
                return;
            }
        };
        state.busy = true;
        state.rounds += 1;
        let (reader, myself) = (Reader { tools: self.tools.clone(), account: self.account }, myself.clone());
        self.tools.lifecycle.spawn(async move {
            // Says Done however the task ends, so that the collector never waits for ever.
            let mut done = Done { collector: myself, more: false };
            done.more = reader.work(work).await;
        });
    }
}

struct Done {
    collector: ActorRef<Msg>,
    more: bool,
}

impl Drop for Done {
    fn drop(&mut self) {
        // The collector may have ended in between.
        let _ = self.collector.cast(Msg::Done(self.more));
    }
}

/// One task: claim or look up, ask, store.
struct Reader {
    tools: Tools,
    account: Account,
}

impl Reader {
    /// True when there may be more in turn.
    async fn work(&self, work: Work) -> bool {
        let (result, reply, full) = match work {
            Work::Turns => {
                let now = self.tools.clock.now_ms();
                match self.tools.store.claim(self.account, now, now + LEASE_MS).await {
                    Ok(turns) => {
                        let full = turns.len() == BATCH;
                        (self.read(turns).await, None, full)
                    }
                    Err(error) => (Err(error), None, false),
                }
            }
            Work::Post(post, reply) => {
                let result = match self.tools.store.turns_of_post(self.account, post).await {
                    Ok(turns) => self.read(turns).await,
                    Err(error) => Err(error),
                };
                (result, Some(reply), false)
            }
        };
        if let Err(error) = &result {
            tracing::warn!(account.id = %self.account.account_id, error = error as &dyn std::error::Error,
                "counts could not be stored");
        }
        let worked = matches!(result, Ok(true));
        if let Some(reply) = reply {
            let _ = reply.send(worked);
        }
        full && worked
    }

    /// Reads targets and stores what was said; true when the publisher answered.
    async fn read(&self, turns: Vec<Turn>) -> Result<bool, Error> {
        let mut worked = true;
        for batch in turns.chunks(BATCH) {
            worked &= self.read_batch(batch).await?;
        }
        Ok(worked)
    }

    async fn read_batch(&self, turns: &[Turn]) -> Result<bool, Error> {
        let place = self.tools.places.acquire().await;
        let asked = self.ask(turns).await;
        drop(place);
        let now = self.tools.clock.now_ms();
        let outcome_of = |turn: &Turn, reading| Outcome {
            target_id: turn.id,
            reading,
            next_read_at: self.tools.schedule.next(turn.published_at, now),
        };
        match asked {
            Ok(readings) => {
                let outcomes: Vec<_> = turns
                    .iter()
                    .filter_map(|turn| {
                        readings.get(&turn.native_id).map(|reading| outcome_of(turn, *reading))
                    })
                    .collect();
                metrics::counter!(READS, "outcome" => "ok").increment(1);
                metrics::counter!(SNAPSHOTS).increment(outcomes.len() as u64);
                self.tools.store.record(outcomes, now).await?;
                Ok(true)
            }
            Err(status) => {
                metrics::counter!(READS, "outcome" => format!("{:?}", status.code())).increment(1);
                tracing::debug!(account.id = %self.account.account_id, code = ?status.code(), "counts could not be read");
                let failure = failure_of(&status);
                let later = turns.iter().map(|turn| {
                    let wait = failure.wait_ms(turn.failures + 1);
                    let limit = self.tools.schedule.until_ms + turn.published_at;
                    (turn.id, wait.map(|wait| now + wait).filter(|next| *next <= limit))
                });
                self.tools.store.postpone(later.collect()).await?;
                Ok(false)
            }
        }
    }

    async fn ask(&self, turns: &[Turn]) -> Result<HashMap<String, Reading>, Status> {
        let request = ReadMetricsRequest {
            workspace_id: self.account.workspace_id.to_string(),
            account_id: self.account.account_id.to_string(),
            native_ids: turns.iter().map(|turn| turn.native_id.clone()).collect(),
        };
        let answer = self.tools.deliveries.clone().read_metrics(request).await?.into_inner();
        let reading = |m: postmesh_proto::publisher::v1::PostMetrics| {
            let counts =
                Counts { likes: m.likes.max(0), reposts: m.reposts.max(0), replies: m.replies.max(0) };
            (m.native_id, m.found.then_some(counts))
        };
        Ok(answer.metrics.into_iter().map(reading).collect())
    }
}

fn failure_of(status: &Status) -> Failure {
    match status.code() {
        Code::NotFound => Failure::Gone,
        Code::FailedPrecondition => Failure::Disconnected,
        _ => Failure::Later(status.get_details_retry_info().and_then(|info| info.retry_delay)),
    }
}
