//! What is done to a post after its id is stored: YouTube's thumbnails, through every part of the service.

use postmesh_proto::publisher::v1::network_settings::Network;

use super::*;
use crate::{
    apps::AppConfig,
    testing::{CLIP, PICTURE_PNG, clip},
};

/// A service whose YouTube is the sandbox's, with its demo channel connected.
async fn with_youtube(kind: Kind) -> (Mesh, String) {
    let app = AppConfig {
        client_id: "sandbox-youtube".into(),
        client_secret: Secret::new("sandbox-youtube-secret".into()),
    };
    let apps = BTreeMap::from([("youtube".to_owned(), app)]);
    let mut mesh = Mesh::new(kind, Config { apps, poll_ms: 200, ..quick() }).await;
    mesh.config.servers.insert("youtube".into(), mesh.bench.server("youtube"));
    assert!(mesh.stop().await);
    mesh.start().await;
    let begin = proto::BeginConnectRequest {
        network: "youtube".into(),
        return_path: "/accounts".into(),
        ..Default::default()
    };
    let began = mesh.accounts().begin_connect(mesh.mine(begin)).await.unwrap().into_inner();
    let mut query = mesh.bench.press(&began.authorization_url, "authorize").await;
    let mut take = |name: &str| query.remove(name).unwrap_or_default();
    let received = proto::ReceiveAuthorizationRequest {
        state: take("state"),
        code: take("code"),
        issuer: take("iss"),
        ..Default::default()
    };
    mesh.accounts().receive_authorization(received).await.unwrap();
    let complete =
        proto::CompleteConnectRequest { connection_id: began.connection_id, native_ids: Vec::new() };
    let answer = mesh.accounts().complete_connect(mesh.mine(complete)).await.unwrap().into_inner();
    (mesh, answer.account.unwrap().id)
}

fn film(thumbnail: &str) -> proto::Content {
    let video = proto::ContentMedia {
        media_id: CLIP.to_string(),
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).unwrap(),
        width: 64,
        height: 64,
        duration_ms: 1000,
        ..Default::default()
    };
    let youtube = proto::YoutubeSettings { thumbnail_media_id: thumbnail.into(), ..Default::default() };
    let settings = proto::NetworkSettings { network: Some(Network::Youtube(youtube)) };
    proto::Content { text: "A film".into(), media: vec![video], settings: Some(settings) }
}

#[tokio::test]
async fn a_crash_while_the_thumbnail_is_set_neither_loses_it_nor_the_video() {
    for kind in BOTH {
        let (mut mesh, account) = with_youtube(kind).await;
        mesh.bench.fault("youtube", "media_edit", hold()).await;
        let content = Some(film(&PICTURE_PNG.to_string()));
        let delivery = proto::Delivery { content, ..mesh.a_delivery(&account, "", 0) };
        let targets = mesh.deliver(vec![delivery]).await;
        mesh.held(1).await;
        let seen = mesh.follow(&targets, |state| state == TargetState::Processing).await;
        assert_eq!(seen.last().unwrap().native_id, "", "it is not published yet");
        mesh.crash();
        mesh.start().await;
        let event = mesh.ends(&targets).await.remove(0);
        assert_eq!(event.state(), TargetState::Published, "{event:?}");
        assert_eq!(mesh.bench.ledger().await.len(), 1);
        let answered = mesh.bench.requests("media_edit").await;
        assert_eq!(answered.len(), 1, "the first one is held still, the second life's was executed");
        assert_eq!(answered[0]["status"], 200, "{answered:?}");
        let stored = mesh.stored_handles().await;
        assert!(!stored.contains(['{', '"', '/']), "what was prepared is sealed: {stored}");
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_thumbnail_is_checked_by_what_the_library_knows_of_it() {
    let (mesh, account) = with_youtube(Kind::Sqlite).await;
    let check = async |thumbnail: &str, known: Vec<proto::ContentMedia>| {
        let item = proto::ValidateItem {
            account_id: account.clone(),
            content: Some(film(thumbnail)),
            settings_media: known,
            ..Default::default()
        };
        let request = proto::ValidateRequest { workspace_id: mesh.workspace.to_string(), items: vec![item] };
        mesh.deliveries().validate(request).await
    };
    let found = async |known: proto::ContentMedia| {
        let answer = check(&known.media_id.clone(), vec![known]).await.unwrap().into_inner();
        let violations = answer.results[0].violations.clone();
        violations.into_iter().map(|violation| (violation.field, violation.reason)).collect::<Vec<_>>()
    };
    let of = |content_type: &str, size_bytes: i64| proto::ContentMedia {
        media_id: PICTURE_PNG.to_string(),
        content_type: content_type.into(),
        size_bytes,
        ..picture()
    };
    assert_eq!(found(of("image/png", 9_000_000)).await, [], "a smaller copy goes out");
    let named = |reason: &str| ("settings.youtube.thumbnail_media_id".to_owned(), reason.to_owned());
    assert_eq!(found(of("video/mp4", 9)).await, [named("THUMBNAIL_TYPE")]);
    let gif = found(of("image/gif", 2_097_153)).await;
    assert_eq!(gif, [named("THUMBNAIL_TYPE"), named("THUMBNAIL_TOO_LARGE")]);
    let malformed = check("nope", Vec::new()).await.unwrap_err();
    let field = "items[0].content.settings.youtube.thumbnail_media_id";
    assert!(malformed.message().contains(field), "{malformed:?}");
    mesh.end().await;
}
