//! `post` and `cancel`.

use std::{
    io::{IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    time::to_proto,
};
use postmesh_proto::{
    publisher::v1::{Account, TextFit},
    scheduler::v1::{
        CancelPostRequest, CreatePostRequest, Post as Written, WatchPostsRequest,
        post_service_client::PostServiceClient,
    },
};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{accounts, fitted::Asked};
use crate::client::{
    Server, Session, explain, request_id, upload,
    view::{PostView, is_final, is_published},
};

/// Write a post, now or for later.
#[derive(Debug, Args)]
pub(crate) struct Post {
    /// The text; `-` reads it from standard input
    text: String,
    /// A picture to attach; may be given several times
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Description of the picture given at the same place, for people who cannot see it
    #[arg(long, value_name = "TEXT")]
    alt: Vec<String>,
    /// A video to attach
    #[arg(long, value_name = "FILE")]
    video: Vec<PathBuf>,
    /// What follows as a reply to the part before it, which makes a thread; may be given several times
    #[arg(long = "then", value_name = "TEXT")]
    thread: Vec<String>,
    /// Where the text is too long, cut it at the end of a word
    #[arg(long, conflicts_with = "split")]
    shorten: bool,
    /// Where the text is too long, split it into a thread
    #[arg(long = "thread", conflicts_with = "thread")]
    split: bool,
    /// Give each account those of the attached files that it takes, and leave out accounts that take none of them but
    /// need one
    #[arg(long)]
    fit_media: bool,
    /// `all` connected accounts, or some of them by id, network or handle (`accounts list`), separated by commas
    #[arg(long, value_name = "all|NAME,…", default_value = "all")]
    to: String,
    /// Publish after this long, such as `10s`, `5m`, `2h`
    #[arg(long = "in", value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "at")]
    after: Option<Duration>,
    /// Publish at this time, such as `2026-05-01T09:00:00+02:00`
    #[arg(long, value_name = "RFC3339")]
    at: Option<Timestamp>,
    /// Keep a draft and publish nothing
    #[arg(long, conflicts_with_all = ["after", "at", "wait"])]
    draft: bool,
    /// Wait until the post has ended everywhere; the exit code tells whether all went well
    #[arg(long)]
    wait: bool,
    /// Print JSON; the last line is the post
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Withdraw what has not been sent of a post.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The post's id
    post: String,
    /// Print the post as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Post {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let text = match self.text.as_str() {
            "-" => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .context("cannot read the text from standard input")?;
                text.trim_end().to_owned()
            }
            text => text.to_owned(),
        };
        if self.alt.len() > self.image.len() {
            bail!("--alt is given {} times but --image only {}", self.alt.len(), self.image.len());
        }
        let mut session = self.server.session().await?;
        let accounts = accounts_of(&mut session, &self.to).await?;
        let mut files = Vec::new();
        let alts = self.alt.iter().map(String::as_str).chain(std::iter::repeat(""));
        for (path, alt) in self.image.iter().zip(alts).chain(self.video.iter().map(|path| (path, ""))) {
            files.push(upload::file(&mut session, path, alt, self.json).await?);
        }
        let text_fit = match (self.shorten, self.split) {
            (true, _) => TextFit::Shorten,
            (_, true) => TextFit::Thread,
            _ => TextFit::Unspecified,
        };
        let asked = Asked { text, thread: self.thread, files, text_fit, fit_media: self.fit_media };
        let drafts = asked.fit(&mut session, accounts).await?;
        // The wait begins when the upload is done, so that `--in 3s` means three seconds from the answer on.
        let due_ms = match (self.at, self.after) {
            (Some(at), _) => at.as_millisecond(),
            (None, after) => SystemClock.now_ms() + i64::try_from(after.unwrap_or_default().as_millis())?,
        };
        let schedule_time = (!self.draft).then(|| to_proto(due_ms));
        let drafts: Vec<_> =
            drafts.into_iter().map(|draft| CreatePostRequest { schedule_time, ..draft }).collect();
        if drafts.len() > 1 {
            // All of it or nothing: what one account refuses is told before anything is planned.
            for draft in &drafts {
                let check =
                    CreatePostRequest { validate_only: true, request_id: request_id(), ..draft.clone() };
                let mut posts = PostServiceClient::new(session.channel());
                posts
                    .create_post(session.request(check).await?)
                    .await
                    .map_err(|s| refused(&s, self.fit_media))?;
            }
        }
        let mut written = Vec::new();
        for create in drafts {
            let mut posts = PostServiceClient::new(session.channel());
            let created = posts
                .create_post(session.request(create).await?)
                .await
                .map_err(|s| refused(&s, self.fit_media))?;
            written.push(created.into_inner().post.context("the mesh answered no post")?);
        }
        let mut all_well = true;
        for mut post in written {
            if self.wait {
                post = wait(&mut session, post, self.json).await?;
                all_well &= is_published(&post);
            }
            PostView::new(&post).show(self.json);
        }
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Cancel {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        let request = CancelPostRequest { post_id: self.post, etag: String::new(), request_id: request_id() };
        let mut posts = PostServiceClient::new(session.channel());
        let answer = posts.cancel_post(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let view = PostView::new(&answer.into_inner().post.context("the mesh answered no post")?);
        view.show(self.json);
        Ok(ExitCode::SUCCESS)
    }
}

/// The accounts that `--to` names.
async fn accounts_of(session: &mut Session, to: &str) -> anyhow::Result<Vec<String>> {
    let known = accounts::all(session).await?;
    if known.is_empty() {
        bail!("no account is connected yet; `postmesh accounts connect <network>` connects one");
    }
    named(&known, to)
}

/// Ids of the accounts with these names, each once.
fn named(known: &[Account], to: &str) -> anyhow::Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    for name in to.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let bare = |handle: &str| handle.trim_start_matches('@').to_owned();
        let is_meant = |account: &&Account| {
            name == "all"
                || account.id == name
                || account.network == name
                || bare(&account.handle) == bare(name)
        };
        let before = ids.len();
        for account in known.iter().filter(is_meant) {
            if !ids.contains(&account.id) {
                ids.push(account.id.clone());
            }
        }
        if before == ids.len() && !known.iter().any(|account| is_meant(&account)) {
            bail!(
                "--to: no connected account has the id, network or handle {name:?} (`postmesh accounts list`)"
            );
        }
    }
    if ids.is_empty() {
        bail!("--to: name at least one account, or `all`");
    }
    Ok(ids)
}

/// A refusal, with the way out when it is about files that only some accounts take.
fn refused(status: &Status, fits_media: bool) -> anyhow::Error {
    let fields = status.get_error_details().bad_request().map(|bad| bad.field_violations.clone());
    let is_about_media = fields.into_iter().flatten().any(|violation| violation.field.contains("media"));
    let error = explain(status);
    if is_about_media && !fits_media {
        anyhow::anyhow!("{error}\n       --fit-media gives each account those of the files that it takes")
    } else {
        error
    }
}

/// Follows the post until it has ended everywhere. A broken stream is opened again; the post goes on meanwhile.
async fn wait(session: &mut Session, mut post: Written, quiet: bool) -> anyhow::Result<Written> {
    let hidden = quiet || !std::io::stderr().is_terminal();
    let spinner = if hidden { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    spinner.enable_steady_tick(Duration::from_millis(120));
    let mut failures = 0;
    while !post.targets.iter().all(|target| is_final(target.state())) {
        let request = WatchPostsRequest { post_ids: vec![post.id.clone()], until_final: true };
        let mut posts = PostServiceClient::new(session.channel());
        let followed = async {
            let mut stream = posts.watch_posts(session.request(request).await?).await?.into_inner();
            while let Some(change) = stream.message().await? {
                if let Some(newer) = change.post {
                    let done = newer.targets.iter().filter(|target| is_final(target.state())).count();
                    spinner.set_message(format!("{done} of {} done", newer.targets.len()));
                    post = newer;
                }
            }
            anyhow::Ok(())
        };
        if let Err(error) = followed.await {
            failures += 1;
            if failures > 10 {
                return Err(error)
                    .context("lost the mesh while waiting; the post goes on by itself (`postmesh watch`)");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    spinner.finish_and_clear();
    Ok(post)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, network: &str, handle: &str) -> Account {
        Account { id: id.into(), network: network.into(), handle: handle.into(), ..Account::default() }
    }

    #[test]
    fn accounts_are_named_by_id_network_or_handle() {
        let known =
            [account("1", "bluesky", "@ana.test"), account("2", "x", "@ana"), account("3", "x", "@works")];
        for (to, ids) in [
            ("all", vec!["1", "2", "3"]),
            ("3", vec!["3"]),
            ("x", vec!["2", "3"]),
            ("works, x", vec!["3", "2"]),
            ("@ana.test,ana", vec!["1", "2"]),
            ("x,all", vec!["2", "3", "1"]),
        ] {
            assert_eq!(named(&known, to).unwrap(), ids, "{to}");
        }
        let unknown = named(&known, "x,mastodon").unwrap_err().to_string();
        assert!(unknown.contains("\"mastodon\""), "{unknown}");
        assert!(named(&known, " , ").is_err());
    }
}
