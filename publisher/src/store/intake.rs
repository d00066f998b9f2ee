//! Deliveries come in and are recalled, in batches of one transaction each.
//!
//! **Invariant:** a recalled revision is never accepted, whichever of the two arrives first. On PostgreSQL both sides
//! take the same advisory lock per target; SQLite has one writer. Nor is anything taken in beside the beginning of an
//! epoch: one of the two waits for the other, so what was due in the doubtful time is in doubt whichever came first.

use postmesh_kit::{
    faults::{self, Bug},
    write,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Store, either, events::Step, id_list, timed};
use crate::{
    domain::{
        content::Content,
        policy::Policy,
        state::State,
        step::{self, Problem},
    },
    error::Error,
};

/// One delivery to take over, with its plan decided.
#[derive(Debug, Clone)]
pub(crate) struct Delivering {
    pub(crate) target_id: Uuid,
    pub(crate) post_id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) network: String,
    pub(crate) revision: i64,
    pub(crate) due_at: i64,
    pub(crate) max_late: i64,
    pub(crate) content: Content,
    pub(crate) plan: serde_json::Value,
    /// Its place in a thread.
    pub(crate) thread: Option<Place>,
}

/// A place in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) root_id: Uuid,
    /// `None` for the first part.
    pub(crate) previous_id: Option<Uuid>,
    pub(crate) position: i64,
}

/// What became of a delivery that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is ours.
    Accepted,
    /// A newer revision, or a recall of this one, is here.
    Superseded,
    /// It cannot be taken.
    Refused(Problem),
}

/// What became of a recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recalled {
    /// It can never be sent at this revision.
    pub(crate) holds: bool,
    /// Where the target is now; `None` when it is not known here.
    pub(crate) state: Option<State>,
    /// The account whose line changed.
    pub(crate) account_id: Option<Uuid>,
}

type Known = (Uuid, Uuid, i64, String, Uuid);

const LOCK_TARGETS: &str = concat!(
    "select pg_advisory_xact_lock_shared(",
    super::marks::epoch_lock!(),
    "),
           (select count(pg_advisory_xact_lock(hashtextextended(value, 0)))
              from (select value from json_array_elements_text($1::json) as value order by value) as targets)"
);

const KNOWN_SQLITE: &str = "
select target_id, workspace_id, revision, state, account_id
  from deliveries
 where target_id in (select unhex(value) from json_each($1))";
const KNOWN_POSTGRES: &str = "
select target_id, workspace_id, revision, state, account_id
  from deliveries
 where target_id in (select value::uuid from json_array_elements_text($1::json) as value)
 order by target_id
   for update";

const RECALLS_SQLITE: &str = "
select target_id, workspace_id, revision
  from recalls
 where target_id in (select unhex(value) from json_each($1))";
const RECALLS_POSTGRES: &str = "
select target_id, workspace_id, revision
  from recalls
 where target_id in (select value::uuid from json_array_elements_text($1::json) as value)";

macro_rules! upsert_deliveries {
    ($select:literal) => {
        concat!(
            "insert into deliveries (target_id, post_id, workspace_id, account_id, network, revision, content,
                 content_sha256, plan, due_at, late_at, state, next_at, thread_id, previous_id, position,
                 updated_at) ",
            $select,
            " on conflict (target_id) do update set
                 post_id = excluded.post_id, workspace_id = excluded.workspace_id, account_id = excluded.account_id,
                 network = excluded.network, revision = excluded.revision, content = excluded.content,
                 content_sha256 = excluded.content_sha256, plan = excluded.plan, due_at = excluded.due_at,
                 late_at = excluded.late_at, state = excluded.state, next_at = excluded.next_at,
                 thread_id = excluded.thread_id, previous_id = excluded.previous_id, position = excluded.position,
                 updated_at = excluded.updated_at, tries = 0, first_armed_at = null, send_deadline = null,
                 is_open = false, doubt_since = null, quiet_at = null, absent_reads = 0, absent_since = null,
                 refusal_code = null, refusal_message = null, processing_handle = null, native_id = null, url = null,
                 rides_on = null, evidence = null, problem_code = null, problem_message = null"
        )
    };
}

const UPSERT_SQLITE: &str = upsert_deliveries!(
    "select unhex(value ->> 'target_id'), unhex(value ->> 'post_id'), unhex(value ->> 'workspace_id'),
            unhex(value ->> 'account_id'), value ->> 'network', value ->> 'revision', value ->> 'content',
            unhex(value ->> 'content_sha256'), value ->> 'plan', value ->> 'due_at', value ->> 'late_at',
            'handed_over', value ->> 'next_at', unhex(value ->> 'thread_id'), unhex(value ->> 'previous_id'),
            value ->> 'position', cast(unixepoch('subsec') * 1000 as integer)
       from json_each($1)
      where true"
);
const UPSERT_POSTGRES: &str = upsert_deliveries!(
    "select d.target_id, d.post_id, d.workspace_id, d.account_id, d.network, d.revision, d.content,
            decode(d.content_sha256, 'hex'), d.plan, d.due_at, d.late_at, 'handed_over', d.next_at, d.thread_id,
            d.previous_id, d.position, (extract(epoch from clock_timestamp()) * 1000)::bigint
       from json_to_recordset($1::json) as d (target_id uuid, post_id uuid, workspace_id uuid, account_id uuid,
            network text, revision bigint, content text, content_sha256 text, plan text, due_at bigint,
            late_at bigint, next_at bigint, thread_id uuid, previous_id uuid, position bigint)"
);

impl Store {
    /// Takes deliveries over; answers one by one, in their order. Repeating it changes nothing.
    pub(crate) async fn deliver(&self, batch: Vec<Delivering>, policy: &Policy) -> Result<Vec<Taken>, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let policy = *policy;
        let ids = id_list(batch.iter().map(|delivery| &delivery.target_id));
        let due: Vec<i64> = batch.iter().map(|delivery| delivery.due_at).collect();
        faults::at("outbox.insert.before").await?;
        let taken = write!(self.db, tx => {
            if !sqlite {
                sqlx::query(LOCK_TARGETS).bind(ids.clone()).execute(&mut *tx).await?;
            }
            let known: Vec<Known> =
                sqlx::query_as(either!(sqlite, KNOWN_SQLITE, KNOWN_POSTGRES)).bind(ids.clone()).fetch_all(&mut *tx).await?;
            let recalls: Vec<(Uuid, Uuid, i64)> =
                sqlx::query_as(either!(sqlite, RECALLS_SQLITE, RECALLS_POSTGRES)).bind(ids).fetch_all(&mut *tx).await?;
            let mut taken = Vec::with_capacity(batch.len());
            let mut rows: Vec<(Uuid, i64, serde_json::Value)> = Vec::new();
            for delivery in &batch {
                let verdict = judge(delivery, &known, &recalls, &rows);
                let (verdict, is_new) = verdict?;
                if is_new {
                    rows.retain(|(target_id, ..)| *target_id != delivery.target_id);
                    rows.push((delivery.target_id, delivery.revision, row(delivery, &policy)));
                }
                taken.push(verdict);
            }
            if !rows.is_empty() {
                let ids = id_list(rows.iter().map(|(target_id, ..)| target_id));
                let rows = serde_json::Value::Array(rows.into_iter().map(|(.., row)| row).collect()).to_string();
                sqlx::query(either!(sqlite, UPSERT_SQLITE, UPSERT_POSTGRES)).bind(rows).execute(&mut *tx).await?;
                super::events::note_all!(tx, sqlite, ids, replica.clone())?;
                if let Some(until) = super::marks::doubted_until!(tx) && due.iter().any(|due_at| *due_at <= until) {
                    super::marks::doubt!(tx, sqlite, replica, policy, until);
                }
            }
            Ok::<_, Error>(taken)
        })?;
        faults::at("outbox.insert.after").await?;
        Ok(taken)
    }

    /// Takes targets of a workspace back; answers one by one, in their order.
    pub(crate) async fn recall(
        &self,
        workspace_id: Uuid,
        items: Vec<(Uuid, i64)>,
    ) -> Result<Vec<Recalled>, Error> {
        let (sqlite, replica) = (self.db.is_sqlite(), self.replica.to_string());
        let ids = id_list(items.iter().map(|(target_id, _)| target_id));
        faults::at("recall.cas.before").await?;
        let answers = write!(self.db, tx => {
            if !sqlite {
                sqlx::query(LOCK_TARGETS).bind(ids.clone()).execute(&mut *tx).await?;
            }
            let known: Vec<Known> =
                sqlx::query_as(either!(sqlite, KNOWN_SQLITE, KNOWN_POSTGRES)).bind(ids).fetch_all(&mut *tx).await?;
            let mut answers = Vec::with_capacity(items.len());
            for (target_id, revision) in items {
                let row = known.iter().find(|row| row.0 == target_id);
                let answer = match row {
                    None => Recalled { holds: true, state: None, account_id: None },
                    Some(row) if row.1 != workspace_id => {
                        answers.push(Recalled { holds: false, state: None, account_id: None });
                        continue;
                    }
                    Some((_, _, known_revision, state, account_id)) => {
                        let state = State::parse(state).ok_or_else(|| Error::corrupt("state of a delivery", state))?;
                        let account_id = Some(*account_id);
                        if *known_revision > revision {
                            Recalled { holds: true, state: Some(state), account_id }
                        } else if state.is_unsent() || faults::bug(Bug::CancelWithoutCas) {
                            sqlx::query(timed!(sqlite,
                                "update deliveries
                                    set state = 'cancelled', next_at = null, updated_at = ", "
                                  where target_id = $1"))
                                .bind(target_id).execute(&mut *tx).await?;
                            super::events::insert!(tx, sqlite, target_id, Step::moved(&replica))?;
                            Recalled { holds: true, state: Some(State::Cancelled), account_id }
                        } else {
                            Recalled { holds: state == State::Cancelled, state: Some(state), account_id }
                        }
                    }
                };
                if answer.holds {
                    sqlx::query(timed!(sqlite,
                        "insert into recalls (target_id, workspace_id, revision, recalled_at)
                         values ($1, $2, $3, ", ")
                             on conflict (target_id, workspace_id) do update
                            set revision = excluded.revision, recalled_at = excluded.recalled_at
                          where recalls.revision < excluded.revision"))
                        .bind(target_id).bind(workspace_id).bind(revision).execute(&mut *tx).await?;
                }
                answers.push(answer);
            }
            Ok::<_, Error>(answers)
        })?;
        faults::at("recall.cas.after").await?;
        Ok(answers)
    }
}

/// Whether to take a delivery, and whether it has to be written.
fn judge(
    delivery: &Delivering,
    known: &[Known],
    recalls: &[(Uuid, Uuid, i64)],
    earlier: &[(Uuid, i64, serde_json::Value)],
) -> Result<(Taken, bool), Error> {
    let holds = recalls.iter().any(|(target_id, workspace_id, revision)| {
        *target_id == delivery.target_id
            && *workspace_id == delivery.workspace_id
            && *revision >= delivery.revision
    });
    if holds {
        return Ok((Taken::Superseded, false));
    }
    if let Some((_, revision, _)) = earlier.iter().find(|(target_id, ..)| *target_id == delivery.target_id) {
        return Ok(match revision.cmp(&delivery.revision) {
            std::cmp::Ordering::Less => (Taken::Accepted, true),
            std::cmp::Ordering::Equal => (Taken::Accepted, false),
            std::cmp::Ordering::Greater => (Taken::Superseded, false),
        });
    }
    let Some((_, workspace_id, revision, state, _)) = known.iter().find(|row| row.0 == delivery.target_id)
    else {
        return Ok((Taken::Accepted, true));
    };
    let state = State::parse(state).ok_or_else(|| Error::corrupt("state of a delivery", state))?;
    if *workspace_id != delivery.workspace_id {
        let problem = Problem::new("TARGET_TAKEN", "Another workspace has a target with this id.");
        return Ok((Taken::Refused(problem), false));
    }
    Ok(match revision.cmp(&delivery.revision) {
        std::cmp::Ordering::Greater => (Taken::Superseded, false),
        std::cmp::Ordering::Equal if state == State::Cancelled => (Taken::Superseded, false),
        std::cmp::Ordering::Equal => (Taken::Accepted, false),
        std::cmp::Ordering::Less if state.gives_way() => (Taken::Accepted, true),
        std::cmp::Ordering::Less => {
            let message = "An earlier revision is already being sent or may be visible.";
            (Taken::Refused(Problem::new("ALREADY_BEING_SENT", message)), false)
        }
    })
}

fn row(delivery: &Delivering, policy: &Policy) -> serde_json::Value {
    let fresh = step::Delivery::new(delivery.due_at, delivery.max_late, policy);
    let content = serde_json::to_string(&delivery.content).expect("plain values make JSON");
    json!({
        "target_id": delivery.target_id.simple().to_string(),
        "post_id": delivery.post_id.simple().to_string(),
        "workspace_id": delivery.workspace_id.simple().to_string(),
        "account_id": delivery.account_id.simple().to_string(),
        "network": delivery.network,
        "revision": delivery.revision,
        "content_sha256": data_encoding::HEXLOWER.encode(&Sha256::digest(content.as_bytes())),
        "content": content,
        "plan": delivery.plan.to_string(),
        "due_at": fresh.due_at,
        "late_at": fresh.late_at,
        "next_at": fresh.next_at,
        "thread_id": delivery.thread.map_or(delivery.target_id, |place| place.root_id).simple().to_string(),
        "previous_id": delivery.thread.and_then(|place| place.previous_id).map(|id| id.simple().to_string()),
        "position": delivery.thread.map_or(0, |place| place.position),
    })
}
