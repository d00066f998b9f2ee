//! Threads: one target per part and account, handed over as a chain, withdrawn and sent again part by part.

use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::{DeliverOutcome, MastodonSettings, NetworkSettings, network_settings::Network},
    scheduler::v1::{self as proto, CreatePostRequest, PostState, TargetInput, ThreadPart},
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{MINUTE, World, fields, mask, reason, story, then, to, with};

async fn update_thread(
    world: &World,
    post_id: &str,
    thread: Vec<ThreadPart>,
) -> Result<proto::Post, tonic::Status> {
    let request = proto::UpdatePostRequest {
        post_id: post_id.into(),
        thread,
        update_mask: Some(mask(&["thread"])),
        ..Default::default()
    };
    Ok(world.client.clone().update_post(world.ask(request)).await?.into_inner().post.unwrap())
}

#[tokio::test]
async fn every_part_is_a_target_on_every_account_and_goes_out_in_its_place() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let (picture, other) = (world.add_media(), world.add_media());
        let settings = NetworkSettings {
            network: Some(Network::Mastodon(MastodonSettings {
                language: "de".into(),
                ..Default::default()
            })),
        };
        let request = CreatePostRequest {
            targets: vec![
                TargetInput {
                    text: Some("own".into()),
                    settings: Some(settings.clone()),
                    ..to(world.account)
                },
                to(accounts[0]),
            ],
            media: vec![with(picture)],
            thread: vec![
                then("second"),
                ThreadPart { text: "third".into(), media: vec![with(other), with(picture)] },
            ],
            ..world.a_post(Some(10 * MINUTE))
        };
        let checked = CreatePostRequest { validate_only: true, ..request.clone() };
        let checked = world.create(checked).await.unwrap();
        assert_eq!((checked.targets.len(), checked.targets[0].id.as_str()), (6, ""));
        let post = world.create(request.clone()).await.unwrap();
        assert_eq!(post.thread[1].text, "third");
        assert_eq!(post.thread[1].media[0].alt_text, "from the library");
        let places: Vec<_> =
            post.targets.iter().map(|t| (t.account_id.as_str(), t.thread_position)).collect();
        let (one, two) = (world.account.to_string(), accounts[0].to_string());
        assert_eq!(places, [(&*one, 0), (&*one, 1), (&*one, 2), (&*two, 0), (&*two, 1), (&*two, 2)]);
        assert_eq!((post.targets[0].text.as_deref(), post.targets[1].text.as_deref()), (Some("own"), None));
        assert_eq!(post.targets[2].settings, Some(settings));
        assert_eq!(world.get(&post.id).await, post);
        world.holds_until(&post.id, &[picture, other]).await;

        world.clock.advance(9 * MINUTE);
        world.post_in(&post.id, TargetState::HandedOver).await;
        {
            let publisher = world.publisher.0.borrow();
            assert_eq!(publisher.delivered.len(), 6);
            for thread in post.targets.chunks(3) {
                for (at, target) in thread.iter().enumerate() {
                    let delivery = publisher.newest(&target.id).unwrap();
                    let place = delivery.thread.unwrap();
                    let previous = if at == 0 { "" } else { thread[at - 1].id.as_str() };
                    assert_eq!(
                        (place.position, place.root_target_id.as_str()),
                        (at as i32, thread[0].id.as_str())
                    );
                    assert_eq!(place.previous_target_id, previous);
                    assert_eq!(delivery.due_time, post.schedule_time);
                }
            }
            let texts: Vec<_> =
                post.targets.iter().map(|t| publisher.newest(&t.id).unwrap().content.unwrap().text).collect();
            assert_eq!(texts, ["own", "second", "third", "hello", "second", "third"]);
            let media = |at: usize| publisher.newest(&post.targets[at].id).unwrap().content.unwrap().media;
            assert_eq!((media(0).len(), media(1).len(), media(2).len()), (1, 0, 2));
            assert_eq!((media(2)[0].media_id.clone(), media(2)[0].width), (other.to_string(), 10));
        }
        for at in 0..6 {
            world.tell(&post, at, TargetState::Published);
        }
        world.post_in(&post.id, TargetState::Published).await;
        world.holds_until(&post.id, &[]).await;
        let alone = world.create(world.a_post(Some(0))).await.unwrap();
        world.post_in(&alone.id, TargetState::HandedOver).await;
        assert_eq!(world.publisher.0.borrow().newest(&alone.targets[0].id).unwrap().thread, None);
    })
    .await;
}

#[tokio::test]
async fn every_bad_part_is_named_where_the_user_wrote_it() {
    story(async |world| {
        let accounts = world.connect_many(1);
        let long = "x".repeat(501);
        let missing = Uuid::now_v7();
        let request = CreatePostRequest {
            targets: vec![TargetInput { text: Some(long.clone()), ..to(world.account) }, to(accounts[0])],
            thread: vec![
                then("fine"),
                then(&long),
                ThreadPart { text: "p".into(), media: vec![with(missing)] },
            ],
            ..world.a_post(None)
        };
        let status = world.create(request.clone()).await.unwrap_err();
        assert_eq!(fields(&status), ["thread[2].media[0].media_id"], "first what the parts are made of");
        let request = CreatePostRequest { thread: request.thread[..2].to_vec(), ..request };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(fields(&status), ["targets[0].text", "thread[1].text"], "each once for all accounts");
        let request = CreatePostRequest { thread: vec![then("p"); 25], ..world.a_post(None) };
        assert_eq!(fields(&world.create(request).await.unwrap_err()), ["thread"]);
        let parts = vec![ThreadPart { text: String::new(), media: vec![with(missing); 21] }, then(" ")];
        let request = CreatePostRequest { thread: parts, ..world.a_post(None) };
        let status = world.create(request).await.unwrap_err();
        assert_eq!(fields(&status), ["thread[0].media", "thread[1].text"]);
        // 24 parts on 100 accounts are 2500 targets; the publisher is asked in pieces.
        let many = world.connect_many(100);
        let request = CreatePostRequest {
            targets: many.iter().map(|account| to(*account)).collect(),
            thread: vec![then("p"); 24],
            ..world.a_post(None)
        };
        assert_eq!(world.create(request).await.unwrap().targets.len(), 2500);
    })
    .await;
}

#[tokio::test]
async fn a_thread_can_be_rewritten_until_something_was_sent() {
    story(async |world| {
        let media = world.add_media();
        let post = world.create(world.a_post(Some(MINUTE / 2))).await.unwrap();
        world.post_in(&post.id, TargetState::HandedOver).await;
        let part = ThreadPart { text: "second".into(), media: vec![with(media)] };
        let longer = update_thread(&world, &post.id, vec![part, then("third")]).await.unwrap();
        assert_eq!(longer.targets.len(), 3);
        assert_eq!(
            (longer.targets[0].id.as_str(), longer.targets[0].revision),
            (post.targets[0].id.as_str(), 2)
        );
        world.holds_until(&post.id, &[media]).await;
        let longer = world.post_in(&post.id, TargetState::HandedOver).await;
        let kept = update_thread(&world, &post.id, vec![then("other")]).await.unwrap();
        assert_eq!(
            kept.targets.iter().map(|t| &t.id).collect::<Vec<_>>(),
            [&longer.targets[0].id, &longer.targets[1].id]
        );
        assert_eq!(kept.thread[0].text, "other");
        world.holds_until(&post.id, &[]).await;
        {
            let publisher = world.publisher.0.borrow();
            assert_eq!(publisher.recalled.get(&longer.targets[2].id), Some(&longer.targets[2].revision));
        }
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let delivered = world.publisher.0.borrow().newest(&post.targets[1].id).unwrap();
        assert_eq!(delivered.content.unwrap().text, "other");
        world.tell(&post, 0, TargetState::Published);
        world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Published).await;
        let status = update_thread(&world, &post.id, Vec::new()).await.unwrap_err();
        assert_eq!(reason(&status), "ALREADY_SENT");
        let status = update_thread(&world, &post.id, vec![then("")]).await.unwrap_err();
        assert_eq!(fields(&status), ["thread[0].text"]);
    })
    .await;
}

#[tokio::test]
async fn parts_after_a_published_one_can_still_be_withdrawn() {
    story(async |world| {
        let request =
            CreatePostRequest { thread: vec![then("second"), then("third")], ..world.a_post(Some(0)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 0, TargetState::Published);
        world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Published).await;
        // The second is on its way; the third can be had back.
        world.publisher.0.send_modify(|publisher| {
            publisher.sending.insert(post.targets[1].id.clone());
        });
        world.tell(&post, 1, TargetState::Sending);
        world.post_until(&post.id, |post| post.targets[1].state() == TargetState::Sending).await;
        let cancelled = world.cancel(&post.id).await.unwrap();
        let states: Vec<_> = cancelled.targets.iter().map(proto::Target::state).collect();
        assert_eq!(states, [TargetState::Published, TargetState::Sending, TargetState::Cancelled]);
        world.tell(&post, 1, TargetState::Published);
        let done = world.post_until(&post.id, |post| post.targets[1].state() == TargetState::Published).await;
        assert_eq!(done.state(), PostState::Published);
        let again = world.retry(&post.id, &post.targets[2].id).await.unwrap();
        assert_eq!(again.targets[2].revision, 2, "what it follows is there");
    })
    .await;
}

#[tokio::test]
async fn a_part_is_sent_again_with_those_that_were_given_up_for_it() {
    story(async |world| {
        let request =
            CreatePostRequest { thread: vec![then("second"), then("third")], ..world.a_post(Some(0)) };
        let post = world.create(request).await.unwrap();
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        world.tell(&post, 0, TargetState::Published);
        world.tell(&post, 1, TargetState::Failed);
        world.publisher.0.send_modify(|publisher| {
            let failed = publisher.newest(&post.targets[1].id).unwrap();
            publisher.break_thread(&failed);
        });
        let broken = world.post_until(&post.id, |post| post.targets[2].state() == TargetState::Failed).await;
        assert_eq!(broken.targets[2].problem.as_ref().unwrap().reason, "THREAD_BROKEN");
        assert_eq!(broken.state(), PostState::PartlyPublished);
        let status = world.retry(&post.id, &post.targets[2].id).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "PART_BEFORE_NOT_PUBLISHED")
        );
        assert!(status.message().contains("send that one again"), "{}", status.message());
        let again = world.retry(&post.id, &post.targets[1].id).await.unwrap();
        let revisions: Vec<_> = again.targets.iter().map(|target| target.revision).collect();
        assert_eq!(revisions, [1, 2, 2]);
        world
            .publisher_until(|publisher| {
                publisher.newest(&post.targets[2].id).is_some_and(|d| d.revision == 2)
            })
            .await;
        let place = world.publisher.0.borrow().newest(&post.targets[2].id).unwrap().thread.unwrap();
        assert_eq!(place.previous_target_id, post.targets[1].id);
    })
    .await;
}

#[tokio::test]
async fn what_would_follow_a_refused_part_is_given_up_with_it() {
    story(async |world| {
        let request = CreatePostRequest {
            thread: vec![then("second"), then("third")],
            ..world.a_post(Some(10 * MINUTE))
        };
        let post = world.create(request).await.unwrap();
        world.publisher.0.send_modify(|publisher| {
            publisher.outcomes.insert(post.targets[1].id.clone(), DeliverOutcome::Refused);
        });
        world.clock.advance(9 * MINUTE);
        let post = world.post_until(&post.id, |post| post.targets[2].state() == TargetState::Failed).await;
        assert_eq!(post.targets[0].state(), TargetState::HandedOver, "the part before it goes out");
        assert_eq!(post.targets[1].problem.as_ref().unwrap().reason, "ACCOUNT_GONE");
        assert_eq!(post.targets[2].problem.as_ref().unwrap().reason, "THREAD_BROKEN");
        assert_eq!(world.publisher.0.borrow().recalled.get(&post.targets[2].id), Some(&1));
        let again = world.retry(&post.id, &post.targets[1].id).await.unwrap();
        assert_eq!(again.targets.iter().map(|t| t.revision).collect::<Vec<_>>(), [1, 2, 2]);
        world.post_in(&post.id, TargetState::HandedOver).await;
    })
    .await;
}
