//! GetPost, ListPosts and ListTargetEvents.

use postmesh_kit::{
    identity::Identity,
    ids, page,
    status::{FieldViolation, Violations},
};
use postmesh_proto::{publisher::v1 as publisher, scheduler::v1 as proto};
use serde::{Deserialize, Serialize};

use super::{Posts, convert, invalid, whole};
use crate::{
    domain::filter::{Filter, Order},
    error::Error,
    neighbours,
    store::Position,
};

/// What a page token holds: the place, and what the next request has to repeat.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    filter: String,
    order: Order,
    after: Position,
}

impl Posts {
    pub(super) async fn get(
        &self,
        me: &Identity,
        request: &proto::GetPostRequest,
    ) -> Result<proto::GetPostResponse, Error> {
        let post_id = ids::parse("post_id", &request.post_id).map_err(Error::invalid)?;
        let post = self.existing(me.workspace_id, post_id).await?;
        Ok(proto::GetPostResponse { post: Some(convert::post(&post)) })
    }

    pub(super) async fn list(
        &self,
        me: &Identity,
        request: &proto::ListPostsRequest,
    ) -> Result<proto::ListPostsResponse, Error> {
        let mut violations = Violations::default();
        let size = violations.take(page::size(request.page_size));
        let token = violations.take(page::decode::<Token>(&request.page_token)).flatten();
        let filter = violations.take(Filter::parse(&request.filter));
        let order = violations.take(Order::parse(&request.order_by));
        let (Some(size), Some(filter), Some(order)) = (size, filter, order) else {
            return Err(Error::Invalid(
                violations.into_result().expect_err("a part that is missing was noted"),
            ));
        };
        invalid(violations)?;
        if token.as_ref().is_some_and(|token| token.order != order || token.filter != request.filter) {
            return Err(Error::invalid(FieldViolation::new(
                "page_token",
                "OTHER_LIST",
                "belongs to a list with another filter or order; begin again without it",
            )));
        }
        let after = token.map(|token| token.after);
        let page = self.store.list(me.workspace_id, &filter, order, after, size).await?;
        let next = page.next.map(|after| Token { filter: request.filter.clone(), order, after });
        Ok(proto::ListPostsResponse {
            posts: page.posts.iter().map(convert::post).collect(),
            next_page_token: next.map(|token| page::encode(&token)).unwrap_or_default(),
        })
    }

    pub(super) async fn list_events(
        &self,
        me: &Identity,
        request: proto::ListTargetEventsRequest,
    ) -> Result<proto::ListTargetEventsResponse, Error> {
        let mut violations = Violations::default();
        let post_id = violations.take(ids::parse("post_id", &request.post_id));
        let target_id = violations.take(ids::parse("target_id", &request.target_id));
        let size = violations.take(page::size(request.page_size));
        let ((post_id, target_id), size) = whole(post_id.zip(target_id).zip(size), violations)?;
        let post = self.existing(me.workspace_id, post_id).await?;
        let target = post
            .targets
            .iter()
            .find(|target| target.id == target_id)
            .ok_or(Error::TargetNotFound(target_id))?;
        // Its first revision was never offered, so the publisher has never seen it.
        if target.revision == 1 && target.offered_at.is_none() {
            return Ok(proto::ListTargetEventsResponse::default());
        }
        let asked = publisher::ListStepsRequest {
            workspace_id: me.workspace_id.to_string(),
            target_id: target_id.to_string(),
            page_size: size as i32,
            page_token: request.page_token,
        };
        let page = neighbours::steps(&mut self.deps.publisher.clone(), asked).await?;
        Ok(proto::ListTargetEventsResponse { events: page.steps, next_page_token: page.next_page_token })
    }
}
