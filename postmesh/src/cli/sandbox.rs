//! `postmesh sandbox`: the stand-in networks alone.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use postmesh_kit::lifecycle::signalled;

/// Run the stand-in networks alone.
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    bind: SocketAddr,
    /// Remember everything in this folder; in memory only without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Sandbox {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = postmesh_sandbox::Config { bind: self.bind, data_dir: self.data, public_url: None };
        let running = postmesh_sandbox::Sandbox::start(config).await?;
        println!("timeline          {}/", running.url());
        println!("Mastodon server   {}/mastodon   (account demo, in the browser)", running.url());
        println!(
            "Bluesky PDS       {}/bluesky    (handle demo.test, app password demo-demo-demo-demo)",
            running.url()
        );
        signalled().await;
        running.shutdown().await;
        Ok(ExitCode::SUCCESS)
    }
}
