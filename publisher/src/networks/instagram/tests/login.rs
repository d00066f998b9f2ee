//! What either login yields, how its tokens go on, and what it may do with posts that are there.

use super::{
    super::super::connect::ConnectFault,
    stage::{agreed, code, finish, word},
    *,
};

#[tokio::test]
async fn both_logins_yield_the_same_account_with_tokens_of_their_own() {
    let bench = Bench::new().await;
    bench.control("accounts", &object!({ "network": "instagram", "handle": "flat.ana" })).await;
    let own = adapter(&bench, Door::Own);
    let by_facebook = own.by_facebook();
    let agree = async |instagram: &Instagram, handle: &str, scopes: Option<&str>| {
        let back = agreed(&bench, instagram, handle, scopes).await;
        assert_eq!(back.fragment().is_some(), instagram.door == Door::Own, "`#_` at the end");
        code(&back)
    };
    let used = agree(&own, "demo", None).await;
    let one = finish(&bench, &own, &used).await.unwrap().remove(0);
    assert_eq!((one.handle.as_str(), one.refresh_token.as_ref()), ("@demo", Some(&one.access_token)));
    assert!(one.access_expires_at.unwrap() > bench.clock.now_ms() + 50 * 86_400_000);
    let used = finish(&bench, &own, &used).await.unwrap_err();
    assert!(
        matches!(&used, ConnectFault::CodeRefused { why, .. } if why.contains("already used")),
        "{used:?}"
    );
    let code = agree(&by_facebook, "demo", None).await;
    let other = finish(&bench, &by_facebook, &code).await.unwrap();
    assert_eq!(other.len(), 1, "a Page that is linked to no account yields none");
    assert_eq!((&other[0].native_id, &other[0].handle), (&one.native_id, &one.handle));
    assert!(other[0].access_expires_at.is_none() && other[0].refresh_token.is_none());

    // The flat form of the code's answer, with a number for the id, and a code that was copied with its end.
    let code = agree(&own, "flat.ana", None).await;
    let flat = finish(&bench, &own, &format!("{code}#_")).await.unwrap().remove(0);
    assert_eq!(flat.handle, "@flat.ana");
    for (door, scopes, first) in [
        (&own, "instagram_business_basic", "instagram_business_content_publish"),
        (&by_facebook, "instagram_basic,pages_show_list", "instagram_content_publish"),
    ] {
        let code = agree(door, "demo", Some(scopes)).await;
        let refused = finish(&bench, door, &code).await.unwrap_err();
        assert!(
            matches!(&refused, ConnectFault::ScopesMissing { missing, .. } if missing.starts_with(first)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_token_renews_itself_from_its_second_day_on() {
    let mut stage = stage(Door::Own).await;
    let young = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(young, RefreshFault::NotExecuted { .. }), "{young:?}");
    stage.advance(86_400_001).await;
    stage.fault("refresh", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "the old one goes on: {lost:?}");
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.access_token != stage.session.access_token);
    assert_eq!(tokens.refresh_token, Some(tokens.access_token.clone()));
    stage.session.access_token = tokens.access_token;
    stage.publish(&stage.image("renewed")).await;
    stage.script("any", object!({ "fault": { "kind": "expire_tokens" } })).await;
    let work = stage.image("too late");
    assert_eq!(word(&stage.send(&work, &Ready::new("{}")).await.outcome), "expired");
    let over = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(over, RefreshFault::Revoked(_)), "{over:?}");
}

#[tokio::test]
async fn counts_and_deletes_as_far_as_the_login_goes() {
    for door in [Door::Own, Door::Facebook] {
        let stage = stage(door).await;
        let mut ids = Vec::new();
        for work in [stage.image("count me"), stage.story(picture(PICTURE_JPEG))] {
            let (id, _) = stage.publish(&work).await;
            let counts =
                object!({ "network": "instagram", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
            stage.bench.control("engage", &counts).await;
            ids.push(id);
        }
        ids.push("1".into());
        let metrics = stage.network.metrics(&stage.session, &ids).await.unwrap();
        let post = &metrics[0];
        assert_eq!((post.likes, post.reposts, post.replies, post.views), (5, 3, 1, 51));
        assert_eq!((metrics[1].replies, metrics[1].views, metrics[2].found), (1, 51, false));
        // An insight that is not told spoils nothing.
        let untold = object!({ "skip": 1, "fault": { "kind": "status", "code": 400,
            "body": { "error": { "message": "m", "code": 10 } } } });
        stage.script("read", untold).await;
        let less = stage.network.metrics(&stage.session, &ids[..1]).await.unwrap();
        assert_eq!((less[0].likes, less[0].views), (5, 0));
        let deleted = stage.network.delete(&stage.session, &ids[0]).await;
        assert_eq!(stage.network.facts().capabilities.delete, deleted.is_ok());
        if door == Door::Own {
            assert!(matches!(&deleted, Err(Fault::Rejected { code, .. }) if code == "CANNOT_DELETE"));
            stage.network.revoke(&stage.session).await.unwrap();
            continue;
        }
        stage.network.delete(&stage.session, &ids[0]).await.unwrap();
        assert!(!stage.network.metrics(&stage.session, &ids[..1]).await.unwrap()[0].found);
        let tokens = stage.network.refresh(&stage.session).await.unwrap();
        assert!(tokens.access_token != stage.session.access_token);
        stage.network.revoke(&stage.session).await.unwrap();
        stage.network.revoke(&stage.session).await.unwrap();
        let gone = stage.network.metrics(&stage.session, &ids).await.unwrap_err();
        assert!(matches!(gone, Fault::Reconnect { .. }), "{gone:?}");
    }
}
