//! One text on every sandbox network, as a newcomer types it: `up --sandbox` connects an account on each, and one command
//! reaches them all, each with what it takes.

use std::{collections::BTreeSet, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{
    free_port, http, picture,
    process::{PROGRAM, Process},
};

/// Four seconds of an upright video, which every network takes.
const CLIP: &[u8] = include_bytes!("clip.mp4");

/// The embedded default beside its own sandbox, with the demo workspace signed in.
struct Newcomer {
    folder: tempfile::TempDir,
    server: String,
    sandbox: String,
    _up: Process,
}

impl Newcomer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, admin, sandbox) = (free_port(), free_port(), free_port());
        let env = [
            ("POSTMESH_GATEWAY__BIND", gateway),
            ("POSTMESH_ADMIN__BIND", admin),
            ("POSTMESH_SANDBOX__BIND", sandbox),
        ]
        .map(|(key, port)| (key.to_owned(), format!("127.0.0.1:{port}")));
        let mut up = Process::start(folder.path(), "up", &["up", "--sandbox"], &env);
        up.says("try next").await;
        std::fs::write(folder.path().join("photo.jpg"), picture::jpeg()).unwrap();
        std::fs::write(folder.path().join("clip.mp4"), CLIP).unwrap();
        let at = |port| format!("http://127.0.0.1:{port}");
        Self { folder, server: at(gateway), sandbox: at(sandbox), _up: up }
    }

    /// What a verb that must go well prints, line by line.
    async fn well(&self, args: &[&str]) -> Vec<Value> {
        let output = self.run(args).await;
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}:\n{out}\n{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a verb that must not go well says.
    async fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(!output.status.success(), "{args:?} went well");
        String::from_utf8(output.stderr).unwrap()
    }

    async fn run(&self, args: &[&str]) -> std::process::Output {
        Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"))
            .env("POSTMESH_SERVER", &self.server)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap()
    }

    /// What became visible with this at its beginning.
    async fn visible(&self, beginning: &str) -> Vec<Value> {
        let text = http().get(format!("{}/_sandbox/ledger", self.sandbox)).send().await.unwrap();
        let lines = text.text().await.unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["text"].as_str().unwrap().starts_with(beginning)).collect()
    }
}

#[tokio::test]
async fn one_text_reaches_every_network_once_with_what_each_takes() {
    let newcomer = Newcomer::start().await;
    let networks = newcomer.well(&["networks", "--json"]).await;
    assert!(networks.len() >= 16, "{}", networks.len());
    assert!(networks.iter().all(|network| network["available"] == true), "{networks:?}");
    let accounts = newcomer.well(&["accounts", "list", "--json"]).await;
    let connected: BTreeSet<_> =
        accounts.iter().map(|account| account["network"].as_str().unwrap()).collect();
    let known: BTreeSet<_> = networks.iter().map(|network| network["id"].as_str().unwrap()).collect();
    assert_eq!(connected, known, "an account on each");

    let long = format!("Everywhere at once. {}", "Words that go on and on. ".repeat(40));
    let args = ["post", &long, "--image", "photo.jpg", "--video", "clip.mp4", "--to", "all"];
    let args = [&args[..], &["--shorten", "--fit-media", "--wait", "--json"]].concat();
    let posts = newcomer.well(&args).await;
    let targets: Vec<&Value> = posts.iter().flat_map(|post| post["targets"].as_array().unwrap()).collect();
    assert_eq!(targets.len(), accounts.len());
    assert!(targets.iter().all(|target| target["state"] == "published"), "{targets:#?}");
    let visible = newcomer.visible("Everywhere at once.").await;
    assert_eq!(visible.len(), accounts.len(), "{visible:#?}");
    let x = visible.iter().find(|line| line["network"] == "x").unwrap()["text"].as_str().unwrap();
    assert!(x.ends_with("…") && x.chars().count() <= 280, "{x}");

    let refused = newcomer.refused(&["post", "a picture for all", "--image", "photo.jpg"]).await;
    assert!(refused.contains("YouTube") && refused.contains("--fit-media"), "{refused}");

    let thread = format!("In parts. {}", "One sentence after the other. ".repeat(12));
    let args = ["post", &thread, "--to", "x,bluesky,mastodon", "--thread", "--wait", "--json"];
    let posts = newcomer.well(&args).await;
    let parts = |network: &str| {
        let targets = posts.iter().flat_map(|post| post["targets"].as_array().unwrap());
        targets.filter(|target| target["network"] == network).count()
    };
    assert_eq!((parts("mastodon"), parts("x"), parts("bluesky")), (1, 2, 2), "{posts:#?}");
}
