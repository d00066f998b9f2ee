//! The contract `postmesh.scheduler.v1.PostService`. Handlers read the identity, hand over to one file per matter,
//! and turn errors into statuses; they decide nothing.

mod change;
mod checks;
mod confirm;
pub mod convert;
mod create;
mod read;
mod watch;

use std::pin::Pin;

use futures::Stream;
use postmesh_kit::{
    identity::Identity,
    ids,
    status::{Violations, to_status},
};
use postmesh_proto::scheduler::v1::{
    self as proto,
    post_service_server::{PostService, PostServiceServer},
};
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

use crate::{
    actors::Bell,
    config::Config,
    deps::{Deps, PublisherClient},
    domain::{Post, change::Moment},
    error::Error,
    feed::Feed,
    neighbours,
    store::{ChangeRequest, Changed, Repeat, RequestKey, Store},
};

/// The permission that planning a post needs, whichever rpc plans it.
const PUBLISH: &str = "posts.publish";

/// A change that crosses with others this often is given up.
const ROUNDS: usize = 4;

/// The posts of all workspaces; every handler is bound to its caller's.
#[derive(Debug, Clone)]
pub struct Posts {
    /// Settings.
    pub config: Config,
    /// Clock, life and neighbours.
    pub deps: Deps,
    /// Rows.
    pub store: Store,
    /// Wakes watchers.
    pub feed: Feed,
    /// Wakes actors.
    pub bell: Bell,
}

/// The routes of the scheduler.
pub fn routes(posts: Posts) -> Routes {
    Routes::new(PostServiceServer::new(posts))
}

/// Carries a change out, asking the publisher for what it holds.
pub(crate) async fn carry_out(
    store: &Store,
    publisher: &PublisherClient,
    mut request: ChangeRequest,
) -> Result<Changed, Error> {
    for _ in 0..ROUNDS {
        match store.change(request.clone()).await? {
            Changed::Recall(items) => {
                let verdicts =
                    neighbours::recall(&mut publisher.clone(), request.workspace_id, &items).await?;
                request.verdicts.extend(verdicts);
            }
            changed => return Ok(changed),
        }
    }
    Err(Error::Contended(request.post_id))
}

impl Posts {
    fn now(&self) -> i64 {
        self.deps.clock.now_ms()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now(), lead_ms: self.config.prep_lead_ms }
    }

    /// What makes a request repeatable; `None` without a request id.
    fn repeat(
        &self,
        me: &Identity,
        method: &'static str,
        request_id: &str,
        request: &impl Message,
        violations: &mut Violations,
    ) -> Option<Repeat> {
        let request_id = violations.take(ids::parse_optional("request_id", request_id)).flatten()?;
        Some(Repeat {
            key: RequestKey { workspace_id: me.workspace_id, user_id: me.user_id, method, request_id },
            body_sha256: Sha256::digest(request.encode_to_vec()).to_vec(),
            forget_before: self.now() - self.config.request_memory_ms,
        })
    }

    /// The first answer to a request that is repeated.
    async fn first_answer<T: Message + Default>(&self, repeat: Option<&Repeat>) -> Result<Option<T>, Error> {
        let Some(repeat) = repeat else { return Ok(None) };
        self.store.first_answer(repeat).await?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Wakes those who wait for what just changed.
    fn announce(&self, post: &Post) {
        self.feed.wake([post.workspace_id]);
        if let Some(wake_at) = post.targets.iter().filter_map(|target| target.wake_at).min() {
            self.bell.planned(wake_at);
        }
        if post.has_media() {
            self.bell.sweep();
        }
    }

    async fn existing(&self, workspace_id: Uuid, post_id: Uuid) -> Result<Post, Error> {
        self.store.post(workspace_id, post_id).await?.ok_or(Error::PostNotFound(post_id))
    }
}

fn decode<T: Message + Default>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(bytes).map_err(|_| Error::Corrupt("requests.response"))
}

fn invalid(violations: Violations) -> Result<(), Error> {
    violations.into_result().map_err(Error::Invalid)
}

/// The value, or everything that is wrong.
fn whole<T>(value: Option<T>, violations: Violations) -> Result<T, Error> {
    invalid(violations)?;
    Ok(value.expect("a value that is missing was noted as a violation"))
}

type Watch = Pin<Box<dyn Stream<Item = Result<proto::WatchPostsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PostService for Posts {
    type WatchPostsStream = Watch;

    async fn create_post(
        &self,
        request: Request<proto::CreatePostRequest>,
    ) -> Result<Response<proto::CreatePostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.create(&me, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn get_post(
        &self,
        request: Request<proto::GetPostRequest>,
    ) -> Result<Response<proto::GetPostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.get(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_posts(
        &self,
        request: Request<proto::ListPostsRequest>,
    ) -> Result<Response<proto::ListPostsResponse>, Status> {
        let me = Identity::of(&request)?;
        self.list(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn update_post(
        &self,
        request: Request<proto::UpdatePostRequest>,
    ) -> Result<Response<proto::UpdatePostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.update(&me, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn delete_post(
        &self,
        request: Request<proto::DeletePostRequest>,
    ) -> Result<Response<proto::DeletePostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.delete(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn schedule_post(
        &self,
        request: Request<proto::SchedulePostRequest>,
    ) -> Result<Response<proto::SchedulePostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.schedule(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn cancel_post(
        &self,
        request: Request<proto::CancelPostRequest>,
    ) -> Result<Response<proto::CancelPostResponse>, Status> {
        let me = Identity::of(&request)?;
        self.cancel(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn retry_target(
        &self,
        request: Request<proto::RetryTargetRequest>,
    ) -> Result<Response<proto::RetryTargetResponse>, Status> {
        let me = Identity::of(&request)?;
        self.retry(&me, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn confirm_target(
        &self,
        request: Request<proto::ConfirmTargetRequest>,
    ) -> Result<Response<proto::ConfirmTargetResponse>, Status> {
        let me = Identity::of(&request)?;
        self.confirm(&me, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_target_events(
        &self,
        request: Request<proto::ListTargetEventsRequest>,
    ) -> Result<Response<proto::ListTargetEventsResponse>, Status> {
        let me = Identity::of(&request)?;
        self.list_events(&me, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn watch_posts(
        &self,
        request: Request<proto::WatchPostsRequest>,
    ) -> Result<Response<Self::WatchPostsStream>, Status> {
        let me = Identity::of(&request)?;
        self.watch(&me, request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}
