//! `confirm`: says what became of a post whose answer was lost and whose network cannot tell.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use postmesh_proto::{
    common::v1::{
        TargetConfirmation, TargetState,
        target_confirmation::{Answer, Drop, PostAgain},
    },
    scheduler::v1::{
        ConfirmTargetRequest, GetPostRequest, Post, Target, post_service_client::PostServiceClient,
    },
};

use crate::client::{Server, explain, request_id, view::PostView};

/// Say what became of a post whose network could not tell.
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The post's id
    post: String,
    /// The target's id, as `postmesh watch` shows it; needed when several wait
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    #[command(flatten)]
    found: Found,
    /// Print the post as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// What the user found; exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Found {
    /// It is live, at this address
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    live: Option<String>,
    /// It is not there: post it again
    #[arg(long)]
    again: bool,
    /// Leave it as it is
    #[arg(long)]
    drop: bool,
}

impl Found {
    fn answer(self) -> Answer {
        match self {
            Self { live: Some(url), .. } => Answer::LiveUrl(url),
            Self { again: true, .. } => Answer::PostAgain(PostAgain {}),
            Self { .. } => Answer::Drop(Drop {}),
        }
    }
}

impl Confirm {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        let mut posts = PostServiceClient::new(session.channel());
        let target_id = if let Some(id) = self.target {
            id
        } else {
            let request = GetPostRequest { post_id: self.post.clone() };
            let answer = posts.get_post(session.request(request).await?).await.map_err(|s| explain(&s))?;
            the_one_that_waits(&answer.into_inner().post.context("the mesh answered no post")?)?
        };
        let request = ConfirmTargetRequest {
            post_id: self.post,
            target_id,
            confirmation: Some(TargetConfirmation { answer: Some(self.found.answer()) }),
            request_id: request_id(),
        };
        let answer = posts.confirm_target(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let post = answer.into_inner().post.context("the mesh answered no post")?;
        PostView::new(&post).show(self.json);
        Ok(ExitCode::SUCCESS)
    }
}

/// The target that waits for an answer. Each has to be looked at, so several are never answered at once.
fn the_one_that_waits(post: &Post) -> anyhow::Result<String> {
    let waiting: Vec<_> =
        post.targets.iter().filter(|target| target.state() == TargetState::NeedsConfirmation).collect();
    match waiting.as_slice() {
        [] => bail!(
            "no target of the post waits for an answer; `postmesh watch {}` shows where they are",
            post.id
        ),
        [one] => Ok(one.id.clone()),
        several => {
            let mut list = String::new();
            for Target { id, network, handle, .. } in several {
                list += &["\n  --target ", id, "  ", network, " ", handle].concat();
            }
            bail!("{} targets wait for an answer; say which one:{list}", several.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        confirm: Confirm,
    }

    #[test]
    fn takes_exactly_one_answer() {
        let parse = |words: &[&str]| Line::try_parse_from([&["confirm", "p"], words].concat());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--again", "--drop"]).is_err());
        let answer = |words: &[&str]| parse(words).unwrap().confirm.found.answer();
        assert_eq!(answer(&["--live", "https://x.example/1"]), Answer::LiveUrl("https://x.example/1".into()));
        assert_eq!(answer(&["--again"]), Answer::PostAgain(PostAgain {}));
        assert_eq!(answer(&["--drop"]), Answer::Drop(Drop {}));
    }

    #[test]
    fn several_that_wait_are_never_answered_at_once() {
        let target = |id: &str, state: TargetState| Target {
            id: id.into(),
            network: "x".into(),
            state: state.into(),
            ..Target::default()
        };
        let mut post = Post { targets: vec![target("a", TargetState::Published)], ..Post::default() };
        assert!(the_one_that_waits(&post).is_err());
        post.targets.push(target("b", TargetState::NeedsConfirmation));
        assert_eq!(the_one_that_waits(&post).unwrap(), "b");
        post.targets.push(target("c", TargetState::NeedsConfirmation));
        let said = the_one_that_waits(&post).unwrap_err().to_string();
        assert!(said.contains("--target b") && said.contains("--target c"), "{said}");
    }
}
