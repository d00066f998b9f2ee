//! A run is decided by its seed; its faults are reached; the promises hold.

use super::*;

#[test]
fn one_seed_is_one_run() {
    for seed in [3, 17, 40] {
        let (first, second) = (run_one(seed, true), run_one(seed, true));
        assert!(first.log.lines().count() > 100);
        assert_eq!(first.log, second.log);
        assert_eq!(first.seen, second.seen);
    }
}

#[test]
fn the_promises_hold_and_the_faults_are_reached() {
    let mut seen = Seen::default();
    for seed in 0..100 {
        let (layer, of_this) = judge(seed);
        assert_eq!(layer.violations, [], "seed {seed}");
        seen.add(&of_this);
    }
    assert!(seen.crashes > 50 && seen.ambiguous > 100 && seen.resends > 20, "{seen:?}");
    assert!(seen.ends.iter().all(|ends| *ends > 0), "{seen:?}");
}
