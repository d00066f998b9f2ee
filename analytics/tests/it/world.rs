//! A running analytics service for one test, beside the stand-in for the publisher.

use std::{sync::Arc, time::Duration};

use postmesh_analytics::{Config, Deps, MIGRATIONS, start, store::Store};
use postmesh_kit::{
    cache::Cache,
    clock::{Clock, SystemClock},
    db::Db,
    lifecycle::Lifecycle,
    testing::{self, FakeClock, Tokens, with_token},
    transport::Transport,
};
use postmesh_proto::{
    analytics::v1::{
        GetPostAnalyticsRequest, GetPostAnalyticsResponse, analytics_service_client::AnalyticsServiceClient,
    },
    common::v1::TargetState,
};
use tonic::Status;
use uuid::Uuid;

use crate::publisher::{Publisher, Target, a_target};

pub(crate) const MINUTE: i64 = 60_000;

pub(crate) struct World {
    pub(crate) clock: FakeClock,
    pub(crate) publisher: Publisher,
    pub(crate) store: Store,
    pub(crate) workspace: Uuid,
    pub(crate) db: Db,
    pub(crate) began: i64,
    tokens: Tokens,
    analytics: AnalyticsServiceClient<Transport>,
    lifecycle: Lifecycle,
}

impl World {
    pub(crate) async fn start(db: Db) -> Self {
        Self::beside(db, Publisher::new()).await
    }

    pub(crate) async fn beside(db: Db, publisher: Publisher) -> Self {
        let began = SystemClock.now_ms();
        let clock = FakeClock::at(began);
        let lifecycle = Lifecycle::new();
        let deps = Deps {
            db: db.clone(),
            clock: Arc::new(clock.clone()),
            lifecycle: lifecycle.clone(),
            cache: Cache::memory(),
            deliveries: publisher.client(),
        };
        let config = Config { look_every_ms: 10, ..Config::default() };
        let running = start(config, deps).await.unwrap();
        let tokens = Tokens::default();
        let transport = testing::serve(postmesh_proto::pool(), running.routes, "gateway", &tokens);
        let (store, workspace) = (Store::new(db.clone()), Uuid::now_v7());
        let analytics = AnalyticsServiceClient::new(transport);
        Self { clock, publisher, store, workspace, db, began, tokens, analytics, lifecycle }
    }

    /// Publishes a target of a new post on an account, with counts, and waits until the service knows of it.
    pub(crate) async fn publish(&self, account: Uuid, counts: (i64, i64, i64)) -> Target {
        let target = a_target(self.workspace, account);
        self.publisher.count(&target, counts);
        self.publisher.tell(&target, TargetState::Published, self.clock.now_ms());
        self.known(&target).await;
        target
    }

    /// Waits until the service knows of a published target.
    pub(crate) async fn known(&self, target: &Target) {
        until("the target is known", async || {
            !self.store.targets_of_post(target.workspace, target.post).await.unwrap().is_empty()
        })
        .await;
    }

    /// Waits until a target has been read this many times.
    pub(crate) async fn read_times(&self, target: &Target, times: usize) {
        until("the target is read", async || self.store.snapshots(target.id).await.unwrap().len() >= times)
            .await;
    }

    pub(crate) async fn get(&self, post: Uuid, refresh: bool) -> Result<GetPostAnalyticsResponse, Status> {
        self.get_as(self.workspace, post, refresh, &["analytics.read"]).await
    }

    pub(crate) async fn get_as(
        &self,
        workspace: Uuid,
        post: Uuid,
        refresh: bool,
        permissions: &[&str],
    ) -> Result<GetPostAnalyticsResponse, Status> {
        let token = self.tokens.mint(Uuid::now_v7(), workspace, permissions);
        let request = GetPostAnalyticsRequest { post_id: post.to_string(), refresh };
        let answer = self.analytics.clone().get_post_analytics(with_token(request, &token)).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn get_text(&self, post: &str) -> Result<GetPostAnalyticsResponse, Status> {
        let token = self.tokens.mint(Uuid::now_v7(), self.workspace, &["analytics.read"]);
        let request = GetPostAnalyticsRequest { post_id: post.to_owned(), refresh: false };
        Ok(self.analytics.clone().get_post_analytics(with_token(request, &token)).await?.into_inner())
    }

    /// Ends the service and waits for what it has under way.
    pub(crate) async fn stop(self) -> bool {
        self.lifecycle.shutdown(Duration::from_secs(10)).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// Waits for a state of things, and fails when it does not come.
pub(crate) async fn until(what: &str, reached: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

/// Runs a test against a service on each database.
pub(crate) async fn each<F: AsyncFn(World)>(test: F) {
    let test = &test;
    testing::each_database(MIGRATIONS, |db| async move { test(World::start(db).await).await }).await;
}
