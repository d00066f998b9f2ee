//! Tenants take turns: what one of them has due, however much, does not delay another's.

use postmesh_kit::{ids, testing::each_database, time};
use postmesh_proto::scheduler::v1::CreatePostRequest;
use postmesh_scheduler::{
    MIGRATIONS,
    domain::{NewTarget, Post, thread},
    store::Store,
};
use uuid::Uuid;

use crate::world::{MINUTE, story, to};

const NOW: i64 = 1_800_000_000_000;

fn a_post(workspace_id: Uuid, targets: usize) -> Post {
    let inputs: Vec<_> = (0..targets)
        .map(|_| NewTarget {
            account_id: ids::new(),
            network: "mastodon".into(),
            handle: "@ana".into(),
            text: None,
            settings: Vec::new(),
        })
        .collect();
    Post {
        id: ids::new(),
        workspace_id,
        author_id: ids::new(),
        text: "hello".into(),
        media: Vec::new(),
        thread: Vec::new(),
        targets: thread::spread(&inputs, 0, Some(NOW), 0),
        due_at: Some(NOW),
        revision: 1,
        created_at: NOW,
        updated_at: NOW,
        change_seq: 0,
    }
}

#[tokio::test]
async fn one_target_is_in_the_first_batch_beside_five_thousand_of_another_tenant() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let (many, one) = (ids::new(), ids::new());
        for _ in 0..5 {
            store.create(&a_post(many, 1000), None).await.unwrap();
        }
        let lonely = a_post(one, 1);
        store.create(&lonely, None).await.unwrap();
        let first = store.claim_due(NOW, NOW + 50, 0, 500, &[]).await.unwrap();
        assert_eq!(first.taken, 500, "the batch is full");
        assert!(first.offers.iter().any(|offer| offer.target_id == lonely.targets[0].id), "and shared");
        let next = store.claim_due(NOW, NOW + 50, 0, 500, &[]).await.unwrap();
        assert_eq!((next.taken, next.offers[0].workspace_id), (500, many), "what one leaves the other takes");
        let none = store.claim_due(NOW, NOW + 50, 0, 500, &[many]).await.unwrap();
        assert_eq!(none.taken, 0, "a tenant that rests is left out");
        let mut left = 0;
        loop {
            match store.claim_due(NOW, NOW + 50, 0, 500, &[]).await.unwrap().taken {
                0 => break,
                taken => left += taken,
            }
        }
        assert_eq!(left, 4001, "each once, none lost");
    })
    .await;
}

#[tokio::test]
async fn a_tenant_whose_batches_hang_leaves_a_lane_to_the_others() {
    story(async |world| {
        // Every batch of the one tenant hangs at the publisher for as long as the test wants.
        world.publisher.0.send_modify(|publisher| {
            publisher.held.insert(world.workspace.to_string());
        });
        let accounts = world.connect_many(100);
        for _ in 0..world.config.lanes * 500 / 100 + 2 {
            let request = CreatePostRequest {
                targets: accounts.iter().map(|account| to(*account)).collect(),
                ..world.a_post(Some(2 * MINUTE))
            };
            world.create(request).await.unwrap();
        }
        world.clock.advance(MINUTE);
        let lanes = world.config.lanes - 1;
        world.publisher_until(|publisher| publisher.offered == lanes).await;
        let other = Uuid::now_v7();
        let account = world.connect_elsewhere(other);
        let request = CreatePostRequest {
            text: "hello".into(),
            targets: vec![to(account)],
            schedule_time: Some(time::to_proto(world.now())),
            ..CreatePostRequest::default()
        };
        let post = world.client.clone().create_post(world.ask_in(other, request)).await.unwrap();
        let post = post.into_inner().post.unwrap();
        world
            .publisher_until(|publisher| {
                publisher.delivered.iter().any(|d| d.target_id == post.targets[0].id)
            })
            .await;
        assert_eq!(world.publisher.0.borrow().delivered.len(), 1, "the others still hang");
        world.publisher.0.send_modify(|publisher| publisher.held.clear());
        let all = (world.config.lanes * 500 / 100 + 2) * 100 + 1;
        world.publisher_until(|publisher| publisher.delivered.len() >= all).await;
    })
    .await;
}
