//! Connecting through the rpcs, on both databases, against servers over a real socket: what a stolen, repeated or
//! foreign callback gets, and where the tokens are afterwards.

use std::sync::Mutex;

use postmesh_kit::{
    db::Db,
    read,
    testing::{FakeClock, Tokens, each_database, keys, serve, with_token},
    transport::Transport,
    write,
};
use postmesh_proto::publisher::v1::{
    AccountState as ProtoState, BeginConnectRequest, BeginConnectResponse, CompleteConnectRequest,
    ConnectWithPasswordRequest, DisconnectAccountRequest, GetAccountRequest, ListAccountsRequest,
    ListNetworksRequest, ReceiveAuthorizationRequest, ReceiveAuthorizationResponse,
    account_service_client::AccountServiceClient, account_service_server::AccountServiceServer,
    network_service_client::NetworkServiceClient, network_service_server::NetworkServiceServer,
};
use serde_json::json;
use tonic::{Code, Request, Status, service::Routes};
use tonic_types::StatusExt;

use super::*;
use crate::{MIGRATIONS, networks, rpc, store::accounts::RefreshIntent, testing::Bench};

const NOW: i64 = 1_790_000_000_000;
const PASSWORD: &str = "demo-demo-demo-demo";

/// The account rpcs over one database, with a sandbox to connect to.
struct Mesh {
    bench: Bench,
    connecting: Connecting,
    clock: FakeClock,
    tokens: Tokens,
    routes: Routes,
    user: Uuid,
    workspace: Uuid,
    told: Arc<Mutex<Vec<Uuid>>>,
}

impl Mesh {
    async fn new(db: Db) -> Self {
        let bench = Bench::new().await;
        let fake = FakeClock::at(NOW);
        let clock: Arc<dyn Clock> = Arc::new(fake.clone());
        let store = Store::new(db);
        let (networks, connectors) = networks::all(&bench.http, &clock);
        let told = Arc::<Mutex<Vec<Uuid>>>::default();
        let ear = told.clone();
        let connecting = Connecting {
            vault: Vault::new(store.clone(), keys(), clock.clone()),
            store,
            networks: networks.clone(),
            connectors: connectors.clone(),
            keys: keys(),
            clock,
            redirect_uri: "https://mesh.example/oauth/callback".into(),
            servers: BTreeMap::from([("bluesky".to_owned(), bench.server("bluesky"))]),
            listener: Arc::new(move |account| ear.lock().unwrap().push(account)),
            revocations: Arc::default(),
        };
        let described = rpc::networks::Networks::new(networks, connectors, connecting.servers.clone());
        let routes = Routes::new(AccountServiceServer::new(rpc::account::Accounts::new(connecting.clone())))
            .add_service(NetworkServiceServer::new(described));
        let (user, workspace) = (Uuid::now_v7(), Uuid::now_v7());
        Self { bench, connecting, clock: fake, tokens: Tokens::default(), routes, user, workspace, told }
    }

    fn transport(&self, caller: &str) -> Transport {
        serve(postmesh_proto::pool(), self.routes.clone(), caller, &self.tokens)
    }

    fn accounts(&self) -> AccountServiceClient<Transport> {
        AccountServiceClient::new(self.transport("gateway"))
    }

    fn by<T>(&self, user: Uuid, workspace: Uuid, message: T) -> Request<T> {
        with_token(message, &self.tokens.mint(user, workspace, &["accounts.read", "accounts.write"]))
    }

    fn mine<T>(&self, message: T) -> Request<T> {
        self.by(self.user, self.workspace, message)
    }

    async fn begin(&self, server: &str, request_id: &str) -> Result<BeginConnectResponse, Status> {
        let ask = BeginConnectRequest {
            network: "mastodon".into(),
            server: server.into(),
            return_path: "/accounts".into(),
            request_id: request_id.into(),
        };
        Ok(self.accounts().begin_connect(self.mine(ask)).await?.into_inner())
    }

    async fn receive(
        &self,
        callback: &BTreeMap<String, String>,
    ) -> Result<ReceiveAuthorizationResponse, Status> {
        let part = |name: &str| callback.get(name).cloned().unwrap_or_default();
        let ask = ReceiveAuthorizationRequest {
            state: part("state"),
            code: part("code"),
            issuer: part("iss"),
            error: part("error"),
            error_description: part("error_description"),
        };
        Ok(self.accounts().receive_authorization(ask).await?.into_inner())
    }

    async fn complete(&self, connection_id: &str) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        let ask = CompleteConnectRequest { connection_id: connection_id.into() };
        Ok(self.accounts().complete_connect(self.mine(ask)).await?.into_inner().account.unwrap())
    }

    /// The whole dance on Mastodon.
    async fn connect(&self) -> postmesh_proto::publisher::v1::Account {
        let began = self.begin(&self.bench.server("mastodon"), "").await.unwrap();
        let callback = self.bench.press(&began.authorization_url, "authorize").await;
        self.receive(&callback).await.unwrap();
        self.complete(&began.connection_id).await.unwrap()
    }

    async fn login(&self, password: &str) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        self.login_as(password, "").await
    }

    async fn login_as(
        &self,
        password: &str,
        id: &str,
    ) -> Result<postmesh_proto::publisher::v1::Account, Status> {
        let ask = ConnectWithPasswordRequest {
            network: "bluesky".into(),
            server: String::new(),
            identifier: "demo.test".into(),
            password: password.into(),
            request_id: id.into(),
        };
        Ok(self.accounts().connect_with_password(self.mine(ask)).await?.into_inner().account.unwrap())
    }

    async fn token_requests(&self) -> usize {
        self.bench.requests("token").await.len()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn bad_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let request = status.get_details_bad_request().unwrap();
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn the_dance_connects_an_account_once() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let server = mesh.bench.server("mastodon");
        let began = mesh.begin(&format!("{server}/"), "").await.unwrap();
        assert_eq!(began.expire_time.unwrap().seconds, NOW / 1000 + 600);
        let pending = mesh.complete(&began.connection_id).await.unwrap_err();
        assert_eq!(
            (pending.code(), reason(&pending).as_str()),
            (Code::FailedPrecondition, "AUTHORIZATION_PENDING")
        );
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        let received = mesh.receive(&callback).await.unwrap();
        assert_eq!((received.return_path.as_str(), received.refused), ("/accounts", false));
        assert_eq!(
            (received.connection_id, received.network_display_name.as_str()),
            (began.connection_id.clone(), "Mastodon")
        );
        let account = mesh.complete(&began.connection_id).await.unwrap();
        assert_eq!((account.server.as_str(), account.state()), (server.as_str(), ProtoState::Connected));
        assert_eq!(account.limits.as_ref().unwrap().text_length, 500);
        let again = mesh.complete(&began.connection_id).await.unwrap();
        assert_eq!((again.id.as_str(), mesh.token_requests().await), (account.id.as_str(), 1));
        assert_eq!(mesh.told.lock().unwrap().len(), 1);
        // A second connection finds the same account, with new tokens, by the same registration.
        let second = mesh.connect().await;
        assert_eq!(second.id, account.id);
        assert_eq!(mesh.bench.requests("register").await.len(), 1);
        let session = mesh.connecting.vault.session(second.id.parse().unwrap()).await.unwrap();
        assert_eq!(session.token_version, 2);
    })
    .await;
}

#[tokio::test]
async fn a_stolen_repeated_foreign_or_expired_callback_trades_no_code() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let server = mesh.bench.server("mastodon");
        let began = mesh.begin(&server, "").await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        let made_up =
            BTreeMap::from([("state".to_owned(), "x".repeat(43)), ("code".to_owned(), "c".to_owned())]);
        assert_eq!(mesh.receive(&made_up).await.unwrap_err().code(), Code::FailedPrecondition);
        mesh.receive(&callback).await.unwrap();
        assert_eq!(
            mesh.receive(&callback).await.unwrap_err().code(),
            Code::FailedPrecondition,
            "a state works once"
        );
        let ask = || CompleteConnectRequest { connection_id: began.connection_id.clone() };
        for (user, workspace) in [(Uuid::now_v7(), mesh.workspace), (mesh.user, Uuid::now_v7())] {
            let foreign =
                mesh.accounts().complete_connect(mesh.by(user, workspace, ask())).await.unwrap_err();
            assert_eq!(
                (foreign.code(), reason(&foreign).as_str()),
                (Code::FailedPrecondition, "CONNECTION_VOID")
            );
        }
        mesh.clock.advance(ATTEMPT + 1);
        assert_eq!(mesh.complete(&began.connection_id).await.unwrap_err().code(), Code::FailedPrecondition);
        // Back too late.
        let late = mesh.begin(&server, "").await.unwrap();
        let callback = mesh.bench.press(&late.authorization_url, "authorize").await;
        mesh.clock.advance(ATTEMPT);
        assert_eq!(mesh.receive(&callback).await.unwrap_err().code(), Code::FailedPrecondition);
        // Another server's answer.
        let mixed = mesh.begin(&server, "").await.unwrap();
        let mut callback = mesh.bench.press(&mixed.authorization_url, "authorize").await;
        callback.insert("iss".into(), "https://rogue.example".into());
        assert!(mesh.receive(&callback).await.unwrap().refused);
        assert_eq!(mesh.complete(&mixed.connection_id).await.unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(mesh.token_requests().await, 0, "no code has left");
        // No user token at all, and no browser may call what the gateway calls.
        let anonymous = mesh.accounts().complete_connect(ask()).await.unwrap_err();
        assert_eq!(anonymous.code(), Code::Unauthenticated);
        let mut scheduler = AccountServiceClient::new(mesh.transport("scheduler"));
        let denied =
            scheduler.receive_authorization(ReceiveAuthorizationRequest::default()).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
    })
    .await;
}

#[tokio::test]
async fn declining_ends_the_attempt_with_its_reason() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let began = mesh.begin(&mesh.bench.server("mastodon"), "").await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "deny").await;
        assert!(mesh.receive(&callback).await.unwrap().refused);
        let refused = mesh.complete(&began.connection_id).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("denied"), "{}", refused.message());
        assert_eq!(mesh.token_requests().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_answers_the_first_result() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let (server, id) = (mesh.bench.server("mastodon"), Uuid::now_v7().to_string());
        let (first, second) =
            (mesh.begin(&server, &id).await.unwrap(), mesh.begin(&server, &id).await.unwrap());
        assert_eq!(
            (first.connection_id, first.authorization_url),
            (second.connection_id, second.authorization_url)
        );
        let id = Uuid::now_v7().to_string();
        let first = mesh.login_as(PASSWORD, &id).await.unwrap();
        let second = mesh.login_as("another password is not even tried", &id).await.unwrap();
        assert_eq!((first.id, mesh.bench.requests("session").await.len()), (second.id, 1));
    })
    .await;
}

#[tokio::test]
async fn errors_name_the_field_and_the_next_step() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let begin = async |network: &str, server: &str, path: &str| {
            let ask = BeginConnectRequest {
                network: network.into(),
                server: server.into(),
                return_path: path.into(),
                request_id: String::new(),
            };
            mesh.accounts().begin_connect(mesh.mine(ask)).await.unwrap_err()
        };
        let unknown = begin("myspace", "x", "//evil.example").await;
        assert_eq!(bad_fields(&unknown), ["network", "return_path"]);
        assert!(unknown.message().contains("bluesky, mastodon"), "{}", unknown.message());
        assert_eq!(bad_fields(&begin("mastodon", "", "").await), ["server"]);
        assert_eq!(bad_fields(&begin("mastodon", "two words", "").await), ["server"]);
        let plain = begin("mastodon", "http://mastodon.example", "").await;
        assert_eq!(bad_fields(&plain), ["server"]);
        assert!(plain.message().contains("https"), "{}", plain.message());
        assert_eq!(bad_fields(&begin("mastodon", "https://127.0.0.1", "").await), ["server"]);
        let other = begin("mastodon", &mesh.bench.server("bluesky"), "").await;
        assert_eq!(bad_fields(&other), ["server"]);
        assert!(other.message().contains("is not a Mastodon server"), "{}", other.message());
        assert_eq!(bad_fields(&begin("bluesky", "", "").await), ["network"]);
        let wrong = mesh.login("wrong").await.unwrap_err();
        assert_eq!(bad_fields(&wrong), ["password"]);
        assert!(wrong.message().contains("app password"), "{}", wrong.message());
        assert_eq!(bad_fields(&mesh.login(" ").await.unwrap_err()), ["password"]);
        mesh.bench.fault("bluesky", "session", json!({ "kind": "drop_before" })).await;
        let away = mesh.login(PASSWORD).await.unwrap_err();
        assert_eq!(away.code(), Code::Unavailable);
        assert!(away.message().contains("127.0.0.1") && away.get_details_retry_info().is_some(), "{away:?}");
        let missing = GetAccountRequest { account_id: Uuid::now_v7().to_string() };
        let missing = mesh.accounts().get_account(mesh.mine(missing)).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn hostile_servers_are_refused_and_nothing_here_is_dialled() {
    let (db, _folder) = postmesh_kit::testing::sqlite(MIGRATIONS).await;
    let mesh = Mesh::new(db).await;
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    for server in [
        "http://127.0.0.1:PORT",
        "https://127.0.0.1:PORT",
        "https://2130706433:PORT",
        "https://0x7f000001:PORT",
        "https://0177.0.0.1:PORT",
        "https://127.1:PORT",
        "https://[::ffff:127.0.0.1]:PORT",
        "https://[::1]:PORT",
        "https://0.0.0.0:PORT",
        "https://localhost:PORT",
        "localhost:PORT",
        "127.0.0.1:PORT",
        "user@127.0.0.1:PORT",
        "https://user:pw@127.0.0.1:PORT",
        "https://①②⑦.0.0.1:PORT",
        "https://127。0。0。1:PORT",
        "https://169.254.169.254",
        "https://[64:ff9b::7f00:1]",
        "https://[fd00::1]",
        "https://100.64.0.1",
        "https://metadata.google.internal",
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/_x",
        "https://mastodon.example:PORT",
    ] {
        let server = server.replace("PORT", &port.to_string());
        let refused = mesh.begin(&server, "").await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["server"], "{server}");
        let ask = ConnectWithPasswordRequest {
            network: "bluesky".into(),
            server: server.clone(),
            identifier: "demo.test".into(),
            password: PASSWORD.into(),
            request_id: String::new(),
        };
        let refused = mesh.accounts().connect_with_password(mesh.mine(ask)).await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["server"], "{server}");
    }
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody has called");
}

#[tokio::test]
async fn lists_in_pages_and_shows_no_other_workspace() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let mastodon = mesh.connect().await;
        mesh.clock.advance(1000);
        let bluesky = mesh.login(PASSWORD).await.unwrap();
        let list = async |workspace, page_size, token: &str, show_disconnected| {
            let ask = ListAccountsRequest { page_size, page_token: token.into(), show_disconnected };
            mesh.accounts().list_accounts(mesh.by(mesh.user, workspace, ask)).await.unwrap().into_inner()
        };
        let first = list(mesh.workspace, 1, "", false).await;
        assert_eq!(first.accounts, std::slice::from_ref(&mastodon));
        let second = list(mesh.workspace, 1, &first.next_page_token, false).await;
        assert_eq!((second.accounts, second.next_page_token.as_str()), (vec![bluesky], ""));
        assert_eq!(list(Uuid::now_v7(), 0, "", true).await.accounts, []);
        let get = GetAccountRequest { account_id: mastodon.id.clone() };
        let foreign = mesh.accounts().get_account(mesh.by(mesh.user, Uuid::now_v7(), get)).await.unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);
        let ask = DisconnectAccountRequest { account_id: mastodon.id.clone(), request_id: String::new() };
        let foreign = mesh
            .accounts()
            .disconnect_account(mesh.by(mesh.user, Uuid::now_v7(), ask.clone()))
            .await
            .unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound);
        mesh.accounts().disconnect_account(mesh.mine(ask)).await.unwrap();
        assert_eq!(list(mesh.workspace, 0, "", false).await.accounts.len(), 1);
        assert_eq!(list(mesh.workspace, 0, "", true).await.accounts.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn disconnecting_revokes_and_leaves_no_token_behind() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        for account in [mesh.connect().await, mesh.login(PASSWORD).await.unwrap()] {
            let ask = || {
                mesh.mine(DisconnectAccountRequest {
                    account_id: account.id.clone(),
                    request_id: String::new(),
                })
            };
            let gone = mesh.accounts().disconnect_account(ask()).await.unwrap().into_inner().account.unwrap();
            assert_eq!(gone.state(), ProtoState::Disconnected);
            mesh.accounts().disconnect_account(ask()).await.unwrap();
            let opened = mesh.connecting.vault.session(account.id.parse().unwrap()).await;
            assert!(matches!(opened, Err(Error::NeedsReconnect(_))));
        }
        // The network is away at first; the tokens wait, sealed, until it has answered.
        mesh.bench.fault("mastodon", "revoke", json!({ "kind": "status", "code": 503 })).await;
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 1);
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 0, "not before its next try");
        mesh.clock.advance(3_600_000);
        assert_eq!(mesh.connecting.revoke_due().await.unwrap(), 1);
        let seen: Vec<_> =
            mesh.bench.requests("revoke").await.iter().map(|seen| seen["status"].clone()).collect();
        assert_eq!(seen.iter().filter(|status| **status == 200).count(), 2, "{seen:?}");
        let left: i64 = read!(db, c => sqlx::query_scalar(
            "select (select count(*) from revocations)
                  + (select count(*) from accounts
                      where access_token is not null or refresh_token is not null or extra is not null)")
            .fetch_one(&mut *c).await)
        .unwrap();
        assert_eq!(left, 0);
        // Connecting again revives the same account.
        let back = mesh.login(PASSWORD).await.unwrap();
        assert_eq!(back.state(), ProtoState::Connected);
        mesh.connecting.vault.session(back.id.parse().unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn swapped_or_rolled_back_tokens_do_not_open() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        let first: Uuid = mesh.login(PASSWORD).await.unwrap().id.parse().unwrap();
        let second: Uuid = mesh.connect().await.id.parse().unwrap();
        let vault = &mesh.connecting.vault;
        vault.session(first).await.unwrap();
        write!(db, tx => {
            sqlx::query("update accounts set access_token = (select access_token from accounts where id = $1) where id = $2")
                .bind(first).bind(second).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(second).await, Err(Error::Vault(_))), "a ciphertext of another row");
        write!(db, tx => {
            sqlx::query("update accounts set access_token = refresh_token where id = $1").bind(first).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(first).await, Err(Error::Vault(_))), "a ciphertext of another column");
        mesh.login(PASSWORD).await.unwrap();
        vault.session(first).await.unwrap();
        write!(db, tx => {
            sqlx::query("update accounts set token_version = token_version + 1 where id = $1").bind(first).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        }).unwrap();
        assert!(matches!(vault.session(first).await, Err(Error::Vault(_))), "a ciphertext of another version");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_stored_once_and_an_old_one_never() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let id: Uuid = mesh.login(PASSWORD).await.unwrap().id.parse().unwrap();
        let vault = &mesh.connecting.vault;
        let old = vault.session(id).await.unwrap();
        assert_eq!(vault.intend_refresh(&old).await.unwrap(), RefreshIntent::Committed { tries: 1 });
        assert_eq!(vault.intend_refresh(&old).await.unwrap(), RefreshIntent::Committed { tries: 2 });
        let network = mesh.connecting.networks.get("bluesky").unwrap();
        let tokens = network.refresh(&old).await.unwrap();
        assert!(vault.store_refreshed(&old, &tokens).await.unwrap());
        assert!(!vault.store_refreshed(&old, &tokens).await.unwrap(), "the version has moved on");
        assert_eq!(vault.intend_refresh(&old).await.unwrap(), RefreshIntent::Outdated);
        let new = vault.session(id).await.unwrap();
        assert_eq!((new.token_version, &new.access_token), (2, &tokens.access_token));
        // A missing or empty refresh token keeps the stored one.
        let empty = networks::Tokens { refresh_token: Some(Secret::default()), ..tokens.clone() };
        assert!(vault.store_refreshed(&new, &empty).await.unwrap());
        let newest = vault.session(id).await.unwrap();
        assert_eq!(newest.refresh_token, new.refresh_token);
        assert!(!vault.need_reconnect(&old, "late news").await.unwrap());
        assert!(vault.need_reconnect(&newest, "connect again").await.unwrap());
        assert!(matches!(vault.session(id).await, Err(Error::NeedsReconnect(_))));
        let shown = mesh
            .accounts()
            .get_account(mesh.mine(GetAccountRequest { account_id: id.to_string() }))
            .await
            .unwrap();
        let shown = shown.into_inner().account.unwrap();
        assert_eq!(
            (shown.state(), shown.state_message.as_str()),
            (ProtoState::NeedsReconnect, "connect again")
        );
        assert_eq!(mesh.login(PASSWORD).await.unwrap().state(), ProtoState::Connected);
    })
    .await;
}

#[tokio::test]
async fn no_secret_stands_in_any_column() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db.clone()).await;
        let began = mesh.begin(&mesh.bench.server("mastodon"), "").await.unwrap();
        let callback = mesh.bench.press(&began.authorization_url, "authorize").await;
        let mastodon = mesh.connect().await;
        let bluesky = mesh.login(PASSWORD).await.unwrap();
        mesh.receive(&callback).await.unwrap();
        let mut secrets = vec![PASSWORD.to_owned(), callback["state"].clone(), callback["code"].clone()];
        for id in [&mastodon.id, &bluesky.id] {
            let session = mesh.connecting.vault.session(id.parse().unwrap()).await.unwrap();
            secrets.push(session.access_token.expose().to_owned());
            secrets.extend(session.refresh_token.map(|token| token.expose().to_owned()));
        }
        let text = if db.is_sqlite() {
            "select group_concat(hex(access_token) || hex(refresh_token) || hex(extra)) || (select group_concat(
                    coalesce(hex(authorization_url), '') || coalesce(hex(verifier), '') || coalesce(hex(registration), '')
                    || coalesce(hex(code), '') || hex(issuer || problem || return_path || redirect_uri)) from connections)
               from accounts where refresh_token is not null"
        } else {
            "select upper(string_agg(encode(access_token, 'hex') || encode(refresh_token, 'hex') || encode(extra, 'hex'), ''))
                    || (select upper(string_agg(coalesce(encode(authorization_url, 'hex'), '') || coalesce(encode(verifier, 'hex'), '')
                    || coalesce(encode(registration, 'hex'), '') || coalesce(encode(code, 'hex'), '')
                    || encode(convert_to(issuer || problem || return_path || redirect_uri, 'utf8'), 'hex'), '')) from connections)
               from accounts where refresh_token is not null"
        };
        let stored: String = read!(db, c => sqlx::query_scalar(text).fetch_one(&mut *c).await).unwrap();
        assert!(stored.len() > 1000);
        for secret in secrets {
            let hex = data_encoding::HEXUPPER.encode(secret.as_bytes());
            assert!(!stored.contains(&hex), "a secret is stored in the clear");
        }
        let shown = format!("{:?}", mesh.connecting.vault.session(bluesky.id.parse().unwrap()).await.unwrap());
        assert!(!shown.contains("eyJ"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn networks_are_described_from_the_table() {
    each_database(MIGRATIONS, |db| async move {
        let mesh = Mesh::new(db).await;
        let mut client = NetworkServiceClient::new(mesh.transport("gateway"));
        let found =
            client.list_networks(mesh.mine(ListNetworksRequest {})).await.unwrap().into_inner().networks;
        assert_eq!(
            found.iter().map(|network| network.id.as_str()).collect::<Vec<_>>(),
            ["bluesky", "mastodon"]
        );
        assert_eq!(found[0].default_server, mesh.bench.server("bluesky"));
        assert!(found[1].needs_server && found[1].default_server.is_empty());
        assert_eq!(found[1].limits.as_ref().unwrap().link_length, 23);
    })
    .await;
}
