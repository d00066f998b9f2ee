//! Which tenants the lanes carry, so that none takes all of them: a tenant with work in every lane but one rests until
//! one of those is delivered, and whoever comes next finds a free lane however long the others take.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::Room;
use crate::{error::Error, store::Claimed};

/// How many lanes carry each tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    /// Claims of this process follow one another, so that each knows what the others carry.
    claiming: Arc<tokio::sync::Mutex<()>>,
    carried: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// The tenants of one batch; dropping it frees their lane.
pub(super) struct Load {
    tenants: HashSet<Uuid>,
    carried: Arc<Mutex<HashMap<Uuid, usize>>>,
}

impl Turns {
    /// Claims a batch for one lane.
    pub(super) async fn claim(&self, room: &Room) -> Result<(Claimed, Load), Error> {
        let _alone = self.claiming.lock().await;
        let resting = self.resting(room.config.lanes);
        let now = room.now();
        let claimed = room
            .store
            .claim_due(
                now,
                now + room.config.offer_lease_ms,
                now - room.config.max_lateness_ms,
                room.config.batch,
                &resting,
            )
            .await?;
        let tenants: HashSet<_> = claimed.offers.iter().map(|offer| offer.workspace_id).collect();
        Ok((claimed, self.load(tenants)))
    }

    /// The tenants that have their share of the lanes.
    fn resting(&self, lanes: usize) -> Vec<Uuid> {
        let most = lanes.saturating_sub(1).max(1);
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.iter().filter(|(_, lanes)| **lanes >= most).map(|(tenant, _)| *tenant).collect()
    }

    fn load(&self, tenants: HashSet<Uuid>) -> Load {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in &tenants {
            *carried.entry(*tenant).or_default() += 1;
        }
        drop(carried);
        Load { tenants, carried: self.carried.clone() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in &self.tenants {
            if let Some(lanes) = carried.get_mut(tenant) {
                *lanes -= 1;
                if *lanes == 0 {
                    carried.remove(tenant);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_rests_while_it_has_all_lanes_but_one() {
        let turns = Turns::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = turns.load(HashSet::from([one]));
        assert!(turns.resting(3).is_empty());
        assert_eq!(turns.resting(1), [one], "the only lane is taken anyway");
        let second = turns.load(HashSet::from([one, other]));
        assert_eq!(turns.resting(3), [one]);
        assert!(turns.resting(4).is_empty());
        drop(first);
        assert!(turns.resting(3).is_empty());
        drop(second);
        assert!(turns.carried.lock().unwrap().is_empty());
    }
}
