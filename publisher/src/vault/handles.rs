//! What adapters keep of a delivery until it is sent, sealed: some of it is a right in itself, such as the address of an
//! upload session, and who reads the database, or a copy of it, must not have it.
//!
//! **Invariant:** a handle opens only for the account, delivery, revision and step it was sealed for. One that does not
//! open tells nothing, as if it were lost: its step is done again, and a lost answer is left to a person.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use postmesh_kit::keys::KeyRing;
use serde_json::Value;
use uuid::Uuid;

use super::Vault;
use crate::{
    domain::delivery::Work,
    error::Error,
    networks::HandleMap,
    store::{Replaces, Stored},
};

impl Vault {
    /// The handles of these deliveries, by target, of the revisions that the rows have.
    pub(crate) async fn handles(&self, rows: &[&Stored]) -> Result<HashMap<Uuid, HandleMap>, Error> {
        let mut found: HashMap<Uuid, HandleMap> = HashMap::new();
        if rows.is_empty() {
            return Ok(found);
        }
        let targets: Vec<Uuid> = rows.iter().map(|row| row.target_id).collect();
        for (target_id, revision, step, stored) in self.store.handles(&targets).await? {
            let is_this = |row: &&&Stored| row.target_id == target_id && row.revision == revision;
            let Some(row) = rows.iter().find(is_this) else { continue };
            let place = place(row.workspace_id, row.account_id, target_id, revision, &step);
            let Some(value) = open(&self.keys, &place, &stored) else {
                tracing::error!(target.id = %target_id, step, "what was prepared does not open");
                continue;
            };
            found.entry(target_id).or_default().insert(step, value);
        }
        Ok(found)
    }

    /// Keeps the handle of a step and answers the one that counts: the first, unless this one `replaces` it.
    pub(crate) async fn save_handle(
        &self,
        work: &Work,
        step: &str,
        value: &Value,
        replaces: bool,
    ) -> Result<Value, Error> {
        let Work { workspace_id, account_id, target_id, revision, .. } = *work;
        let place = place(workspace_id, account_id, target_id, revision, step);
        let sealed = seal(&self.keys, &place, value);
        let save =
            |replaces| self.store.save_handle(target_id, revision, step.to_owned(), sealed.clone(), replaces);
        let stored = save(if replaces { Replaces::Anything } else { Replaces::Nothing }).await?;
        if let Some(value) = open(&self.keys, &place, &stored) {
            return Ok(value);
        }
        // It does not open, and gives way: to this one, or to that of another process that came first.
        let stored = save(Replaces::This(stored)).await?;
        open(&self.keys, &place, &stored)
            .ok_or_else(|| Error::corrupt("handle of a delivery", "it was sealed with another key"))
    }
}

/// `handle|workspace|account|target|revision|step`.
fn place(workspace_id: Uuid, account_id: Uuid, target_id: Uuid, revision: i64, step: &str) -> String {
    format!("handle|{workspace_id}|{account_id}|{target_id}|{revision}|{step}")
}

fn seal(keys: &KeyRing, place: &str, value: &Value) -> String {
    BASE64URL_NOPAD.encode(&keys.seal(place.as_bytes(), value.to_string().as_bytes()))
}

/// What was kept; `None` when it was sealed for another place, or its key is gone.
fn open(keys: &KeyRing, place: &str, stored: &str) -> Option<Value> {
    let sealed = BASE64URL_NOPAD.decode(stored.as_bytes()).ok()?;
    serde_json::from_slice(&keys.open(place.as_bytes(), &sealed).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use postmesh_kit::{clock::SystemClock, testing::keys};
    use serde_json::json;

    use super::*;
    use crate::{
        MIGRATIONS,
        apps::Apps,
        domain::policy::Policy,
        networks::bluesky::Bluesky,
        store::{Delivering, Store},
        testing::{Bench, work},
    };

    fn a_delivery(work: &Work) -> Delivering {
        Delivering {
            target_id: work.target_id,
            post_id: work.post_id,
            workspace_id: work.workspace_id,
            account_id: work.account_id,
            network: "bluesky".into(),
            revision: work.revision,
            due_at: work.due_at,
            max_late: 3_600_000,
            content: work.content.clone(),
            plan: work.plan.clone(),
            thread: None,
        }
    }

    #[test]
    fn a_handle_opens_for_its_own_step_alone() {
        let keys = keys();
        let id = Uuid::from_u128;
        let own = place(id(1), id(2), id(3), 4, "upload");
        let value = json!({ "url": "https://host.example/?upload_id=1" });
        let sealed = seal(&keys, &own, &value);
        assert!(!sealed.contains("host"), "{sealed}");
        assert_eq!(open(&keys, &own, &sealed), Some(value.clone()));
        for other in [
            place(id(9), id(2), id(3), 4, "upload"),
            place(id(1), id(9), id(3), 4, "upload"),
            place(id(1), id(2), id(9), 4, "upload"),
            place(id(1), id(2), id(3), 5, "upload"),
            place(id(1), id(2), id(3), 4, "other"),
        ] {
            assert_eq!(open(&keys, &other, &sealed), None, "{other}");
        }
        assert_eq!(open(&keys, &own, &value.to_string()), None, "nothing unsealed is taken");
    }

    #[tokio::test]
    async fn the_first_handle_counts_unless_it_does_not_open() {
        let (db, _folder) = postmesh_kit::testing::sqlite(MIGRATIONS).await;
        let (store, clock) = (Store::new(db, "test"), Arc::new(SystemClock));
        let apps = Apps::new(BTreeMap::new(), store.clone(), keys(), clock.clone());
        let vault = Vault::new(store.clone(), keys(), clock, apps);
        let bench = Bench::new().await;
        let work = work(&Bluesky::new(bench.http.clone(), bench.clock.clone()), "x", 0);
        let save = async |value: &str, replaces| {
            vault.save_handle(&work, "upload", &json!(value), replaces).await.unwrap()
        };
        assert_eq!(save("a", false).await, "a");
        assert_eq!(save("late", false).await, "a");
        assert_eq!(save("b", true).await, "b");
        store.deliver(vec![a_delivery(&work)], &Policy::default()).await.unwrap();
        let row = store.line(work.account_id, i64::MAX, 1).await.unwrap().remove(0);
        let kept = async || vault.handles(&[&row]).await.unwrap().remove(&work.target_id).unwrap_or_default();
        assert_eq!(kept().await["upload"], "b");
        let (step, of_another_key) = ("upload".to_owned(), "AAAA".to_owned());
        store.save_handle(work.target_id, 1, step, of_another_key, Replaces::Anything).await.unwrap();
        assert!(kept().await.is_empty(), "it tells nothing");
        assert_eq!(save("c", false).await, "c");
        assert_eq!(save("late", false).await, "c");
        assert_eq!(kept().await["upload"], "c");
        let next = Stored { revision: 2, ..row.clone() };
        assert!(vault.handles(&[&next]).await.unwrap().is_empty(), "of another revision");
    }
}
