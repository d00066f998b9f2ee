//! Register, Login of who registered, GetMe and GetKeySet.

use futures::future::join_all;
use postmesh_kit::{ids, testing::with_token};
use postmesh_proto::auth::v1::{GetKeySetRequest, GetMeRequest, RegisterRequest, Role};
use tonic::Code;

use crate::world::{PASSWORD, a_registration, each, fields, reason};

#[tokio::test]
async fn a_new_user_is_signed_in_to_a_workspace_of_its_own() {
    each(async |world| {
        let made = world.register("Ada@Example.com").await;
        let (user, workspace, session) = (made.user.unwrap(), made.workspace.unwrap(), made.session.unwrap());
        assert_eq!((user.email.as_str(), user.display_name.as_str()), ("Ada@Example.com", "Ada"));
        assert_eq!(workspace.display_name, "Ada's workspace");

        let identity = world.verifier.verify(&session.access_token).await.unwrap();
        assert_eq!(identity.user_id.to_string(), user.id);
        assert_eq!(identity.workspace_id.to_string(), workspace.id);
        assert!(identity.may("posts.publish") && identity.role == "owner");

        let me = world
            .auth
            .clone()
            .get_me(with_token(GetMeRequest {}, &session.access_token))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(me.role(), Role::Owner);
        assert_eq!(me.permissions, identity.permissions);
        assert_eq!((me.user.unwrap(), me.workspace.unwrap()), (user, workspace));
    })
    .await;
}

#[tokio::test]
async fn get_me_needs_a_token_and_a_membership() {
    each(async |world| {
        let status = world.auth.clone().get_me(GetMeRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);

        let made = world.register("ada@example.com").await;
        postmesh_kit::write!(world.db, tx => {
            sqlx::query("delete from memberships").execute(&mut *tx).await?;
            Ok::<_, sqlx::Error>(())
        })
        .unwrap();
        let session = made.session.unwrap();
        let status =
            world.auth.clone().get_me(with_token(GetMeRequest {}, &session.access_token)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "NOT_A_MEMBER"));
        let status = world.refresh(&session.refresh_token).await.unwrap_err();
        assert_eq!(reason(&status), "SESSION_ENDED");
    })
    .await;
}

#[tokio::test]
async fn an_address_registers_once_whatever_its_case() {
    each(async |world| {
        world.register("ada@example.com").await;
        let status = world.auth.clone().register(a_registration("ADA@example.com")).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
        assert!(world.login_from("aDa@EXAMPLE.com", PASSWORD, "").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn repeating_a_request_answers_the_first_user_and_workspace() {
    each(async |world| {
        let request =
            RegisterRequest { request_id: ids::new().to_string(), ..a_registration("ada@example.com") };
        let first = world.auth.clone().register(request.clone()).await.unwrap().into_inner();
        let again = world.auth.clone().register(request.clone()).await.unwrap().into_inner();
        assert_eq!((&again.user, &again.workspace), (&first.user, &first.workspace));
        assert_ne!(again.session, first.session, "each answer has a session of its own");
        assert!(world.refresh(&again.session.unwrap().refresh_token).await.is_ok());

        for other in [
            RegisterRequest { email: "eve@example.com".to_owned(), ..request.clone() },
            RegisterRequest { password: "another long password".to_owned(), ..request.clone() },
            RegisterRequest { workspace_display_name: "Other".to_owned(), ..request.clone() },
        ] {
            let status = world.auth.clone().register(other).await.unwrap_err();
            assert_eq!(
                (status.code(), fields(&status)),
                (Code::InvalidArgument, vec!["request_id".to_owned()])
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_request_many_times_at_once_makes_one_user() {
    each(async |world| {
        let request =
            RegisterRequest { request_id: ids::new().to_string(), ..a_registration("ada@example.com") };
        let calls = (0..6).map(|_| {
            let (mut auth, request) = (world.auth.clone(), request.clone());
            async move { auth.register(request).await.unwrap().into_inner().user.unwrap().id }
        });
        let mut ids = join_all(calls).await;
        ids.dedup();
        assert_eq!(ids.len(), 1);
        let users: i64 = postmesh_kit::read!(world.db, c => {
            sqlx::query_scalar("select count(*) from users").fetch_one(&mut *c).await
        })
        .unwrap();
        assert_eq!(users, 1);
    })
    .await;
}

#[tokio::test]
async fn bad_input_names_every_field() {
    each(async |world| {
        let request = RegisterRequest {
            email: "not an address".to_owned(),
            password: "short".to_owned(),
            display_name: "x".repeat(101),
            workspace_display_name: "a\u{0}b".to_owned(),
            request_id: "7".to_owned(),
        };
        let status = world.auth.clone().register(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            fields(&status),
            ["email", "password", "display_name", "workspace_display_name", "request_id"]
        );

        let empty = world.auth.clone().register(RegisterRequest::default()).await.unwrap_err();
        assert_eq!(fields(&empty), ["email", "password"]);
        let status = world.login_from("", "", "").await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["email".into(), "password".into()])
        );
        let status = world.refresh("").await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["refresh_token".into()]));
    })
    .await;
}

#[tokio::test]
async fn the_key_set_is_public_and_holds_public_keys_only() {
    each(async |world| {
        let keys = world.auth.clone().get_key_set(GetKeySetRequest {}).await.unwrap().into_inner().keys;
        let [key] = &keys[..] else { panic!("one key at first, not {}", keys.len()) };
        let form = (key.kty.as_str(), key.crv.as_str(), key.alg.as_str(), key.r#use.as_str());
        assert_eq!(form, ("OKP", "Ed25519", "EdDSA", "sig"));
        assert_eq!(data_encoding::BASE64URL_NOPAD.decode(key.x.as_bytes()).unwrap().len(), 32);
    })
    .await;
}

#[tokio::test]
async fn the_database_holds_no_secret_in_the_open() {
    each(async |world| {
        let session = world.register("ada@example.com").await.session.unwrap();
        let next = world.refresh(&session.refresh_token).await.unwrap();
        let rows: Vec<(Vec<u8>, Option<Vec<u8>>)> = postmesh_kit::read!(world.db, c => {
            sqlx::query_as("select hash, successor from refresh_tokens").fetch_all(&mut *c).await
        })
        .unwrap();
        let key: Vec<u8> = postmesh_kit::read!(world.db, c => {
            sqlx::query_scalar("select private_key from signing_keys").fetch_one(&mut *c).await
        })
        .unwrap();
        let hash: String = postmesh_kit::read!(world.db, c => {
            sqlx::query_scalar("select password_hash from users").fetch_one(&mut *c).await
        })
        .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let stored: Vec<u8> = rows
            .into_iter()
            .flat_map(|(hash, successor)| [hash, successor.unwrap_or_default()].concat())
            .collect();
        for secret in [&session.refresh_token, &next.refresh_token, &next.access_token] {
            assert!(!stored.windows(16).any(|seen| secret.as_bytes().windows(16).any(|part| part == seen)));
        }
        assert!(aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&key).is_err());
    })
    .await;
}
