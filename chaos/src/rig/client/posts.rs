//! Posts as users write, change and withdraw them, and what was acknowledged of it.

use anyhow::Context as _;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    time::{from_proto, to_proto},
};
use postmesh_proto::{
    common::v1::{TargetConfirmation, TargetState},
    scheduler::v1::{
        CancelPostRequest, ConfirmTargetRequest, CreatePostRequest, GetPostRequest, Post, PostMedia,
        SchedulePostRequest, TargetInput, ThreadPart, UpdatePostRequest,
        post_service_client::PostServiceClient,
    },
};
use tonic::{Code, Status};

use super::{User, request_id, told};
use crate::rig::history::{Revision, Target};

/// A post to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The post itself, and what follows it as a thread.
    pub parts: Vec<Part>,
    /// Ids of the accounts it goes to.
    pub accounts: Vec<String>,
    /// When it is to become visible.
    pub due_ms: i64,
}

/// A part of a thread, or a whole post.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its text.
    pub text: String,
    /// Ids and descriptions of its pictures.
    pub media: Vec<(String, String)>,
}

/// A post that was acknowledged.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// The draft it was made of, as changed since.
    pub draft: Draft,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was, and was acknowledged.
    Done,
    /// It was refused: too late, or nothing to change.
    Refused,
}

impl User {
    /// Writes and plans a post that has to be taken.
    pub async fn create(&self, draft: Draft) -> anyhow::Result<Written> {
        self.try_create(draft).await?.context("CreatePost was refused: an account has to be connected again")
    }

    /// Writes and plans a post; `None` when an account has to be connected again first, or when the mesh was away until
    /// long after the post's time, so that it was never taken.
    pub async fn try_create(&self, draft: Draft) -> anyhow::Result<Option<Written>> {
        let (first, thread) = draft.parts.split_first().context("a post has at least one part")?;
        let media = |part: &Part| {
            part.media
                .iter()
                .map(|(id, alt)| PostMedia { media_id: id.clone(), alt_text: alt.clone() })
                .collect()
        };
        let targets = draft
            .accounts
            .iter()
            .map(|id| TargetInput { account_id: id.clone(), ..Default::default() })
            .collect();
        let request = CreatePostRequest {
            text: first.text.clone(),
            media: media(first),
            targets,
            schedule_time: Some(to_proto(draft.due_ms)),
            request_id: request_id(),
            validate_only: false,
            thread: thread
                .iter()
                .map(|part| ThreadPart { text: part.text.clone(), media: media(part) })
                .collect(),
        };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).create_post(request).await
            })
            .await;
        if answer.as_ref().is_err_and(|status| status.code() == Code::InvalidArgument)
            && draft.due_ms < SystemClock.now_ms()
        {
            return Ok(None);
        }
        let Some(answer) = done("CreatePost", answer)? else { return Ok(None) };
        let post = answer.post.context("no post was answered")?;
        self.remember(&post, &draft);
        Ok(Some(Written { id: post.id, draft }))
    }

    /// Gives the post itself another text.
    pub async fn edit(&self, written: &mut Written, text: &str) -> anyhow::Result<Answer> {
        let request = UpdatePostRequest {
            post_id: written.id.clone(),
            text: text.to_owned(),
            update_mask: Some(prost_mask("text")),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).update_post(request).await
            })
            .await;
        let Some(answer) = done("UpdatePost", answer)? else { return Ok(Answer::Refused) };
        text.clone_into(&mut written.draft.parts[0].text);
        self.remember(&answer.post.context("no post was answered")?, &written.draft);
        Ok(Answer::Done)
    }

    /// Moves a post to another time.
    pub async fn reschedule(&self, written: &mut Written, due_ms: i64) -> anyhow::Result<Answer> {
        let request = SchedulePostRequest {
            post_id: written.id.clone(),
            schedule_time: Some(to_proto(due_ms)),
            etag: String::new(),
            request_id: request_id(),
        };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).schedule_post(request).await
            })
            .await;
        let Some(answer) = done("SchedulePost", answer)? else { return Ok(Answer::Refused) };
        written.draft.due_ms = due_ms;
        self.remember(&answer.post.context("no post was answered")?, &written.draft);
        Ok(Answer::Done)
    }

    /// Withdraws what has not been sent of a post.
    pub async fn cancel(&self, post_id: &str) -> anyhow::Result<Answer> {
        let request =
            CancelPostRequest { post_id: post_id.to_owned(), etag: String::new(), request_id: request_id() };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).cancel_post(request).await
            })
            .await;
        let Some(answer) = done("CancelPost", answer)? else { return Ok(Answer::Refused) };
        let now = SystemClock.now_ms();
        let mut record = self.client.record();
        for target in answer.post.context("no post was answered")?.targets {
            if target.state() == TargetState::Cancelled
                && let Some(known) = record.targets.get_mut(&target.id)
            {
                known.cancelled_ms.get_or_insert(now);
            }
        }
        Ok(Answer::Done)
    }

    /// Answers what became of a target whose answer was lost.
    pub async fn confirm(
        &self,
        post_id: &str,
        target_id: &str,
        confirmation: TargetConfirmation,
    ) -> anyhow::Result<Answer> {
        let request = ConfirmTargetRequest {
            post_id: post_id.to_owned(),
            target_id: target_id.to_owned(),
            confirmation: Some(confirmation),
            request_id: request_id(),
        };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).confirm_target(request).await
            })
            .await;
        Ok(if done("ConfirmTarget", answer)?.is_some() { Answer::Done } else { Answer::Refused })
    }

    /// A post as the mesh shows it.
    pub async fn post(&self, id: &str) -> anyhow::Result<Post> {
        let request = GetPostRequest { post_id: id.to_owned() };
        let answer = self
            .call(request, |channel, request| async move {
                PostServiceClient::new(channel).get_post(request).await
            })
            .await
            .map_err(|status| told("GetPost", &status))?;
        answer.post.context("no post was answered")
    }

    /// Notes a revision of every target that has not been withdrawn.
    fn remember(&self, post: &Post, draft: &Draft) {
        let acked_ms = SystemClock.now_ms();
        // A little in the past means now: the mesh says when that is.
        let due_ms = post.schedule_time.as_ref().and_then(from_proto).unwrap_or(draft.due_ms);
        let mut record = self.client.record();
        for target in &post.targets {
            if target.state() == TargetState::Cancelled {
                continue;
            }
            let position = usize::try_from(target.thread_position).unwrap_or_default();
            let Some(part) = draft.parts.get(position) else { continue };
            let thread = post
                .targets
                .iter()
                .find(|first| first.account_id == target.account_id && first.thread_position == 0)
                .map_or_else(|| target.id.clone(), |first| first.id.clone());
            let known = record.targets.entry(target.id.clone()).or_insert_with(|| Target {
                id: target.id.clone(),
                post: post.id.clone(),
                tenant: self.tenant.clone(),
                account: target.account_id.clone(),
                thread,
                position: position as u32,
                ..Target::default()
            });
            let revision = Revision {
                content: part.text.clone(),
                media: part.media.iter().map(|(_, alt)| alt.clone()).collect(),
                due_ms,
                acked_ms,
            };
            let is_new = known
                .revisions
                .last()
                .is_none_or(|last| (&last.content, last.due_ms) != (&revision.content, revision.due_ms));
            if is_new {
                known.revisions.push(revision);
            }
        }
    }
}

/// The answer, or nothing when the change was refused as impossible by now.
fn done<T>(call: &str, answer: Result<T, Status>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::Aborted) => Ok(None),
        Err(status) => Err(told(call, &status)),
    }
}

fn prost_mask(path: &str) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: vec![path.to_owned()] }
}
