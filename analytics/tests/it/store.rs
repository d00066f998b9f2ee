//! Every method of the store, on both databases.

use postmesh_analytics::{
    MIGRATIONS,
    domain::counts::Counts,
    store::{
        Store,
        published::Published,
        readings::{Account, BATCH, Outcome, Snapshot},
    },
};
use postmesh_kit::{ids, testing::each_database};
use uuid::Uuid;

fn a_published(account: Account, next_read_at: i64) -> Published {
    let target_id = ids::new();
    Published {
        target_id,
        post_id: ids::new(),
        workspace_id: account.workspace_id,
        account_id: account.account_id,
        network: "bluesky".to_owned(),
        native_id: format!("at://{target_id}"),
        published_at: 0,
        next_read_at: Some(next_read_at),
    }
}

fn an_account() -> Account {
    Account { workspace_id: ids::new(), account_id: ids::new() }
}

#[tokio::test]
async fn remembers_once_and_never_moves_the_cursor_back() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        assert_eq!(store.cursor().await.unwrap(), 0);
        let one = a_published(an_account(), 100);
        store.remember(vec![one.clone()], 7).await.unwrap();
        let changed = Published { native_id: "other".to_owned(), next_read_at: Some(1), ..one.clone() };
        store.remember(vec![changed], 5).await.unwrap();
        assert_eq!(store.cursor().await.unwrap(), 7);
        let turns = store
            .turns_of_post(
                Account { workspace_id: one.workspace_id, account_id: one.account_id },
                one.post_id,
            )
            .await
            .unwrap();
        assert_eq!(turns[0].native_id, one.native_id);
        store.remember(Vec::new(), 9).await.unwrap();
        assert_eq!(store.cursor().await.unwrap(), 9);
    })
    .await;
}

#[tokio::test]
async fn finds_targets_by_workspace_and_post_together() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let one = a_published(an_account(), 100);
        store.remember(vec![one.clone()], 1).await.unwrap();
        let found = store.targets_of_post(one.workspace_id, one.post_id).await.unwrap();
        assert_eq!(
            (found[0].id, found[0].counts, found[0].read_at),
            (one.target_id, Counts::default(), None)
        );
        assert!(found[0].found);
        assert!(store.targets_of_post(ids::new(), one.post_id).await.unwrap().is_empty());
        let elsewhere = Account { workspace_id: ids::new(), account_id: one.account_id };
        assert!(store.turns_of_post(elsewhere, one.post_id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn accounts_come_in_the_order_in_which_they_wait() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let (late, early, later) = (an_account(), an_account(), an_account());
        let targets =
            [(late, 200), (early, 100), (early, 300), (later, 301)].map(|(a, at)| a_published(a, at));
        store.remember(targets.into(), 1).await.unwrap();
        assert_eq!(store.accounts_in_turn(300, 10).await.unwrap(), [early, late]);
        assert_eq!(store.accounts_in_turn(300, 1).await.unwrap(), [early]);
        assert!(store.accounts_in_turn(99, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_claimed_turn_is_nobody_elses_until_the_lease_ends() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let account = an_account();
        let targets: Vec<_> = (0..40).map(|n| a_published(account, n)).collect();
        store.remember(targets, 1).await.unwrap();
        let claims = futures::future::join_all((0..4).map(|_| store.claim(account, 1_000, 5_000))).await;
        let claimed: Vec<Vec<Uuid>> = claims
            .into_iter()
            .map(|turns| turns.unwrap().into_iter().map(|turn| turn.id).collect())
            .collect();
        assert!(claimed.iter().all(|turns| turns.len() <= BATCH));
        let mut all: Vec<_> = claimed.concat();
        let taken = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), taken, "none twice");
        assert!(taken >= BATCH);
        while !store.claim(account, 1_000, 5_000).await.unwrap().is_empty() {}
        assert!(store.accounts_in_turn(4_999, 10).await.unwrap().is_empty());
        assert_eq!(
            store.accounts_in_turn(5_000, 10).await.unwrap(),
            [account],
            "a dead reader gives them back"
        );
        let other = Account { workspace_id: ids::new(), ..account };
        assert!(store.claim(other, 9_000, 9_001).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn records_snapshots_and_the_newest_counts() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let account = an_account();
        let one = a_published(account, 100);
        store.remember(vec![one.clone()], 1).await.unwrap();
        let outcome = |reading, next_read_at| Outcome { target_id: one.target_id, reading, next_read_at };
        let counts = Counts { likes: 3, reposts: 2, replies: 1, views: 40 };
        store.postpone(vec![(one.target_id, Some(150))]).await.unwrap();
        assert_eq!(store.claim(account, 200, 300).await.unwrap()[0].failures, 1);
        store.record(vec![outcome(Some(counts), Some(900))], 200).await.unwrap();
        let late = Counts { likes: 2, ..counts };
        store.record(vec![outcome(Some(late), Some(400))], 199).await.unwrap();
        let newest = &store.targets_of_post(one.workspace_id, one.post_id).await.unwrap()[0];
        assert_eq!((newest.counts, newest.read_at, newest.found), (counts, Some(200), true));
        store.record(vec![outcome(None, None)], 300).await.unwrap();
        let lost = &store.targets_of_post(one.workspace_id, one.post_id).await.unwrap()[0];
        assert_eq!((lost.counts, lost.read_at, lost.found), (counts, Some(300), false));
        assert!(store.accounts_in_turn(i64::MAX, 10).await.unwrap().is_empty());
        let snapshot = |read_at, found, likes| {
            let (reposts, replies, views) = if found { (2, 1, 40) } else { (0, 0, 0) };
            Snapshot { read_at, found, likes, reposts, replies, views }
        };
        let all = store.snapshots(one.target_id).await.unwrap();
        assert_eq!(all, [snapshot(199, true, 2), snapshot(200, true, 3), snapshot(300, false, 0)]);
        assert_eq!(store.turns_of_post(account, one.post_id).await.unwrap()[0].failures, 0);
    })
    .await;
}
