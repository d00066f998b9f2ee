//! Parts of a thread that the request of the first part takes along.
//!
//! **Invariants.** A rider is in doubt from the commit that armed the first part, at the very revision the request holds,
//! or nothing was armed. It leaves the doubt by a fact of its own, or in the transaction that stores that the request it
//! rode on was not executed; `rides_on` names that one attempt, and an attempt of its own takes the name away.

use uuid::Uuid;

use super::id_list;

/// A part to take along, at the revision that is in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rider {
    pub(crate) target_id: Uuid,
    pub(crate) revision: i64,
}

/// Their ids as one bind value.
pub(super) fn ids(riders: &[Rider]) -> String {
    id_list(riders.iter().map(|rider| &rider.target_id))
}

/// Whether the parts that were found are the ones that are in the request.
pub(super) fn are_all(riders: &[Rider], found: &[(Uuid, i64)]) -> bool {
    riders.len() == found.len()
        && riders.iter().all(|rider| found.contains(&(rider.target_id, rider.revision)))
}

/// The parts that may still be taken along with the first part `$2`, locked until the commit, with their revisions.
pub(super) const FREE_SQLITE: &str = "
select target_id, revision
  from deliveries
 where target_id in (select unhex(value) from json_each($1))
   and thread_id = $2 and account_id = $3 and workspace_id = $4 and state = 'prepared' and attempt_n = 0
   and not is_open and doubt_since is null and due_at <= $5 and late_at > $5
   and (previous_id = $2 or previous_id in (select unhex(value) from json_each($1)))";
/// The same. Locked in the order in which every statement over several deliveries locks them, the first part among
/// them.
pub(super) const FREE_POSTGRES: &str = "
select target_id, revision
  from (select * from deliveries
         where target_id = $2 or target_id in (select value::uuid from json_array_elements_text($1::json) as value)
         order by target_id
           for update) as locked
 where target_id <> $2
   and thread_id = $2 and account_id = $3 and workspace_id = $4 and state = 'prepared' and attempt_n = 0
   and not is_open and doubt_since is null and due_at <= $5 and late_at > $5
   and (previous_id = $2
        or previous_id in (select value::uuid from json_array_elements_text($1::json) as value))";

/// Takes them along: the same step as `Event::Carried`.
pub(super) const CARRY_SQLITE: &str = "
update deliveries
   set state = 'unknown', rides_on = $2, doubt_since = $3, first_armed_at = $3, quiet_at = $4, next_at = $4, tries = 0,
       absent_reads = 0, absent_since = null, problem_code = null, problem_message = null, updated_at = $3
 where target_id in (select unhex(value) from json_each($1))";
/// The same.
pub(super) const CARRY_POSTGRES: &str = "
update deliveries
   set state = 'unknown', rides_on = $2, doubt_since = $3, first_armed_at = $3, quiet_at = $4, next_at = $4, tries = 0,
       absent_reads = 0, absent_since = null, problem_code = null, problem_message = null, updated_at = $3
 where target_id in (select value::uuid from json_array_elements_text($1::json) as value)";

/// Puts back what rode on the attempt with this nonce, which was certainly not executed: the same step as
/// `Event::PutBack`.
macro_rules! put_back {
    ($tx:ident, $sqlite:expr, $replica:expr, $nonce:expr) => {{
        let back: Vec<uuid::Uuid> = sqlx::query_scalar($crate::store::timed!(
            $sqlite,
            "update deliveries
                set state = 'prepared', rides_on = null, doubt_since = null, first_armed_at = null, quiet_at = null,
                    refusal_code = null, refusal_message = null,
                    next_at = case when late_at < ",
            " then late_at else ",
            " end, updated_at = ",
            "
              where rides_on = $1 and state = 'unknown' and not is_open
          returning target_id"
        ))
        .bind($nonce)
        .fetch_all(&mut *$tx)
        .await?;
        if !back.is_empty() {
            let ids = $crate::store::id_list(&back);
            $crate::store::events::note_all!($tx, $sqlite, ids, $replica.clone())?;
        }
    }};
}
pub(super) use put_back;
