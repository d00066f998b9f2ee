//! `postmesh up`: every service in one process, with the stand-in networks if asked for.

use std::{process::ExitCode, time::Instant};

use clap::Args;
use postmesh_kit::{lifecycle::signalled, telemetry};

use super::Settings;
use crate::{config::Config, demo, mesh::local::Mesh, stand_ins};

/// Run every service in one process.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Run the stand-in networks too, and at the first start make a demo workspace with an account on each
    #[arg(long)]
    sandbox: bool,
    /// With --sandbox: no demo workspace
    #[arg(long, requires = "sandbox")]
    no_demo: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Up {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let mut config = self.settings.load()?;
        telemetry::log(&config.log);
        // Heard from here on, so that whoever sees it ready can end it in good order.
        let interrupted = signalled();
        tokio::pin!(interrupted);
        let sandbox = if self.sandbox { Some(start_sandbox(&mut config).await?) } else { None };
        let folder = config.data.dir.clone();
        let public_url = config.public.url.clone();
        let started = tokio::select! {
            started = Box::pin(Mesh::start(config)) => started.map(Some),
            () = &mut interrupted => Ok(None),
        };
        let mesh = match started {
            Ok(Some(mesh)) => mesh,
            Ok(None) => return Ok(ExitCode::SUCCESS),
            Err(error) => {
                if let Some(sandbox) = sandbox {
                    sandbox.shutdown().await;
                }
                return Err(error);
            }
        };
        println!("postmesh is up after {} ms", began.elapsed().as_millis());
        println!("  gateway   {public_url}   (gRPC, gRPC-web, JSON; {public_url}/openapi.json)");
        println!("  admin     http://{}/readyz and /metrics", mesh.admin);
        println!("  data      {}", folder.display());
        if let Some(sandbox) = &sandbox {
            println!("  sandbox   {}/   (what the stand-in networks show)", sandbox.url());
        }
        let demo = async {
            match &sandbox {
                Some(sandbox) if !self.no_demo => {
                    if let Err(error) = demo::prepare(&folder, mesh.gateway, &sandbox.url()).await {
                        eprintln!(
                            "warning: the demo workspace could not be made: {error:#}; everything else runs"
                        );
                    }
                }
                _ => {}
            }
        };
        let stopped_early = tokio::select! {
            () = &mut interrupted => true,
            () = demo => false,
        };
        if !stopped_early {
            interrupted.await;
        }
        eprintln!("stopping …");
        mesh.shutdown().await;
        if let Some(sandbox) = sandbox {
            sandbox.shutdown().await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the stand-in networks and makes the one exception they need: their address is on this machine.
async fn start_sandbox(config: &mut Config) -> anyhow::Result<postmesh_sandbox::Running> {
    let folder = config.data.dir.join("sandbox");
    let running = postmesh_sandbox::Sandbox::start(postmesh_sandbox::Config {
        bind: config.sandbox.bind,
        data_dir: Some(folder),
        public_url: None,
    })
    .await?;
    config.publisher.outbound.allow.push(running.addr.to_string());
    stand_ins::serve(&mut config.publisher, &running.url());
    config.gateway = std::mem::take(&mut config.gateway).for_development();
    Ok(running)
}
