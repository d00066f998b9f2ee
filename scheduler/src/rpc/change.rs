//! UpdatePost, SchedulePost, CancelPost, DeletePost and RetryTarget: check, recall what the publisher holds, store.

use postmesh_kit::{
    identity::Identity,
    ids,
    status::{FieldViolation, Violations},
};
use postmesh_proto::scheduler::v1 as proto;
use prost::Message;
use uuid::Uuid;

use super::{Posts, carry_out, checks, convert, decode, whole};
use crate::{
    domain::{
        Change, Decision, Edit, NewMedia, NewPart, Post, Refusal, Verdicts,
        change::decide,
        input::Raw,
        plan,
        rewrite::{input, inputs},
        settings, thread,
    },
    error::Error,
    store::{ChangeRequest, Changed, Repeat},
};

/// A change on its way to the store.
pub(super) struct Wish {
    pub(super) workspace_id: Uuid,
    pub(super) post_id: Uuid,
    pub(super) etag: String,
    pub(super) change: Change,
    pub(super) repeat: Option<Repeat>,
    pub(super) encode: fn(Option<&Post>) -> Vec<u8>,
}

/// The message of an rpc that answers with the post alone.
macro_rules! answer {
    ($response:ident) => {
        |post: Option<&Post>| proto::$response { post: post.map(convert::post) }.encode_to_vec()
    };
}
pub(super) use answer;

impl Posts {
    pub(super) async fn update(
        &self,
        me: &Identity,
        request: proto::UpdatePostRequest,
    ) -> Result<proto::UpdatePostResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "UpdatePost", &request.request_id, &request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        violations.require(
            !paths.is_empty(),
            "update_mask",
            "REQUIRED",
            "names what to change: `text`, `media`, `targets`, `thread`",
        );
        for path in &paths {
            violations.require(
                matches!(path.as_str(), "text" | "media" | "targets" | "thread"),
                "update_mask",
                "UNKNOWN_FIELD",
                format!("knows `text`, `media`, `targets` and `thread`, not `{path}`"),
            );
        }
        let masked = |field: &str| paths.iter().any(|path| path == field);
        let draft = Raw {
            text: masked("text").then_some(request.text),
            media: masked("media").then(|| convert::raw_media(request.media)),
            targets: masked("targets").then(|| convert::raw_targets(request.targets)),
            thread: masked("thread").then(|| convert::raw_thread(request.thread)),
            schedule_time: None,
        }
        .check(self.now(), &mut violations);
        let post_id = whole(post_id, violations)?;

        let post = self.existing(me.workspace_id, post_id).await?;
        self.refuse_early(&post, &request.etag, &Change::Edit(Edit::default()))?;
        let etag = guarded_etag(me, &post, request.etag)?;
        let has_targets = draft.targets.is_some();
        let kept = wanted(&post, 0);
        let wanted = checks::Wanted {
            text: draft.text.clone().unwrap_or(kept.text),
            media: draft.media.clone().unwrap_or(kept.media),
            thread: draft.thread.clone().unwrap_or(kept.thread),
            targets: draft.targets.unwrap_or(kept.targets),
            from: 0,
        };
        let checked = checks::content(&self.deps, me.workspace_id, &wanted).await?;
        let named: Vec<_> =
            checked.targets.iter().flat_map(|target| settings::media_ids(&target.settings)).collect();
        if draft.media.is_some() || draft.thread.is_some() || (has_targets && !named.is_empty()) {
            let parts = checked.thread.iter().flat_map(|part| &part.media);
            let mut all = post.media_ids();
            all.extend(checked.media.iter().chain(parts).map(|item| item.id));
            all.extend(named);
            all.sort_unstable();
            all.dedup();
            if !all.is_empty() {
                self.hold(me.workspace_id, post_id, &all).await?;
            }
        }
        let edit = Edit {
            text: draft.text,
            media: draft.media.map(|_| checked.media),
            targets: has_targets.then_some(checked.targets),
            thread: draft.thread.map(|_| checked.thread),
        };
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id,
            etag,
            change: Change::Edit(edit),
            repeat,
            encode: answer!(UpdatePostResponse),
        };
        self.fulfil(wish).await
    }

    pub(super) async fn schedule(
        &self,
        me: &Identity,
        request: &proto::SchedulePostRequest,
    ) -> Result<proto::SchedulePostResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "SchedulePost", &request.request_id, request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let due_at = request
            .schedule_time
            .ok_or_else(|| FieldViolation::new("schedule_time", "REQUIRED", "is required"))
            .and_then(convert::schedule_time)
            .and_then(|requested| plan::due_at(requested, self.now()));
        let due_at = violations.take(due_at);
        let post_id = whole(post_id.zip(due_at), violations)?;
        let (post_id, due_at) = post_id;

        let change = Change::Schedule { due_at };
        let post = self.existing(me.workspace_id, post_id).await?;
        self.refuse_early(&post, &request.etag, &change)?;
        self.check_again(&post, wanted(&post, 0), &post.media_ids()).await?;
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id,
            etag: request.etag.clone(),
            change,
            repeat,
            encode: answer!(SchedulePostResponse),
        };
        self.fulfil(wish).await
    }

    pub(super) async fn cancel(
        &self,
        me: &Identity,
        request: &proto::CancelPostRequest,
    ) -> Result<proto::CancelPostResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "CancelPost", &request.request_id, request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id: whole(post_id, violations)?,
            etag: request.etag.clone(),
            change: Change::Cancel,
            repeat,
            encode: answer!(CancelPostResponse),
        };
        self.fulfil(wish).await
    }

    pub(super) async fn delete(
        &self,
        me: &Identity,
        request: &proto::DeletePostRequest,
    ) -> Result<proto::DeletePostResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "DeletePost", &request.request_id, request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let post_id = whole(post_id, violations)?;
        let post = self.existing(me.workspace_id, post_id).await?;
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id,
            etag: guarded_etag(me, &post, request.etag.clone())?,
            change: Change::Delete,
            repeat,
            encode: |_| proto::DeletePostResponse {}.encode_to_vec(),
        };
        self.fulfil(wish).await
    }

    pub(super) async fn retry(
        &self,
        me: &Identity,
        request: &proto::RetryTargetRequest,
    ) -> Result<proto::RetryTargetResponse, Error> {
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "RetryTarget", &request.request_id, request, &mut violations);
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let target_id = violations.take(ids::parse("target_id", &request.target_id));
        let (post_id, target_id) = whole(post_id.zip(target_id), violations)?;

        let change = Change::Retry { target_id };
        let post = self.existing(me.workspace_id, post_id).await?;
        self.refuse_early(&post, "", &change)?;
        let (only, media) = again(&post, target_id);
        self.check_again(&post, only, &media).await?;
        let wish = Wish {
            workspace_id: me.workspace_id,
            post_id,
            etag: String::new(),
            change,
            repeat,
            encode: answer!(RetryTargetResponse),
        };
        self.fulfil(wish).await
    }

    /// Refuses what cannot work before anybody else is asked; the store decides again with the post locked.
    fn refuse_early(&self, post: &Post, etag: &str, change: &Change) -> Result<(), Error> {
        if !etag.is_empty() && etag != post.etag() {
            return Err(Error::StaleEtag(post.id));
        }
        match decide(post.clone(), change, &Verdicts::new(), self.moment()) {
            Decision::Refuse(_, refusal) => Err(refused(post.id, change, refusal)),
            _ => Ok(()),
        }
    }

    /// Checks stored content once more before it is planned, and holds its media again.
    pub(super) async fn check_again(
        &self,
        post: &Post,
        wanted: checks::Wanted,
        media: &[Uuid],
    ) -> Result<(), Error> {
        checks::content(&self.deps, post.workspace_id, &wanted).await?;
        if media.is_empty() {
            return Ok(());
        }
        self.hold(post.workspace_id, post.id, media).await
    }

    /// Carries a wish out and answers with what the store keeps for a repetition.
    pub(super) async fn fulfil<T: Message + Default>(&self, wish: Wish) -> Result<T, Error> {
        let Wish { workspace_id, post_id, etag, change, repeat, encode } = wish;
        let request = ChangeRequest {
            workspace_id,
            post_id,
            etag: (!etag.is_empty()).then_some(etag),
            change: change.clone(),
            verdicts: Verdicts::new(),
            repeat,
            encode,
            moment: self.moment(),
        };
        match carry_out(&self.store, &self.deps.publisher, request).await? {
            Changed::Done(post) => {
                self.announce(&post);
                decode(&encode(Some(&post)))
            }
            Changed::Deleted(post) => {
                self.feed.wake([post.workspace_id]);
                self.bell.sweep();
                decode(&encode(None))
            }
            Changed::Repeated(bytes) => decode(&bytes),
            Changed::Refused(refusal) => {
                // Granted recalls were undone: their plans go on.
                self.feed.wake([workspace_id]);
                self.bell.planned(self.now());
                Err(refused(post_id, &change, refusal))
            }
            Changed::Recall(_) => Err(Error::Contended(post_id)),
        }
    }
}

/// A planned post changes only by the hand of somebody who may publish. For anybody else the answer is the etag of the
/// unplanned post they may change, so that a plan made in between is noticed.
fn guarded_etag(me: &Identity, post: &Post, etag: String) -> Result<String, Error> {
    if me.may(super::PUBLISH) {
        return Ok(etag);
    }
    if post.due_at.is_some() {
        return Err(Error::MayNotPublish(me.role.clone()));
    }
    Ok(if etag.is_empty() { post.etag() } else { etag })
}

fn refused(post_id: Uuid, change: &Change, refusal: Refusal) -> Error {
    match (refusal, change) {
        (Refusal::NoSuchTarget, Change::Retry { target_id }) => Error::TargetNotFound(*target_id),
        (Refusal::NoSuchTarget, Change::Confirm(confirmed)) => Error::TargetNotFound(confirmed.target_id),
        _ => Error::Refused(post_id, refusal),
    }
}

/// The content of a post as it was written, to be checked from a part on.
fn wanted(post: &Post, from: usize) -> checks::Wanted {
    checks::Wanted {
        text: post.text.clone(),
        media: post.media.iter().map(NewMedia::known).collect(),
        thread: post.thread.iter().map(NewPart::known).collect(),
        targets: inputs(post),
        from,
    }
}

/// What has to be right before a target is sent again: its account's parts from there on; and the media that are needed
/// then.
pub(super) fn again(post: &Post, target_id: Uuid) -> (checks::Wanted, Vec<Uuid>) {
    let at = post.targets.iter().position(|target| target.id == target_id).unwrap_or_default();
    let (mut only, mut media) = (wanted(post, 0), post.needed_media());
    only.targets.clear();
    if let Some(target) = post.targets.get(at) {
        only.from = target.thread_position as usize;
        let head = at.saturating_sub(only.from);
        only.targets.extend(post.targets.get(head).map(input));
    }
    for place in thread::sent_again(&post.targets, at) {
        let target = &post.targets[place];
        media.extend(post.media_of(target.thread_position).iter().map(|item| item.id));
        if target.thread_position == 0 {
            media.extend(settings::media_ids(&target.settings));
        }
    }
    media.sort_unstable();
    media.dedup();
    (only, media)
}
