//! `networks`: what each network can do, its limits, and what is missing for it to work; `networks set-app` and
//! `networks delete-app` keep the workspace's own applications.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use postmesh_proto::publisher::v1::{
    Capabilities, DeleteAppRequest, Limits, ListNetworksRequest, Network, SetAppRequest,
    app_service_client::AppServiceClient, network_service_client::NetworkServiceClient,
};
use serde_json::{Value, json};

use super::session::password;
use crate::client::{Server, Session, explain, request_id};

/// Show what each network can do, its limits, and what is missing for it to work.
#[derive(Debug, Args)]
pub(crate) struct Networks {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set the workspace's application at a network: what the network's developer pages gave you
    SetApp(SetApp),
    /// Delete the workspace's application at a network
    DeleteApp(DeleteApp),
}

#[derive(Debug, Args)]
struct SetApp {
    /// Network, such as `x`
    network: String,
    /// The application's public id (client id, client key, app id)
    #[arg(long)]
    client_id: String,
    /// Read the secret from standard input instead of asking for it
    #[arg(long)]
    secret_stdin: bool,
}

#[derive(Debug, Args)]
struct DeleteApp {
    /// Network, such as `x`
    network: String,
}

impl Networks {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        match self.verb {
            None => list(&mut session, self.json).await,
            Some(Verb::SetApp(verb)) => verb.run(&mut session).await,
            Some(Verb::DeleteApp(verb)) => verb.run(&mut session).await,
        }
    }
}

impl SetApp {
    async fn run(self, session: &mut Session) -> anyhow::Result<ExitCode> {
        let request = SetAppRequest {
            network: self.network,
            client_id: self.client_id,
            client_secret: password(self.secret_stdin)?,
            request_id: request_id(),
        };
        let mut apps = AppServiceClient::new(session.channel());
        let answer = apps.set_app(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let app = answer.into_inner().app.context("the mesh answered no application")?;
        println!("{}: application {} is set; connect accounts now", app.network, app.client_id);
        Ok(ExitCode::SUCCESS)
    }
}

impl DeleteApp {
    async fn run(self, session: &mut Session) -> anyhow::Result<ExitCode> {
        let request = DeleteAppRequest { network: self.network };
        let mut apps = AppServiceClient::new(session.channel());
        apps.delete_app(session.request(request).await?).await.map_err(|s| explain(&s))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every network, as the mesh describes it.
pub(super) async fn all(session: &mut Session) -> anyhow::Result<Vec<Network>> {
    let mut client = NetworkServiceClient::new(session.channel());
    let answer = client.list_networks(session.request(ListNetworksRequest {}).await?).await;
    Ok(answer.map_err(|s| explain(&s))?.into_inner().networks)
}

async fn list(session: &mut Session, as_json: bool) -> anyhow::Result<ExitCode> {
    for network in all(session).await? {
        if as_json {
            println!("{}", json(&network));
        } else {
            show(&network);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(network: &Network) {
    let state = if network.available { "ready" } else { "not ready" };
    println!("{:<22} {:<22} {state}", network.id, network.display_name);
    let limits = network.limits.clone().unwrap_or_default();
    println!("    posts     {}", kinds(network).join(", "));
    println!("    text      {}", text(&limits));
    println!("    media     {}", media(&limits));
    println!("    doubt     {}", word(network.delivery_class().as_str_name(), "DELIVERY_CLASS_"));
    for missing in &network.missing {
        println!("    missing   {missing}");
    }
}

fn kinds(network: &Network) -> Vec<String> {
    network.post_kinds().map(|kind| word(kind.as_str_name(), "POST_KIND_")).collect()
}

fn text(limits: &Limits) -> String {
    let unit = word(limits.text_counting().as_str_name(), "TEXT_COUNTING_");
    let length = match limits.text_length {
        0 => "any length".to_owned(),
        most => format!("at most {most} ({unit})"),
    };
    let rest = [
        (limits.text_bytes, format!("{} bytes", limits.text_bytes)),
        (limits.title_length, format!("title {}", limits.title_length)),
        (limits.caption_length, format!("beside media {}", limits.caption_length)),
        (limits.comment_length, format!("comment {}", limits.comment_length)),
    ];
    let rest = rest.into_iter().filter_map(|(most, said)| (most > 0).then_some(said));
    std::iter::once(length).chain(rest).collect::<Vec<_>>().join(", ")
}

fn media(limits: &Limits) -> String {
    let mut parts = Vec::new();
    if limits.images > 0 {
        parts.push(format!("{} pictures", limits.images));
    }
    if limits.videos > 0 {
        parts.push(format!("{} videos", limits.videos));
    }
    if limits.mixed_media > 0 {
        parts.push(format!("{} together", limits.mixed_media));
    }
    if limits.media_required {
        parts.push("required".to_owned());
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// The word of an enum value, in lower case.
fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

fn json(network: &Network) -> Value {
    let limits = network.limits.clone().unwrap_or_default();
    let can = network.capabilities.unwrap_or_default();
    let methods: Vec<_> =
        network.connect_methods().map(|method| word(method.as_str_name(), "CONNECT_METHOD_")).collect();
    json!({
        "id": network.id,
        "display_name": network.display_name,
        "available": network.available,
        "missing": network.missing,
        "connect_methods": methods,
        "needs_server": network.needs_server,
        "default_server": network.default_server,
        "scopes": network.scopes,
        "post_kinds": kinds(network),
        "delivery_class": word(network.delivery_class().as_str_name(), "DELIVERY_CLASS_"),
        "capabilities": capabilities(can),
        "limits": limits_json(&limits),
    })
}

fn capabilities(can: Capabilities) -> Value {
    json!({ "text_only": can.text_only, "alt_text": can.alt_text, "threads": can.threads, "comments": can.comments,
        "video": can.video, "metrics": can.metrics, "delete": can.delete })
}

fn limits_json(limits: &Limits) -> Value {
    json!({
        "text_length": limits.text_length,
        "text_counting": word(limits.text_counting().as_str_name(), "TEXT_COUNTING_"),
        "text_bytes": limits.text_bytes,
        "link_length": limits.link_length,
        "comment_length": limits.comment_length,
        "caption_length": limits.caption_length,
        "title_length": limits.title_length,
        "hashtags": limits.hashtags,
        "mentions": limits.mentions,
        "media_required": limits.media_required,
        "images": limits.images,
        "image_bytes": limits.image_bytes,
        "image_pixels": limits.image_pixels,
        "image_types": limits.image_types,
        "alt_text_length": limits.alt_text_length,
        "videos": limits.videos,
        "video_bytes": limits.video_bytes,
        "video_types": limits.video_types,
        "video_min_seconds": limits.video_min_duration.as_ref().map(|length| length.seconds),
        "video_max_seconds": limits.video_max_duration.as_ref().map(|length| length.seconds),
        "mixed_media": limits.mixed_media,
    })
}
