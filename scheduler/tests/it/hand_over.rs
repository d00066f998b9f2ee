//! When targets leave for the publisher, and that none is lost when it is away or we are.

use std::{sync::Arc, time::Instant};

use postmesh_kit::{clock::Clock, time};
use postmesh_proto::{
    common::v1::TargetState,
    publisher::v1::DeliverOutcome,
    scheduler::v1::{CreatePostRequest, PostState},
};

use crate::world::{MINUTE, story, to, with};

#[tokio::test]
async fn a_target_leaves_when_its_lead_begins_and_not_before() {
    story(async |world| {
        let media = world.add_video(1500);
        let early = world.create(world.a_post(Some(2 * MINUTE))).await.unwrap();
        let request = CreatePostRequest { media: vec![with(media)], ..world.a_post(Some(10 * MINUTE)) };
        let late = world.create(request).await.unwrap();
        world.clock.advance(MINUTE - 1);
        assert_eq!(
            world.store.claim_due(world.now(), 0, 0, 10, &[]).await.unwrap().taken,
            0,
            "a millisecond too soon"
        );
        world.clock.advance(1);
        world.publisher_until(|publisher| publisher.delivered.len() == 1).await;
        world.post_in(&early.id, TargetState::HandedOver).await;
        {
            let publisher = world.publisher.0.borrow();
            let delivery = &publisher.delivered[0];
            assert_eq!((&delivery.post_id, &delivery.target_id), (&early.id, &early.targets[0].id));
            assert_eq!(delivery.workspace_id, world.workspace.to_string());
            assert_eq!((delivery.revision, delivery.due_time), (1, early.schedule_time));
            assert_eq!(delivery.max_lateness.unwrap().seconds, 3600);
        }
        world.clock.advance(8 * MINUTE);
        world.publisher_until(|publisher| publisher.delivered.len() == 2).await;
        let delivery = world.publisher.0.borrow().delivered[1].clone();
        assert_eq!(delivery.post_id, late.id);
        let content = delivery.content.unwrap();
        assert_eq!((content.media[0].media_id.clone(), content.media[0].width), (media.to_string(), 10));
        assert_eq!(content.media[0].alt_text, "from the library");
        assert_eq!((&*content.media[0].content_type, content.media[0].duration_ms), ("video/mp4", 1500));
    })
    .await;
}

#[tokio::test]
async fn the_timer_rings_at_the_moment_by_itself() {
    use postmesh_kit::{clock::SystemClock, lifecycle::Lifecycle, testing};
    use postmesh_scheduler::{Config, Deps, MIGRATIONS, start};
    // The real clock, and a look at the database only every minute: nothing but the timer can ring in time.
    let (db, _folder) = testing::sqlite(MIGRATIONS).await;
    let world = crate::world::World::start(db).await;
    assert!(world.life.shutdown(std::time::Duration::from_secs(5)).await);
    let life = Lifecycle::new();
    let tokens = testing::Tokens::default();
    let deps = Deps {
        db: world.db.clone(),
        clock: Arc::new(SystemClock),
        lifecycle: life.clone(),
        publisher: world.publisher.client(&tokens),
        media: world.library.client(&tokens),
    };
    let running = start(Config { scan_period_ms: 60_000, ..Config::default() }, deps).await.unwrap();
    let token = tokens.mint(world.user, world.workspace, &["posts.write", "posts.publish"]);
    let transport = testing::serve(postmesh_proto::pool(), running.routes, "gateway", &tokens);
    let mut client = crate::world::Client::new(transport);
    // Hand-over in 400 ms; then, while that timer runs, one in 200 ms, which has to move it.
    for lead in [400, 200] {
        let due = SystemClock.now_ms() + MINUTE + lead;
        let request = CreatePostRequest { schedule_time: Some(time::to_proto(due)), ..world.a_post(None) };
        client.create_post(testing::with_token(request, &token)).await.unwrap();
    }
    for count in 1..=2 {
        world.publisher_until(|publisher| publisher.delivered.len() == count).await;
        let delivery = world.publisher.0.borrow().delivered[count - 1].clone();
        let moment = time::from_proto(&delivery.due_time.unwrap()).unwrap() - MINUTE;
        let late = SystemClock.now_ms() - moment;
        assert!((0..2_000).contains(&late), "handed over {late} ms after its moment");
    }
    assert!(life.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_absent_publisher_gets_everything_when_it_is_back() {
    story(async |world| {
        let mut posts = Vec::new();
        for _ in 0..5 {
            posts.push(world.create(world.a_post(Some(2 * MINUTE))).await.unwrap());
        }
        world.publisher.0.send_modify(|publisher| publisher.down = true);
        world.clock.advance(MINUTE);
        world.publisher_until(|publisher| publisher.refused > 1).await;
        assert_eq!(world.get(&posts[0].id).await.targets[0].state(), TargetState::Scheduled);
        world.publisher.0.send_modify(|publisher| publisher.down = false);
        for post in &posts {
            world.post_in(&post.id, TargetState::HandedOver).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_harmless() {
    story(async |world| {
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        world.publisher_until(|publisher| publisher.delivered.len() >= 2).await;
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        world.post_in(&post.id, TargetState::HandedOver).await;
        let publisher = world.publisher.0.borrow();
        assert!(
            publisher.delivered.iter().all(|delivery| delivery == &publisher.delivered[0]),
            "the same each time"
        );
    })
    .await;
}

#[tokio::test]
async fn a_refused_hand_over_fails_the_target_with_the_publisher_s_reason() {
    story(async |world| {
        let post = world.create(world.a_post(Some(10 * MINUTE))).await.unwrap();
        world.publisher.0.send_modify(|publisher| {
            publisher.outcomes.insert(post.targets[0].id.clone(), DeliverOutcome::Refused);
        });
        world.clock.advance(9 * MINUTE);
        let post = world.post_in(&post.id, TargetState::Failed).await;
        assert_eq!(post.state(), PostState::Failed);
        let problem = post.targets[0].problem.clone().unwrap();
        assert_eq!(
            (problem.reason.as_str(), problem.message.as_str()),
            ("ACCOUNT_GONE", "connect the account again")
        );
    })
    .await;
}

#[tokio::test]
async fn a_revision_the_publisher_holds_void_is_planned_anew() {
    story(async |world| {
        let post = world.create(world.a_post(Some(10 * MINUTE))).await.unwrap();
        world.publisher.0.send_modify(|publisher| {
            publisher.recalled.insert(post.targets[0].id.clone(), 1);
        });
        world.clock.advance(9 * MINUTE);
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        assert_eq!(post.targets[0].revision, 2);
    })
    .await;
}

#[tokio::test]
async fn one_post_the_publisher_cannot_take_holds_nothing_up() {
    story(async |world| {
        let mut posts = Vec::new();
        for at in 0..7 {
            let text = if at == 4 { "POISON" } else { "fine" };
            let request = CreatePostRequest { text: text.into(), ..world.a_post(Some(2 * MINUTE)) };
            posts.push(world.create(request).await.unwrap());
        }
        world.clock.advance(MINUTE);
        for (at, post) in posts.iter().enumerate() {
            let state = if at == 4 { TargetState::Failed } else { TargetState::HandedOver };
            world.post_in(&post.id, state).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_due_while_nobody_ran_goes_out_or_is_missed() {
    story(async |mut world| {
        let missed = world.create(world.a_post(Some(10 * MINUTE))).await.unwrap();
        let late = world.create(world.a_post(Some(30 * MINUTE))).await.unwrap();
        let future = world.create(world.a_post(Some(120 * MINUTE))).await.unwrap();
        let clock = world.clock.clone();
        assert!(world.life.shutdown(std::time::Duration::from_secs(5)).await);
        clock.advance(10 * MINUTE + world.config.max_lateness_ms + 1);
        world.restart().await;
        let missed = world.post_in(&missed.id, TargetState::Missed).await;
        assert_eq!(missed.state(), PostState::Failed);
        assert_eq!(missed.targets[0].problem.clone().unwrap().reason, "TOO_LATE_TO_SEND");
        world.post_in(&late.id, TargetState::HandedOver).await;
        assert_eq!(world.get(&future.id).await.state(), PostState::Scheduled);
        let again = world.retry(&missed.id, &missed.targets[0].id).await.unwrap();
        assert_eq!(again.targets[0].revision, 2);
        world.post_in(&missed.id, TargetState::HandedOver).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_offered_before_a_restart_is_never_missed_silently() {
    story(async |mut world| {
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = true);
        let post = world.create(world.a_post(Some(0))).await.unwrap();
        world.publisher_until(|publisher| !publisher.delivered.is_empty()).await;
        assert!(world.life.shutdown(std::time::Duration::from_secs(5)).await);
        world.publisher.0.send_modify(|publisher| publisher.lose_answers = false);
        // However late: the publisher may have sent it, so only the publisher can tell.
        world.clock.advance(3 * world.config.max_lateness_ms);
        world.restart().await;
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        assert_eq!(post.targets[0].revision, 1);
    })
    .await;
}

#[tokio::test]
async fn large_contents_travel_in_several_messages() {
    story(async |world| {
        // 2 MiB is the most one message carries; the texts are short enough for the stand-in's limit of characters
        // because each target's settings carry the weight.
        use postmesh_proto::publisher::v1::{MastodonSettings, NetworkSettings, network_settings::Network};
        let accounts = world.connect_many(100);
        let heavy = NetworkSettings {
            network: Some(Network::Mastodon(MastodonSettings {
                spoiler_text: "x".repeat(16_000),
                ..Default::default()
            })),
        };
        let targets = accounts.iter().map(|account| postmesh_proto::scheduler::v1::TargetInput {
            settings: Some(heavy.clone()),
            ..to(*account)
        });
        let mut posts = Vec::new();
        for _ in 0..3 {
            let request =
                CreatePostRequest { targets: targets.clone().collect(), ..world.a_post(Some(2 * MINUTE)) };
            posts.push(world.create(request).await.unwrap());
        }
        world.clock.advance(MINUTE);
        for post in &posts {
            world.post_in(&post.id, TargetState::HandedOver).await;
        }
        let publisher = world.publisher.0.borrow();
        assert_eq!(publisher.delivered.len(), 300);
        assert!(publisher.calls >= 3, "5 MB in {} calls", publisher.calls);
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_targets_due_at_one_instant_leave_quickly_and_once() {
    story(async |world| {
        let accounts = world.connect_many(100);
        let targets: Vec<_> = accounts.iter().map(|account| to(*account)).collect();
        let mut posts = Vec::new();
        for _ in 0..100 {
            let request = CreatePostRequest { targets: targets.clone(), ..world.a_post(Some(2 * MINUTE)) };
            posts.push(world.create(request).await.unwrap());
        }
        let began = Instant::now();
        world.clock.advance(MINUTE);
        world.publisher_until(|publisher| publisher.delivered.len() >= 10_000).await;
        let took = began.elapsed();
        for post in &posts {
            world.post_in(&post.id, TargetState::HandedOver).await;
        }
        let publisher = world.publisher.0.borrow();
        let mut ids: Vec<_> = publisher.delivered.iter().map(|delivery| delivery.target_id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), publisher.delivered.len()), (10_000, 10_000), "each once");
        // A debug build on a busy machine; the release figure is the benchmark's.
        assert!(took.as_secs() < 15, "took {took:?}");
    })
    .await;
}
