//! `postmesh run` and `postmesh migrate`: one service of a mesh, and its tables.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use postmesh_kit::{
    lifecycle::{Lifecycle, signalled},
    telemetry,
};

use super::Settings;
use crate::mesh::{Service, remote};

/// Run one service of a mesh.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which service
    service: Which,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Auth,
    Media,
    Publisher,
    Analytics,
    Scheduler,
    Gateway,
}

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.settings.load()?;
        telemetry::log(&config.log);
        let life = Lifecycle::new();
        let stopping = life.clone();
        life.spawn(async move {
            tokio::select! {
                () = signalled() => stopping.stop(),
                () = stopping.stopping() => {}
            }
        });
        match self.service {
            Which::Auth => remote::serve(Service::Auth, config, &life).await?,
            Which::Media => remote::serve(Service::Media, config, &life).await?,
            Which::Publisher => remote::serve(Service::Publisher, config, &life).await?,
            Which::Analytics => remote::serve(Service::Analytics, config, &life).await?,
            Which::Scheduler => remote::serve(Service::Scheduler, config, &life).await?,
            Which::Gateway => remote::serve_gateway(config, &life).await?,
        }
        life.shutdown(std::time::Duration::from_secs(2)).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Bring the tables of every service up to date.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only this service's tables
    #[arg(long)]
    service: Option<Service>,
    #[command(flatten)]
    settings: Settings,
}

impl Migrate {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.settings.load()?;
        telemetry::log(&config.log);
        if config.database.url.expose().is_empty() {
            std::fs::create_dir_all(&config.data.dir)?;
        }
        for service in
            Service::ALL.into_iter().filter(|service| self.service.is_none_or(|only| only == *service))
        {
            let db = service.database(&config).await?;
            let pending = db.pending(&service.migrations()).await?;
            db.migrate(&service.migrations()).await?;
            match pending.len() {
                0 => println!("{}: up to date", service.name()),
                n => println!("{}: applied {n}", service.name()),
            }
            db.close().await;
        }
        Ok(ExitCode::SUCCESS)
    }
}
