//! What a login yields, what it may do with posts that are there, and how it ends.

use super::{
    super::super::connect::ConnectFault,
    stage::{agreed, code, finish, word},
    *,
};

#[tokio::test]
async fn a_login_yields_the_pages_that_take_posts_and_a_token_of_each() {
    let bench = Bench::new().await;
    bench.control("accounts", &object!({ "network": "facebook", "handle": "agency" })).await;
    bench.control("accounts", &object!({ "network": "facebook", "handle": "reader" })).await;
    let facebook = adapter(&bench);
    let agree =
        async |handle: &str, scopes: Option<&str>| code(&agreed(&bench, &facebook, handle, scopes).await);
    let used = agree("agency", None).await;
    let pages = finish(&bench, &facebook, &used).await.unwrap();
    let names: Vec<_> = pages.iter().map(|page| page.display_name.as_str()).collect();
    assert_eq!(names, ["agency Page", "agency Shop"], "of four Pages on two pages of the list");
    assert_ne!(pages[0].access_token, pages[1].access_token);
    assert_eq!(pages[0].handle, "@agency.page");
    assert!(pages.iter().all(|page| page.access_expires_at.is_none() && page.refresh_token.is_none()));
    let used = finish(&bench, &facebook, &used).await.unwrap_err();
    assert!(matches!(used, ConnectFault::CodeRefused { .. }), "{used:?}");

    let code = agree("demo", Some("pages_show_list,pages_read_engagement,read_insights")).await;
    let missing = finish(&bench, &facebook, &code).await.unwrap_err();
    assert!(
        matches!(&missing, ConnectFault::ScopesMissing { missing, .. } if missing == "pages_manage_posts, pages_manage_engagement"),
        "{missing:?}"
    );
    let code = agree("reader", None).await;
    let nothing = finish(&bench, &facebook, &code).await.unwrap_err();
    assert!(matches!(nothing, ConnectFault::NothingToConnect { .. }), "{nothing:?}");
    for request in bench.all_requests().await {
        let path = request["path"].as_str().unwrap();
        assert!(!path.contains("access_token=EAA"), "no token stands in an address: {path}");
    }
}

#[tokio::test]
async fn counts_deletes_and_asks_for_another_token() {
    let mut stage = stage().await;
    let id = stage.post("count me").await;
    let counts = object!({ "network": "facebook", "native_id": id, "likes": 5, "reposts": 3, "replies": 1 });
    stage.bench.control("engage", &counts).await;
    let gone = format!("{}_1", stage.session.native_id);
    let metrics = stage.network.metrics(&stage.session, &[id.clone(), gone]).await.unwrap();
    let one = &metrics[0];
    assert_eq!((one.likes, one.reposts, one.replies, one.views, one.found), (5, 3, 1, 51, true));
    assert!(!metrics[1].found);
    stage.fault("read", object!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(
        stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await,
        Err(Fault::Transient { .. })
    ));
    stage.network.delete(&stage.session, &id).await.unwrap();
    stage.network.delete(&stage.session, &id).await.unwrap();
    assert!(!stage.network.metrics(&stage.session, &[id]).await.unwrap()[0].found);

    let old = stage.session.access_token.clone();
    let tokens = stage.network.refresh(&stage.session).await.unwrap();
    assert!(tokens.access_token != old && tokens.access_expires_at.is_none());
    stage.session.access_token = tokens.access_token;
    stage.post("with another token").await;
    stage.fault("read", object!({ "kind": "accept_then_reset" })).await;
    let lost = stage.network.refresh(&stage.session).await.unwrap_err();
    assert!(matches!(lost, RefreshFault::NotExecuted { .. }), "asking once more does no harm: {lost:?}");
}

#[tokio::test]
async fn an_authorization_ends_with_the_last_page_that_it_shows() {
    let several = Stage::of(adapter, "agency").await;
    several.network.revoke(&several.session).await.unwrap();
    several.post("the other Page goes on, and so does this one's token").await;
    let stage = stage().await;
    stage.network.revoke(&stage.session).await.unwrap();
    stage.network.revoke(&stage.session).await.unwrap();
    let work = stage.work("hello", 0);
    let ready = stage.ready(&work).await;
    assert_eq!(word(&stage.send(&work, &ready).await.outcome), "reconnect");
    assert!(matches!(stage.network.refresh(&stage.session).await, Err(RefreshFault::Revoked(_))));
}
