//! Refresh and Logout: rotation, the grace, reuse, and the absolute end.

use futures::future::join_all;
use postmesh_auth::domain::session::{GRACE_MS, SESSION_LIFE_MS};
use postmesh_kit::time::from_proto;
use postmesh_proto::auth::v1::LogoutRequest;
use tonic::Code;

use crate::world::{PASSWORD, World, each, reason};

async fn logout(world: &World, token: &str) -> Result<(), tonic::Status> {
    world.auth.clone().logout(LogoutRequest { refresh_token: token.to_owned() }).await.map(|_| ())
}

#[tokio::test]
async fn each_refresh_gives_a_new_pair_of_the_same_session() {
    each(async |world| {
        let first = world.register("ada@example.com").await.session.unwrap();
        let identity = world.verifier.verify(&first.access_token).await.unwrap();
        let mut token = first.refresh_token.clone();
        for _ in 0..5 {
            world.clock.advance(GRACE_MS + 1);
            let next = world.refresh(&token).await.unwrap();
            assert_ne!(next.refresh_token, token);
            assert_eq!(
                next.refresh_token_expire_time, first.refresh_token_expire_time,
                "the end is absolute"
            );
            token = next.refresh_token;
        }
        let _ = identity;
    })
    .await;
}

#[tokio::test]
async fn fifty_parallel_refreshes_get_one_same_pair() {
    each(async |world| {
        let session = world.register("ada@example.com").await.session.unwrap();
        let answers = join_all((0..50).map(|_| world.refresh(&session.refresh_token))).await;
        let first = answers[0].clone().unwrap();
        for answer in answers {
            assert_eq!(answer.unwrap(), first);
        }
        world.clock.advance(GRACE_MS);
        assert_eq!(world.refresh(&session.refresh_token).await.unwrap(), first, "still within the grace");
        assert!(world.refresh(&first.refresh_token).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_reuse_after_the_grace_ends_the_whole_session_and_no_other() {
    each(async |world| {
        let stolen = world.register("ada@example.com").await.session.unwrap();
        let other = world.login_from("ada@example.com", PASSWORD, "").await.unwrap().session.unwrap();
        let newest = world.refresh(&stolen.refresh_token).await.unwrap();
        world.clock.advance(GRACE_MS + 1);
        let status = world.refresh(&stolen.refresh_token).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "REFRESH_TOKEN_REUSED")
        );
        let status = world.refresh(&newest.refresh_token).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "SESSION_ENDED"));
        assert!(world.refresh(&other.refresh_token).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_is_refreshed() {
    each(async |world| {
        let began = world.clock.clone();
        let session = world.register("ada@example.com").await.session.unwrap();
        let end = from_proto(&session.refresh_token_expire_time.unwrap()).unwrap();
        world.clock.advance(SESSION_LIFE_MS - 1);
        let last = world.refresh(&session.refresh_token).await.unwrap();
        assert_eq!(
            from_proto(&last.access_token_expire_time.unwrap()).unwrap(),
            end,
            "nothing outlives the session"
        );
        began.advance(1);
        let status = world.refresh(&last.refresh_token).await.unwrap_err();
        assert_eq!(reason(&status), "SESSION_ENDED");
    })
    .await;
}

#[tokio::test]
async fn logout_ends_the_session_by_any_of_its_tokens_and_may_be_repeated() {
    each(async |world| {
        let session = world.register("ada@example.com").await.session.unwrap();
        let newest = world.refresh(&session.refresh_token).await.unwrap();
        logout(&world, &session.refresh_token).await.unwrap();
        logout(&world, &session.refresh_token).await.unwrap();
        logout(&world, "pmr_never-seen").await.unwrap();
        for token in [&session.refresh_token, &newest.refresh_token] {
            assert_eq!(reason(&world.refresh(token).await.unwrap_err()), "SESSION_ENDED");
        }
        assert_eq!(logout(&world, "").await.unwrap_err().code(), Code::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    each(async |world| {
        let session = world.register("ada@example.com").await.session.unwrap();
        for token in ["pmr_unknown", &session.access_token[..200], "x"] {
            let status = world.refresh(token).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unauthenticated, "SESSION_ENDED"),
                "{token}"
            );
        }
        assert_eq!(world.refresh(&session.access_token).await.unwrap_err().code(), Code::InvalidArgument);
    })
    .await;
}
