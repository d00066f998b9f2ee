//! `watch`: follows posts as they change.

use std::process::ExitCode;

use clap::Args;
use postmesh_kit::lifecycle::signalled;
use postmesh_proto::scheduler::v1::{WatchPostsRequest, post_service_client::PostServiceClient};

use crate::client::{Server, explain, view::PostView};

/// Follow posts as they change.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Posts to follow until they have ended; every post of the workspace, until Ctrl-C, when none is named
    posts: Vec<String>,
    /// Print one JSON object per change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Watch {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        let until_final = !self.posts.is_empty();
        let request = session.request(WatchPostsRequest { post_ids: self.posts, until_final }).await?;
        let mut posts = PostServiceClient::new(session.channel());
        let mut stream = posts.watch_posts(request).await.map_err(|s| explain(&s))?.into_inner();
        loop {
            let change = tokio::select! {
                change = stream.message() => change.map_err(|s| explain(&s))?,
                () = signalled() => None,
            };
            let Some(change) = change else { return Ok(ExitCode::SUCCESS) };
            let view = PostView::new(&change.post.unwrap_or_default());
            view.show(self.json);
        }
    }
}
