//! A person at a terminal: runs client verbs with a home folder of their own.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{Mesh, Sandbox, browser, picture, process::PROGRAM};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct User {
    server: String,
    pub home: TempDir,
}

/// What a verb printed, and whether it went well.
#[derive(Debug)]
pub(crate) struct Said {
    pub well: bool,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The last line printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_else(|| panic!("nothing was printed: {self:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl User {
    /// A person who has no login yet.
    pub(crate) fn stranger(mesh: &Mesh) -> Self {
        Self { server: mesh.url.clone(), home: tempfile::tempdir().unwrap() }
    }

    /// A registered person.
    pub(crate) async fn registered(mesh: &Mesh, email: &str) -> Self {
        let user = Self::stranger(mesh);
        user.well_with(PASSWORD, &["register", "--email", email, "--password-stdin"]).await;
        user
    }

    /// A registered person with an account on every sandbox network.
    pub(crate) async fn connected(mesh: &Mesh, sandbox: &Sandbox, email: &str) -> Self {
        let user = Self::registered(mesh, email).await;
        let pds = format!("{}/bluesky", sandbox.url());
        let app_password = "demo-demo-demo-demo";
        let bluesky =
            ["accounts", "connect", "bluesky", "--server", &pds, "--handle", "demo.test", "--password-stdin"];
        user.well_with(app_password, &bluesky).await;
        browser::connect_mastodon(&user, sandbox).await;
        user
    }

    /// Runs a verb that must go well.
    pub(crate) async fn well(&self, args: &[&str]) -> Said {
        self.well_with("", args).await
    }

    /// Runs a verb that must go well, with this on its standard input.
    pub(crate) async fn well_with(&self, stdin: &str, args: &[&str]) -> Said {
        let said = self.says(stdin, args).await;
        assert!(said.well, "{args:?}: {said:?}");
        said
    }

    /// Runs a verb.
    pub(crate) async fn says(&self, stdin: &str, args: &[&str]) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(stdin.as_bytes()).await.unwrap();
        drop(pipe);
        let output = child.wait_with_output().await.unwrap();
        Said {
            well: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A verb, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("POSTMESH_SERVER", &self.server)
            .current_dir(self.home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A photo in the home folder.
    pub(crate) fn photo(&self) -> &'static str {
        std::fs::write(self.home.path().join("photo.jpg"), picture::jpeg()).unwrap();
        "photo.jpg"
    }

    /// The access token of the login, as a script would read it.
    pub(crate) fn token(&self) -> String {
        let logins = std::fs::read(self.home.path().join("postmesh/logins.json")).unwrap();
        let logins: Value = serde_json::from_slice(&logins).unwrap();
        logins["logins"][&self.server]["access_token"].as_str().unwrap().to_owned()
    }
}
