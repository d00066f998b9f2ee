//! `postmesh restore --as-of TIME`: tells the mesh that its tables are a copy of what they were at that time. What was
//! due since then may have been posted already, so it is looked for before anything is sent; without this, last night's
//! backup would post a day of posts again.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use jiff::Timestamp;
use postmesh_kit::clock::{Clock as _, SystemClock};

use super::Settings;
use crate::mesh::{Service, local::own_folder};

/// Note that the tables are a copy as of a time; run it on a stopped mesh, before the first start on the copy
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    settings: Settings,
    /// When the copy was made, such as 2026-11-20T02:00:00Z
    #[arg(long, value_name = "TIME")]
    as_of: Timestamp,
}

impl Restore {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.as_of.as_millisecond() <= SystemClock.now_ms(), "--as-of must not be in the future");
        let config = self.settings.load()?;
        // The embedded default: nobody else may have the files open.
        let is_embedded = config.database.url.expose().is_empty();
        let _folder = is_embedded.then(|| own_folder(&config)).transpose()?;
        let db = Service::Publisher.database(&config).await?;
        db.migrate(&Service::Publisher.migrations()).await?;
        let doubted = postmesh_publisher::restore(&config.publisher, db.clone(), self.as_of.as_millisecond())
            .await
            .context("the copy could not be stamped; nothing was changed, run it again")?;
        db.close().await;
        println!(
            "stamped as a copy of {}: {doubted} deliveries will be looked for at their networks before they are sent",
            self.as_of
        );
        Ok(ExitCode::SUCCESS)
    }
}
