//! A trial on the publisher's own tables, in this process.

use postmesh_kit::{config::DatabaseConfig, db::Db, faults};
use postmesh_publisher::{
    MIGRATIONS,
    drills::{Sends, two_workers as drill},
};

use super::Run;
use crate::{
    Violation, invariants,
    rig::history::{
        Account, Allowances, Attempt, Class, Event, History, Revision, Standing, Target, Visible,
    },
};

/// Two workers of one account, as after a lease that one of them has lost without noticing: the one that armed first
/// is slow, and the other may not overtake it.
pub(super) async fn two_workers(run: Run) -> anyhow::Result<Vec<Violation>> {
    let folder = tempfile::tempdir()?;
    let db = Db::open(&DatabaseConfig::default(), folder.path(), "publisher").await?;
    db.migrate(&MIGRATIONS).await?;
    let _seeded = run.bug.map(faults::seed);
    let sends = drill(db).await?;
    Ok(invariants::check(&history(run.seed, &sends)))
}

/// What users and the network saw of it.
fn history(case: u64, sends: &Sends) -> History {
    let account = sends.account_id.to_string();
    let last_due = sends.due.iter().map(|(_, due_at)| *due_at).max().unwrap_or_default();
    let event = |at_ms: i64, state: &str, reports: bool| Event {
        id: at_ms,
        state: state.to_owned(),
        reports,
        at_ms,
        ..Event::default()
    };
    let targets = sends.due.iter().map(|(id, due_at)| {
        let id = id.to_string();
        Target {
            post: id.clone(),
            account: account.clone(),
            thread: id.clone(),
            revisions: vec![Revision {
                content: id.clone(),
                due_ms: *due_at,
                acked_ms: due_at - 60_000,
                ..Revision::default()
            }],
            state: "published".to_owned(),
            native_id: Some(id.clone()),
            events: vec![
                event(due_at - 60_000, "handed_over", false),
                event(due_at + 60_000, "published", true),
            ],
            attempts: vec![Attempt {
                n: 1,
                armed_ms: last_due + 1,
                outcome: Some("accepted".to_owned()),
                ..Attempt::default()
            }],
            id,
            ..Target::default()
        }
    });
    let visible = (1..).zip(&sends.sent).map(|(place, id)| Visible {
        network: "mastodon".to_owned(),
        account: "trial".to_owned(),
        native_id: id.to_string(),
        content: id.to_string(),
        at_ms: last_due + place,
        ..Visible::default()
    });
    History {
        case,
        visible: visible.collect(),
        targets: targets.collect(),
        accounts: vec![Account {
            id: account.clone(),
            tenant: String::new(),
            network: "mastodon".to_owned(),
            handle: "trial".to_owned(),
            class: Class::C,
            comments: false,
            shows_alt: true,
            permits: None,
        }],
        standing: Standing { is_ready: true, expects_posts: true, ..Standing::default() },
        allowances: Allowances { order_after_ms: Some(0), ..Allowances::default() },
        ..History::default()
    }
}

#[cfg(test)]
mod tests {
    use faults::Bug;

    use super::*;
    use crate::Plan;

    #[tokio::test]
    async fn the_order_breaks_without_the_indexes_and_only_then() {
        let plan = Plan { seed: 1, share: 1.0, program: "p".into(), keep: "k".into(), only: None };
        let run = |bug| Run { plan: plan.clone(), seed: 1, bug, folder: "f".into() };
        assert_eq!(two_workers(run(None)).await.unwrap(), []);
        let found = two_workers(run(Some(Bug::NoOpenAttemptIndex))).await.unwrap();
        assert!(found.iter().any(|violation| violation.invariant == "I8"), "{found:?}");
    }
}
