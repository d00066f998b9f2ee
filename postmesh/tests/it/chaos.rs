//! The fault suite runs, judges, and says in one line what it found.

use serde_json::Value;

use crate::harness::process::Process;

/// A handful of kills of the real thing: nothing lost, nothing twice, and the line has its figures.
#[tokio::test]
async fn a_few_kills_of_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    // Servers of the test run serve the six processes; without them the suite starts its own.
    let lent = ["POSTMESH_TEST_PG_URL", "POSTMESH_TEST_REDIS_URL"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect::<Vec<_>>();
    let args = ["chaos", "--layer", "kills", "--seconds", "5", "--seed", "1", "--json"];
    let mut chaos = Process::start(folder.path(), "chaos", &args, &lent);
    let (_, well) = chaos.ended().await;
    let said = chaos.output();
    let line: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(well, "{said}");
    assert!(line["kills"].as_u64().unwrap() >= 10, "{line}");
    assert!(line["targets"].as_u64().unwrap() > 0, "{line}");
    for nothing in ["duplicates", "lost", "violations"] {
        assert_eq!(line[nothing], 0, "{nothing}: {line}");
    }
    assert!(!folder.path().join("chaos-kept").exists(), "a good run leaves nothing behind");
}

/// A seed that names a single case is not taken for a run's.
#[tokio::test]
async fn the_seed_of_a_case_is_for_replays() {
    let folder = tempfile::tempdir().unwrap();
    let seed = (1_u64 << 48).to_string();
    let mut chaos = Process::start(folder.path(), "chaos", &["chaos", "--seed", &seed], &[]);
    let (_, well) = chaos.ended().await;
    assert!(!well && chaos.output().contains("chaos replay"), "{}", chaos.output());
}
