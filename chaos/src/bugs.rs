//! The test of the tests: twelve mistakes are switched on in the program, one at a time, and the suite must notice each
//! within seconds. Every trial runs twice: with its bug, where some invariant must break, and without it, where none
//! may. A bug nobody caught fails the run, and so does a trial that complains about the program as it is.

mod ledger;
mod lives;
mod replicas;
mod scene;
mod sends;
mod simulated;

use std::{path::PathBuf, time::Instant};

use futures::{StreamExt as _, future::BoxFuture, stream};
use postmesh_kit::faults::{self, Bug};

use crate::{Bar, Counts, Kind, Layer, Plan, Progress, Violation};

/// Trials side by side: most of their time they wait.
const AT_ONCE: usize = 2;

/// One run of a trial.
#[derive(Debug, Clone)]
struct Run {
    plan: Plan,
    seed: u64,
    /// The bug that is switched on.
    bug: Option<Bug>,
    folder: PathBuf,
}

/// How a bug is caught.
struct Trial {
    bug: Bug,
    /// What happens, in a sentence.
    how: &'static str,
    /// Whether it runs in this process, whose switches every task can see: alone then.
    is_here: bool,
    run: fn(Run) -> BoxFuture<'static, anyhow::Result<Vec<Violation>>>,
}

const TRIALS: [Trial; 12] = [
    Trial {
        bug: Bug::NoOpenAttemptIndex,
        how: "two workers hold one account's lease, and the slower one armed first",
        is_here: true,
        run: |run| Box::pin(ledger::two_workers(run)),
    },
    Trial {
        bug: Bug::NewContainerAfterUnknown,
        how: "answers are lost at networks with handles",
        is_here: true,
        run: |run| Box::pin(simulated::handles(run)),
    },
    Trial {
        bug: Bug::LocalClockLease,
        how: "a publisher whose clock is fast dies; another one has to take its account",
        is_here: false,
        run: |run| Box::pin(replicas::fast_clock(run)),
    },
    Trial {
        bug: Bug::RestoreWithoutStamp,
        how: "a copy from before a post comes back an hour later",
        is_here: false,
        run: |run| Box::pin(lives::restored(run)),
    },
    Trial {
        bug: Bug::SendBeforeArm,
        how: "a post is withdrawn while its request is under way",
        is_here: false,
        run: |run| Box::pin(sends::withdrawn_under_way(run)),
    },
    Trial {
        bug: Bug::CancelWithoutCas,
        how: "a post is withdrawn while its request is under way",
        is_here: false,
        run: |run| Box::pin(sends::withdrawn_under_way(run)),
    },
    Trial {
        bug: Bug::RandomKey,
        how: "the answer to a send is lost, the program dies, and the network cannot be read",
        is_here: false,
        run: |run| Box::pin(sends::repeated_by_key(run)),
    },
    Trial {
        bug: Bug::RetryOn500,
        how: "the network stores a post and answers 500, and would refuse the same text again",
        is_here: false,
        run: |run| Box::pin(sends::stored_and_500(run)),
    },
    Trial {
        bug: Bug::RateLimitedIsSuccess,
        how: "the network asks to come back later",
        is_here: false,
        run: |run| Box::pin(sends::throttled(run)),
    },
    Trial {
        bug: Bug::FenceOnSuccess,
        how: "the lease changes hands while a request is under way, and then the network goes away",
        is_here: false,
        run: |run| Box::pin(sends::late_truth(run)),
    },
    Trial {
        bug: Bug::RefreshWithoutSingleFlight,
        how: "tokens end while an account has posts to prepare",
        is_here: false,
        run: |run| Box::pin(lives::refreshed(run)),
    },
    Trial {
        bug: Bug::SweeperSkipsUnknown,
        how: "the program dies while the answer to a send is lost",
        is_here: false,
        run: |run| Box::pin(lives::forgotten(run)),
    },
];

/// The number of a trial is part of the seeds of its runs, so that a replay needs nothing else.
fn seed_of(plan: &Plan, place: usize) -> u64 {
    let is_of_place = |seed: &u64| seed % TRIALS.len() as u64 == place as u64;
    let mut drawn = (0..u64::MAX).map(|n| plan.case(Kind::Bugs, n));
    drawn.find(is_of_place).unwrap_or_default()
}

/// Tries every bug.
pub async fn run(plan: &Plan, out: &Progress) -> anyhow::Result<Layer> {
    let mut layer = Layer::named(Kind::Bugs.name());
    if !faults::ENABLED {
        let what = "this build holds no seeded bugs; build it with debug assertions or the feature `faults`";
        layer.violations.push(Violation::of("run", what));
        return Ok(layer);
    }
    let chosen: Vec<(u64, &'static Trial)> = match plan.only {
        Some(seed) => vec![(seed, &TRIALS[(seed % TRIALS.len() as u64) as usize])],
        None => TRIALS.iter().enumerate().map(|(n, trial)| (seed_of(plan, n), trial)).collect(),
    };
    let bar = out.begin(Kind::Bugs.name(), chosen.len() as u64);
    let (here, apart): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(_, trial)| trial.is_here);
    for (seed, trial) in here {
        layer.add(try_out(plan, trial, seed, out, &bar).await);
    }
    let mut under_way = stream::iter(apart)
        .map(|(seed, trial)| try_out(plan, trial, seed, out, &bar))
        .buffer_unordered(AT_ONCE);
    while let Some(found) = under_way.next().await {
        layer.add(found);
    }
    bar.end();
    Ok(layer)
}

/// A trial with its bug and without it.
async fn try_out(plan: &Plan, trial: &Trial, seed: u64, out: &Progress, bar: &Bar) -> Layer {
    let began = Instant::now();
    let run = |bug: Option<Bug>| {
        let name = if bug.is_some() { "with" } else { "without" };
        let folder = plan.folder(seed).join(name);
        (trial.run)(Run { plan: plan.clone(), seed, bug, folder })
    };
    let (with, without) = if trial.is_here {
        (run(Some(trial.bug)).await, run(None).await)
    } else {
        futures::join!(run(Some(trial.bug)), run(None))
    };
    let name = trial.bug.name();
    let mut layer =
        Layer { counts: Counts { seeded_bugs: 1, ..Counts::default() }, ..Layer::named(Kind::Bugs.name()) };
    let mut note = |violation: Violation| {
        out.say(&format!("bugs: {name}: {} {}", violation.invariant, violation.what));
        layer.violations.push(violation.in_case(seed, Some(plan.folder(seed))));
    };
    let caught_by = match with {
        Ok(violations) => invariants_of(&violations),
        Err(error) => {
            note(Violation::of("run", format!("{name}: {error:#}")));
            Vec::new()
        }
    };
    match without {
        Ok(violations) => violations.into_iter().for_each(&mut note),
        Err(error) => note(Violation::of("run", format!("without {name}: {error:#}"))),
    }
    if caught_by.is_empty() {
        let what = format!("nobody noticed: {} ({})", trial.bug.what(), trial.how);
        note(Violation::of(&format!("bug:{name}"), what));
    } else {
        let (by, seconds) = (caught_by.join(", "), began.elapsed().as_secs_f64());
        out.say(&format!("bugs: {name} caught by {by} after {seconds:.1} s"));
        layer.counts.seeded_bugs_caught = 1;
    }
    if layer.violations.is_empty() {
        // What a caught bug leaves behind is of no use. A folder that was never made is fine.
        let _ = std::fs::remove_dir_all(plan.folder(seed));
    }
    bar.advance(1);
    layer
}

/// The invariants that broke, each once. A run that could not be carried out broke none.
fn invariants_of(violations: &[Violation]) -> Vec<String> {
    let mut broken: Vec<String> = violations
        .iter()
        .map(|violation| violation.invariant.clone())
        .filter(|name| name.strip_prefix('I').is_some_and(|n| n.parse::<u8>().is_ok()))
        .collect();
    broken.sort_by_key(|name| name[1..].parse::<u8>().unwrap_or_default());
    broken.dedup();
    broken
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_bug_has_a_trial_and_a_seed_that_names_it() {
        let tried: BTreeSet<Bug> = TRIALS.iter().map(|trial| trial.bug).collect();
        assert_eq!(tried, Bug::ALL.iter().copied().collect());
        let plan = Plan { seed: 5, share: 1.0, program: "p".into(), keep: "k".into(), only: None };
        for place in 0..TRIALS.len() {
            assert_eq!(seed_of(&plan, place) % TRIALS.len() as u64, place as u64);
        }
    }

    #[test]
    fn only_broken_invariants_catch_a_bug() {
        let of = |name: &str| Violation::of(name, "x");
        assert_eq!(invariants_of(&[of("I10"), of("run"), of("I2"), of("I2")]), ["I2", "I10"]);
        assert!(invariants_of(&[of("run"), of("Ix")]).is_empty());
    }
}
