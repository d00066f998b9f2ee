//! Whose turn it is: a batch is shared between the tenants that have something due, so that ten thousand targets of one
//! do not delay the one target of another.

use postmesh_kit::read;
use serde::Serialize;
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// What a tenant may have of a batch, as the claim takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Turn {
    workspace: String,
    /// Targets at most.
    pub(super) most: i64,
}

/// The tenants with something due and how much, the longest waiting first; read from an index alone, and only from its
/// part that is due.
macro_rules! due {
    ($index:literal) => {
        concat!(
            "select workspace_id, count(*) from targets ",
            $index,
            " where wake_at <= $1 group by workspace_id order by min(wake_at), workspace_id"
        )
    };
}
const DUE_SQLITE: &str = due!("indexed by targets_by_wake_and_workspace");
const DUE_POSTGRES: &str = due!("");

impl Store {
    /// Shares a batch between the tenants that have something due, without those that rest.
    pub(super) async fn turns(&self, now: i64, batch: usize, resting: &[Uuid]) -> Result<Vec<Turn>, Error> {
        let statement = self.dialect(DUE_SQLITE, DUE_POSTGRES);
        let due: Result<Vec<(Uuid, i64)>, sqlx::Error> =
            read!(self.db, c => sqlx::query_as(statement).bind(now).fetch_all(&mut *c).await);
        let mut due = due?;
        due.retain(|(workspace_id, _)| !resting.contains(workspace_id));
        Ok(share(&due, batch as i64))
    }
}

/// Everybody gets the same, and what some leave is shared by the others. When not even one is left for each, those
/// who waited longest come first.
fn share(due: &[(Uuid, i64)], batch: i64) -> Vec<Turn> {
    let mut left = batch;
    let mut waiting: Vec<_> = due.to_vec();
    // The modest first: what they leave is known before the others are asked. Stable, so the order of waiting holds.
    waiting.truncate(batch.max(0) as usize);
    waiting.sort_by_key(|(_, count)| *count);
    let mut tenants = waiting.len() as i64;
    let mut turns = Vec::with_capacity(waiting.len());
    for (workspace_id, count) in waiting {
        let fair = (left + tenants - 1) / tenants;
        let most = count.min(fair).min(left);
        left -= most;
        tenants -= 1;
        if most > 0 {
            turns.push(Turn { workspace: workspace_id.simple().to_string(), most });
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(counts: &[i64], batch: i64) -> Vec<i64> {
        let due: Vec<_> =
            counts.iter().enumerate().map(|(at, count)| (Uuid::from_u128(at as u128), *count)).collect();
        let turns = share(&due, batch);
        due.iter()
            .map(|(id, _)| {
                turns
                    .iter()
                    .find(|turn| turn.workspace == id.simple().to_string())
                    .map_or(0, |turn| turn.most)
            })
            .collect()
    }

    #[test]
    fn shares_evenly_and_gives_what_is_left_to_those_who_have_more() {
        assert_eq!(shared(&[5000], 500), [500]);
        assert_eq!(shared(&[5000, 1], 500), [499, 1]);
        assert_eq!(shared(&[5000, 5000, 10], 500), [245, 245, 10]);
        assert_eq!(shared(&[3, 4], 500), [3, 4]);
        assert_eq!(shared(&[9, 9, 9], 2), [1, 1, 0], "those who waited longest");
        assert_eq!(shared(&[], 500), [0; 0]);
        for counts in [vec![7, 1, 300, 20], vec![1; 40], vec![100, 100, 100]] {
            let total: i64 = counts.iter().sum();
            for batch in [1, 3, 50, 299, 1000] {
                assert_eq!(shared(&counts, batch).iter().sum::<i64>(), total.min(batch), "nothing is wasted");
            }
        }
    }
}
