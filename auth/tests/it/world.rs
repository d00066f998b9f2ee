//! A running auth service for one test: the real server stack, which verifies with the service's own keys.

use std::sync::Arc;

use postmesh_auth::{Config, Deps, MIGRATIONS, start};
use postmesh_kit::{
    cache::Cache,
    clock::{Clock, SystemClock},
    db::Db,
    identity::{PublicKey, Verifier},
    lifecycle::Lifecycle,
    rules::Rules,
    server::Guard,
    testing::{self, FakeClock, Tokens},
    transport::Transport,
};
use postmesh_proto::auth::v1::{
    GetKeySetRequest, LoginRequest, LoginResponse, RefreshRequest, RegisterRequest, RegisterResponse,
    Session, auth_service_client::AuthServiceClient,
};
use tonic::{Request, Status};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) clock: FakeClock,
    pub(crate) auth: AuthServiceClient<Transport>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) deps: Deps,
}

impl World {
    /// A service on this database. Its clock stands still at the real time, since tokens are verified by that.
    pub(crate) async fn start(db: Db) -> Self {
        Self::start_with(db, Config::default(), Cache::memory()).await
    }

    pub(crate) async fn start_with(db: Db, config: Config, cache: Cache) -> Self {
        let clock = FakeClock::at(SystemClock.now_ms());
        let deps = Deps {
            db: db.clone(),
            clock: Arc::new(clock.clone()),
            lifecycle: Lifecycle::new(),
            keys: testing::keys(),
            cache,
        };
        let routes = start(config, deps.clone()).await.unwrap().routes;
        let rules = Rules::read(postmesh_proto::pool());
        let public = testing::serve(postmesh_proto::pool(), routes.clone(), "test", &Tokens::default());
        let verifier = Arc::new(Verifier::new(Arc::new(move || {
            let mut auth = AuthServiceClient::new(public.clone());
            Box::pin(async move {
                let keys = auth.get_key_set(GetKeySetRequest {}).await?.into_inner().keys;
                Ok(keys.into_iter().map(|key| PublicKey { kid: key.kid, x: key.x }).collect())
            })
        })));
        let guard = Guard::new(rules.clone(), verifier.clone());
        let auth = AuthServiceClient::new(Transport::local("gateway", rules, guard.local(routes)));
        Self { db, clock, auth, verifier, deps }
    }

    pub(crate) async fn register(&self, email: &str) -> RegisterResponse {
        self.auth.clone().register(a_registration(email)).await.unwrap().into_inner()
    }

    pub(crate) async fn login_from(
        &self,
        email: &str,
        password: &str,
        address: &str,
    ) -> Result<LoginResponse, Status> {
        let mut request =
            Request::new(LoginRequest { email: email.to_owned(), password: password.to_owned() });
        if !address.is_empty() {
            request.metadata_mut().insert("x-forwarded-for", address.parse().unwrap());
        }
        self.auth.clone().login(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Session, Status> {
        let request = RefreshRequest { refresh_token: token.to_owned() };
        Ok(self.auth.clone().refresh(request).await?.into_inner().session.unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.deps.lifecycle.stop();
    }
}

pub(crate) fn a_registration(email: &str) -> RegisterRequest {
    RegisterRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..RegisterRequest::default() }
}

/// Runs a test against a service on each database.
pub(crate) async fn each<F: AsyncFn(World)>(test: F) {
    let test = &test;
    testing::each_database(MIGRATIONS, |db| async move { test(World::start(db).await).await }).await;
}

/// The stable reason in a status.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt;
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The bad fields that a status names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt;
    let details = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    details.into_iter().map(|violation| violation.field).collect()
}
