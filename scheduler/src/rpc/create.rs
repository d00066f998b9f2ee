//! CreatePost: check, hold the media, store, answer.

use postmesh_kit::{identity::Identity, ids, status::Violations};
use postmesh_proto::scheduler::v1 as proto;
use prost::Message;
use uuid::Uuid;

use super::{Posts, checks, convert, decode, invalid};
use crate::{
    domain::{Post, input::Raw, thread},
    error::Error,
    neighbours,
    store::Created,
};

/// After this long a hold whose post was not stored is let go; storing takes milliseconds.
pub(super) const HOLD_GRACE_MS: i64 = 60_000;

impl Posts {
    pub(super) async fn create(
        &self,
        me: &Identity,
        request: proto::CreatePostRequest,
    ) -> Result<proto::CreatePostResponse, Error> {
        let now = self.now();
        let mut violations = Violations::default();
        let repeat = self.repeat(me, "CreatePost", &request.request_id, &request, &mut violations);
        let repeat = repeat.filter(|_| !request.validate_only);
        // Before any check: what was right the first time may be in the past by now.
        if let Some(first) = self.first_answer(repeat.as_ref()).await? {
            return Ok(first);
        }
        let raw = Raw {
            text: Some(request.text),
            media: Some(convert::raw_media(request.media)),
            targets: Some(convert::raw_targets(request.targets)),
            thread: Some(convert::raw_thread(request.thread)),
            schedule_time: request.schedule_time.map(convert::schedule_time),
        };
        let draft = raw.check(now, &mut violations);
        invalid(violations)?;
        if draft.due_at.is_some() && !me.may(super::PUBLISH) {
            return Err(Error::MayNotPublish(me.role.clone()));
        }
        let wanted = checks::Wanted {
            text: draft.text.unwrap_or_default(),
            media: draft.media.unwrap_or_default(),
            thread: draft.thread.unwrap_or_default(),
            targets: draft.targets.unwrap_or_default(),
            from: 0,
        };
        let checked = checks::content(&self.deps, me.workspace_id, &wanted).await?;
        let lead_ms = self.config.prep_lead_ms;
        let post = Post {
            id: ids::new(),
            workspace_id: me.workspace_id,
            author_id: me.user_id,
            text: wanted.text,
            media: checked.media,
            targets: thread::spread(&checked.targets, checked.thread.len(), draft.due_at, lead_ms),
            thread: checked.thread,
            due_at: draft.due_at,
            revision: 1,
            created_at: now,
            updated_at: now,
            change_seq: 0,
        };
        let response = proto::CreatePostResponse { post: Some(convert::post(&post)) };
        if request.validate_only {
            return Ok(without_ids(response));
        }
        if post.has_media() {
            self.hold(me.workspace_id, post.id, &post.media_ids()).await?;
        }
        let record = repeat.map(|repeat| (repeat, response.encode_to_vec()));
        match self.store.create(&post, record).await? {
            Created::Stored => {
                self.announce(&post);
                Ok(response)
            }
            Created::Repeated(bytes) => decode(&bytes),
        }
    }

    /// Places a hold for a post, after storing that it has to be looked at again.
    pub(super) async fn hold(&self, workspace_id: Uuid, post_id: Uuid, media: &[Uuid]) -> Result<(), Error> {
        self.store.expect_hold(workspace_id, post_id, self.now() + HOLD_GRACE_MS).await?;
        neighbours::replace_holds(&mut self.deps.media.clone(), workspace_id, post_id, media).await
    }
}

/// What is not stored has no ids to ask for.
fn without_ids(mut response: proto::CreatePostResponse) -> proto::CreatePostResponse {
    if let Some(post) = &mut response.post {
        post.id.clear();
        post.etag.clear();
        for target in &mut post.targets {
            target.id.clear();
        }
    }
    response
}
