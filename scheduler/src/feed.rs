//! Wakes the watchers of a workspace when something in it changed: at once for changes of this process, within a
//! poll for those of other replicas.
//!
//! Only wake-ups travel here. A watcher reads what changed from the database by itself, so a slow one gets the newest
//! state of each post and holds nothing up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use postmesh_kit::lifecycle::Lifecycle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{config::Config, store::Store};

/// Wake-ups by workspace.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    workspaces: Arc<Mutex<HashMap<Uuid, watch::Sender<()>>>>,
}

impl Feed {
    /// Begins to poll for changes of other replicas, until the service stops.
    pub fn start(store: Store, config: &Config, lifecycle: &Lifecycle) -> Self {
        let feed = Self::default();
        let (polled, period, life) = (feed.clone(), config.watch_poll(), lifecycle.clone());
        lifecycle.spawn(async move {
            let mut floor = None;
            loop {
                tokio::select! {
                    () = life.stopping() => return,
                    () = tokio::time::sleep(period) => {}
                }
                if polled.is_idle() {
                    floor = None;
                    continue;
                }
                floor = polled.poll(&store, floor).await.or(floor);
            }
        });
        feed
    }

    /// Wakes the watchers of what changed since the last poll; answers where the next one begins.
    async fn poll(&self, store: &Store, floor: Option<i64>) -> Option<i64> {
        let bounds = match store.bounds().await {
            Ok(bounds) => bounds,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot poll for changes of posts");
                return None;
            }
        };
        match floor {
            // Watchers that came meanwhile may have missed something of before this look: they look once themselves.
            None => self.wake_all(),
            Some(floor) => match store.changed_workspaces(floor.min(bounds.floor), bounds).await {
                Ok(changed) => self.wake(changed),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot poll for changes of posts"
                    );
                    return None;
                }
            },
        }
        Some(bounds.floor)
    }

    /// Wake-ups of a workspace, from now on.
    pub fn watch(&self, workspace_id: Uuid) -> watch::Receiver<()> {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.entry(workspace_id).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// Wakes the watchers of workspaces.
    pub fn wake(&self, changed: impl IntoIterator<Item = Uuid>) {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        for workspace_id in changed {
            if let Some(watchers) = workspaces.get(&workspace_id)
                && watchers.send(()).is_err()
            {
                workspaces.remove(&workspace_id);
            }
        }
    }

    fn wake_all(&self) {
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        for watchers in workspaces.values() {
            watchers.send_replace(());
        }
    }

    /// True when nobody watches; forgets workspaces whose watchers have gone.
    fn is_idle(&self) -> bool {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.retain(|_, watchers| watchers.receiver_count() > 0);
        workspaces.is_empty()
    }
}
