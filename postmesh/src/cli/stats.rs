//! `stats`: how a post did.

use std::process::ExitCode;

use clap::Args;
use postmesh_proto::analytics::v1::{
    Counts, GetPostAnalyticsRequest, analytics_service_client::AnalyticsServiceClient,
};

use crate::client::{Server, explain};

/// Show how a post did.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The post's id
    post: String,
    /// Ask the networks now instead of showing what was collected last
    #[arg(long)]
    refresh: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Stats {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        let request = GetPostAnalyticsRequest { post_id: self.post, refresh: self.refresh };
        let mut analytics = AnalyticsServiceClient::new(session.channel());
        let answer =
            analytics.get_post_analytics(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let answer = answer.into_inner();
        let json = |counts: &Counts| {
            serde_json::json!({"likes": counts.likes, "reposts": counts.reposts, "replies": counts.replies,
                "views": counts.views})
        };
        if self.json {
            let targets: Vec<_> = answer
                .targets
                .iter()
                .map(|t| {
                    serde_json::json!({"account_id": t.account_id, "network": t.network, "found": t.found,
                    "counts": json(&t.counts.unwrap_or_default())})
                })
                .collect();
            let total = json(&answer.total.unwrap_or_default());
            println!(
                "{}",
                serde_json::json!({"post_id": answer.post_id, "total": total, "targets": targets})
            );
            return Ok(ExitCode::SUCCESS);
        }
        println!("{:<22} {:>8} {:>8} {:>8} {:>8}", "network", "likes", "reposts", "replies", "views");
        let line = |name: &str, counts: Counts| {
            let Counts { likes, reposts, replies, views } = counts;
            println!("{name:<22} {likes:>8} {reposts:>8} {replies:>8} {views:>8}");
        };
        for target in &answer.targets {
            line(&target.network, target.counts.unwrap_or_default());
        }
        line("total", answer.total.unwrap_or_default());
        Ok(ExitCode::SUCCESS)
    }
}
