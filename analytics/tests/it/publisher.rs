//! A publisher for the tests: it tells the events it is given and answers the counts it is given, over the contract.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures::{Stream, stream};
use postmesh_analytics::deps::DeliveryClient;
use postmesh_kit::{testing, time::to_proto};
use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::{
        CheckAccountsRequest, CheckAccountsResponse, ConfirmRequest, ConfirmResponse, DeliverRequest,
        DeliverResponse, DeliveryEvent, ListStepsRequest, ListStepsResponse, PostMetrics, ReadMetricsRequest,
        ReadMetricsResponse, RecallRequest, RecallResponse, TailEventsRequest, TailEventsResponse,
        ValidateRequest, ValidateResponse,
        delivery_service_client::DeliveryServiceClient,
        delivery_service_server::{DeliveryService, DeliveryServiceServer},
    },
};
use tokio::sync::watch;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

/// What the stand-in knows and has seen.
#[derive(Default)]
struct Inner {
    events: Vec<DeliveryEvent>,
    counts: HashMap<String, (i64, i64, i64)>,
    failing: HashMap<String, Status>,
    reads: Vec<ReadMetricsRequest>,
    tails: Vec<i64>,
}

/// Events, counts and calls of the stand-in. Clones share them.
#[derive(Clone)]
pub(crate) struct Publisher {
    inner: Arc<Mutex<Inner>>,
    /// Counts up when there are events, and by a thousand when streams are to break.
    bell: watch::Sender<u64>,
}

/// A target to publish.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: Uuid,
    pub(crate) post: Uuid,
    pub(crate) workspace: Uuid,
    pub(crate) account: Uuid,
    pub(crate) native_id: String,
}

pub(crate) fn a_target(workspace: Uuid, account: Uuid) -> Target {
    let id = Uuid::now_v7();
    Target { id, post: Uuid::now_v7(), workspace, account, native_id: format!("native-{id}") }
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::default(), bell: watch::Sender::new(0) }
    }

    /// A client, as the analytics service holds it.
    pub(crate) fn client(&self) -> DeliveryClient {
        let routes = Routes::new(DeliveryServiceServer::new(self.clone()));
        DeliveryServiceClient::new(testing::serve(
            postmesh_proto::pool(),
            routes,
            "analytics",
            &testing::Tokens::default(),
        ))
    }

    /// Tells that a target is in a state.
    pub(crate) fn tell(&self, target: &Target, state: TargetState, at: i64) {
        let mut inner = self.inner.lock().unwrap();
        let event = DeliveryEvent {
            sequence: inner.events.len() as i64 + 1,
            target_id: target.id.to_string(),
            post_id: target.post.to_string(),
            workspace_id: target.workspace.to_string(),
            account_id: target.account.to_string(),
            network: "mastodon".to_owned(),
            revision: 1,
            state: state.into(),
            native_id: target.native_id.clone(),
            event_time: Some(to_proto(at)),
            ..DeliveryEvent::default()
        };
        inner.events.push(event);
        drop(inner);
        self.bell.send_modify(|n| *n += 1);
    }

    /// Tells an event as it is, with the next sequence.
    pub(crate) fn tell_raw(&self, event: DeliveryEvent) {
        let mut inner = self.inner.lock().unwrap();
        let sequence = inner.events.len() as i64 + 1;
        inner.events.push(DeliveryEvent { sequence, ..event });
        drop(inner);
        self.bell.send_modify(|n| *n += 1);
    }

    /// Breaks all open streams.
    pub(crate) fn break_streams(&self) {
        self.bell.send_modify(|n| *n += 1_000);
    }

    /// Likes, reposts and replies of a post from now on.
    pub(crate) fn count(&self, target: &Target, counts: (i64, i64, i64)) {
        self.inner.lock().unwrap().counts.insert(target.native_id.clone(), counts);
    }

    /// The network no longer knows a post.
    pub(crate) fn lose(&self, target: &Target) {
        self.inner.lock().unwrap().counts.remove(&target.native_id);
    }

    /// Reads of an account fail from now on, or work again.
    pub(crate) fn fail(&self, account: Uuid, status: Option<Status>) {
        let mut inner = self.inner.lock().unwrap();
        match status {
            Some(status) => inner.failing.insert(account.to_string(), status),
            None => inner.failing.remove(&account.to_string()),
        };
    }

    /// The reads so far.
    pub(crate) fn reads(&self) -> Vec<ReadMetricsRequest> {
        self.inner.lock().unwrap().reads.clone()
    }

    /// The cursors from which events were asked for.
    pub(crate) fn tails(&self) -> Vec<i64> {
        self.inner.lock().unwrap().tails.clone()
    }

    fn after(&self, sequence: i64) -> Vec<DeliveryEvent> {
        self.inner.lock().unwrap().events.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<TailEventsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl DeliveryService for Publisher {
    type TailEventsStream = Events;

    async fn tail_events(&self, request: Request<TailEventsRequest>) -> Result<Response<Events>, Status> {
        let after = request.into_inner().after_sequence;
        self.inner.lock().unwrap().tails.push(after);
        let mut bell = self.bell.subscribe();
        let epoch = *bell.borrow_and_update() / 1_000;
        let first = self.after(after);
        let last = first.last().map_or(after, |event| event.sequence);
        let head = stream::once(async move { Ok(TailEventsResponse { events: first }) });
        let publisher = self.clone();
        let rest = stream::unfold(Some((bell, last)), move |state| {
            let publisher = publisher.clone();
            async move {
                let (mut bell, last) = state?;
                loop {
                    if *bell.borrow_and_update() / 1_000 != epoch {
                        return Some((Err(Status::unavailable("restarting")), None));
                    }
                    let events = publisher.after(last);
                    if let Some(newest) = events.last().map(|event| event.sequence) {
                        return Some((Ok(TailEventsResponse { events }), Some((bell, newest))));
                    }
                    bell.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(Box::pin(stream::StreamExt::chain(head, rest))))
    }

    async fn read_metrics(
        &self,
        request: Request<ReadMetricsRequest>,
    ) -> Result<Response<ReadMetricsResponse>, Status> {
        let request = request.into_inner();
        let mut inner = self.inner.lock().unwrap();
        inner.reads.push(request.clone());
        if let Some(status) = inner.failing.get(&request.account_id) {
            return Err(status.clone());
        }
        if request.native_ids.len() > 25 {
            return Err(Status::invalid_argument("at most 25"));
        }
        let metrics = request.native_ids.into_iter().map(|native_id| {
            let counts = inner.counts.get(&native_id).copied();
            let (likes, reposts, replies) = counts.unwrap_or_default();
            PostMetrics { native_id, found: counts.is_some(), likes, reposts, replies, views: 0 }
        });
        Ok(Response::new(ReadMetricsResponse { metrics: metrics.collect() }))
    }

    async fn confirm(&self, _: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        Err(Status::unimplemented("analytics never confirms"))
    }

    async fn list_steps(&self, _: Request<ListStepsRequest>) -> Result<Response<ListStepsResponse>, Status> {
        Err(Status::unimplemented("analytics never reads timelines"))
    }

    async fn check_accounts(
        &self,
        _: Request<CheckAccountsRequest>,
    ) -> Result<Response<CheckAccountsResponse>, Status> {
        Err(Status::unimplemented("analytics never checks accounts"))
    }

    async fn deliver(&self, _: Request<DeliverRequest>) -> Result<Response<DeliverResponse>, Status> {
        Err(Status::unimplemented("analytics never delivers"))
    }

    async fn recall(&self, _: Request<RecallRequest>) -> Result<Response<RecallResponse>, Status> {
        Err(Status::unimplemented("analytics never recalls"))
    }

    async fn validate(&self, _: Request<ValidateRequest>) -> Result<Response<ValidateResponse>, Status> {
        Err(Status::unimplemented("analytics never validates"))
    }
}
