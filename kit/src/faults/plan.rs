//! What fails where in this process, read from one line of text, and the hits counted so far.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write as _,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Bug, Injected, Point};

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The build leaves all points out.
    #[error(
        "{} is set, but this build cannot fail on purpose; build with debug assertions or with the feature `faults`",
        super::VARIABLE
    )]
    NotBuiltIn,
    /// A part of it means nothing.
    #[error("{}: `{part}` {why}", super::VARIABLE)]
    Unreadable {
        /// The part.
        part: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The log cannot be written.
    #[error("{}: cannot write the log {path}: {source}", super::VARIABLE)]
    Log {
        /// Where it should be.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Abort,
    Error,
    Sleep(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failure {
    action: Action,
    /// The hit it begins at, from 1.
    from: u64,
    /// Whether it goes on with every later hit.
    goes_on: bool,
}

/// The plan of one process.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) bugs: Vec<Bug>,
    failures: HashMap<&'static str, Vec<Failure>>,
    hits: HashMap<&'static str, AtomicU64>,
    log: Option<Mutex<File>>,
}

impl Plan {
    /// Counts a hit of the point and fails there when it is time.
    pub(super) async fn pass(&self, name: &'static str) -> Result<(), Injected> {
        let hit = self.hits.get(name).map_or(0, |hits| hits.fetch_add(1, Ordering::SeqCst) + 1);
        if hit == 1 {
            self.note(format_args!("hit {name}"));
        }
        let failures = self.failures.get(name).map_or(&[][..], Vec::as_slice);
        let is_due = |failure: &&Failure| hit == failure.from || failure.goes_on && hit > failure.from;
        match failures.iter().find(is_due).map(|failure| failure.action) {
            None => Ok(()),
            Some(Action::Abort) => {
                self.note(format_args!("abort {name} {hit}"));
                die()
            }
            Some(Action::Error) => {
                self.note(format_args!("error {name} {hit}"));
                Err(Injected(name))
            }
            Some(Action::Sleep(time)) => {
                self.note(format_args!("sleep {name} {hit}"));
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    fn note(&self, line: std::fmt::Arguments<'_>) {
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // One write call, so the line survives the kill that may follow. A full disk must not change what is tested.
            let _ = log.write_all(format!("{line}\n").as_bytes());
        }
    }
}

fn die() -> ! {
    // Fails only when the process does not exist.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let hits = Point::names().map(|name| (name, AtomicU64::new(0))).collect();
        let mut plan = Self { hits, ..Self::default() };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = |why| PlanError::Unreadable { part: part.to_owned(), why };
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
            match name.trim() {
                "bug" => {
                    plan.bugs.push(Bug::named(value.trim()).ok_or_else(|| wrong("names no seeded bug"))?);
                }
                "log" => {
                    let path = value.trim();
                    let file = OpenOptions::new().create(true).append(true).open(path);
                    let file = file.map_err(|source| PlanError::Log { path: path.to_owned(), source })?;
                    plan.log = Some(Mutex::new(file));
                }
                point => {
                    let name = Point::names().find(|name| *name == point);
                    let name = name.ok_or_else(|| wrong("names no point"))?;
                    let failure = failure(value.trim()).ok_or_else(|| {
                        wrong("is none of abort, error and sleep(milliseconds), with @hit or @hit+")
                    })?;
                    plan.failures.entry(name).or_default().push(failure);
                }
            }
        }
        Ok(plan)
    }
}

fn failure(text: &str) -> Option<Failure> {
    let (action, when) = text.split_once('@').unwrap_or((text, "1"));
    let action = match action.trim() {
        "abort" => Action::Abort,
        "error" => Action::Error,
        sleep => {
            let time = sleep.strip_prefix("sleep(")?.strip_suffix(')')?;
            Action::Sleep(Duration::from_millis(time.trim().parse().ok()?))
        }
    };
    let (from, goes_on) = when.trim().strip_suffix('+').map_or((when.trim(), false), |from| (from, true));
    let from = from.parse().ok().filter(|hit| *hit > 0)?;
    Some(Failure { action, from, goes_on })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fails_at_the_planned_hit_only() {
        let plan: Plan = "arm.commit.after=error@2; poll.save.before = error@3+".parse().unwrap();
        let mut failed = Vec::new();
        for _ in 0..4 {
            failed.push((
                plan.pass("arm.commit.after").await.is_err(),
                plan.pass("poll.save.before").await.is_err(),
            ));
        }
        assert_eq!(failed, [(false, false), (true, false), (false, true), (false, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeps_and_logs_each_point_once_and_each_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.log");
        let plan: Plan = format!("arm.commit.before=sleep(4000); log={}", path.display()).parse().unwrap();
        let begun = tokio::time::Instant::now();
        for _ in 0..3 {
            plan.pass("arm.commit.before").await.unwrap();
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
        let log = std::fs::read_to_string(path).unwrap();
        assert_eq!(log, "hit arm.commit.before\nsleep arm.commit.before 1\n");
    }

    #[test]
    fn reads_bugs_and_refuses_what_means_nothing() {
        let plan: Plan = "bug=retry_on_500; bug=random_key".parse().unwrap();
        assert_eq!(plan.bugs, [Bug::RetryOn500, Bug::RandomKey]);
        for wrong in [
            "nowhere=abort",
            "bug=none",
            "arm.commit.after=explode",
            "arm.commit.after",
            "arm.commit.after=abort@0",
        ] {
            assert!(matches!(wrong.parse::<Plan>(), Err(PlanError::Unreadable { .. })), "{wrong}");
        }
    }
}
