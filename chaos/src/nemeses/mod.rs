//! L4: what may happen to the world around the mesh. One file per nemesis; each starts a mesh, lets a small workload
//! run into the fault, heals it, waits until everything is settled, and judges all invariants and what is particular
//! to the fault.
//!
//! Invariant: a case's seed alone names its nemesis and its moments, so a printed seed repeats it.

mod blobs;
mod clock;
mod disk;
mod ground;
mod network_away;
mod partition;
mod pause;
mod postgres;
mod redis;
mod replicas;
mod restore;
mod rolling;
mod scene;

use futures::{StreamExt as _, future::BoxFuture, stream};

use crate::{Kind, Layer, Plan, Progress, Violation};

use ground::Ground;

/// Nemeses carried out side by side: most of their time they wait.
const AT_ONCE: usize = 4;

/// A fault of the world around the mesh.
#[derive(Debug, Clone, Copy)]
pub struct Nemesis {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    run: fn(Ground) -> BoxFuture<'static, anyhow::Result<Layer>>,
}

/// All nemeses, those that take longest first.
pub const ALL: &[Nemesis] = &[
    Nemesis {
        name: "clock",
        does: "the clock leaps an hour and a day ahead and back; nothing goes out early",
        run: |ground| Box::pin(clock::run(ground)),
    },
    Nemesis {
        name: "replicas",
        does: "two publishers and two schedulers share the work; one of each is killed",
        run: |ground| Box::pin(replicas::run(ground)),
    },
    Nemesis {
        name: "pause",
        does: "a publisher stands still for two leases, in the middle of its sends, and then goes on",
        run: |ground| Box::pin(pause::replica(ground)),
    },
    Nemesis {
        name: "pause_embedded",
        does: "the one process stands still, in the middle of its sends, and then goes on",
        run: |ground| Box::pin(pause::embedded(ground)),
    },
    Nemesis {
        name: "postgres_kill",
        does: "PostgreSQL is killed under load and starts again",
        run: |ground| Box::pin(postgres::kill(ground)),
    },
    Nemesis {
        name: "postgres_failover",
        does: "the primary dies and its synchronous standby takes over",
        run: |ground| Box::pin(postgres::failover(ground)),
    },
    Nemesis {
        name: "postgres_amnesia",
        does: "the primary dies and a lagging standby takes over that never heard of the last commits",
        run: |ground| Box::pin(postgres::amnesia(ground)),
    },
    Nemesis {
        name: "partition_database",
        does: "the publisher loses PostgreSQL: cut, or silent in one direction",
        run: |ground| Box::pin(partition::database(ground)),
    },
    Nemesis {
        name: "partition_mesh",
        does: "the scheduler loses the publisher: cut, or silent in one direction",
        run: |ground| Box::pin(partition::mesh(ground)),
    },
    Nemesis {
        name: "partition_network",
        does: "the publisher loses the networks: requests or answers vanish or arrive late",
        run: |ground| Box::pin(partition::network(ground)),
    },
    Nemesis {
        name: "redis",
        does: "Redis is emptied and killed; publishing does not notice",
        run: |ground| Box::pin(redis::run(ground)),
    },
    Nemesis {
        name: "rolling",
        does: "every process is asked to end and started again, in turn; no call fails",
        run: |ground| Box::pin(rolling::run(ground)),
    },
    Nemesis {
        name: "restore",
        does: "an older copy of the data comes back; nothing is posted twice",
        run: |ground| Box::pin(restore::run(ground)),
    },
    Nemesis {
        name: "blobs",
        does: "the store of pictures is away; texts go out, pictures wait",
        run: |ground| Box::pin(blobs::run(ground)),
    },
    Nemesis {
        name: "disk",
        does: "the disk is full; sending stops, nothing is damaged, everything goes out later",
        run: |ground| Box::pin(disk::run(ground)),
    },
    Nemesis {
        name: "network_away",
        does: "one network answers nothing or errors; it recovers, and the other one is not late",
        run: |ground| Box::pin(network_away::run(ground)),
    },
];

/// Carries out every nemesis once per whole run (fewer for a smaller share), or the one case asked for.
pub async fn run(plan: &Plan, progress: &Progress) -> Layer {
    let seeds = seeds(plan);
    let bar = progress.begin(Kind::Nemeses.name(), seeds.len() as u64);
    let mut layer = Layer::named(Kind::Nemeses.name());
    let cases = seeds.into_iter().map(|seed| case(plan, seed));
    let mut done = stream::iter(cases).buffer_unordered(AT_ONCE);
    while let Some((nemesis, found)) = done.next().await {
        bar.advance(1);
        bar.note(nemesis.name);
        layer.add(found);
    }
    bar.end();
    layer
}

/// One case; what went wrong in carrying it out is a violation too.
async fn case(plan: &Plan, seed: u64) -> (&'static Nemesis, Layer) {
    let nemesis = of(seed);
    let began = std::time::Instant::now();
    let folder = plan.folder(seed);
    let _ = tokio::fs::remove_dir_all(&folder).await; // of an earlier run of the same case
    let ground = Ground::new(plan.program.clone(), folder.clone(), seed);
    let mut layer = match (nemesis.run)(ground).await {
        Ok(layer) => layer,
        Err(error) => Layer {
            violations: vec![Violation::of("run", format!("{error:#}"))],
            ..Layer::named(Kind::Nemeses.name())
        },
    };
    layer.counts.nemeses = 1;
    tracing::info!(
        nemesis = nemesis.name,
        seed,
        seconds = began.elapsed().as_secs_f64(),
        "a nemesis is over"
    );
    if layer.violations.is_empty() {
        let _ = tokio::fs::remove_dir_all(&folder).await;
    }
    for violation in &mut layer.violations {
        violation.what = format!("{}: {}", nemesis.name, violation.what);
        violation.case = Some(seed);
        violation.kept = Some(folder.clone());
    }
    (nemesis, layer)
}

/// The nemesis of a case.
fn of(seed: u64) -> &'static Nemesis {
    &ALL[(seed % ALL.len() as u64) as usize]
}

/// The cases of a run: for each nemesis, in order, the first case seeds that name it.
fn seeds(plan: &Plan) -> Vec<u64> {
    if let Some(seed) = plan.only {
        return vec![seed];
    }
    let wanted = plan.count(ALL.len() as u64);
    let kinds = ALL.len() as u64;
    let mut drawn: Vec<Vec<u64>> = vec![Vec::new(); ALL.len()];
    let mut n = 0;
    (0..wanted)
        .map(|at| {
            let (kind, round) = ((at % kinds) as usize, (at / kinds) as usize);
            while drawn[kind].len() <= round {
                let seed = plan.case(Kind::Nemeses, n);
                drawn[(seed % kinds) as usize].push(seed);
                n += 1;
            }
            drawn[kind][round]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_run_has_every_nemesis_once_and_a_seed_names_its_own() {
        let plan = Plan { seed: 3, share: 1.0, program: "p".into(), keep: "k".into(), only: None };
        let seeds = seeds(&plan);
        let names: Vec<_> = seeds.iter().map(|seed| of(*seed).name).collect();
        assert_eq!(names, ALL.iter().map(|nemesis| nemesis.name).collect::<Vec<_>>());
        let twice = super::seeds(&Plan { share: 2.0, ..plan.clone() });
        assert_eq!(twice.len(), 2 * ALL.len());
        assert_eq!(twice[..ALL.len()], seeds[..]);
        assert_eq!(super::seeds(&Plan { only: Some(5), ..plan }), [5]);
    }
}
