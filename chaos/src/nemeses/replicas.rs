//! Two publishers and two schedulers on one PostgreSQL. An account is served by one publisher at a time; when a
//! publisher dies, the other has its accounts within a lease and five seconds, as the networks see it; when a
//! scheduler dies, nothing is lost.

use std::{collections::BTreeMap, time::Duration};

use sqlx::Connection as _;

use super::{
    ground::{Backing, DATABASE, Ground},
    scene::{LEASE, Load, now_ms},
};
use crate::{Layer, Violation, rig::History};

/// Accounts of a dead publisher have moved after a lease and this.
const MOVED_AFTER: Duration = Duration::from_secs(5);

pub(super) async fn run(mut ground: Ground) -> anyhow::Result<Layer> {
    let backing = Backing::start().await?;
    let mut scene = ground.replicas(&backing, &["publisher", "scheduler"]).await?;
    scene.scatter().await?;
    scene.begin(Load { window: Duration::from_secs(9), ..Load::default() })?;
    let mut found = Vec::new();
    let mut owners = 0;
    for part in [0.05, 0.15, 0.3] {
        scene.wait_due(part).await;
        owners = owners.max(leaseholders(&backing).await?);
    }
    if owners < 2 {
        found.push(Violation::of("replicas", format!("{owners} of two publishers hold leases")));
    }
    let publisher = if scene.coin() { "publisher" } else { "publisher-2" };
    scene.kill(publisher).await?;
    let killed_ms = now_ms();
    let scheduler = if scene.coin() { "scheduler" } else { "scheduler-2" };
    let after = scene.between(Duration::ZERO, Duration::from_secs(2));
    tokio::time::sleep(after).await;
    scene.kill(scheduler).await?;
    tokio::time::sleep((LEASE + MOVED_AFTER).saturating_sub(after)).await;
    let n = scene.mesh.number_of(publisher);
    scene.mesh.start(n)?;
    let n = scene.mesh.number_of(scheduler);
    scene.mesh.start(n)?;
    scene.end_of_writing().await?;
    scene
        .judge_with(|history| {
            found.extend(unmoved(history, killed_ms));
            found
        })
        .await
}

/// Publishers that hold leases now.
async fn leaseholders(backing: &Backing) -> anyhow::Result<i64> {
    let url = backing.postgres.url(backing.postgres.addr(), DATABASE);
    let mut connection = sqlx::PgConnection::connect(&url).await?;
    let now = "(extract(epoch from clock_timestamp()) * 1000)::bigint";
    let owners = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select count(distinct owner) from publisher.account_leases where until_at > {now}"
    )))
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(owners)
}

/// Accounts that had something due after a publisher was killed, and showed nothing of it in the time a move may take.
fn unmoved(history: &History, killed_ms: i64) -> Vec<Violation> {
    let until_ms = killed_ms + i64::try_from((LEASE + MOVED_AFTER).as_millis()).unwrap_or(i64::MAX);
    let mut first: BTreeMap<&str, (i64, &str)> = BTreeMap::new();
    for target in history.targets.iter().filter(|target| target.state == "published" && target.position == 0)
    {
        let Some(last) = target.last() else { continue };
        let Some(seen) = history.visible.iter().find(|visible| visible.content == last.content) else {
            continue;
        };
        // What was due before the kill and not out by then, or due in the time of the move.
        let (due, at) = (last.due_ms.max(last.acked_ms), seen.at_ms);
        if at > killed_ms && due < killed_ms {
            let known = first.entry(&target.account).or_insert((at, &target.id));
            if at < known.0 {
                *known = (at, &target.id);
            }
        }
    }
    first
        .into_iter()
        .filter(|(_, (at, _))| *at > until_ms)
        .map(|(account, (at, target))| {
            let what =
                format!("account {account} stood still for {} ms after its publisher died", at - killed_ms);
            Violation::of("replicas", what).at(target)
        })
        .collect()
}
