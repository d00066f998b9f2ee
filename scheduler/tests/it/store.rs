//! Each verb of the store means the same on both databases.

use std::collections::HashSet;

use postmesh_kit::{ids, testing::each_database};
use postmesh_scheduler::{
    Error, MIGRATIONS,
    domain::{
        Change, Edit, Fact, Media, NewTarget, Post, RecallIntent, Target, TargetState, Verdict, Verdicts,
        change::Moment,
        filter::{Filter, Order},
    },
    store::{ChangeRequest, Changed, Created, HoldCheck, Repeat, RequestKey, Store, Wakes},
};
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;
const LEAD: i64 = 60_000;

fn a_post(workspace_id: Uuid, targets: usize, due_at: Option<i64>) -> Post {
    let target = |_| {
        let input = NewTarget {
            account_id: ids::new(),
            network: "bluesky".into(),
            handle: "ana.example".into(),
            text: Some("own \"text\" 'quoted' 🐈".into()),
            settings: vec![0, 1, 255],
        };
        Target::new(&input, 0, due_at, LEAD)
    };
    Post {
        id: ids::new(),
        workspace_id,
        author_id: ids::new(),
        text: "hello\n\t\"you\"".into(),
        media: Vec::new(),
        thread: Vec::new(),
        targets: (0..targets).map(target).collect(),
        due_at,
        revision: 1,
        created_at: NOW,
        updated_at: NOW,
        change_seq: 0,
    }
}

fn a_fact(target: &Target, state: TargetState) -> Fact {
    Fact {
        target_id: target.id,
        revision: target.revision,
        state,
        native_id: "109".into(),
        url: "https://example.test/109".into(),
        problem: None,
        at: NOW + 5,
    }
}

fn a_change(post: &Post, change: Change) -> ChangeRequest {
    ChangeRequest {
        workspace_id: post.workspace_id,
        post_id: post.id,
        etag: None,
        change,
        verdicts: Verdicts::new(),
        repeat: None,
        encode: |_| b"answer".to_vec(),
        moment: Moment { now: NOW, lead_ms: LEAD },
    }
}

fn a_repeat(workspace_id: Uuid, body: &[u8]) -> Repeat {
    let key = RequestKey { workspace_id, user_id: ids::new(), method: "CreatePost", request_id: ids::new() };
    Repeat { key, body_sha256: body.to_vec(), forget_before: NOW - 1000 }
}

async fn stored(store: &Store, targets: usize, due_at: Option<i64>) -> Post {
    let post = a_post(ids::new(), targets, due_at);
    assert_eq!(store.create(&post, None).await.unwrap(), Created::Stored);
    let mut read = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
    assert!(read.change_seq > 0);
    read.change_seq = 0;
    assert_eq!(read, post, "what is written is read");
    post
}

#[tokio::test]
async fn keeps_a_post_as_it_was_written_within_its_workspace() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 3, Some(NOW + 1)).await;
        assert_eq!(store.post(ids::new(), post.id).await.unwrap(), None);
        assert_eq!(store.posts(post.workspace_id, &[post.id, ids::new()]).await.unwrap().len(), 1);
        assert_eq!(store.posts(ids::new(), &[post.id]).await.unwrap(), []);
        let page = store.list(ids::new(), &Filter::default(), Order::default(), None, 10).await.unwrap();
        assert_eq!(page.posts, []);
    })
    .await;
}

#[tokio::test]
async fn remembers_the_first_answer_until_it_is_old() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = a_post(ids::new(), 1, None);
        let repeat = a_repeat(post.workspace_id, b"body");
        assert_eq!(store.first_answer(&repeat).await.unwrap(), None);
        let record = Some((repeat.clone(), b"first".to_vec()));
        assert_eq!(store.create(&post, record).await.unwrap(), Created::Stored);
        assert_eq!(store.first_answer(&repeat).await.unwrap().unwrap(), b"first");
        let other = a_post(post.workspace_id, 1, None);
        let record = Some((repeat.clone(), b"second".to_vec()));
        assert_eq!(store.create(&other, record).await.unwrap(), Created::Repeated(b"first".to_vec()));
        assert_eq!(store.post(other.workspace_id, other.id).await.unwrap(), None);
        let changed = Repeat { body_sha256: b"other".to_vec(), ..repeat.clone() };
        assert!(matches!(store.first_answer(&changed).await, Err(Error::Invalid(_))));
        let later = Repeat { forget_before: NOW + 1, ..repeat.clone() };
        assert_eq!(store.first_answer(&later).await.unwrap(), None, "old enough to be forgotten");
        let record = Some((later, b"third".to_vec()));
        assert_eq!(store.create(&other, record).await.unwrap(), Created::Stored);
        assert_eq!(store.forget_requests(NOW + 1).await.unwrap(), 1);
        assert_eq!(store.first_answer(&repeat).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn claims_each_due_target_once_until_its_lease_ends() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 3, Some(NOW + LEAD)).await;
        stored(&store, 1, Some(NOW + LEAD + 7)).await;
        stored(&store, 1, None).await;
        assert_eq!(store.wakes(NOW - 1).await.unwrap(), Wakes { due: false, next: Some(NOW) });
        assert_eq!(store.wakes(NOW).await.unwrap(), Wakes { due: true, next: Some(NOW + 7) });
        assert_eq!(store.claim_due(NOW - 1, NOW + 50, 0, 10, &[]).await.unwrap().taken, 0);
        let first = store.claim_due(NOW, NOW + 50, 0, 2, &[]).await.unwrap();
        let second = store.claim_due(NOW, NOW + 50, 0, 2, &[]).await.unwrap();
        assert_eq!((first.offers.len(), second.offers.len()), (2, 1));
        let ids: HashSet<_> =
            first.offers.iter().chain(&second.offers).map(|offer| offer.target_id).collect();
        assert_eq!(ids.len(), 3);
        let offer = &first.offers[0];
        assert_eq!((offer.post_id, offer.workspace_id, offer.revision), (post.id, post.workspace_id, 1));
        assert_eq!(
            (offer.text.as_str(), offer.settings.as_slice()),
            ("own \"text\" 'quoted' 🐈", &[0, 1, 255][..])
        );
        assert_eq!(store.claim_due(NOW + 1, NOW + 50, 0, 10, &[]).await.unwrap().taken, 0);
        assert_eq!(
            store.claim_due(NOW + 50, NOW + 99, 0, 10, &[]).await.unwrap().taken,
            4,
            "the lease has ended"
        );
    })
    .await;
}

/// A replica of the version before writes targets without their tenant.
#[tokio::test]
async fn a_target_without_its_tenant_is_claimed_all_the_same() {
    each_database(MIGRATIONS, |db| async move {
        let store = Store::new(db.clone());
        let post = stored(&store, 1, Some(NOW)).await;
        postmesh_kit::write!(db, tx => {
            sqlx::query("update targets set workspace_id = $1").bind(Uuid::nil()).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
        .unwrap();
        let claimed = store.claim_due(NOW, NOW + 50, 0, 10, &[]).await.unwrap();
        assert_eq!((claimed.taken, claimed.offers[0].workspace_id), (1, post.workspace_id));
    })
    .await;
}

#[tokio::test]
async fn claims_in_parallel_take_different_targets() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        for _ in 0..10 {
            stored(&store, 10, Some(NOW)).await;
        }
        let claims = (0..8).map(|_| store.claim_due(NOW, NOW + 50, 0, 25, &[]));
        let claims = futures::future::join_all(claims).await;
        let ids: Vec<_> = claims
            .iter()
            .flat_map(|claim| &claim.as_ref().unwrap().offers)
            .map(|offer| offer.target_id)
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "none twice");
        let rest = store.claim_due(NOW, NOW + 50, 0, 500, &[]).await.unwrap();
        assert_eq!(ids.len() + rest.offers.len(), 100, "none lost");
    })
    .await;
}

#[tokio::test]
async fn leaves_what_is_too_late_to_be_missed_unless_it_was_offered() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let offered = stored(&store, 1, Some(NOW)).await;
        assert_eq!(store.claim_due(NOW, NOW + 1, 0, 10, &[]).await.unwrap().taken, 1);
        let fresh = stored(&store, 1, Some(NOW)).await;
        let late = NOW + 1000;
        let claimed = store.claim_due(late, late + 1, NOW + 1, 10, &[]).await.unwrap();
        assert_eq!(claimed.offers[0].post_id, offered.id);
        assert_eq!(claimed.taken, 1);
        assert_eq!((store.stuck(NOW).await.unwrap(), store.stuck(late).await.unwrap()), (0, 2));
        let missed = store.overdue(late, NOW + 1, 10).await.unwrap();
        assert_eq!(missed.len(), 1);
        assert_eq!(missed[0].target_id, fresh.targets[0].id);
        let learnt = store.learn(missed, late).await.unwrap();
        assert_eq!((learnt.changed, learnt.workspaces.contains(&fresh.workspace_id)), (1, true));
        let post = store.post(fresh.workspace_id, fresh.id).await.unwrap().unwrap();
        assert_eq!((post.targets[0].state, post.targets[0].wake_at), (TargetState::Missed, None));
        assert_eq!(store.overdue(late, NOW + 1, 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn takes_events_in_once_and_moves_the_cursor_with_them() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 2, Some(NOW)).await;
        store.claim_due(NOW, NOW + 50, 0, 10, &[]).await.unwrap();
        let events = vec![
            (12, a_fact(&post.targets[0], TargetState::Published)),
            (11, a_fact(&post.targets[0], TargetState::Sending)),
            (13, a_fact(&post.targets[1], TargetState::Preparing)),
        ];
        let learnt = store.learn_events(events.clone(), 13, NOW + 9).await.unwrap();
        assert_eq!((learnt.changed, learnt.contradicted), (2, 0));
        assert_eq!(store.cursor().await.unwrap(), 13);
        assert_eq!(store.learn_events(events, 13, NOW + 10).await.unwrap().changed, 0);
        let read = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
        assert_eq!(
            (read.targets[0].state, read.targets[1].state),
            (TargetState::Published, TargetState::Preparing)
        );
        assert_eq!(
            (read.targets[0].native_id.as_str(), read.targets[0].published_at),
            ("109", Some(NOW + 5))
        );
        assert_eq!((read.updated_at, read.revision), (NOW + 9, 1));
        assert!(read.targets.iter().all(|target| target.wake_at.is_none()));
        // Overlapping batches, and one with nothing of ours that still moves the cursor.
        let overlap = vec![
            (13, a_fact(&post.targets[1], TargetState::Failed)),
            (14, a_fact(&post.targets[1], TargetState::Prepared)),
        ];
        store.learn_events(overlap, 14, NOW + 11).await.unwrap();
        store.learn_events(Vec::new(), 20, NOW + 11).await.unwrap();
        assert_eq!(store.cursor().await.unwrap(), 20);
        let read = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
        assert_eq!(read.targets[1].state, TargetState::Prepared);
        let by_state = Filter { state: Some(read.state()), account_id: None };
        let page = store.list(post.workspace_id, &by_state, Order::default(), None, 10).await.unwrap();
        assert_eq!(page.posts.len(), 1, "the stored word is the derived one");
    })
    .await;
}

#[tokio::test]
async fn facts_and_changes_in_parallel_agree_on_the_post_s_state() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 20, Some(NOW)).await;
        store.claim_due(NOW, NOW + 50, 0, 100, &[]).await.unwrap();
        let learns = post.targets.iter().map(|target| {
            let state =
                if target.id.as_u128() % 2 == 0 { TargetState::Published } else { TargetState::Failed };
            store.learn(vec![a_fact(target, state)], NOW)
        });
        for learnt in futures::future::join_all(learns).await {
            assert_eq!(learnt.unwrap().changed, 1);
        }
        let read = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
        let by_state = Filter { state: Some(read.state()), account_id: None };
        let page = store.list(post.workspace_id, &by_state, Order::default(), None, 10).await.unwrap();
        assert_eq!(page.posts.len(), 1);
        assert!(read.is_final());
    })
    .await;
}

#[tokio::test]
async fn a_change_waits_for_the_publisher_and_is_stored_once() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 2, Some(NOW)).await;
        store.claim_due(NOW, NOW + 50, 0, 1, &[]).await.unwrap();
        let edit = Change::Edit(Edit { text: Some("new".into()), ..Edit::default() });
        let mut request = a_change(&post, edit);
        request.etag = Some(post.etag());
        request.repeat = Some(a_repeat(post.workspace_id, b"edit"));
        let Changed::Recall(items) = store.change(request.clone()).await.unwrap() else {
            panic!("one was offered")
        };
        assert_eq!(items.len(), 1);
        let marked = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
        assert!(marked.targets.iter().all(|target| target.recall == Some(RecallIntent::Edit)));
        assert_eq!(
            store.claim_due(NOW + 60, NOW + 99, 0, 10, &[]).await.unwrap().taken,
            0,
            "held back meanwhile"
        );
        request.verdicts = items.iter().map(|key| (*key, Verdict::Recalled)).collect();
        let Changed::Done(done) = store.change(request.clone()).await.unwrap() else { panic!("granted") };
        assert_eq!((done.text.as_str(), done.revision), ("new", 2));
        assert_eq!(store.post(post.workspace_id, post.id).await.unwrap().unwrap(), done);
        assert_eq!(store.change(request.clone()).await.unwrap(), Changed::Repeated(b"answer".to_vec()));
        assert_eq!(store.claim_due(NOW, NOW + 50, 0, 10, &[]).await.unwrap().offers[0].revision, 2);
        let stale = ChangeRequest { repeat: None, ..request };
        assert!(matches!(store.change(stale).await, Err(Error::StaleEtag(_))));
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_recall_comes_up_again() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 1, Some(NOW)).await;
        store.claim_due(NOW, NOW + 50, 0, 1, &[]).await.unwrap();
        store.change(a_change(&post, Change::Cancel)).await.unwrap();
        let claimed = store.claim_due(NOW + 60_000, NOW + 60_001, NOW + 50_000, 10, &[]).await.unwrap();
        assert_eq!((claimed.offers.len(), claimed.unsettled), (0, vec![(post.workspace_id, post.id)]));
    })
    .await;
}

#[tokio::test]
async fn a_removed_target_and_a_deleted_post_are_gone() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let post = stored(&store, 3, Some(NOW)).await;
        let keep = &post.targets[1];
        let kept = NewTarget {
            account_id: keep.account_id,
            network: "mastodon".into(),
            handle: "@ana".into(),
            text: None,
            settings: Vec::new(),
        };
        let edit = Change::Edit(Edit { targets: Some(vec![kept]), ..Edit::default() });
        store.change(a_change(&post, edit)).await.unwrap();
        let read = store.post(post.workspace_id, post.id).await.unwrap().unwrap();
        assert_eq!(read.targets.len(), 1);
        assert_eq!((read.targets[0].id, read.targets[0].handle.as_str()), (keep.id, "@ana"));
        let mut foreign = a_change(&post, Change::Delete);
        foreign.workspace_id = ids::new();
        assert!(matches!(store.change(foreign).await, Err(Error::PostNotFound(_))));
        assert!(matches!(store.change(a_change(&post, Change::Delete)).await.unwrap(), Changed::Deleted(_)));
        assert_eq!(store.post(post.workspace_id, post.id).await.unwrap(), None);
        assert_eq!(store.wakes(NOW).await.unwrap(), Wakes { due: false, next: None }, "targets went with it");
    })
    .await;
}

#[tokio::test]
async fn holds_are_checked_around_every_change_of_media() {
    each_database(MIGRATIONS, |db| async {
        let store = Store::new(db);
        let mut post = a_post(ids::new(), 1, Some(NOW));
        post.media = vec![Media {
            id: ids::new(),
            alt_text: "a cat".into(),
            content_type: "image/png".into(),
            size_bytes: 9,
            width: 1,
            height: 2,
            duration_ms: 0,
        }];
        assert!(matches!(store.create(&post, None).await, Err(Error::HoldExpired)), "no hold was announced");
        store.expect_hold(post.workspace_id, post.id, NOW + 60).await.unwrap();
        assert_eq!(store.due_hold_checks(NOW + 59, 10).await.unwrap(), []);
        let check = HoldCheck { post_id: post.id, workspace_id: post.workspace_id, check_at: NOW + 60 };
        assert_eq!(store.due_hold_checks(NOW + 60, 10).await.unwrap(), [check]);
        store.create(&post, None).await.unwrap();
        assert_eq!(store.due_hold_checks(NOW + 60, 10).await.unwrap(), [], "the commit resolved it");
        store.claim_due(NOW, NOW + 50, 0, 10, &[]).await.unwrap();
        store.learn(vec![a_fact(&post.targets[0], TargetState::Published)], NOW + 3).await.unwrap();
        let ended = store.due_hold_checks(NOW + 3, 10).await.unwrap();
        assert_eq!(ended, [HoldCheck { check_at: NOW + 3, ..check }], "an ended post lets go of its media");
        store.expect_hold(post.workspace_id, post.id, NOW + 4).await.unwrap();
        store.hold_checked(ended[0]).await.unwrap();
        assert_eq!(store.due_hold_checks(NOW + 9, 10).await.unwrap().len(), 1, "renewed meanwhile");
    })
    .await;
}

#[tokio::test]
async fn changes_are_numbered_so_that_none_is_overlooked() {
    each_database(MIGRATIONS, |db| async {
        let sqlite = db.is_sqlite();
        let store = Store::new(db);
        let before = store.bounds().await.unwrap();
        let one = stored(&store, 1, None).await;
        let two = stored(&store, 1, None).await;
        let after = store.bounds().await.unwrap();
        let mut changed = store.changed_workspaces(before.floor, after).await.unwrap();
        changed.sort_unstable();
        let mut expected = vec![one.workspace_id, two.workspace_id];
        expected.sort_unstable();
        assert_eq!(changed, expected);
        if sqlite {
            // On PostgreSQL the floor waits for every transaction of the server, so some may come twice.
            assert_eq!(store.changed_workspaces(after.floor, after).await.unwrap(), Vec::<Uuid>::new());
        }
        let start = (before.floor, Uuid::nil());
        let posts = store.changed_posts(one.workspace_id, start, after, 10).await.unwrap();
        assert_eq!(posts.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [one.id]);
        let rest = store.changed_posts(one.workspace_id, (posts[0].1, one.id), after, 10).await.unwrap();
        assert_eq!(rest, []);
        assert_eq!(store.change_numbers(one.workspace_id, &[one.id, two.id]).await.unwrap(), posts);
    })
    .await;
}

/// A transaction that began before another and commits after it must not be skipped by who looked in between.
#[tokio::test]
async fn a_change_that_commits_late_is_still_found() {
    let (db, _schema) = postmesh_kit::testing::postgres(MIGRATIONS).await;
    let postmesh_kit::db::Db::Postgres(pool) = &db else { panic!("PostgreSQL was asked for") };
    let store = Store::new(db.clone());
    let slow = stored(&store, 1, None).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(
        "update posts set text = 'late', change_seq = pg_current_xact_id()::text::bigint where id = $1",
    )
    .bind(slow.id)
    .execute(&mut *transaction)
    .await
    .unwrap();
    let quick = stored(&store, 1, None).await;
    let look = store.bounds().await.unwrap();
    let seen = store.changed_workspaces(look.floor, look).await.unwrap();
    assert!(seen.contains(&quick.workspace_id));
    transaction.commit().await.unwrap();
    let next = store.bounds().await.unwrap();
    let seen = store.changed_workspaces(look.floor, next).await.unwrap();
    assert!(seen.contains(&slow.workspace_id), "it lies below the quick one but above the floor");
}
