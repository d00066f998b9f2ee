//! The command line: what each verb is called and takes. One file per verb does the work.

mod accounts;
mod bench;
mod certs;
mod chaos;
mod confirm;
mod doctor;
mod fitted;
mod health;
mod networks;
mod post;
mod restore;
mod run;
mod sandbox;
mod session;
mod stats;
mod timeline;
mod up;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::config::Config;

/// Write once, plan, and publish on every network: never lost, never twice, never silently unsure.
#[derive(Debug, Parser)]
#[command(name = "postmesh", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// Where settings come from, for the verbs that run or operate a mesh.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Settings file; `postmesh.toml` in the working folder when there is one
    #[arg(long, value_name = "FILE", env = "POSTMESH_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder of the embedded default
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Settings {
    /// The effective settings.
    fn load(&self) -> anyhow::Result<Config> {
        let flags = match &self.data {
            Some(folder) => serde_json::json!({"data": {"dir": folder}}),
            None => serde_json::json!({}),
        };
        Config::load(self.config.as_deref(), &flags)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run every service in one process
    Up(up::Up),
    /// Run one service of a mesh
    Run(run::Run),
    /// Bring the tables of every service up to date
    Migrate(run::Migrate),
    /// Note that the tables are a restored copy, so that nothing is posted twice
    Restore(restore::Restore),
    /// Print the effective settings, secrets masked
    Config(Settings),
    /// Check settings and everything postmesh depends on, and say what to do
    Doctor(doctor::Doctor),
    /// Ask a running postmesh whether it is ready
    Health(health::Health),
    /// Make the certificates of a mesh
    Certs(certs::Certs),
    /// Measure this build: a burst of posts at one instant through the embedded default
    Bench(bench::Bench),
    /// Break this build on purpose and check what the networks saw
    Chaos(chaos::Chaos),
    /// Run the stand-in networks alone
    Sandbox(sandbox::Sandbox),
    /// Register a user and a workspace, and sign in
    Register(session::Register),
    /// Sign in
    Login(session::Login),
    /// Sign out
    Logout(session::Logout),
    /// Show what each network can do, its limits, and what is missing for it to work
    Networks(networks::Networks),
    /// Connect and list accounts
    Accounts(accounts::Accounts),
    /// Write a post, now or for later
    Post(post::Post),
    /// Withdraw what has not been sent of a post
    Cancel(post::Cancel),
    /// Follow posts as they change
    Watch(watch::Watch),
    /// Show every step of a post's targets, with what the networks answered
    Timeline(timeline::Timeline),
    /// Say what became of a post whose network could not tell
    Confirm(confirm::Confirm),
    /// Show how a post did
    Stats(stats::Stats),
}

impl Cli {
    /// Does what was asked for.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Up(verb) => verb.run().await,
            Verb::Run(verb) => verb.run().await,
            Verb::Migrate(verb) => verb.run().await,
            Verb::Restore(verb) => verb.run().await,
            Verb::Config(settings) => {
                print!("{}", toml::to_string_pretty(&settings.load()?)?);
                Ok(ExitCode::SUCCESS)
            }
            Verb::Doctor(verb) => verb.run().await,
            Verb::Health(verb) => verb.run().await,
            Verb::Certs(verb) => verb.run(),
            Verb::Bench(verb) => verb.run().await,
            Verb::Chaos(verb) => verb.run().await,
            Verb::Sandbox(verb) => verb.run().await,
            Verb::Register(verb) => verb.run().await,
            Verb::Login(verb) => verb.run().await,
            Verb::Logout(verb) => verb.run().await,
            Verb::Networks(verb) => verb.run().await,
            Verb::Accounts(verb) => verb.run().await,
            Verb::Post(verb) => verb.run().await,
            Verb::Cancel(verb) => verb.run().await,
            Verb::Watch(verb) => verb.run().await,
            Verb::Timeline(verb) => verb.run().await,
            Verb::Confirm(verb) => verb.run().await,
            Verb::Stats(verb) => verb.run().await,
        }
    }
}
