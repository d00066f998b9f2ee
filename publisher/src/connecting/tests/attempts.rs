//! Attempts to connect: once when all is well, never with a callback that is stolen, repeated, foreign or late, and
//! never at a server that must not be called.

use super::*;

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
        let ask =
            || CompleteConnectRequest { connection_id: began.connection_id.clone(), native_ids: Vec::new() };
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
        assert!(unknown.message().contains("known are bluesky, "), "{}", unknown.message());
        assert_eq!(bad_fields(&begin("mastodon", "", "").await), ["server"]);
        assert_eq!(bad_fields(&begin("mastodon", "two words", "").await), ["server"]);
        let plain = begin("mastodon", "http://mastodon.example", "").await;
        assert_eq!(bad_fields(&plain), ["server"]);
        assert!(plain.message().contains("https"), "{}", plain.message());
        assert_eq!(bad_fields(&begin("mastodon", "https://127.0.0.1", "").await), ["server"]);
        let other = begin("mastodon", &mesh.bench.server("bluesky"), "").await;
        assert_eq!(bad_fields(&other), ["server"]);
        assert!(other.message().contains("is not a Mastodon server"), "{}", other.message());
        assert_eq!(bad_fields(&begin("telegram", "", "").await), ["network"]);
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
