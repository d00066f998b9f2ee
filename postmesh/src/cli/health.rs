//! `postmesh health`: asks the admin port whether the process is ready; made for container health checks.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::Settings;
use crate::client::http;

/// Ask a running postmesh whether it is ready.
#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    settings: Settings,
}

impl Health {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut admin = self.settings.load()?.admin.bind;
        if admin.ip().is_unspecified() {
            admin.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let answer = http().get(format!("http://{admin}/readyz")).send().await.with_context(|| {
            format!("no postmesh answers on {admin} (setting admin.bind); start one with `postmesh up`")
        })?;
        let ready = answer.status().is_success();
        println!("{}", answer.text().await?);
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
