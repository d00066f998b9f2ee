//! CreatePost: what is stored, what is refused, and what a repetition gets.

use postmesh_kit::time;
use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::{AccountState, MastodonSettings, NetworkSettings, network_settings::Network},
    scheduler::v1::{CreatePostRequest, PostMedia, PostState, TargetInput},
};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::world::{MINUTE, fields, reason, story, to, with};

#[tokio::test]
async fn a_post_without_a_time_stays_a_draft() {
    story(async |world| {
        let post = world.create(world.a_post(None)).await.unwrap();
        assert_eq!(post.state(), PostState::Draft);
        assert_eq!(post.schedule_time, None);
        let target = &post.targets[0];
        assert_eq!((target.state(), target.revision), (TargetState::Draft, 1));
        assert_eq!((target.network.as_str(), target.handle.as_str()), ("mastodon", "@ana@mastodon.example"));
        assert_eq!(world.get(&post.id).await, post);
    })
    .await;
}

#[tokio::test]
async fn a_post_carries_media_settings_and_texts_of_its_targets() {
    story(async |world| {
        let accounts = world.connect_many(2);
        let media = world.add_media();
        let settings = NetworkSettings {
            network: Some(Network::Mastodon(MastodonSettings {
                language: "de".into(),
                ..Default::default()
            })),
        };
        let request = CreatePostRequest {
            media: vec![PostMedia { media_id: media.to_string(), alt_text: "a cat".into() }, with(media)],
            targets: vec![
                TargetInput { text: Some("own".into()), settings: Some(settings.clone()), ..to(accounts[0]) },
                to(accounts[1]),
            ],
            ..world.a_post(Some(10 * MINUTE))
        };
        let post = world.create(request).await.unwrap();
        assert_eq!(post.state(), PostState::Scheduled);
        assert_eq!(post.schedule_time, Some(time::to_proto(world.now() + 10 * MINUTE)));
        assert_eq!(post.media[0].alt_text, "a cat");
        assert_eq!(
            post.media[1].alt_text, "from the library",
            "the library's description when there is no other"
        );
        assert_eq!(post.targets[0].text.as_deref(), Some("own"));
        assert_eq!(post.targets[0].settings, Some(settings));
        assert_eq!(post.targets[1].text, None);
        assert_eq!(world.get(&post.id).await, post);
        world.holds_until(&post.id, &[media]).await;
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    story(async |world| {
        let request = CreatePostRequest {
            text: "x\0".into(),
            media: vec![PostMedia { media_id: "no".into(), alt_text: String::new() }],
            targets: vec![to(world.account), TargetInput::default(), to(world.account)],
            schedule_time: Some(time::to_proto(world.now() - 2 * MINUTE)),
            request_id: "not a uuid".into(),
            validate_only: false,
            thread: Vec::new(),
        };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            fields(&status),
            [
                "request_id",
                "text",
                "media[0].media_id",
                "targets[1].account_id",
                "targets[2].account_id",
                "schedule_time"
            ]
        );
        let status =
            world.create(CreatePostRequest { targets: Vec::new(), ..world.a_post(None) }).await.unwrap_err();
        assert_eq!(fields(&status), ["targets"]);
    })
    .await;
}

#[tokio::test]
async fn what_the_networks_refuse_is_named_by_the_request_s_fields() {
    story(async |world| {
        let accounts = world.connect_many(2);
        let wrong = NetworkSettings {
            network: Some(Network::Mastodon(MastodonSettings {
                language: "german".into(),
                ..Default::default()
            })),
        };
        let request = CreatePostRequest {
            text: "x".repeat(501),
            targets: vec![
                to(world.account),
                TargetInput { text: Some("y".repeat(502)), settings: Some(wrong), ..to(accounts[0]) },
                to(accounts[1]),
            ],
            ..world.a_post(None)
        };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["text", "targets[1].text", "targets[1].settings.mastodon.language"]);
    })
    .await;
}

#[tokio::test]
async fn unknown_media_are_named() {
    story(async |world| {
        let known = world.add_media();
        let request = CreatePostRequest {
            media: vec![with(known), with(Uuid::now_v7())],
            text: "x".repeat(501),
            ..world.a_post(None)
        };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["media[1].media_id".to_owned()])
        );
    })
    .await;
}

#[tokio::test]
async fn accounts_must_exist_and_be_connected() {
    story(async |world| {
        let unknown = Uuid::now_v7();
        let request =
            CreatePostRequest { targets: vec![to(world.account), to(unknown)], ..world.a_post(None) };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(&unknown.to_string()));
        assert_eq!(status.get_details_resource_info().unwrap().resource_name, unknown.to_string());

        for state in [AccountState::NeedsReconnect, AccountState::Disconnected] {
            world.connect(world.account, state);
            let status = world.create(world.a_post(None)).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "ACCOUNT_NOT_READY")
            );
            assert!(status.message().contains("@ana@mastodon.example cannot publish: connect it again"));
        }
    })
    .await;
}

#[tokio::test]
async fn an_absent_neighbour_is_unavailable_with_a_time_to_come_back() {
    story(async |world| {
        world.publisher.0.send_modify(|publisher| publisher.down = true);
        let status = world.create(world.a_post(None)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SERVICE_AWAY"));
        assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
        world.publisher.0.send_modify(|publisher| publisher.down = false);

        let media = world.add_media();
        world.library.0.send_modify(|library| library.down = true);
        let request = CreatePostRequest { media: vec![with(media)], ..world.a_post(None) };
        assert_eq!(world.create(request).await.unwrap_err().code(), Code::Unavailable);
        assert!(
            world.create(world.a_post(None)).await.is_ok(),
            "posts without media do not need the library"
        );
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    story(async |world| {
        let request =
            CreatePostRequest { request_id: Uuid::now_v7().to_string(), ..world.a_post(Some(MINUTE / 2)) };
        let first = world.create(request.clone()).await.unwrap();
        // Much later its time is in the past and the publisher is away; the answer is still the first one.
        world.clock.advance(20 * MINUTE);
        world.publisher.0.send_modify(|publisher| publisher.down = true);
        assert_eq!(world.create(request.clone()).await.unwrap(), first);

        let other = CreatePostRequest { text: "other".into(), ..request.clone() };
        let status = world.create(other).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["request_id".to_owned()]));

        world.publisher.0.send_modify(|publisher| publisher.down = false);
        world.clock.advance(world.config.request_memory_ms);
        let status = world.create(request).await.unwrap_err();
        assert_eq!(fields(&status), ["schedule_time"], "after a day the id is forgotten");
    })
    .await;
}

#[tokio::test]
async fn twenty_requests_at_once_with_one_id_make_one_post() {
    story(async |world| {
        let media = world.add_media();
        let request = CreatePostRequest {
            request_id: Uuid::now_v7().to_string(),
            media: vec![with(media)],
            ..world.a_post(None)
        };
        let posts = futures::future::join_all((0..20).map(|_| world.create(request.clone()))).await;
        let first = posts[0].as_ref().unwrap();
        for post in &posts {
            assert_eq!(post.as_ref().unwrap(), first);
        }
        let list = world.client.clone().list_posts(world.ask(Default::default())).await.unwrap().into_inner();
        assert_eq!(list.posts.len(), 1);
        // The holds of the nineteen posts that never came to be are let go.
        world.clock.advance(2 * MINUTE);
        crate::world::until(&world.library.0, |library| {
            library.holds.values().filter(|held| !held.is_empty()).count() == 1
        })
        .await;
        world.holds_until(&first.id, &[media]).await;
    })
    .await;
}

#[tokio::test]
async fn validate_only_writes_nothing() {
    story(async |world| {
        let media = world.add_media();
        let request = CreatePostRequest {
            validate_only: true,
            request_id: Uuid::now_v7().to_string(),
            media: vec![with(media)],
            ..world.a_post(Some(MINUTE))
        };
        let post = world.create(request.clone()).await.unwrap();
        assert_eq!((post.id.as_str(), post.state()), ("", PostState::Scheduled));
        let list = world.client.clone().list_posts(world.ask(Default::default())).await.unwrap().into_inner();
        assert!(list.posts.is_empty());
        assert!(world.library.0.borrow().holds.is_empty());
        let real = CreatePostRequest { validate_only: false, ..request };
        assert!(world.create(real).await.is_ok(), "the request id was not spent");
    })
    .await;
}
