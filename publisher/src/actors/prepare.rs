//! Reversible steps of a batch: uploads, lookups, building the request. Whatever is ready together is marked in one
//! transaction. Stopped at any point, nothing is visible; stored handles are not made again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use postmesh_kit::faults;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    deps::Parts,
    domain::{
        delivery::Work,
        outcome::{Fault, RATE_LIMITED},
    },
    error::Error,
    holds::{Calls, OurApp},
    networks::{HandleMap, Handles, Network, Ready, Session},
    store::Store,
    vault::Vault,
};

/// One delivery to prepare.
pub(super) struct Task {
    pub(super) id: Uuid,
    pub(super) network: Arc<dyn Network>,
    pub(super) work: Arc<Work>,
    pub(super) handles: HandleMap,
    /// Whether its state goes through `preparing` to `prepared`.
    pub(super) begins: bool,
}

/// What became of it.
pub(super) struct Preparation {
    pub(super) id: Uuid,
    /// What it was done for: the delivery may have been read afresh meanwhile.
    pub(super) work: Arc<Work>,
    pub(super) handles: HandleMap,
    /// `None`: it is no longer wanted.
    pub(super) result: Option<Result<Ready, Fault>>,
}

/// Prepares a batch; `tell` hears of each part of it as soon as it is stored.
pub(super) async fn batch(
    parts: Arc<Parts>,
    session: Arc<Session>,
    batch: Vec<Task>,
    tell: impl Fn(Vec<Preparation>),
) {
    let beginning: Vec<Uuid> = batch.iter().filter(|task| task.begins).map(|task| task.id).collect();
    let begun = if beginning.is_empty() {
        HashSet::new()
    } else {
        match parts.store.begin_preparing(&beginning, parts.policy.prep_timeout).await {
            Ok(begun) => begun.into_iter().collect(),
            Err(error) => {
                let why = error.to_string();
                let failed = |task: Task| Preparation {
                    id: task.id,
                    work: task.work,
                    handles: task.handles,
                    result: Some(Err(Fault::Store(why.clone()))),
                };
                tell(batch.into_iter().map(failed).collect());
                return;
            }
        }
    };
    let (wanted, gone): (Vec<Task>, Vec<Task>) =
        batch.into_iter().partition(|task| !task.begins || begun.contains(&task.id));
    if !gone.is_empty() {
        tell(
            gone.into_iter()
                .map(|task| Preparation { id: task.id, work: task.work, handles: task.handles, result: None })
                .collect(),
        );
    }
    let at_once = parts.config.prepare_at_once;
    let size = wanted.len().max(1);
    let preparing = stream::iter(wanted).map(|task| one(&parts, &session, task)).buffer_unordered(at_once);
    let mut ready = std::pin::pin!(preparing.ready_chunks(size));
    while let Some(done) = ready.next().await {
        tell(mark(&parts.store, done).await);
    }
}

async fn one(parts: &Parts, session: &Session, task: Task) -> (Preparation, bool) {
    let Task { id, network, work, handles, begins } = task;
    let mut stored = Stored { vault: &parts.vault, work: &work, handles };
    let result =
        paced(parts, session, &work, network.prepare(session, &work, &parts.media, &mut stored)).await;
    let handles = stored.handles;
    (Preparation { id, work, handles, result: Some(result) }, begins)
}

/// Uploads of an account wait together when the network wants fewer of them, those of all accounts when it refuses our
/// application.
async fn paced(
    parts: &Parts,
    session: &Session,
    work: &Work,
    preparing: impl Future<Output = Result<Ready, Fault>>,
) -> Result<Ready, Fault> {
    if work.content.media.is_empty() {
        return preparing.await;
    }
    let now = parts.clock.now_ms();
    if let Some(until) = parts.holds.until(session.account_id, Calls::Uploads, now) {
        return Err(Fault::Transient {
            code: RATE_LIMITED.into(),
            message: "The network asks to wait.".into(),
            retry_after: Some(Duration::from_millis((until - now).unsigned_abs())),
        });
    }
    let app = OurApp::of(session);
    if let Some(refusal) = parts.holds.refusal(&app, now) {
        return Err(refusal);
    }
    let result = preparing.await;
    parts.holds.hear(app, result.as_ref().err(), parts.policy.hint_most, parts.clock.now_ms());
    if let Some(wait) = result.as_ref().err().and_then(Fault::throttled) {
        let (most, now) = (parts.policy.hint_most, parts.clock.now_ms());
        parts.holds.hold(session.account_id, Calls::Uploads, wait, most, now);
    }
    result
}

/// Marks what is ready as prepared; what is no longer wanted loses its result.
async fn mark(store: &Store, done: Vec<(Preparation, bool)>) -> Vec<Preparation> {
    let is_ready = |(done, begins): &&(Preparation, bool)| *begins && matches!(done.result, Some(Ok(_)));
    let ready: Vec<Uuid> = done.iter().filter(is_ready).map(|(done, _)| done.id).collect();
    let marked = if ready.is_empty() { Ok(Vec::new()) } else { store.mark_prepared(&ready).await };
    let marked: Result<HashSet<Uuid>, _> = marked.map(|ids| ids.into_iter().collect());
    done.into_iter()
        .map(|(mut preparation, begins)| {
            if begins && matches!(preparation.result, Some(Ok(_))) {
                match &marked {
                    Ok(marked) if marked.contains(&preparation.id) => {}
                    Ok(_) => preparation.result = None,
                    Err(error) => preparation.result = Some(Err(Fault::Store(error.to_string()))),
                }
            }
            preparation
        })
        .collect()
}

/// Handles of one delivery, stored as they come.
struct Stored<'s> {
    vault: &'s Vault,
    work: &'s Work,
    handles: HandleMap,
}

#[async_trait]
impl Handles for Stored<'_> {
    fn stored(&self) -> &HandleMap {
        &self.handles
    }

    async fn save(&mut self, step: &str, value: Value) -> Result<(), Fault> {
        self.store_handle(step, &value, false).await
    }

    async fn update(&mut self, step: &str, value: Value) -> Result<(), Fault> {
        self.store_handle(step, &value, true).await
    }
}

impl Stored<'_> {
    async fn store_handle(&mut self, step: &str, value: &Value, replaces: bool) -> Result<(), Fault> {
        let failed = |error: Error| Fault::Store(error.to_string());
        faults::at("prep.handle_save.before").await.map_err(Error::from).map_err(failed)?;
        let stored = self.vault.save_handle(self.work, step, value, replaces).await.map_err(failed)?;
        faults::at("prep.handle_save.after").await.map_err(Error::from).map_err(failed)?;
        self.handles.insert(step.to_owned(), stored);
        Ok(())
    }
}
