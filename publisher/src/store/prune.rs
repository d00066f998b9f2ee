//! What nobody needs any more is deleted: events, attempts and handles of deliveries that ended long ago. The deliveries
//! themselves stay: a target that comes again must be known.

use postmesh_kit::write;

use super::{Store, either};
use crate::error::Error;

/// The states in which nothing changes any more.
macro_rules! is_final {
    () => {
        "d.state in ('published', 'in_inbox', 'failed', 'cancelled', 'missed', 'dropped')"
    };
}

impl Store {
    /// Deletes at most `limit` events, attempts and handles each that are older than `before` and belong to final
    /// deliveries; answers how many of the kind of which there were most.
    pub(crate) async fn prune(&self, before: i64, limit: i64) -> Result<u64, Error> {
        let sqlite = self.db.is_sqlite();
        write!(self.db, tx => {
            let events = sqlx::query(either!(sqlite,
                concat!("delete from events where sequence in (
                    select e.sequence from events e join deliveries d on d.target_id = e.target_id
                     where e.happened_at < $1 and ", is_final!(), " order by e.happened_at limit $2)"),
                concat!("delete from events where id in (
                    select e.id from events e join deliveries d on d.target_id = e.target_id
                     where e.happened_at < $1 and (e.sequence is not null or not e.reports) and ", is_final!(), "
                     order by e.happened_at limit $2)")))
                .bind(before).bind(limit).execute(&mut *tx).await?.rows_affected();
            let attempts = sqlx::query(concat!("delete from publish_attempts where (target_id, n) in (
                    select a.target_id, a.n from publish_attempts a join deliveries d on d.target_id = a.target_id
                     where a.closed_at is not null and a.closed_at < $1 and ", is_final!(), "
                     order by a.closed_at limit $2)"))
                .bind(before).bind(limit).execute(&mut *tx).await?.rows_affected();
            let handles = sqlx::query(concat!("delete from handles where (target_id, revision, step) in (
                    select h.target_id, h.revision, h.step from handles h join deliveries d on d.target_id = h.target_id
                     where h.created_at < $1 and ", is_final!(), " order by h.created_at limit $2)"))
                .bind(before).bind(limit).execute(&mut *tx).await?.rows_affected();
            Ok::<_, Error>(events.max(attempts).max(handles))
        })
    }
}
