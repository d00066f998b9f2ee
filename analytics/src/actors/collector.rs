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
        match work {
            Work::Turns => {
                // Taken before the claim, so that no lease runs out in a queue. The semaphore is never closed.
                let _place = self.tools.places.acquire().await;
                self.noted(self.take_turns().await)
            }
            Work::Post(post, reply) => {
                // Somebody waits, so this takes no place; how often it happens is limited per post.
                let worked = self.noted(self.refresh(post).await);
                let _ = reply.send(worked);
                false
            }
        }
    }

    fn noted(&self, result: Result<bool, Error>) -> bool {
        result.unwrap_or_else(|error| {
            tracing::warn!(account.id = %self.account.account_id, error = &error as &dyn std::error::Error,
                "counts could not be stored");
            false
        })
    }

    /// Reads one batch of what is in turn; true when there may be more.
    async fn take_turns(&self) -> Result<bool, Error> {
        let now = self.tools.clock.now_ms();
        let turns = self.tools.store.claim(self.account, now, now + LEASE_MS).await?;
        if turns.is_empty() {
            return Ok(false);
        }
        match self.ask(&turns).await {
            Ok(readings) => {
                self.record(&turns, &readings).await?;
                Ok(turns.len() == BATCH)
            }
            Err(status) => {
                self.postpone(&turns, failure_of(&status)).await?;
                Ok(false)
            }
        }
    }

    /// Reads the targets of a post; true when the network answered. A failure leaves their turns as they are.
    async fn refresh(&self, post: Uuid) -> Result<bool, Error> {
        let turns = self.tools.store.turns_of_post(self.account, post).await?;
        for batch in turns.chunks(BATCH) {
            match self.ask(batch).await {
                Ok(readings) => self.record(batch, &readings).await?,
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn record(&self, turns: &[Turn], readings: &HashMap<String, Reading>) -> Result<(), Error> {
        let now = self.tools.clock.now_ms();
        let outcome = |turn: &Turn| {
            let reading = *readings.get(&turn.native_id)?;
            let next_read_at = self.tools.schedule.next(turn.published_at, now);
            Some(Outcome { target_id: turn.id, reading, next_read_at })
        };
        let outcomes: Vec<_> = turns.iter().filter_map(outcome).collect();
        let stored = outcomes.len() as u64;
        self.tools.store.record(outcomes, now).await?;
        metrics::counter!(SNAPSHOTS).increment(stored);
        Ok(())
    }

    async fn postpone(&self, turns: &[Turn], failure: Failure) -> Result<(), Error> {
        let now = self.tools.clock.now_ms();
        let next = |turn: &Turn| {
            let end = turn.published_at + self.tools.schedule.until_ms;
            let next = failure.wait_ms(turn.failures + 1).map(|wait| now + wait);
            (turn.id, next.filter(|next| *next <= end))
        };
        self.tools.store.postpone(turns.iter().map(next).collect()).await
    }

    async fn ask(&self, turns: &[Turn]) -> Result<HashMap<String, Reading>, Status> {
        let request = ReadMetricsRequest {
            workspace_id: self.account.workspace_id.to_string(),
            account_id: self.account.account_id.to_string(),
            native_ids: turns.iter().map(|turn| turn.native_id.clone()).collect(),
        };
        let answer = self.tools.deliveries.clone().read_metrics(request).await;
        let outcome =
            answer.as_ref().map_or_else(|status| format!("{:?}", status.code()), |_| "ok".to_owned());
        tracing::debug!(account.id = %self.account.account_id, posts = turns.len(), outcome, "asked for counts");
        metrics::counter!(READS, "outcome" => outcome).increment(1);
        let answer = answer?.into_inner();
        let reading = |m: postmesh_proto::publisher::v1::PostMetrics| {
            let counts = Counts {
                likes: m.likes.max(0),
                reposts: m.reposts.max(0),
                replies: m.replies.max(0),
                views: m.views.max(0),
            };
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
