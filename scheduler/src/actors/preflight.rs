//! Looks ahead: asks the publisher whether the accounts of what is due soon could publish, and warns on the targets whose
//! account could not, while there is time to connect it again. A later check takes the warning back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use uuid::Uuid;

use super::{Room, beside};
use crate::{domain::Problem, error::Error, metrics, neighbours, store::DueCheck};

/// Targets of one transaction at most.
const BATCH: usize = 500;
/// A check that did not come to its end is taken up again after this long.
const LEASE_MS: i64 = 60_000;
/// A target that is handed over within this time is not checked any more.
const IMMINENT_MS: i64 = 60_000;

pub(super) struct Preflight;

pub(super) enum Msg {
    /// The period is over.
    Tick,
    /// The look has ended; false when it died.
    Looked(bool),
}

pub(super) struct State {
    room: Room,
}

impl Actor for Preflight {
    type Msg = Msg;
    type State = State;
    type Arguments = Room;

    async fn pre_start(&self, myself: ActorRef<Msg>, room: Room) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Tick)?;
        Ok(State { room })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Tick => {
                let room = state.room.clone();
                beside(&state.room.deps.lifecycle, &myself, Msg::Looked(false), async move {
                    if let Err(error) = look_ahead(&room).await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a look ahead did not finish"
                        );
                    }
                    Msg::Looked(true)
                });
            }
            Msg::Looked(false) => return Err("a look ahead died".into()),
            Msg::Looked(true) => {
                myself.send_after(state.room.config.scan_period(), || Msg::Tick);
            }
        }
        Ok(())
    }
}

/// What is known of an account in this look.
type Known = HashMap<(Uuid, Uuid), Option<Problem>>;

async fn look_ahead(room: &Room) -> Result<(), Error> {
    let ahead = room.config.preflight_ms;
    if ahead == 0 {
        return Ok(());
    }
    // Each account is asked about once in a look, however many targets it has.
    let mut known = Known::new();
    loop {
        let now = room.now();
        // What is handed over in a moment is the publisher's to look after, and a burst is not held up.
        let span = now + room.config.prep_lead_ms + IMMINENT_MS..=now + ahead;
        let due = room.store.take_checks(now, span, now + LEASE_MS, BATCH).await?;
        let taken = due.len();
        let again_at = now + room.config.preflight_recheck_ms;
        let checks = check(room, due, again_at + ahead, &mut known).await?;
        if !checks.is_empty() {
            let warned = room.store.store_checks(checks, room.now(), again_at).await?;
            ::metrics::counter!(metrics::PREFLIGHT_WARNINGS).increment(warned.warnings as u64);
            room.feed.wake(warned.workspaces);
        }
        if taken < BATCH || room.stopping() {
            return Ok(());
        }
    }
}

/// Asks about the accounts of these targets, a workspace at a time. A workspace the publisher fails on is left out.
async fn check(
    room: &Room,
    due: Vec<DueCheck>,
    until: i64,
    known: &mut Known,
) -> Result<Vec<(DueCheck, Option<Problem>)>, Error> {
    let mut unknown = BTreeMap::<Uuid, BTreeSet<Uuid>>::new();
    for check in due.iter().filter(|check| !known.contains_key(&(check.workspace_id, check.account_id))) {
        unknown.entry(check.workspace_id).or_default().insert(check.account_id);
    }
    let mut client = room.deps.publisher.clone();
    for (workspace_id, accounts) in unknown {
        let accounts: Vec<_> = accounts.into_iter().collect();
        match neighbours::check_accounts(&mut client, workspace_id, &accounts, until).await {
            Ok(problems) => {
                let found = accounts.into_iter().zip(problems);
                known.extend(found.map(|(account_id, problem)| ((workspace_id, account_id), problem)));
            }
            Err(error @ Error::Neighbour { .. }) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    workspace.id = %workspace_id,
                    "the publisher cannot check accounts"
                );
            }
            Err(error) => return Err(error),
        }
    }
    let found = |check: DueCheck| {
        known.get(&(check.workspace_id, check.account_id)).map(|problem| (check, problem.clone()))
    };
    Ok(due.into_iter().filter_map(found).collect())
}
