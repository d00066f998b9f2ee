//! Deliveries: taken over, given back, checked, reported. A call stores and wakes; it never waits for a network, but
//! for `ReadMetrics`, which asks one.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use postmesh_kit::{
    ids,
    status::{Violations, to_status},
    time,
};
use postmesh_proto::publisher::v1::{self as proto, delivery_service_server::DeliveryService};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{account, convert, settings};
use crate::{
    actors::Accounts,
    deps::Parts,
    domain::{delivery::Work, outcome::Fault, step::Problem},
    error::Error,
    holds::{Calls, OurApp},
    networks::{PostMetrics, Session},
    store::{
        Delivering, Place, Taken,
        accounts::{Account, AccountState},
    },
};

/// Deliveries and recalls in one call.
const BATCH: usize = 500;
/// Contents checked in one call.
const CHECKS: usize = 100;
/// Posts whose counts are read in one call.
const POSTS: usize = 25;
/// Events in one answer of a tail.
const EVENTS: i64 = 500;
/// How late a delivery may go out when nothing is said, milliseconds.
const MAX_LATE: i64 = 60 * 60_000;
/// A tail looks for events of other processes this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a tail lets events gather after the first.
const GATHER: Duration = Duration::from_millis(10);

/// Answers the rpcs.
#[derive(Debug, Clone)]
pub struct Deliveries {
    pub(super) parts: Arc<Parts>,
    pub(super) accounts: Accounts,
}

impl Deliveries {
    pub(crate) fn new(parts: Arc<Parts>, accounts: Accounts) -> Self {
        Self { parts, accounts }
    }

    async fn deliver(&self, request: proto::DeliverRequest) -> Result<proto::DeliverResponse, Error> {
        let mut violations = Violations::default();
        violations.require(
            request.deliveries.len() <= BATCH,
            "deliveries",
            "TOO_MANY",
            "must be at most 500",
        );
        let mut asked = Vec::with_capacity(request.deliveries.len());
        for (at, delivery) in request.deliveries.into_iter().enumerate() {
            asked.push(read(&mut violations, at, delivery));
        }
        violations.into_result().map_err(Error::Invalid)?;

        let mut known: HashMap<(Uuid, Uuid), Option<Account>> = HashMap::new();
        let mut verdicts: Vec<Option<Taken>> = Vec::with_capacity(asked.len());
        let mut batch = Vec::with_capacity(asked.len());
        let ids: Vec<Uuid> = asked.iter().map(|delivery| delivery.target_id).collect();
        for mut delivery in asked {
            let key = (delivery.workspace_id, delivery.account_id);
            if let Entry::Vacant(place) = known.entry(key) {
                place.insert(self.parts.store.account(key.0, key.1).await?);
            }
            let account = known.get(&key).and_then(Option::as_ref);
            match self.check(&mut delivery, account) {
                Ok(()) => {
                    verdicts.push(None);
                    batch.push(delivery);
                }
                Err(problem) => verdicts.push(Some(Taken::Refused(problem))),
            }
        }
        let wanted: Vec<(Uuid, Uuid)> =
            batch.iter().map(|delivery| (delivery.workspace_id, delivery.account_id)).collect();
        let mut taken = self.parts.store.deliver(batch, &self.parts.policy).await?.into_iter();
        self.accounts.wake_all(wanted);
        self.parts.ring_work();
        let results = ids.into_iter().zip(verdicts).map(|(target_id, verdict)| {
            let verdict = verdict.or_else(|| taken.next()).expect("one verdict per delivery");
            let (outcome, problem) = match verdict {
                Taken::Accepted => (proto::DeliverOutcome::Accepted, None),
                Taken::Superseded => (proto::DeliverOutcome::Superseded, None),
                Taken::Refused(problem) => (proto::DeliverOutcome::Refused, Some(convert::problem(problem))),
            };
            proto::DeliverResult { target_id: target_id.to_string(), outcome: outcome.into(), problem }
        });
        Ok(proto::DeliverResponse { results: results.collect() })
    }

    /// Whether a delivery can be taken; decides its plan.
    fn check(&self, delivery: &mut Delivering, account: Option<&Account>) -> Result<(), Problem> {
        let gone = || Problem::new("ACCOUNT_GONE", "The account was disconnected. Choose another one.");
        let account =
            account.filter(|account| account.state != AccountState::Disconnected).ok_or_else(gone)?;
        let network = self.parts.network(&account.network).map_err(|_| gone())?;
        let position = delivery.thread.as_ref().map_or(0, |thread| thread.position);
        let violations = network.validate(&account.limits, &delivery.content, position);
        if let Some(violation) = violations.into_iter().next() {
            return Err(Problem::new(violation.reason, violation.description));
        }
        delivery.network.clone_from(&account.network);
        let mut work = Work {
            target_id: delivery.target_id,
            post_id: delivery.post_id,
            workspace_id: delivery.workspace_id,
            account_id: delivery.account_id,
            revision: delivery.revision,
            due_at: delivery.due_at,
            key: self.parts.keys.derive(
                delivery.workspace_id,
                delivery.target_id,
                delivery.revision,
                &account.network,
            ),
            content: std::mem::take(&mut delivery.content),
            plan: serde_json::Value::Null,
            position: delivery.thread.map_or(0, |place| place.position),
            reply: None,
        };
        delivery.plan = network.plan(&work);
        delivery.content = std::mem::take(&mut work.content);
        Ok(())
    }

    async fn recall(&self, request: proto::RecallRequest) -> Result<proto::RecallResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        violations.require(request.items.len() <= BATCH, "items", "TOO_MANY", "must be at most 500");
        let mut items = Vec::with_capacity(request.items.len());
        for (at, item) in request.items.iter().enumerate() {
            let target = violations.take(ids::parse(&format!("items[{at}].target_id"), &item.target_id));
            items.push((target.unwrap_or_default(), item.revision));
        }
        violations.into_result().map_err(Error::Invalid)?;
        let answers = self.parts.store.recall(workspace_id, items.clone()).await?;
        self.parts.ring_events();
        self.accounts.wake(workspace_id, answers.iter().filter_map(|answer| answer.account_id));
        let results = items.into_iter().zip(answers).map(|((target_id, _), answer)| {
            let outcome =
                if answer.holds { proto::RecallOutcome::Recalled } else { proto::RecallOutcome::TooLate };
            proto::RecallResult {
                target_id: target_id.to_string(),
                outcome: outcome.into(),
                state: answer.state.map(convert::state).unwrap_or_default().into(),
            }
        });
        Ok(proto::RecallResponse { results: results.collect() })
    }

    async fn validate(&self, request: proto::ValidateRequest) -> Result<proto::ValidateResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        violations.require(request.items.len() <= CHECKS, "items", "TOO_MANY", "must be at most 100");
        let mut items = Vec::with_capacity(request.items.len());
        for (at, item) in request.items.into_iter().enumerate() {
            let account_id =
                violations.take(ids::parse(&format!("items[{at}].account_id"), &item.account_id));
            let field = |name: &str| format!("items[{at}].{name}");
            let mut content = convert::content(&mut violations, &field("content"), item.content);
            let known = convert::media(&mut violations, &field("settings_media"), item.settings_media);
            settings::describe(&mut content.settings, &known);
            items.push((account_id.unwrap_or_default(), content, i64::from(item.thread_position)));
        }
        violations.into_result().map_err(Error::Invalid)?;
        let mut results = Vec::with_capacity(items.len());
        for (account_id, content, position) in items {
            let Some(account) = self.parts.store.account(workspace_id, account_id).await? else {
                results.push(proto::ValidateResult::default());
                continue;
            };
            let network = self.parts.network(&account.network)?;
            let violations =
                network.validate(&account.limits, &content, position).into_iter().map(|violation| {
                    proto::Violation {
                        field: violation.field,
                        reason: violation.reason.to_owned(),
                        description: violation.description,
                    }
                });
            results.push(proto::ValidateResult {
                violations: violations.collect(),
                account: Some(account::to_proto(&account)),
            });
        }
        Ok(proto::ValidateResponse { results })
    }

    async fn read_metrics(
        &self,
        request: proto::ReadMetricsRequest,
    ) -> Result<proto::ReadMetricsResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let account_id = violations.take(ids::parse("account_id", &request.account_id)).unwrap_or_default();
        violations.require(request.native_ids.len() <= POSTS, "native_ids", "TOO_MANY", "must be at most 25");
        violations.into_result().map_err(Error::Invalid)?;
        if self.parts.store.account(workspace_id, account_id).await?.is_none() {
            return Err(Error::AccountNotFound(account_id));
        }
        let now = self.parts.clock.now_ms();
        if let Some(until) = self.parts.holds.until(account_id, Calls::Reads, now) {
            return Err(Error::NetworkUnavailable {
                message: "the network asks to read less often".into(),
                retry_after: Some(Duration::from_millis((until - now).unsigned_abs())),
            });
        }
        let session = self.accounts.session(account_id, None).await?;
        let counts = match self.counts(&session, &request.native_ids).await {
            Err(Fault::TokenExpired) => {
                let session = self.accounts.session(account_id, Some(session.token_version)).await?;
                self.counts(&session, &request.native_ids).await
            }
            other => other,
        };
        if let Some(wait) = counts.as_ref().err().and_then(Fault::throttled) {
            let most = self.parts.policy.hint_most;
            self.parts.holds.hold(account_id, Calls::Reads, wait, most, now);
        }
        let counts = match counts {
            Ok(counts) => counts,
            Err(Fault::Reconnect { message }) => {
                self.parts.vault.need_reconnect(&session, &message).await?;
                self.accounts.changed(account_id);
                return Err(Error::NeedsReconnect(account_id));
            }
            Err(Fault::Rejected { code, message }) => return Err(Error::NetworkRefused { code, message }),
            Err(Fault::Transient { message, retry_after, .. }) => {
                return Err(Error::NetworkUnavailable { message, retry_after });
            }
            Err(fault @ (Fault::TokenExpired | Fault::Store(_))) => {
                return Err(Error::NetworkUnavailable { message: fault.to_string(), retry_after: None });
            }
        };
        let metrics = counts.into_iter().map(|counts| proto::PostMetrics {
            native_id: counts.native_id,
            found: counts.found,
            likes: counts.likes,
            reposts: counts.reposts,
            replies: counts.replies,
            views: counts.views,
        });
        Ok(proto::ReadMetricsResponse { metrics: metrics.collect() })
    }

    async fn counts(&self, session: &Session, native_ids: &[String]) -> Result<Vec<PostMetrics>, Fault> {
        let network =
            self.parts.network(&session.network).map_err(|error| Fault::Store(error.to_string()))?;
        let (parts, app) = (&self.parts, OurApp::of(session));
        if let Some(refusal) = parts.holds.refusal(&app, parts.clock.now_ms()) {
            return Err(refusal);
        }
        let counts = network.metrics(session, native_ids).await;
        parts.holds.hear(app, counts.as_ref().err(), parts.policy.hint_most, parts.clock.now_ms());
        counts
    }

    fn tail(self, after: i64) -> impl Stream<Item = Result<proto::TailEventsResponse, Status>> + Send {
        let events = self.parts.events.subscribe();
        stream::unfold((self, events, after, true), |(this, mut events, after, is_first)| async move {
            loop {
                events.mark_unchanged();
                let rows = match this.parts.store.events_after(after, EVENTS).await {
                    Ok(rows) => rows,
                    // The consumer comes again with its cursor.
                    Err(error) => return Some((Err(to_status(error)), (this, events, i64::MAX, false))),
                };
                if is_first || !rows.is_empty() {
                    let last = rows.last().map_or(after, |row| row.sequence);
                    let answer =
                        proto::TailEventsResponse { events: rows.into_iter().map(convert::event).collect() };
                    return Some((Ok(answer), (this, events, last, false)));
                }
                if after == i64::MAX {
                    return None;
                }
                tokio::select! {
                    () = this.parts.lifecycle.stopping() => return None,
                    // A burst commits many times in a moment: read them together.
                    _ = events.changed() => tokio::time::sleep(GATHER).await,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        })
    }
}

/// Reads one hand-over.
fn read(violations: &mut Violations, at: usize, delivery: proto::Delivery) -> Delivering {
    let field = |name: &str| format!("deliveries[{at}].{name}");
    let mut id = |name: &str, text: &str| violations.take(ids::parse(&field(name), text)).unwrap_or_default();
    let target_id = id("target_id", &delivery.target_id);
    let post_id = id("post_id", &delivery.post_id);
    let workspace_id = id("workspace_id", &delivery.workspace_id);
    let account_id = id("account_id", &delivery.account_id);
    let due_at = delivery.due_time.as_ref().and_then(time::from_proto);
    violations.require(due_at.is_some(), field("due_time"), "REQUIRED", "is required");
    let max_late = delivery.max_lateness.as_ref().map_or(MAX_LATE, time::duration_from_proto);
    violations.require(max_late > 0, field("max_lateness"), "NOT_POSITIVE", "must be positive");
    violations.require(delivery.revision >= 0, field("revision"), "NEGATIVE", "must not be negative");
    let content = convert::content(violations, &field("content"), delivery.content);
    let thread = delivery.thread.map(|place| {
        let mut id =
            |name: &str, text: &str| violations.take(ids::parse(&field(name), text)).unwrap_or_default();
        Place {
            root_id: id("thread.root_target_id", &place.root_target_id),
            previous_id: (!place.previous_target_id.is_empty())
                .then(|| id("thread.previous_target_id", &place.previous_target_id)),
            position: place.position.into(),
        }
    });
    Delivering {
        target_id,
        post_id,
        workspace_id,
        account_id,
        network: String::new(),
        revision: delivery.revision,
        due_at: due_at.unwrap_or_default(),
        max_late,
        content,
        plan: serde_json::Value::Null,
        thread,
    }
}

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    type TailEventsStream = Pin<Box<dyn Stream<Item = Result<proto::TailEventsResponse, Status>> + Send>>;

    async fn deliver(
        &self,
        request: Request<proto::DeliverRequest>,
    ) -> Result<Response<proto::DeliverResponse>, Status> {
        self.deliver(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn recall(
        &self,
        request: Request<proto::RecallRequest>,
    ) -> Result<Response<proto::RecallResponse>, Status> {
        self.recall(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn validate(
        &self,
        request: Request<proto::ValidateRequest>,
    ) -> Result<Response<proto::ValidateResponse>, Status> {
        self.validate(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn tail_events(
        &self,
        request: Request<proto::TailEventsRequest>,
    ) -> Result<Response<Self::TailEventsStream>, Status> {
        let after = request.into_inner().after_sequence.max(0);
        Ok(Response::new(Box::pin(self.clone().tail(after))))
    }

    async fn confirm(
        &self,
        request: Request<proto::ConfirmRequest>,
    ) -> Result<Response<proto::ConfirmResponse>, Status> {
        self.settle(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn list_steps(
        &self,
        request: Request<proto::ListStepsRequest>,
    ) -> Result<Response<proto::ListStepsResponse>, Status> {
        self.timeline(&request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn check_accounts(
        &self,
        request: Request<proto::CheckAccountsRequest>,
    ) -> Result<Response<proto::CheckAccountsResponse>, Status> {
        self.accounts_checked(&request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn read_metrics(
        &self,
        request: Request<proto::ReadMetricsRequest>,
    ) -> Result<Response<proto::ReadMetricsResponse>, Status> {
        self.read_metrics(request.into_inner()).await.map(Response::new).map_err(to_status)
    }
}
