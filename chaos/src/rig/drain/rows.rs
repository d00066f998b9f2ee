//! What the databases of a mesh say in the end: events, attempts, what is stuck or open. Read beside the mesh.

use std::collections::HashMap;

use sqlx::{
    AssertSqlSafe, Connection as _, FromRow as _, PgConnection, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

use crate::rig::{
    history::{Attempt, Event, History},
    mesh::Rows,
};

/// A delivery is stuck when its next step is overdue by so much.
const OVERDUE_MS: i64 = 10_000;

const EVENTS: &str = "select {id}, {number}, revision, state, attempt_n,
        cast(case when reports then 1 else 0 end as bigint), happened_at
   from events
  order by {number}";
const ATTEMPTS: &str = "select {id}, n, key, revision, armed_at, outcome from publish_attempts order by n";
/// Parts of a thread behind one that a user is asked about wait for the answer.
const STUCK: &str = "select count(*) from deliveries d
  where next_at is not null and next_at < {now} - {overdue}
    and not exists (select 1 from deliveries asked
                     where asked.thread_id = d.thread_id and asked.position < d.position
                       and asked.state = 'needs_confirmation')";
const OPEN: &str = "select count(*) from publish_attempts where outcome is null";
/// After a lost answer the old access token serves until it ends; then the refresh must be asked for again. An account
/// without work has its turn when tokens are looked after, every 30 s.
const REFRESHES: &str = "select count(*) from accounts
  where state = 'connected' and refresh_version = token_version and access_expires_at < {now} - 30000 - {overdue}";

type EventRow = (String, i64, i64, String, i64, i64, i64);
type AttemptRow = (String, i64, String, i64, i64, Option<String>);

/// A statement in the words of one database.
fn text(statement: &str, is_sqlite: bool) -> AssertSqlSafe<String> {
    let (id, number, now) = if is_sqlite {
        ("lower(hex(target_id))", "sequence", "cast(unixepoch('subsec') * 1000 as integer)")
    } else {
        ("replace(target_id::text, '-', '')", "id", "(extract(epoch from clock_timestamp()) * 1000)::bigint")
    };
    AssertSqlSafe(
        statement
            .replace("{id}", id)
            .replace("{number}", number)
            .replace("{now}", now)
            .replace("{overdue}", &OVERDUE_MS.to_string()),
    )
}

/// Both databases answer the same rows, of types of their own; hence a macro.
macro_rules! gather {
    ($connection:expr, $is_sqlite:expr, $history:expr) => {{
        for row in sqlx::query(text(EVENTS, $is_sqlite)).fetch_all(&mut $connection).await? {
            note_event($history, EventRow::from_row(&row)?);
        }
        for row in sqlx::query(text(ATTEMPTS, $is_sqlite)).fetch_all(&mut $connection).await? {
            note_attempt($history, AttemptRow::from_row(&row)?);
        }
        for (statement, n) in [(STUCK, 0), (OPEN, 1), (REFRESHES, 2)] {
            let row = sqlx::query(text(statement, $is_sqlite)).fetch_one(&mut $connection).await?;
            let standing = &mut $history.history.standing;
            *[&mut standing.stuck, &mut standing.open_attempts, &mut standing.open_refreshes][n] =
                row.try_get(0)?;
        }
    }};
}

/// A history whose targets are found by their rows' ids.
struct Indexed<'a> {
    history: &'a mut History,
    places: HashMap<String, usize>,
}

/// Adds what the rows say to a history.
pub(super) async fn read(rows: &Rows, history: &mut History) -> anyhow::Result<()> {
    let places = history.targets.iter().enumerate().map(|(n, target)| (target.id.replace('-', ""), n));
    let mut indexed = Indexed { places: places.collect(), history };
    match rows {
        Rows::Sqlite(folder) => {
            let options = SqliteConnectOptions::new().filename(folder.join("publisher.db")).read_only(true);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            gather!(connection, true, &mut indexed);
            connection.close().await?;
        }
        Rows::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query("set search_path to publisher").execute(&mut connection).await?;
            gather!(connection, false, &mut indexed);
            connection.close().await?;
        }
    }
    Ok(())
}

fn note_event(indexed: &mut Indexed<'_>, row: EventRow) {
    let (target, id, revision, state, attempt, reports, at_ms) = row;
    if let Some(place) = indexed.places.get(&target) {
        let event = Event { id, revision, state, attempt, reports: reports != 0, at_ms };
        indexed.history.targets[*place].events.push(event);
    }
}

fn note_attempt(indexed: &mut Indexed<'_>, row: AttemptRow) {
    let (target, n, key, revision, armed_ms, outcome) = row;
    if let Some(place) = indexed.places.get(&target) {
        indexed.history.targets[*place].attempts.push(Attempt { n, key, revision, armed_ms, outcome });
    }
}
