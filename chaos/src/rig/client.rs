//! Users of a mesh, over gRPC: they write, change and withdraw posts, and remember what they were told.
//!
//! A request that got no answer is repeated with the same request id until it gets one, as a careful client does;
//! what is remembered is only what was acknowledged.

mod accounts;
mod media;
mod posts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use postmesh_proto::auth::v1::{LoginRequest, RegisterRequest, auth_service_client::AuthServiceClient};
use tokio::time::Instant;
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

pub use self::{
    accounts::{NETWORKS, Needs, Network, Way, network},
    posts::{Answer, Draft, Part, Written},
};
use super::{
    Sandbox,
    history::{Account, Target},
};

/// One call waits this long for its answer; then it is repeated.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A request that gets no answer for so long, over all repetitions, fails the case.
const PATIENCE: Duration = Duration::from_mins(5);

/// Everything that users of one mesh share. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    record: Arc<Mutex<Record>>,
    /// Held by whoever connects accounts again: each time the network gives out another password.
    pub(super) reconnecting: Arc<tokio::sync::Mutex<()>>,
}

/// What users were told.
#[derive(Debug, Default)]
struct Record {
    accounts: Vec<Account>,
    targets: BTreeMap<String, Target>,
}

/// A signed-in user with a workspace of its own.
#[derive(Debug, Clone)]
pub struct User {
    pub(super) client: Client,
    email: String,
    password: String,
    /// The workspace's id.
    pub tenant: String,
    token: Arc<Mutex<String>>,
}

impl Client {
    /// Users of the mesh whose gateway has this address. It need not be up yet.
    pub fn of(url: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .connect_timeout(Duration::from_secs(2))
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5));
        Ok(Self { channel: endpoint.connect_lazy(), record: Arc::default(), reconnecting: Arc::default() })
    }

    /// Registers a user; the name makes the address.
    pub async fn register(&self, name: &str) -> anyhow::Result<User> {
        let (email, password) = (format!("{name}@example.com"), request_id());
        let request = RegisterRequest {
            email: email.clone(),
            password: password.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self
            .until_answered(|channel| {
                let request = request.clone();
                async move { AuthServiceClient::new(channel).register(request).await }
            })
            .await
            .map_err(|status| told("Register", &status))?;
        let token = answer.session.context("no session was answered")?.access_token;
        let tenant = answer.workspace.context("no workspace was answered")?.id;
        Ok(User { client: self.clone(), email, password, tenant, token: Arc::new(Mutex::new(token)) })
    }

    /// The accounts that were connected.
    pub fn accounts(&self) -> Vec<Account> {
        self.record().accounts.clone()
    }

    /// Every target that was accepted, as it was acknowledged.
    pub fn targets(&self) -> Vec<Target> {
        self.record().targets.values().cloned().collect()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats a call until it is answered, with a refusal as well.
    async fn until_answered<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = match tokio::time::timeout(ANSWER_WITHIN, call(self.channel.clone())).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if !is_unanswered(&status) => return Err(status),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            if Instant::now() > until {
                return Err(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl User {
    /// Calls with this user's token, signing in again when it has ended.
    pub(super) async fn call<M, T, F>(
        &self,
        message: M,
        call: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        for is_last in [false, true] {
            let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let bearer =
                format!("Bearer {token}").parse().map_err(|_| Status::internal("the token is no header"))?;
            let answer = self
                .client
                .until_answered(|channel| {
                    let mut request = Request::new(message.clone());
                    request.metadata_mut().insert("authorization", Clone::clone(&bearer));
                    call(channel, request)
                })
                .await;
            match answer {
                Err(status) if status.code() == Code::Unauthenticated && !is_last => self.sign_in().await?,
                answer => return answer,
            }
        }
        Err(Status::unauthenticated("signing in did not help"))
    }

    async fn sign_in(&self) -> Result<(), Status> {
        let request = LoginRequest { email: self.email.clone(), password: self.password.clone() };
        let answer = self
            .client
            .until_answered(|channel| {
                let request = request.clone();
                async move { AuthServiceClient::new(channel).login(request).await }
            })
            .await?;
        let session = answer.session.ok_or_else(|| Status::internal("no session was answered"))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = session.access_token;
        Ok(())
    }

    /// Connects an account of a sandbox network, made there first.
    pub async fn connect(
        &self,
        sandbox: &Sandbox,
        network: &Network,
        handle: &str,
    ) -> anyhow::Result<Account> {
        let account = accounts::connect(self, sandbox, network, handle).await?;
        self.client.record().accounts.push(account.clone());
        Ok(account)
    }

    /// Connects an account again whose authorization was lost.
    pub async fn connect_again(&self, sandbox: &Sandbox, known: &Account) -> anyhow::Result<()> {
        let Some(network) = network(&known.network) else { return Ok(()) };
        accounts::connect(self, sandbox, network, &known.handle).await.map(drop)
    }
}

/// Whether a status means that the request was not answered: the mesh was away, or died over it.
fn is_unanswered(status: &Status) -> bool {
    let is_away = matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
    );
    // Born here, from a broken connection, not by the mesh.
    is_away || std::error::Error::source(status).is_some()
}

/// A refusal as an error.
pub(super) fn told(call: &str, status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{call} answered {:?}: {}", status.code(), status.message())
}

/// A new request id.
fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
