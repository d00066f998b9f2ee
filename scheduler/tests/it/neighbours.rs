//! Servers that speak the contracts of the publisher and the media library and hold a script. Their state is a watch
//! channel, so a test waits for what it expects instead of sleeping.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
};

use futures::Stream;
use postmesh_proto::{
    common::v1::{TargetEvent, TargetProblem, TargetState},
    media::v1::{self as media, media_service_server::MediaService},
    publisher::v1::{self as publisher, delivery_service_server::DeliveryService},
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::doubts::Doubt;

/// What the publisher knows.
#[derive(Debug, Default)]
pub(crate) struct PublisherState {
    /// True answers everything with UNAVAILABLE.
    pub(crate) down: bool,
    /// Accounts by workspace and id.
    pub(crate) accounts: HashMap<(String, String), publisher::Account>,
    /// Hand-overs in the order they arrived, repeats included.
    pub(crate) delivered: Vec<publisher::Delivery>,
    /// Calls of Deliver that were refused because it is down.
    pub(crate) refused: usize,
    /// Calls of Deliver.
    pub(crate) calls: usize,
    /// Recalled targets by the highest revision.
    pub(crate) recalled: HashMap<String, i64>,
    /// Targets that are being sent: their recall is too late.
    pub(crate) sending: HashSet<String>,
    /// Targets whose next hand-over gets this outcome.
    pub(crate) outcomes: HashMap<String, publisher::DeliverOutcome>,
    /// Swallows the answers to hand-overs and recalls: they happen, but the caller sees UNAVAILABLE.
    pub(crate) lose_answers: bool,
    /// Workspaces whose hand-overs are not answered until they are out of here.
    pub(crate) held: HashSet<String>,
    /// Calls of Deliver that arrived, answered or not.
    pub(crate) offered: usize,
    /// Calls of Deliver that failed on their content.
    pub(crate) crashes: usize,
    /// Targets whose answer was lost, and how users settled them.
    pub(crate) doubts: HashMap<String, Doubt>,
    /// Calls of Confirm that settled something or repeated it.
    pub(crate) confirmed: usize,
    /// Steps by workspace and target.
    pub(crate) steps: HashMap<(String, String), Vec<TargetEvent>>,
    /// Calls of CheckAccounts.
    pub(crate) checks: Vec<publisher::CheckAccountsRequest>,
    /// Events, in the order they are streamed.
    pub(crate) events: Vec<publisher::DeliveryEvent>,
    /// Withholds events for as long as it is set.
    pub(crate) muted: bool,
    /// Counts up to end open streams.
    pub(crate) cut: usize,
    /// Cursors that streams were opened with.
    pub(crate) tails: Vec<i64>,
}

/// The publisher's stand-in.
#[derive(Debug, Clone)]
pub(crate) struct Publisher(pub(crate) Arc<watch::Sender<PublisherState>>);

impl Default for Publisher {
    fn default() -> Self {
        Self(Arc::new(watch::channel(PublisherState::default()).0))
    }
}

impl Publisher {
    fn check(&self) -> Result<(), Status> {
        if self.0.borrow().down { Err(Status::unavailable("scripted")) } else { Ok(()) }
    }
}

type Tail = Pin<Box<dyn Stream<Item = Result<publisher::TailEventsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl DeliveryService for Publisher {
    async fn deliver(
        &self,
        request: Request<publisher::DeliverRequest>,
    ) -> Result<Response<publisher::DeliverResponse>, Status> {
        if self.0.borrow().down {
            self.0.send_modify(|state| state.refused += 1);
        }
        self.check()?;
        let deliveries = request.into_inner().deliveries;
        let mut state = self.0.subscribe();
        let held = |state: &PublisherState| deliveries.iter().any(|d| state.held.contains(&d.workspace_id));
        self.0.send_modify(|state| state.offered += 1);
        state.wait_for(|state| !held(state)).await.map_err(|_| Status::unavailable("gone"))?;
        if deliveries.len() > 500 {
            return Err(Status::invalid_argument("at most 500"));
        }
        if deliveries.iter().any(|d| d.content.as_ref().is_some_and(|c| c.text.contains("POISON"))) {
            return Err(Status::invalid_argument("scripted"));
        }
        if deliveries.iter().any(|d| d.content.as_ref().is_some_and(|c| c.text.contains("CRASH"))) {
            self.0.send_modify(|state| state.crashes += 1);
            return Err(Status::internal("scripted"));
        }
        let mut results = Vec::new();
        let mut lose = false;
        self.0.send_modify(|state| {
            lose = state.lose_answers;
            state.calls += 1;
            for delivery in deliveries {
                let void = state.recalled.get(&delivery.target_id).is_some_and(|r| *r >= delivery.revision);
                let scripted = state.outcomes.remove(&delivery.target_id);
                let outcome = scripted.unwrap_or(if void {
                    publisher::DeliverOutcome::Superseded
                } else {
                    publisher::DeliverOutcome::Accepted
                });
                results.push(publisher::DeliverResult {
                    target_id: delivery.target_id.clone(),
                    outcome: outcome.into(),
                    problem: (outcome == publisher::DeliverOutcome::Refused).then(|| TargetProblem {
                        reason: "ACCOUNT_GONE".into(),
                        message: "connect the account again".into(),
                    }),
                });
                if outcome == publisher::DeliverOutcome::Accepted {
                    state.delivered.push(delivery);
                }
            }
        });
        if lose {
            return Err(Status::unavailable("the answer was lost"));
        }
        Ok(Response::new(publisher::DeliverResponse { results }))
    }

    async fn recall(
        &self,
        request: Request<publisher::RecallRequest>,
    ) -> Result<Response<publisher::RecallResponse>, Status> {
        self.check()?;
        let mut results = Vec::new();
        let mut lose = false;
        self.0.send_modify(|state| {
            lose = state.lose_answers;
            for item in request.into_inner().items {
                let late = state.sending.contains(&item.target_id);
                if !late {
                    let known = state.recalled.entry(item.target_id.clone()).or_default();
                    *known = (*known).max(item.revision);
                }
                let (outcome, now) = if late {
                    (publisher::RecallOutcome::TooLate, TargetState::Sending)
                } else {
                    (publisher::RecallOutcome::Recalled, TargetState::Cancelled)
                };
                results.push(publisher::RecallResult {
                    target_id: item.target_id,
                    outcome: outcome.into(),
                    state: now.into(),
                });
            }
        });
        if lose {
            return Err(Status::unavailable("the answer was lost"));
        }
        Ok(Response::new(publisher::RecallResponse { results }))
    }

    async fn validate(
        &self,
        request: Request<publisher::ValidateRequest>,
    ) -> Result<Response<publisher::ValidateResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        let state = self.0.borrow();
        let results = request
            .items
            .into_iter()
            .map(|item| {
                let account = state.accounts.get(&(request.workspace_id.clone(), item.account_id)).cloned();
                let content = item.content.unwrap_or_default();
                let mut violations = Vec::new();
                let chars = content.text.chars().count();
                if chars > 500 {
                    violations.push(publisher::Violation {
                        field: "text".into(),
                        reason: "TEXT_TOO_LONG".into(),
                        description: format!("has {chars} characters; Mastodon takes 500"),
                    });
                }
                let settings = content.settings.and_then(|settings| settings.network);
                if let Some(publisher::network_settings::Network::Youtube(settings)) = &settings
                    && let Some(known) =
                        item.settings_media.iter().find(|known| known.media_id == settings.thumbnail_media_id)
                    && !known.content_type.starts_with("image/")
                {
                    violations.push(publisher::Violation {
                        field: "settings.youtube.thumbnail_media_id".into(),
                        reason: "THUMBNAIL_TYPE".into(),
                        description: format!("is {}, not a picture", known.content_type),
                    });
                }
                if let Some(publisher::network_settings::Network::Mastodon(settings)) = settings
                    && settings.language.len() > 3
                {
                    violations.push(publisher::Violation {
                        field: "settings.mastodon.language".into(),
                        reason: "NOT_A_LANGUAGE".into(),
                        description: "is not an ISO 639 code".into(),
                    });
                }
                publisher::ValidateResult { account, violations }
            })
            .collect();
        Ok(Response::new(publisher::ValidateResponse { results }))
    }

    type TailEventsStream = Tail;

    async fn tail_events(
        &self,
        request: Request<publisher::TailEventsRequest>,
    ) -> Result<Response<Tail>, Status> {
        self.check()?;
        let after = request.into_inner().after_sequence;
        self.0.send_modify(|state| state.tails.push(after));
        let changes = self.0.subscribe();
        let cut = changes.borrow().cut;
        let stream =
            futures::stream::unfold((changes, 0, true), move |(mut changes, mut sent, first)| async move {
                if !first {
                    changes.changed().await.ok()?;
                }
                changes.wait_for(|state| !state.muted || state.cut != cut || state.down).await.ok()?;
                let state = changes.borrow_and_update();
                if state.cut != cut || state.down {
                    return None;
                }
                let events: Vec<_> =
                    state.events[sent..].iter().filter(|event| event.sequence > after).cloned().collect();
                sent = state.events.len();
                drop(state);
                Some((Ok(publisher::TailEventsResponse { events }), (changes, sent, false)))
            });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn confirm(
        &self,
        request: Request<publisher::ConfirmRequest>,
    ) -> Result<Response<publisher::ConfirmResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        let mut answer = Err(Status::not_found("no such target"));
        let mut lose = false;
        self.0.send_modify(|state| {
            lose = state.lose_answers;
            answer = state.settle(&request);
        });
        if lose && answer.is_ok() {
            return Err(Status::unavailable("the answer was lost"));
        }
        answer.map(|state| Response::new(publisher::ConfirmResponse { state: state.into() }))
    }

    async fn list_steps(
        &self,
        request: Request<publisher::ListStepsRequest>,
    ) -> Result<Response<publisher::ListStepsResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        let state = self.0.borrow();
        let steps = state
            .steps
            .get(&(request.workspace_id, request.target_id))
            .ok_or_else(|| Status::not_found("no such target"))?;
        let from: usize = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| Status::invalid_argument("page_token is none of ours"))?,
        };
        let to = steps.len().min(from + request.page_size as usize);
        Ok(Response::new(publisher::ListStepsResponse {
            steps: steps[from..to].to_vec(),
            next_page_token: if to < steps.len() { to.to_string() } else { String::new() },
        }))
    }

    async fn check_accounts(
        &self,
        request: Request<publisher::CheckAccountsRequest>,
    ) -> Result<Response<publisher::CheckAccountsResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        if request.account_ids.len() > 100 || request.until.is_none() {
            return Err(Status::invalid_argument("at most 100, until when"));
        }
        let mut checks = Vec::new();
        self.0.send_modify(|state| {
            for id in &request.account_ids {
                let account = state.accounts.get(&(request.workspace_id.clone(), id.clone()));
                let works = account.is_some_and(|a| a.state() == publisher::AccountState::Connected);
                checks.push(publisher::AccountCheck {
                    account_id: id.clone(),
                    problem: (!works).then(|| TargetProblem {
                        reason: "ACCOUNT_NEEDS_RECONNECT".into(),
                        message: "connect the account again before this is due".into(),
                    }),
                });
            }
            state.checks.push(request);
        });
        Ok(Response::new(publisher::CheckAccountsResponse { checks }))
    }

    async fn read_metrics(
        &self,
        _: Request<publisher::ReadMetricsRequest>,
    ) -> Result<Response<publisher::ReadMetricsResponse>, Status> {
        Err(Status::unimplemented("not the scheduler's business"))
    }
}

/// What the media library knows.
#[derive(Debug, Default)]
pub(crate) struct LibraryState {
    /// True answers everything with UNAVAILABLE.
    pub(crate) down: bool,
    /// Items by workspace and id.
    pub(crate) items: HashMap<(String, String), media::Media>,
    /// Held items by owner.
    pub(crate) holds: HashMap<String, Vec<String>>,
}

/// The media library's stand-in.
#[derive(Debug, Clone)]
pub(crate) struct Library(pub(crate) Arc<watch::Sender<LibraryState>>);

impl Default for Library {
    fn default() -> Self {
        Self(Arc::new(watch::channel(LibraryState::default()).0))
    }
}

impl Library {
    fn check(&self) -> Result<(), Status> {
        if self.0.borrow().down { Err(Status::unavailable("scripted")) } else { Ok(()) }
    }
}

type Rendition = Pin<Box<dyn Stream<Item = Result<media::ReadRenditionResponse, Status>> + Send>>;
type Shared = Pin<Box<dyn Stream<Item = Result<media::ReadShareResponse, Status>> + Send>>;

#[tonic::async_trait]
impl MediaService for Library {
    async fn batch_get_media(
        &self,
        request: Request<media::BatchGetMediaRequest>,
    ) -> Result<Response<media::BatchGetMediaResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        let state = self.0.borrow();
        let found = request
            .media_ids
            .into_iter()
            .filter_map(|id| state.items.get(&(request.workspace_id.clone(), id)).cloned())
            .collect();
        Ok(Response::new(media::BatchGetMediaResponse { media: found }))
    }

    async fn replace_holds(
        &self,
        request: Request<media::ReplaceHoldsRequest>,
    ) -> Result<Response<media::ReplaceHoldsResponse>, Status> {
        self.check()?;
        let request = request.into_inner();
        self.0.send_modify(|state| {
            state.holds.insert(request.owner_id, request.media_ids);
        });
        Ok(Response::new(media::ReplaceHoldsResponse {}))
    }

    async fn create_upload(
        &self,
        _: Request<media::CreateUploadRequest>,
    ) -> Result<Response<media::CreateUploadResponse>, Status> {
        Err(elsewhere())
    }

    async fn complete_upload(
        &self,
        _: Request<media::CompleteUploadRequest>,
    ) -> Result<Response<media::CompleteUploadResponse>, Status> {
        Err(elsewhere())
    }

    async fn get_media(
        &self,
        _: Request<media::GetMediaRequest>,
    ) -> Result<Response<media::GetMediaResponse>, Status> {
        Err(elsewhere())
    }

    async fn list_media(
        &self,
        _: Request<media::ListMediaRequest>,
    ) -> Result<Response<media::ListMediaResponse>, Status> {
        Err(elsewhere())
    }

    async fn delete_media(
        &self,
        _: Request<media::DeleteMediaRequest>,
    ) -> Result<Response<media::DeleteMediaResponse>, Status> {
        Err(elsewhere())
    }

    async fn write_upload(
        &self,
        _: Request<tonic::Streaming<media::WriteUploadRequest>>,
    ) -> Result<Response<media::WriteUploadResponse>, Status> {
        Err(elsewhere())
    }

    type ReadRenditionStream = Rendition;

    async fn read_rendition(
        &self,
        _: Request<media::ReadRenditionRequest>,
    ) -> Result<Response<Rendition>, Status> {
        Err(elsewhere())
    }

    async fn create_share(
        &self,
        _: Request<media::CreateShareRequest>,
    ) -> Result<Response<media::CreateShareResponse>, Status> {
        Err(elsewhere())
    }

    async fn revoke_share(
        &self,
        _: Request<media::RevokeShareRequest>,
    ) -> Result<Response<media::RevokeShareResponse>, Status> {
        Err(elsewhere())
    }

    type ReadShareStream = Shared;

    async fn read_share(&self, _: Request<media::ReadShareRequest>) -> Result<Response<Shared>, Status> {
        Err(elsewhere())
    }
}

fn elsewhere() -> Status {
    Status::unimplemented("not the scheduler's business")
}
