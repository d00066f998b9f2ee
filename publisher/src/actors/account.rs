//! One connected account with work: prepares its deliveries ahead, sends them in order, keeps its tokens.
//!
//! ```text
//!  Wake ─▶ load ─▶ plan the line ─┬─▶ prepare (tasks) ─▶ Prepared ─┐
//!                                 ├─▶ job: store · ARM · send ─▶ Done ─┤─▶ plan again
//!                                 ├─▶ look at the network ─▶ Looked ───┤
//!                                 └─▶ sleep until the next moment ─────┘
//! ```
//! **Invariants.** One job at a time. Nothing is sent before the lease was taken and the tokens were read. What is in
//! memory is at most a window of the line; the rest stays in the database.

use std::{collections::HashMap, sync::Arc};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{sync::oneshot, task::AbortHandle};
use uuid::Uuid;

use super::{
    accounts, jitter,
    line::{Item, Line},
    prepare::Preparation,
    run,
    send::Done,
    session::{Opened, Refreshed},
};
use crate::{
    deps::Parts,
    domain::{outcome::Found, state::State as Stage},
    error::Error,
    holds::Calls,
    networks::{HandleMap, Session},
    store::{Change, Stored},
};

mod tokens;
mod work;

/// Whom to answer with tokens.
type Answer = oneshot::Sender<Result<Arc<Session>, Error>>;

/// While others wait for room, an account whose next moment is further away than this leaves, milliseconds.
const REST: i64 = 1_000;

/// Pause before the account is taken up again after a failure, milliseconds.
const AGAIN: i64 = 1_000;

/// The actor.
pub(super) struct Account;

/// What it is started with.
pub(super) struct Arguments {
    pub(super) parts: Arc<Parts>,
    pub(super) account_id: Uuid,
    pub(super) supervisor: ActorRef<accounts::Msg>,
}

/// Messages.
pub(super) enum Msg {
    /// There may be new work.
    Wake,
    /// The account itself changed: read its tokens again.
    Changed,
    /// Answer with tokens that will do.
    Session { stale: Option<i64>, reply: Answer },
    /// Others wait for room: leave as soon as there is nothing to do for a while.
    Yield,
    /// Begin nothing new; end when nothing is under way.
    Drain,
    /// A moment has come.
    Timer,
    /// The lease and the tokens were asked for.
    Taken(Result<Taken, Error>),
    /// The line was read.
    Loaded(Result<Loaded, Error>),
    /// Reversible steps have ended.
    Prepared(Vec<Preparation>),
    /// A batch of them is through.
    PreparedAll,
    /// A job has ended.
    Done(Box<Done>),
    /// The network was read.
    Looked(Uuid, Found),
    /// New tokens were asked for.
    Refreshed(Result<Refreshed, Error>),
}

/// Who serves the account, with which tokens.
pub(super) struct Taken {
    fence: Option<i64>,
    opened: Opened,
}

/// A window of the line, with stored handles.
pub(super) struct Loaded {
    rows: Vec<Stored>,
    handles: HashMap<Uuid, HandleMap>,
    is_all: bool,
}

/// What it holds.
pub(super) struct State {
    parts: Arc<Parts>,
    account_id: Uuid,
    supervisor: ActorRef<accounts::Msg>,
    fence: Option<i64>,
    session: Option<Arc<Session>>,
    line: Line,
    pending: Vec<Change>,
    waiting: Vec<(Option<i64>, Answer)>,
    /// Messages from the supervisor so far, told when idle, so that none is lost when it ends.
    heard: u64,
    is_taking: bool,
    is_loading: bool,
    is_working: bool,
    is_refreshing: bool,
    is_draining: bool,
    /// Others wait for room.
    yields: bool,
    wants_refresh: bool,
    preparing: usize,
    /// The database may hold more of the line than memory does.
    may_have_more: bool,
    /// The database knows of a change in the line that memory does not: nothing is armed before the line is read again,
    /// or what comes later might overtake.
    is_behind: bool,
    /// The line is being read because of that.
    is_catching_up: bool,
    /// Nothing is armed before.
    paused_until: i64,
    /// Nothing that needs the network or the lease is begun before.
    again_at: i64,
    timer: Option<(i64, AbortHandle)>,
    /// How long the tokens lived that were refreshed last, milliseconds.
    token_life: Option<i64>,
    /// Tokens that still hold are not refreshed before.
    no_refresh_before: i64,
    /// The version of tokens that the network no longer takes.
    refused: Option<i64>,
}

impl Actor for Account {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        Ok(State {
            parts: arguments.parts,
            account_id: arguments.account_id,
            supervisor: arguments.supervisor,
            fence: None,
            session: None,
            line: Line::default(),
            pending: Vec::new(),
            waiting: Vec::new(),
            heard: 0,
            is_taking: false,
            is_loading: false,
            is_working: false,
            is_refreshing: false,
            is_draining: false,
            yields: false,
            wants_refresh: false,
            preparing: 0,
            may_have_more: true,
            is_behind: false,
            is_catching_up: false,
            paused_until: 0,
            again_at: 0,
            timer: None,
            token_life: None,
            no_refresh_before: 0,
            refused: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Wake => state.wake(),
            Msg::Changed => state.changed(),
            Msg::Session { stale, reply } => state.ask_session(stale, reply),
            Msg::Yield => state.asked_to_yield(),
            Msg::Drain => state.is_draining = true,
            Msg::Timer => state.timer = None,
            Msg::Taken(taken) => state.taken(&myself, taken),
            Msg::Loaded(loaded) => state.loaded(loaded),
            Msg::Prepared(done) => state.prepared(done),
            Msg::PreparedAll => state.preparing -= 1,
            Msg::Done(done) => state.done(*done),
            Msg::Looked(id, found) => state.looked(id, found),
            Msg::Refreshed(opened) => state.refreshed(&myself, opened),
        }
        state.advance(&myself);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some((_, timer)) = state.timer.take() {
            timer.abort();
        }
        Ok(())
    }
}

impl State {
    fn now(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    fn wake(&mut self) {
        self.heard += 1;
        self.may_have_more = true;
    }

    fn asked_to_yield(&mut self) {
        self.heard += 1;
        self.yields = true;
    }

    /// Begins whatever can begin. Called after every message.
    fn advance(&mut self, myself: &ActorRef<Msg>) {
        self.is_draining |= self.parts.lifecycle.is_stopping();
        let now = self.now();
        if self.is_draining {
            self.store(myself);
            if !self.is_working && self.pending.is_empty() {
                self.refuse_waiting(|| Error::Stopping);
                myself.stop(None);
            }
            return;
        }
        if now < self.again_at {
            self.store(myself);
            if self.yields && self.has_nothing_under_way() {
                self.leave(myself);
            }
            self.sleep_until(myself, Some(self.again_at));
            return;
        }
        if !self.parts.clock.is_steady() {
            // Nothing is due, and nothing too late, by a clock that leapt.
            self.store(myself);
            self.sleep_until(myself, Some(now + AGAIN));
            return;
        }
        if self.fence.is_none() || self.session.is_none() {
            self.store(myself);
            self.take_up(myself);
            return;
        }
        self.answer_waiting();
        if self.wants_refresh || self.session.as_ref().is_some_and(|session| self.is_about_to_end(session)) {
            self.refresh(myself);
        }
        self.load(myself);
        let policy = self.parts.policy;
        let todo = self.line.plan(&policy, now, jitter);
        if todo.reread {
            self.is_behind = true;
            self.load(myself);
        }
        self.pending.extend(todo.store);
        for id in todo.look {
            self.look(myself, id);
        }
        self.prepare(myself, &todo.prepare);
        let is_up_to_date = !(self.is_behind || self.is_catching_up);
        let next = if now >= self.paused_until && is_up_to_date { todo.send } else { None };
        self.work(myself, next);
        let mut wake_at = todo.wake_at;
        let held = self.parts.holds.until(self.account_id, Calls::Uploads, now);
        for at in held.into_iter().chain((now < self.paused_until).then_some(self.paused_until)) {
            wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
        }
        self.rest(myself, wake_at);
    }

    /// Reads the next window when memory runs low or something was said to be new.
    fn load(&mut self, myself: &ActorRef<Msg>) {
        let window = self.parts.config.window;
        let runs_low = self.may_have_more && self.line.len() <= window / 2;
        if self.is_loading || !(runs_low || self.is_behind) {
            return;
        }
        self.is_loading = true;
        self.may_have_more = false;
        self.is_catching_up = std::mem::take(&mut self.is_behind);
        let (parts, account_id) = (self.parts.clone(), self.account_id);
        let until = self.now() + parts.policy.prep_lead;
        let lifecycle = parts.lifecycle.clone();
        run(&lifecycle, myself, async move {
            let loaded = async {
                let limit = i64::try_from(window).unwrap_or(i64::MAX);
                let rows = parts.store.line(account_id, until, limit).await?;
                let touched: Vec<_> =
                    rows.iter().filter(|row| row.state != Stage::HandedOver.as_str()).collect();
                let handles = parts.vault.handles(&touched).await?;
                Ok(Loaded { is_all: rows.len() < window, rows, handles })
            };
            Msg::Loaded(loaded.await)
        });
    }

    fn loaded(&mut self, loaded: Result<Loaded, Error>) {
        self.is_loading = false;
        let is_catching_up = std::mem::take(&mut self.is_catching_up);
        match loaded {
            Ok(mut loaded) => {
                self.may_have_more |= !loaded.is_all;
                self.line.forget_gone(&loaded.rows, loaded.is_all);
                for row in loaded.rows {
                    let handles = loaded.handles.remove(&row.target_id).unwrap_or_default();
                    match self.item(row, handles) {
                        Ok(item) => self.line.insert(item),
                        Err(error) => {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "a delivery cannot be read"
                            );
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, account.id = %self.account_id, "a line could not be read");
                self.may_have_more = true;
                self.is_behind |= is_catching_up;
                self.again_at = self.now() + AGAIN;
            }
        }
    }

    fn item(&self, mut stored: Stored, handles: HandleMap) -> Result<Item, Error> {
        let network = self.parts.network(&stored.network)?;
        let (class, carries) = (network.facts().class, network.carries());
        let work = Arc::new(stored.work(&self.parts.keys)?);
        stored.content = String::new(); // the work holds it
        let decision = stored.decision()?;
        Ok(Item { handles, carries, ..Item::new(stored, decision, work, class) })
    }

    /// Sleeps until the next moment, or tells the supervisor that there is nothing to do.
    fn rest(&mut self, myself: &ActorRef<Msg>, wake_at: Option<i64>) {
        // What memory does not hold, or forgets, the database knows.
        let is_free =
            self.has_nothing_under_way() && !self.is_behind && (!self.may_have_more || self.line.len() > 0);
        let is_idle = is_free && self.line.len() == 0;
        if is_free && self.yields && (is_idle || wake_at.is_none_or(|at| at > self.now() + REST)) {
            self.leave(myself);
        }
        if !is_idle {
            self.sleep_until(myself, wake_at);
            return;
        }
        let idle =
            accounts::Msg::Idle { account_id: self.account_id, heard: self.heard, actor: myself.get_id() };
        self.supervisor.send_after(std::time::Duration::from_millis(self.parts.config.idle_ms), move || idle);
    }

    fn has_nothing_under_way(&self) -> bool {
        !(self.is_taking || self.is_loading || self.is_working || self.is_refreshing)
            && self.pending.is_empty()
            && self.waiting.is_empty()
            && self.preparing == 0
            && self.line.is_idle()
    }

    /// Tells the supervisor that this actor can end now; the sweeper brings it back when its next moment comes.
    fn leave(&self, myself: &ActorRef<Msg>) {
        let idle =
            accounts::Msg::Idle { account_id: self.account_id, heard: self.heard, actor: myself.get_id() };
        let _ = self.supervisor.cast(idle);
    }

    /// Sets the one timer.
    fn sleep_until(&mut self, myself: &ActorRef<Msg>, wake_at: Option<i64>) {
        let Some(at) = wake_at else { return };
        if let Some((set_for, timer)) = &self.timer {
            if *set_for == at && !timer.is_finished() {
                return;
            }
            timer.abort();
        }
        let wait = u64::try_from(at - self.now()).unwrap_or(0);
        let timer = myself.send_after(std::time::Duration::from_millis(wait), || Msg::Timer);
        self.timer = Some((at, timer.abort_handle()));
    }
}
