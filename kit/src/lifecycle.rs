//! Stopping in two steps: a soft stop lets work finish, a hard stop ends what has not. Every task is spawned here,
//! so a shutdown knows what it waits for.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns tasks and ends them. Clones share one life; [`Lifecycle::child`] begins one that can end earlier.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A life of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// A life that ends with this one at the latest, with tasks of its own to wait for.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token(), tasks: TaskTracker::new() }
    }

    /// Runs a task that a shutdown waits for. It should end soon after [`Lifecycle::stopping`]; the hard stop drops it.
    #[expect(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        tokio::spawn(self.tasks.track_future(async move { hard.run_until_cancelled(task).await }))
    }

    /// Completes when the soft stop begins.
    pub async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// True once the soft stop began.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Begins the soft stop without waiting.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Begins the soft stop, waits up to `grace` for the tasks, then ends those that are left.
    /// True when all ended by themselves.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.soft.cancel();
        self.tasks.close();
        let clean = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.hard.cancel();
        self.tasks.wait().await;
        clean
    }
}

/// Completes when the process is asked to end (SIGINT or SIGTERM) after this was called: from then on a request to end
/// is heard, though it may come before the future is awaited. Called on a runtime.
pub fn signalled() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).expect("signal handlers can be installed at start");
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_tasks_that_end_by_themselves() {
        let life = Lifecycle::new();
        let task = life.spawn({
            let life = life.clone();
            async move {
                life.stopping().await;
                7
            }
        });
        assert!(life.shutdown(Duration::from_secs(5)).await);
        assert_eq!(task.await.unwrap(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn ends_tasks_that_do_not() {
        let life = Lifecycle::new();
        let task = life.spawn(std::future::pending::<()>());
        assert!(!life.shutdown(Duration::from_secs(5)).await);
        assert_eq!(task.await.unwrap(), None);
    }
}
