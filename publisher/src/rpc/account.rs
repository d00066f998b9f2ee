//! `AccountService`: messages in, messages out; what happens is in `connecting`.

use postmesh_kit::{
    identity::Identity,
    ids, page,
    status::{Violations, to_status},
    time,
};
use postmesh_proto::publisher::v1 as proto;
use proto::account_service_server::AccountService;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{fit, networks::limits};
use crate::{
    connecting::{Callback, Completed, Connecting, Login},
    error::Error,
    networks::{Secret, connect::Connected},
    store::accounts::{Account, AccountState},
};

/// The service.
#[derive(Debug, Clone)]
pub struct Accounts {
    connecting: Connecting,
}

impl Accounts {
    /// Answers with this.
    pub fn new(connecting: Connecting) -> Self {
        Self { connecting }
    }
}

/// An account that a login yields.
fn choice(connected: Connected) -> proto::AccountChoice {
    proto::AccountChoice {
        native_id: connected.native_id,
        handle: connected.handle,
        display_name: connected.display_name,
        avatar_url: connected.avatar_url,
    }
}

/// Where a page of accounts begins.
#[derive(Serialize, Deserialize)]
struct Position {
    created_at: i64,
    id: Uuid,
    show_disconnected: bool,
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn begin_connect(
        &self,
        request: Request<proto::BeginConnectRequest>,
    ) -> Result<Response<proto::BeginConnectResponse>, Status> {
        let me = Identity::of(&request)?;
        let ask = request.into_inner();
        let request_id = request_id(&ask.request_id).map_err(to_status)?;
        let started = self.connecting.begin(&me, &ask.network, &ask.server, &ask.return_path, request_id);
        let started = started.await.map_err(to_status)?;
        Ok(Response::new(proto::BeginConnectResponse {
            connection_id: started.connection_id.to_string(),
            authorization_url: started.authorization_url,
            expire_time: Some(time::to_proto(started.expires_at)),
        }))
    }

    async fn complete_connect(
        &self,
        request: Request<proto::CompleteConnectRequest>,
    ) -> Result<Response<proto::CompleteConnectResponse>, Status> {
        let me = Identity::of(&request)?;
        let ask = request.into_inner();
        let id = ids::parse("connection_id", &ask.connection_id);
        let id = id.map_err(|wrong| to_status(Error::Invalid(vec![wrong])))?;
        let completed = self.connecting.complete(&me, id, &ask.native_ids).await.map_err(to_status)?;
        let answer = match completed {
            Completed::Connected(accounts) => {
                let accounts: Vec<_> = accounts.iter().map(to_proto).collect();
                proto::CompleteConnectResponse {
                    account: accounts.first().cloned(),
                    accounts,
                    choices: Vec::new(),
                }
            }
            Completed::Choose(choices) => proto::CompleteConnectResponse {
                account: None,
                accounts: Vec::new(),
                choices: choices.into_iter().map(choice).collect(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn connect_with_password(
        &self,
        request: Request<proto::ConnectWithPasswordRequest>,
    ) -> Result<Response<proto::ConnectWithPasswordResponse>, Status> {
        let me = Identity::of(&request)?;
        let ask = request.into_inner();
        let request_id = request_id(&ask.request_id).map_err(to_status)?;
        let login = Login {
            network: ask.network,
            server: ask.server,
            identifier: ask.identifier,
            password: Secret::new(ask.password),
            request_id,
        };
        let account = self.connecting.login(&me, &login).await.map_err(to_status)?;
        Ok(Response::new(proto::ConnectWithPasswordResponse { account: Some(to_proto(&account)) }))
    }

    async fn get_account(
        &self,
        request: Request<proto::GetAccountRequest>,
    ) -> Result<Response<proto::GetAccountResponse>, Status> {
        let me = Identity::of(&request)?;
        let id = account_id(&request.into_inner().account_id).map_err(to_status)?;
        let account = self.connecting.store.account(me.workspace_id, id).await.map_err(to_status)?;
        let account = account.ok_or_else(|| to_status(Error::AccountNotFound(id)))?;
        Ok(Response::new(proto::GetAccountResponse { account: Some(to_proto(&account)) }))
    }

    async fn list_accounts(
        &self,
        request: Request<proto::ListAccountsRequest>,
    ) -> Result<Response<proto::ListAccountsResponse>, Status> {
        let me = Identity::of(&request)?;
        let ask = request.into_inner();
        let mut violations = Violations::default();
        let size = violations.take(page::size(ask.page_size)).unwrap_or(1);
        let position = violations.take(page::decode::<Position>(&ask.page_token)).flatten();
        let same =
            position.as_ref().is_none_or(|position| position.show_disconnected == ask.show_disconnected);
        violations.require(
            same,
            "page_token",
            "INVALID",
            "belongs to a request with another show_disconnected",
        );
        violations.into_result().map_err(|wrong| to_status(Error::Invalid(wrong)))?;
        let after = position.map_or((i64::MIN, Uuid::nil()), |position| (position.created_at, position.id));
        let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
        let found = self.connecting.store.accounts(me.workspace_id, after, ask.show_disconnected, limit);
        let mut found = found.await.map_err(to_status)?;
        let has_more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| has_more).map(|last| Position {
            created_at: last.created_at,
            id: last.id,
            show_disconnected: ask.show_disconnected,
        });
        Ok(Response::new(proto::ListAccountsResponse {
            accounts: found.iter().map(to_proto).collect(),
            next_page_token: last.as_ref().map(page::encode).unwrap_or_default(),
        }))
    }

    async fn fit_content(
        &self,
        request: Request<proto::FitContentRequest>,
    ) -> Result<Response<proto::FitContentResponse>, Status> {
        let me = Identity::of(&request)?;
        let Connecting { store, networks, .. } = &self.connecting;
        fit::fit(store, networks, me.workspace_id, request.into_inner()).await.map(Response::new)
    }

    async fn disconnect_account(
        &self,
        request: Request<proto::DisconnectAccountRequest>,
    ) -> Result<Response<proto::DisconnectAccountResponse>, Status> {
        let me = Identity::of(&request)?;
        let id = account_id(&request.into_inner().account_id).map_err(to_status)?;
        let account = self.connecting.disconnect(&me, id).await.map_err(to_status)?;
        Ok(Response::new(proto::DisconnectAccountResponse { account: Some(to_proto(&account)) }))
    }

    async fn receive_authorization(
        &self,
        request: Request<proto::ReceiveAuthorizationRequest>,
    ) -> Result<Response<proto::ReceiveAuthorizationResponse>, Status> {
        let ask = request.into_inner();
        let callback = Callback {
            state: ask.state,
            code: ask.code,
            issuer: ask.issuer,
            error: ask.error,
            error_description: ask.error_description,
        };
        let received = self.connecting.receive(&callback).await.map_err(to_status)?;
        Ok(Response::new(proto::ReceiveAuthorizationResponse {
            return_path: received.return_path,
            connection_id: received.connection_id.to_string(),
            network_display_name: received.network_display_name,
            refused: received.is_refused,
        }))
    }
}

/// An account as the contract shows it.
pub(crate) fn to_proto(account: &Account) -> proto::Account {
    let state = match account.state {
        AccountState::Connected => proto::AccountState::Connected,
        AccountState::NeedsReconnect => proto::AccountState::NeedsReconnect,
        AccountState::Disconnected => proto::AccountState::Disconnected,
    };
    proto::Account {
        id: account.id.to_string(),
        network: account.network.clone(),
        server: account.server.clone(),
        native_id: account.native_id.clone(),
        handle: account.handle.clone(),
        display_name: account.display_name.clone(),
        avatar_url: account.avatar_url.clone(),
        profile_url: account.profile_url.clone(),
        state: state.into(),
        state_message: account.state_message.clone(),
        limits: Some(limits(&account.limits)),
        create_time: Some(time::to_proto(account.created_at)),
    }
}

fn account_id(text: &str) -> Result<Uuid, Error> {
    ids::parse("account_id", text).map_err(|wrong| Error::Invalid(vec![wrong]))
}

fn request_id(text: &str) -> Result<Option<Uuid>, Error> {
    ids::parse_optional("request_id", text).map_err(|wrong| Error::Invalid(vec![wrong]))
}
