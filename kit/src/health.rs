//! Readiness: named checks that the admin port and `doctor` ask.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::{BoxFuture, join_all};

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A check that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What must work before a process is ready. Clones share nothing: register before serving.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(String, Check)>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

impl Health {
    /// Adds a check; its error says what to do.
    pub fn add<F, Fut>(&mut self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name.into(), Arc::new(move || Box::pin(check()))));
    }

    /// Runs all checks at once: each name with its failure, if any.
    pub async fn run(&self) -> BTreeMap<String, Result<(), String>> {
        join_all(self.checks.iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(PATIENCE, check())
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
            (name.clone(), outcome)
        }))
        .await
        .into_iter()
        .collect()
    }
}
