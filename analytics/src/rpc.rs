//! The rpcs of the analytics service.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use postmesh_kit::{identity::Identity, ids, status::to_status, throttle::Throttle, time::to_proto};
use postmesh_proto::analytics::v1::{
    Counts as CountsMessage, GetPostAnalyticsRequest, GetPostAnalyticsResponse, TargetAnalytics,
    analytics_service_server::{AnalyticsService, AnalyticsServiceServer},
};
use ractor::ActorRef;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

use crate::{
    actors::supervisor,
    deps::Deps,
    domain::counts::Counts,
    error::Error,
    store::{Store, published::Target, readings::Account},
};

/// The largest request, in bytes.
const MAX_REQUEST: usize = 4 * 1024;
/// A post is refreshed at most once in this period.
const REFRESH_PERIOD: Duration = Duration::from_secs(10);
/// How long a caller waits for the networks before the stored counts are answered, in milliseconds. Below the
/// deadline that calls have by default.
const PATIENCE_MS: u64 = 8_000;

/// The routes of the service.
pub(crate) fn routes(deps: Deps, store: Store, supervisor: ActorRef<supervisor::Msg>) -> Routes {
    let refreshes = Throttle::new(&deps.cache, "analytics-refresh", 1, REFRESH_PERIOD, 1);
    let analytics = Analytics { deps, store, supervisor, refreshes };
    Routes::new(AnalyticsServiceServer::new(analytics).max_decoding_message_size(MAX_REQUEST))
}

struct Analytics {
    deps: Deps,
    store: Store,
    supervisor: ActorRef<supervisor::Msg>,
    refreshes: Throttle,
}

#[tonic::async_trait]
impl AnalyticsService for Analytics {
    async fn get_post_analytics(
        &self,
        request: Request<GetPostAnalyticsRequest>,
    ) -> Result<Response<GetPostAnalyticsResponse>, Status> {
        let me = Identity::of(&request)?;
        self.of_post(me.workspace_id, request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}

impl Analytics {
    async fn of_post(
        &self,
        workspace_id: Uuid,
        request: GetPostAnalyticsRequest,
    ) -> Result<GetPostAnalyticsResponse, Error> {
        let post_id = ids::parse("post_id", &request.post_id)?;
        let mut targets = self.store.targets_of_post(workspace_id, post_id).await?;
        if targets.is_empty() {
            return Err(Error::PostNotFound(post_id));
        }
        let key = format!("{workspace_id} {post_id}");
        if request.refresh && self.refreshes.check(&key, self.deps.clock.as_ref()).await.is_ok() {
            self.refresh(workspace_id, post_id, &targets).await;
            targets = self.store.targets_of_post(workspace_id, post_id).await?;
        }
        Ok(GetPostAnalyticsResponse {
            post_id: post_id.to_string(),
            total: Some(counts(targets.iter().map(|target| target.counts).sum())),
            targets: targets.into_iter().map(target).collect(),
        })
    }

    /// Asks the networks of all targets at once. One that does not answer keeps its stored counts, whose time tells
    /// how old they are.
    async fn refresh(&self, workspace_id: Uuid, post_id: Uuid, targets: &[Target]) {
        let accounts: HashSet<Uuid> = targets.iter().map(|target| target.account_id).collect();
        let calls = accounts.into_iter().map(|account_id| async move {
            let account = Account { workspace_id, account_id };
            let refresh = |reply| supervisor::Msg::Refresh(account, post_id, reply);
            match ractor::call_t!(self.supervisor, refresh, PATIENCE_MS) {
                Ok(true) => {}
                Ok(false) => tracing::debug!(account.id = %account_id, "the network was not read"),
                Err(error) => {
                    tracing::warn!(account.id = %account_id, error = error.to_string(), "no refresh");
                }
            }
        });
        join_all(calls).await;
    }
}

fn counts(counts: Counts) -> CountsMessage {
    CountsMessage {
        likes: counts.likes,
        reposts: counts.reposts,
        replies: counts.replies,
        views: counts.views,
    }
}

fn target(target: Target) -> TargetAnalytics {
    TargetAnalytics {
        target_id: target.id.to_string(),
        account_id: target.account_id.to_string(),
        network: target.network,
        counts: Some(counts(target.counts)),
        collect_time: target.read_at.map(to_proto),
        found: target.found,
    }
}
