//! One text and its files, as the posts that reach every account: accounts that take the same thread and the same files
//! share a post, and a text that was cut for an account stands with that account alone.

use std::collections::BTreeMap;

use anyhow::bail;
use postmesh_proto::{
    media::v1::Media,
    publisher::v1::{
        FitContentRequest, FittedContent, TextFit, account_service_client::AccountServiceClient,
    },
    scheduler::v1::{CreatePostRequest, PostMedia, TargetInput, ThreadPart},
};

use super::{accounts, networks};
use crate::client::{Session, explain, request_id};

/// What was asked for.
pub(super) struct Asked {
    /// The text.
    pub(super) text: String,
    /// Further parts, written by hand.
    pub(super) thread: Vec<String>,
    /// Uploaded files.
    pub(super) files: Vec<Media>,
    /// What is done to a text that is too long.
    pub(super) text_fit: TextFit,
    /// Whether each account gets only the files it takes.
    pub(super) fit_media: bool,
}

/// Accounts that one post reaches: its further parts and its files.
type Group = (Vec<String>, Vec<i32>);

impl Asked {
    /// The posts to write, without a time.
    pub(super) async fn fit(
        self,
        session: &mut Session,
        accounts: Vec<String>,
    ) -> anyhow::Result<Vec<CreatePostRequest>> {
        if self.text_fit == TextFit::Unspecified && !self.fit_media {
            let targets = accounts.into_iter().map(|id| target(id, None)).collect();
            let files = (0..self.files.len() as i32).collect::<Vec<_>>();
            return Ok(vec![self.post(&self.thread, &files, targets)]);
        }
        let request = FitContentRequest {
            text: self.text.clone(),
            media_types: self.files.iter().map(|file| file.content_type.clone()).collect(),
            account_ids: accounts,
            text_fit: self.text_fit.into(),
            fit_media: self.fit_media,
        };
        let mut client = AccountServiceClient::new(session.channel());
        let answer = client.fit_content(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let mut contents = answer.into_inner().contents;
        if self.fit_media {
            contents = self.with_enough(session, contents).await?;
        }
        let mut groups: BTreeMap<Group, Vec<TargetInput>> = BTreeMap::new();
        for content in contents {
            let mut parts = content.parts.into_iter();
            let own = parts.next().filter(|first| *first != self.text);
            let further: Vec<String> = parts.chain(self.thread.iter().cloned()).collect();
            groups.entry((further, content.media)).or_default().push(target(content.account_id, own));
        }
        if groups.is_empty() {
            bail!("no account takes this: attach a picture or a video that they take");
        }
        Ok(groups.into_iter().map(|((thread, media), targets)| self.post(&thread, &media, targets)).collect())
    }

    /// Leaves out accounts that need a file and take none of these, and says so.
    async fn with_enough(
        &self,
        session: &mut Session,
        contents: Vec<FittedContent>,
    ) -> anyhow::Result<Vec<FittedContent>> {
        let known = accounts::all(session).await?;
        let described = networks::all(session).await?;
        let needs = |account_id: &str| {
            let account = known.iter().find(|account| account.id == account_id)?;
            let limits = described.iter().find(|network| network.id == account.network)?.limits.as_ref()?;
            limits.media_required.then(|| format!("{} {}", account.network, account.handle))
        };
        let mut kept = Vec::with_capacity(contents.len());
        for content in contents {
            match needs(&content.account_id).filter(|_| content.media.is_empty()) {
                Some(name) => eprintln!("left out: {name} needs a file that was not attached"),
                None => kept.push(content),
            }
        }
        Ok(kept)
    }

    fn post(&self, thread: &[String], files: &[i32], targets: Vec<TargetInput>) -> CreatePostRequest {
        let media = files.iter().filter_map(|at| self.files.get(usize::try_from(*at).ok()?));
        CreatePostRequest {
            text: self.text.clone(),
            media: media
                .map(|file| PostMedia { media_id: file.id.clone(), alt_text: String::new() })
                .collect(),
            targets,
            schedule_time: None,
            request_id: request_id(),
            validate_only: false,
            thread: thread.iter().map(|text| ThreadPart { text: text.clone(), media: Vec::new() }).collect(),
        }
    }
}

fn target(account_id: String, text: Option<String>) -> TargetInput {
    TargetInput { account_id, text, settings: None }
}
