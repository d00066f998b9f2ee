//! What operators meet: stopping, ports in use, folders that cannot be written, a sandbox that is down.

use std::time::Duration;

use crate::harness::{Mesh, Sandbox, User, free_port, process::Process};

#[tokio::test]
async fn ctrl_c_ends_it_within_five_seconds_with_nothing_lost() {
    let sandbox = Sandbox::start().await;
    let mut mesh = Mesh::embedded(&sandbox).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    let post = user.well(&["post", "later", "--to", "all", "--in", "2s", "--json"]).await.json();
    let watching = user.command(&["watch"]).spawn().unwrap();
    mesh.processes[0].signal("INT");
    let (took, well) = mesh.processes[0].ended().await;
    assert!(well && took < Duration::from_secs(5), "{took:?} {}", mesh.output());
    drop(watching);
    mesh.start().await;
    user.well(&["watch", post["id"].as_str().unwrap()]).await;
    assert_eq!(sandbox.lines_of("later").await.len(), 2);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postmesh"));
    command.arg("config").current_dir(folder.path()).env_clear();
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(141), ""));
}

#[tokio::test]
async fn says_what_to_do_when_it_cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let set = |key: &str, value: String| (format!("POSTMESH_{key}"), value);
    let admin = || set("ADMIN__BIND", format!("127.0.0.1:{}", free_port()));
    let gateway = set("GATEWAY__BIND", format!("127.0.0.1:{port}"));
    let wrong = set("GATEWAY__BNID", "127.0.0.1:1".to_owned());
    let table = [
        (vec!["up"], vec![gateway, admin()], vec![port.as_str(), "gateway.bind"]),
        (vec!["up", "--data", "a-file/data"], vec![admin()], vec!["a-file/data", "--data"]),
        (vec!["up"], vec![wrong, admin()], vec!["bnid"]),
        (vec!["run", "auth"], vec![], vec!["postmesh certs"]),
        (vec!["up", "--config", "missing.toml"], vec![], vec!["missing.toml"]),
    ];
    for (args, env, words) in table {
        let mut process = Process::start(folder.path(), &words[0].replace('/', "_"), &args, &env);
        let (_, well) = process.ended().await;
        let output = process.output();
        assert!(!well, "{args:?} started: {output}");
        for word in words {
            assert!(output.contains(word), "{args:?} should speak of {word:?}: {output}");
        }
        assert!(!output.contains("panicked"), "{output}");
    }
}

#[tokio::test]
async fn a_second_mesh_on_the_same_folder_is_refused() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let env = [("POSTMESH_GATEWAY__BIND".to_owned(), format!("127.0.0.1:{}", free_port()))];
    let mut second = Process::start(mesh.folder.path(), "second", &["up", "--data", "data"], &env);
    let (_, well) = second.ended().await;
    assert!(!well && second.output().contains("another postmesh"), "{}", second.output());
}

#[tokio::test]
async fn secrets_never_reach_a_log() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded_with(&sandbox, &[("POSTMESH_LOG__FILTER", "trace")]).await;
    let user = User::connected(&mesh, &sandbox, "ana@example.com").await;
    user.well(&["post", "a text nobody logs", "--to", "all", "--wait"]).await;
    let log = mesh.output();
    assert!(log.len() > 10_000, "the log is at TRACE");
    for secret in ["demo-demo-demo-demo", "correct horse battery staple", "a text nobody logs", &user.token()]
    {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test]
async fn a_settings_printout_and_a_doctor() {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let user = User::stranger(&mesh);
    let shown = user.well(&["config"]).await.out;
    assert!(shown.contains("[gateway]") && shown.contains("127.0.0.1:8080"), "{shown}");
    let said = user.says("", &["doctor", "--json"]).await;
    assert!(said.json()["findings"].as_array().unwrap().len() >= 4, "{said:?}");
}
