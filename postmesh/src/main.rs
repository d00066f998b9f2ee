//! One program: every service in one process (`up`), one service of a mesh (`run`), and the command line that
//! operates and uses either.

#![expect(clippy::print_stderr, reason = "a command line talks to its terminal")]

#[macro_use]
mod out;

mod admin;
mod cli;
mod client;
mod config;
mod demo;
mod mesh;
mod stand_ins;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    postmesh_kit::tls::install_crypto();
    match postmesh_kit::faults::arm() {
        Ok(None) => {}
        Ok(Some(plan)) => eprintln!("warning: this process fails on purpose: {plan}"),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let outcome = runtime.block_on(cli.run());
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
