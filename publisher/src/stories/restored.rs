//! A database that forgot its latest commits: what was sent in them is found, not sent again.

use super::*;

impl Mesh {
    async fn database(&self) -> Db {
        let url = if self.kind == Kind::Postgres { postgres_url() } else { String::new() };
        let database = DatabaseConfig { url: Secret::new(url), connections: 2 };
        Db::open(&database, self.folder.path(), &self.schema).await.unwrap()
    }

    /// What a copy made before `target` was sent says of it.
    async fn forget_sending(&self, db: &Db, target: &str) {
        let id: Uuid = target.parse().unwrap();
        let done: Result<(), sqlx::Error> = postmesh_kit::write!(db, tx => {
            sqlx::query("delete from publish_attempts where target_id = $1").bind(id).execute(&mut *tx).await?;
            sqlx::query("delete from events where target_id = $1").bind(id).execute(&mut *tx).await?;
            sqlx::query("update deliveries
                            set state = 'prepared', attempt_n = 0, native_id = null, url = null, evidence = null,
                                first_armed_at = null, send_deadline = null, next_at = due_at
                          where target_id = $1")
                .bind(id).execute(&mut *tx).await?;
            Ok(())
        });
        done.unwrap();
    }
}

#[tokio::test]
async fn what_a_restored_copy_forgot_is_posted_once() {
    for kind in BOTH {
        let mut mesh = Mesh::new(kind, quick()).await;
        let as_of = SystemClock.now_ms();
        let mut deliveries = Vec::new();
        for (network, account) in mesh.both().await {
            deliveries.push(mesh.a_delivery(&account, &format!("{network} once"), 0));
        }
        let again = deliveries.clone();
        let targets = mesh.deliver(deliveries).await;
        mesh.ends(&targets).await;
        mesh.stop().await;
        let db = mesh.database().await;
        for target in &targets {
            mesh.forget_sending(&db, target).await;
        }
        let doubted = crate::restore(&mesh.config, db, as_of).await.unwrap();
        assert_eq!(doubted, 2);
        mesh.start().await;
        mesh.deliver(again).await;
        for event in mesh.ends(&targets).await {
            assert_eq!(event.state(), TargetState::Published, "{event:?}");
        }
        assert_eq!(mesh.bench.ledger().await.len(), 2);
        mesh.end().await;
    }
}

#[tokio::test]
async fn what_a_copy_never_had_is_in_doubt_when_it_is_handed_over() {
    let mut mesh = Mesh::new(Kind::Sqlite, quick()).await;
    let as_of = SystemClock.now_ms();
    let mut deliveries = Vec::new();
    for (network, account) in mesh.both().await {
        deliveries.push(mesh.a_delivery(&account, &format!("{network} once"), 0));
    }
    let again = deliveries.clone();
    let targets = mesh.deliver(deliveries).await;
    mesh.ends(&targets).await;
    mesh.stop().await;
    let db = mesh.database().await;
    let emptied: Result<(), sqlx::Error> = postmesh_kit::write!(db, tx => {
        for table in ["delete from deliveries", "delete from publish_attempts", "delete from handles", "delete from events"] {
            sqlx::query(table).execute(&mut *tx).await?;
        }
        Ok(())
    });
    emptied.unwrap();
    assert_eq!(crate::restore(&mesh.config, db, as_of).await.unwrap(), 0);
    mesh.start().await;
    mesh.deliver(again).await;
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published, "{event:?}");
    }
    assert_eq!(mesh.bench.ledger().await.len(), 2);
    mesh.end().await;
}

/// A promoted replica counts another timeline: the one remembered is set back here, as if the database had moved on.
#[tokio::test]
async fn what_waits_during_a_failover_is_posted_once() {
    let mesh = Mesh::new(Kind::Postgres, quick()).await;
    let mut targets = Vec::new();
    for (network, account) in mesh.both().await {
        targets
            .extend(mesh.deliver(vec![mesh.a_delivery(&account, &format!("{network} once"), 1_200)]).await);
    }
    let db = mesh.database().await;
    let done: Result<(), sqlx::Error> = postmesh_kit::write!(db, tx => {
        sqlx::query("update marks set value = 'another' where name = 'timeline'").execute(&mut *tx).await?;
        Ok(())
    });
    done.unwrap();
    for event in mesh.ends(&targets).await {
        assert_eq!(event.state(), TargetState::Published, "{event:?}");
    }
    assert_eq!(mesh.bench.ledger().await.len(), 2);
    mesh.end().await;
}
