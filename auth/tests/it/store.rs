//! Every method of the store, on both databases.

use postmesh_auth::{
    Error, MIGRATIONS,
    domain::{roles::Role, session::GRACE_MS},
    store::{
        Store,
        keys::KeyRow,
        sessions::{Ended, Exchange, NewSession, Rotation},
        users::{NewMember, Registered, UserRow, WorkspaceRow},
    },
};
use postmesh_kit::{ids, testing::each_database};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn a_member(email: &str) -> NewMember {
    let user = UserRow {
        id: ids::new(),
        email: email.to_owned(),
        display_name: "Ada".to_owned(),
        password_hash: "hash".to_owned(),
        created_at: 1_000,
    };
    let workspace = WorkspaceRow { id: ids::new(), display_name: "Engine".to_owned(), created_at: 1_000 };
    let session = NewSession {
        id: ids::new(),
        user_id: user.id,
        workspace_id: workspace.id,
        created_at: 1_000,
        expires_at: 1_000 + 30 * DAY_MS,
        token: rand::random(),
    };
    NewMember { email_key: email.to_lowercase(), user, workspace, session, request: None }
}

fn an_exchange(session: &NewSession, token: [u8; 32]) -> Exchange {
    Exchange { session_id: session.id, token, next: rand::random(), successor: b"sealed".to_vec() }
}

#[tokio::test]
async fn registers_all_or_nothing() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let request = (ids::new(), [7; 32]);
        let ada = NewMember { request: Some(request), ..a_member("Ada@example.com") };
        assert_eq!(store.register(ada.clone()).await.unwrap(), Registered::Made);
        let found = store.member_by_email("ada@example.com").await.unwrap().unwrap();
        assert_eq!(
            (found.user.id, found.workspace.id, found.role),
            (ada.user.id, ada.workspace.id, Role::Owner)
        );
        assert_eq!(found.user.email, "Ada@example.com");
        assert_eq!(store.session_of(&ada.session.token).await.unwrap().unwrap().id, ada.session.id);

        let earlier = store.registration(request.0).await.unwrap().unwrap();
        assert_eq!((earlier.user_id, earlier.workspace_id), (ada.user.id, ada.workspace.id));
        assert_eq!(earlier.fingerprint, [7; 32]);
        let repeated = NewMember { request: Some(request), ..a_member("other@example.com") };
        assert_eq!(store.register(repeated).await.unwrap(), Registered::Repeated);
        assert!(store.member_by_email("other@example.com").await.unwrap().is_none());

        let second = (ids::new(), [8; 32]);
        let taken = NewMember { request: Some(second), ..a_member("ADA@example.com") };
        let refused = store.register(taken.clone()).await.unwrap_err();
        assert!(matches!(refused, Error::EmailTaken(_)));
        assert!(store.registration(second.0).await.unwrap().is_none(), "rolled back with the rest");
        assert!(store.session_of(&taken.session.token).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn finds_members_by_workspace_and_user_only_together() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let (ada, bob) = (a_member("ada@example.com"), a_member("bob@example.com"));
        store.register(ada.clone()).await.unwrap();
        store.register(bob.clone()).await.unwrap();
        assert!(store.member(ada.workspace.id, ada.user.id).await.unwrap().is_some());
        assert!(store.member(bob.workspace.id, ada.user.id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn rehashes_only_what_it_has_seen() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let ada = a_member("ada@example.com");
        store.register(ada.clone()).await.unwrap();
        assert!(store.rehash(ada.user.id, "hash".to_owned(), "stronger".to_owned()).await.unwrap());
        assert!(!store.rehash(ada.user.id, "hash".to_owned(), "late".to_owned()).await.unwrap());
        let found = store.member_by_email("ada@example.com").await.unwrap().unwrap();
        assert_eq!(found.user.password_hash, "stronger");
    })
    .await;
}

#[tokio::test]
async fn rotates_each_token_once() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let ada = a_member("ada@example.com");
        store.register(ada.clone()).await.unwrap();
        let exchange = an_exchange(&ada.session, ada.session.token);
        assert_eq!(store.rotate(exchange.clone(), 2_000).await.unwrap(), Rotation::Rotated);
        let late = Exchange { successor: b"other".to_vec(), ..an_exchange(&ada.session, ada.session.token) };
        let sealed = b"sealed".to_vec();
        assert_eq!(store.rotate(late.clone(), 2_000 + GRACE_MS).await.unwrap(), Rotation::Repeated(sealed));
        assert_eq!(store.rotate(late, 2_001 + GRACE_MS).await.unwrap(), Rotation::Reused);
        let next = an_exchange(&ada.session, exchange.next);
        assert_eq!(store.rotate(next, 2_001 + GRACE_MS).await.unwrap(), Rotation::Ended);
    })
    .await;
}

#[tokio::test]
async fn does_not_rotate_a_token_of_another_session() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let (ada, bob) = (a_member("ada@example.com"), a_member("bob@example.com"));
        store.register(ada.clone()).await.unwrap();
        store.register(bob.clone()).await.unwrap();
        let crossed = an_exchange(&ada.session, bob.session.token);
        assert_eq!(store.rotate(crossed, 2_000).await.unwrap(), Rotation::Reused);
        let own = an_exchange(&bob.session, bob.session.token);
        assert_eq!(
            store.rotate(own, 2_000).await.unwrap(),
            Rotation::Rotated,
            "the other session is untouched"
        );
    })
    .await;
}

#[tokio::test]
async fn ends_sessions_once() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let ada = a_member("ada@example.com");
        store.register(ada.clone()).await.unwrap();
        let second = NewSession { id: ids::new(), token: rand::random(), ..ada.session };
        store.begin_session(second).await.unwrap();
        assert!(store.end_session(second.id, Ended::Logout, 2_000).await.unwrap());
        assert!(!store.end_session(second.id, Ended::Logout, 3_000).await.unwrap());
        assert_eq!(store.session_of(&second.token).await.unwrap().unwrap().ended_at, Some(2_000));
        assert_eq!(store.session_of(&ada.session.token).await.unwrap().unwrap().ended_at, None);
        assert!(store.session_of(&rand::random()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn keeps_one_key_per_generation_and_retires_those_before() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let key = |generation: i64, kid: &str| KeyRow {
            generation,
            kid: kid.to_owned(),
            public_key: vec![1; 32],
            private_key: vec![2; 80],
            created_at: 0,
            sign_from: 0,
            verify_until: None,
        };
        assert!(store.add_key(key(1, "a"), 0).await.unwrap());
        assert!(!store.add_key(key(1, "b"), 0).await.unwrap(), "another replica was first");
        assert!(store.add_key(key(2, "c"), 500).await.unwrap());
        let keys = store.keys(499).await.unwrap();
        assert_eq!(keys, [key(2, "c"), KeyRow { verify_until: Some(500), ..key(1, "a") }]);
        assert_eq!(store.keys(500).await.unwrap(), [key(2, "c")]);
    })
    .await;
}

#[tokio::test]
async fn sweeps_what_nobody_can_use() {
    each_database(MIGRATIONS, async |db| {
        let store = Store::new(db);
        let ada = NewMember { request: Some((ids::new(), [7; 32])), ..a_member("ada@example.com") };
        store.register(ada.clone()).await.unwrap();
        store.rotate(an_exchange(&ada.session, ada.session.token), 2_000).await.unwrap();
        let none = store.sweep(2_000 + GRACE_MS).await.unwrap();
        assert_eq!((none.sessions, none.successors, none.registrations, none.keys), (0, 0, 0, 0));
        assert_eq!(store.sweep(2_001 + GRACE_MS).await.unwrap().successors, 1);
        assert_eq!(store.sweep(1_000 + DAY_MS).await.unwrap().registrations, 1);
        assert_eq!(store.sweep(1_000 + 30 * DAY_MS).await.unwrap().sessions, 1);
        assert!(store.session_of(&ada.session.token).await.unwrap().is_none());
        assert!(store.member_by_email("ada@example.com").await.unwrap().is_some(), "users stay");
    })
    .await;
}
