//! The rpcs of the auth service. Who may call what is stated in the contract and enforced before a handler runs.

mod convert;
mod limits;
mod login;
mod refresh;
mod register;

use postmesh_kit::{identity::Identity, ids, status::to_status};
use postmesh_proto::auth::v1::{
    GetKeySetRequest, GetKeySetResponse, GetMeRequest, GetMeResponse, LoginRequest, LoginResponse,
    LogoutRequest, LogoutResponse, RefreshRequest, RefreshResponse, RegisterRequest, RegisterResponse,
    auth_service_server::{AuthService, AuthServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};

use self::limits::LoginThrottles;
use crate::{
    actors::keyring::Keys,
    config::Config,
    deps::Deps,
    domain::session::SESSION_LIFE_MS,
    error::Error,
    passwords::Passwords,
    store::{Store, sessions::NewSession, users::Member},
    tokens::{Holder, Pair},
};

/// The largest request, in bytes: nothing here is long.
const MAX_REQUEST: usize = 64 * 1024;

/// The routes of the service.
pub fn routes(config: &Config, deps: Deps, store: Store, keys: Keys) -> Result<Routes, Error> {
    let passwords = Passwords::new(config)?;
    let limits = LoginThrottles::new(&deps.cache, &config.login);
    let auth = Auth { deps, store, keys, passwords, limits };
    Ok(Routes::new(AuthServiceServer::new(auth).max_decoding_message_size(MAX_REQUEST)))
}

/// What handlers share.
struct Auth {
    deps: Deps,
    store: Store,
    keys: Keys,
    passwords: Passwords,
    limits: LoginThrottles,
}

impl Auth {
    fn now(&self) -> i64 {
        self.deps.clock.now_ms()
    }

    /// A pair of tokens for a holder.
    fn mint(&self, holder: &Holder, now: i64) -> Result<Pair, Error> {
        let keys = self.keys.borrow().clone();
        Ok(Pair::mint(keys.signing(now)?, holder, now))
    }

    /// A new session of a member and its first pair, not stored yet.
    fn new_session(&self, holder: Holder, now: i64) -> Result<(NewSession, Pair), Error> {
        let pair = self.mint(&holder, now)?;
        let session = NewSession {
            id: holder.session_id,
            user_id: holder.user_id,
            workspace_id: holder.workspace_id,
            created_at: now,
            expires_at: holder.expires_at,
            token: pair.hash(),
        };
        Ok((session, pair))
    }

    /// Signs a member in.
    async fn sign_in(&self, member: &Member) -> Result<Pair, Error> {
        let now = self.now();
        let holder = Holder {
            session_id: ids::new(),
            user_id: member.user.id,
            workspace_id: member.workspace.id,
            role: member.role,
            expires_at: now + SESSION_LIFE_MS,
        };
        let (session, pair) = self.new_session(holder, now)?;
        self.store.begin_session(session).await?;
        Ok(pair)
    }

    async fn me(&self, identity: Identity) -> Result<GetMeResponse, Error> {
        let member =
            self.store.member(identity.workspace_id, identity.user_id).await?.ok_or(Error::NotMember)?;
        Ok(GetMeResponse {
            role: convert::role(member.role).into(),
            permissions: member.role.permissions().into_iter().map(str::to_owned).collect(),
            user: Some(convert::user(member.user)),
            workspace: Some(convert::workspace(member.workspace)),
        })
    }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        self.register_user(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let address = limits::client_address(request.metadata());
        self.login_user(request.into_inner(), address).await.map(Response::new).map_err(to_status)
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        self.refresh_session(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        self.end_session(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let identity = Identity::of(&request)?;
        self.me(identity).await.map(Response::new).map_err(to_status)
    }

    async fn get_key_set(&self, _: Request<GetKeySetRequest>) -> Result<Response<GetKeySetResponse>, Status> {
        let keys = self.keys.borrow().clone();
        let keys = keys.verifying(self.now()).map(convert::key).collect();
        Ok(Response::new(GetKeySetResponse { keys }))
    }
}
