//! What people see and settle of one delivery: its timeline, the answer to a question nobody else can answer, and
//! whether its account could publish at all.

use postmesh_kit::{
    ids, page,
    status::{FieldViolation, Violations},
    time,
};
use postmesh_proto::{
    common::v1::{TargetConfirmation, target_confirmation::Answer},
    publisher::v1 as proto,
};
use uuid::Uuid;

use super::{convert, delivery::Deliveries};
use crate::{
    domain::{
        outcome::Wire,
        state::State,
        step::{Event, Problem, Verdict, step},
    },
    error::Error,
    store::{Change, accounts::AccountState},
};

/// Accounts checked in one call.
const CHECKS: usize = 100;
/// The longest address a user can give, bytes.
const LONGEST_URL: usize = 2048;

impl Deliveries {
    /// Settles a delivery that needs confirmation. What the network shows meanwhile wins: then the answer is refused.
    pub(super) async fn settle(
        &self,
        request: proto::ConfirmRequest,
    ) -> Result<proto::ConfirmResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let target_id = violations.take(ids::parse("target_id", &request.target_id)).unwrap_or_default();
        let answer = violations.take(answer(request.confirmation));
        violations.into_result().map_err(Error::Invalid)?;
        let answer = answer.expect("a missing answer is a violation");
        let wanted = wanted(&answer);
        loop {
            let stored = self.parts.store.delivery(workspace_id, target_id).await?;
            let stored = stored.filter(|stored| stored.revision == request.revision);
            let stored = stored.ok_or(Error::DeliveryNotFound(target_id))?;
            let network = self.parts.network(&stored.network)?;
            let before = stored.decision()?;
            let verdict = match &answer {
                Answer::LiveUrl(url) => {
                    let account = self.parts.store.account(workspace_id, stored.account_id).await?;
                    let native_id = account.and_then(|account| network.id_in(&account.native_id, url));
                    Verdict::Live { native_id: native_id.unwrap_or_default(), url: url.clone() }
                }
                Answer::PostAgain(_) | Answer::Drop(_) => Verdict::Dropped,
            };
            let (class, now) = (network.facts().class, self.parts.store.now().await?);
            let stepped = step(&before, Event::Confirmed(verdict), class, &self.parts.policy, now, 0.0);
            let Ok((after, effects)) = stepped else {
                if before.state == wanted {
                    return Ok(proto::ConfirmResponse { state: convert::state(wanted).into() });
                }
                return Err(Error::NotInQuestion { target_id, state: before.state });
            };
            let (mut change, _) = Change::new(&stored, before.state, after, effects, Wire::default());
            change.confirmed = true;
            if self.parts.store.apply(vec![change]).await? == [true] {
                self.parts.ring_events();
                self.accounts.wake(stored.workspace_id, [stored.account_id]);
                self.parts.ring_work();
                return Ok(proto::ConfirmResponse { state: convert::state(wanted).into() });
            }
        }
    }

    /// The timeline of one target.
    pub(super) async fn timeline(
        &self,
        request: &proto::ListStepsRequest,
    ) -> Result<proto::ListStepsResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let target_id = violations.take(ids::parse("target_id", &request.target_id)).unwrap_or_default();
        let size = violations.take(page::size(request.page_size)).unwrap_or_default();
        let offset: Option<i64> = violations.take(page::decode(&request.page_token)).flatten();
        violations.into_result().map_err(Error::Invalid)?;
        let offset = offset.unwrap_or_default().max(0);
        let limit = i64::try_from(size).unwrap_or(i64::MAX - 1) + 1;
        let mut rows = self.parts.store.steps(workspace_id, target_id, limit, offset).await?;
        let is_more = rows.len() > size;
        rows.truncate(size);
        let next = offset + i64::try_from(rows.len()).unwrap_or(0);
        Ok(proto::ListStepsResponse {
            steps: rows.into_iter().map(convert::step).collect(),
            next_page_token: if is_more { page::encode(&next) } else { String::new() },
        })
    }

    /// Whether accounts could publish, and go on to until a moment.
    pub(super) async fn accounts_checked(
        &self,
        request: &proto::CheckAccountsRequest,
    ) -> Result<proto::CheckAccountsResponse, Error> {
        let mut violations = Violations::default();
        let workspace_id =
            violations.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let few = request.account_ids.len() <= CHECKS;
        violations.require(few, "account_ids", "TOO_MANY", "must be at most 100");
        let read = |(at, id): (usize, &String)| ids::parse(&format!("account_ids[{at}]"), id);
        let account_ids: Vec<Uuid> =
            request.account_ids.iter().enumerate().filter_map(|id| violations.take(read(id))).collect();
        violations.into_result().map_err(Error::Invalid)?;
        let until = request.until.as_ref().and_then(time::from_proto).unwrap_or_default();
        let mut checks = Vec::with_capacity(account_ids.len());
        for account_id in account_ids {
            let problem = self.obstacle(workspace_id, account_id, until).await?;
            checks.push(proto::AccountCheck {
                account_id: account_id.to_string(),
                problem: problem.map(convert::problem),
            });
        }
        Ok(proto::CheckAccountsResponse { checks })
    }

    /// Why an account could not publish.
    async fn obstacle(
        &self,
        workspace_id: Uuid,
        account_id: Uuid,
        until: i64,
    ) -> Result<Option<Problem>, Error> {
        let gone = || Problem::new("ACCOUNT_GONE", "The account was disconnected. Choose another one.");
        let Some(account) = self.parts.store.account(workspace_id, account_id).await? else {
            return Ok(Some(gone()));
        };
        match account.state {
            AccountState::Disconnected => return Ok(Some(gone())),
            AccountState::NeedsReconnect => {
                return Ok(Some(Problem::new("RECONNECT", account.state_message)));
            }
            AccountState::Connected => {}
        }
        Ok(match self.accounts.session(account_id, None).await {
            Ok(session) => {
                let ends =
                    session.refresh_token.is_none() && session.access_expires_at.is_some_and(|at| at < until);
                let message = "The account's authorization ends before the post is due. Connect it again.";
                ends.then(|| Problem::new("EXPIRES", message))
            }
            Err(Error::NeedsReconnect(_)) => Some(Problem::new(
                "RECONNECT",
                "The network no longer accepts the account's authorization. Connect it again.",
            )),
            // A hiccup says nothing about the account.
            Err(_) => None,
        })
    }
}

fn answer(confirmation: Option<TargetConfirmation>) -> Result<Answer, FieldViolation> {
    let refuse = |reason, text: &str| Err(FieldViolation::new("confirmation", reason, text));
    match confirmation.and_then(|confirmation| confirmation.answer) {
        None => refuse("REQUIRED", "is required: live_url, post_again or drop"),
        Some(Answer::LiveUrl(url)) => {
            let parsed = url::Url::parse(&url);
            let is_web = parsed.is_ok_and(|parsed| matches!(parsed.scheme(), "http" | "https"));
            if is_web && url.len() <= LONGEST_URL {
                Ok(Answer::LiveUrl(url))
            } else {
                refuse("NOT_A_URL", "live_url must be an http or https address of at most 2048 bytes")
            }
        }
        Some(answer) => Ok(answer),
    }
}

fn wanted(answer: &Answer) -> State {
    match answer {
        Answer::LiveUrl(_) => State::Published,
        Answer::PostAgain(_) | Answer::Drop(_) => State::Dropped,
    }
}
