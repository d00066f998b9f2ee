//! Reading, deleting and holding items.

use postmesh_kit::{
    ids, page,
    status::{FieldViolation, Violations},
};
use postmesh_proto::media::v1::{
    BatchGetMediaRequest, DeleteMediaRequest, GetMediaRequest, ListMediaRequest, ListMediaResponse,
    ReplaceHoldsRequest,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Rpc;
use crate::{error::Error, store::Item};

/// Items one internal call may name.
const MOST_IDS: usize = 1000;

/// Where a page of the library ends.
#[derive(Serialize, Deserialize)]
struct Position {
    create_time: i64,
    id: Uuid,
}

impl Rpc {
    pub(super) async fn one(&self, workspace_id: Uuid, request: &GetMediaRequest) -> Result<Item, Error> {
        let id = ids::parse("media_id", &request.media_id)?;
        self.store.item(workspace_id, id).await?.ok_or(Error::MediaNotFound(id))
    }

    pub(super) async fn page(
        &self,
        workspace_id: Uuid,
        request: &ListMediaRequest,
    ) -> Result<ListMediaResponse, Error> {
        let mut wrong = Violations::default();
        let size = wrong.take(page::size(request.page_size)).unwrap_or_default();
        let position = wrong.take(page::decode::<Position>(&request.page_token)).flatten();
        wrong.into_result()?;
        let before = position.map_or((i64::MAX, Uuid::max()), |last| (last.create_time, last.id));
        let mut items = self.store.items(workspace_id, before, size + 1).await?;
        let has_more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| has_more);
        let next_page_token = next
            .map(|last| page::encode(&Position { create_time: last.create_time, id: last.id }))
            .unwrap_or_default();
        Ok(ListMediaResponse { media: items.into_iter().map(super::media).collect(), next_page_token })
    }

    pub(super) async fn delete(&self, workspace_id: Uuid, request: &DeleteMediaRequest) -> Result<(), Error> {
        let id = ids::parse("media_id", &request.media_id)?;
        for key in self.store.delete_item(workspace_id, id, self.deps.clock.now_ms()).await? {
            if let Err(error) = self.deps.blob.delete(&key).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a deleted item's bytes are left to the sweeper"
                );
            }
        }
        Ok(())
    }

    pub(super) async fn several(&self, request: &BatchGetMediaRequest) -> Result<Vec<Item>, Error> {
        let (workspace_id, _, items) = named(&request.workspace_id, None, &request.media_ids)?;
        self.store.items_by_id(workspace_id, &items).await
    }

    pub(super) async fn hold(&self, request: &ReplaceHoldsRequest) -> Result<(), Error> {
        let (workspace_id, owner_id, items) =
            named(&request.workspace_id, Some(&request.owner_id), &request.media_ids)?;
        self.store.replace_holds(workspace_id, owner_id, &items).await
    }
}

/// The workspace, the owner (nil when none is asked for) and the items that a request names.
fn named(
    workspace_id: &str,
    owner_id: Option<&str>,
    media_ids: &[String],
) -> Result<(Uuid, Uuid, Vec<Uuid>), Vec<FieldViolation>> {
    let mut wrong = Violations::default();
    let workspace_id = wrong.take(ids::parse("workspace_id", workspace_id)).unwrap_or_default();
    let owner_id = owner_id.and_then(|id| wrong.take(ids::parse("owner_id", id))).unwrap_or_default();
    let count = media_ids.len();
    wrong.require(
        count <= MOST_IDS,
        "media_ids",
        "TOO_MANY",
        format!("names {count} items; at most {MOST_IDS} are allowed"),
    );
    let items = media_ids
        .iter()
        .take(MOST_IDS)
        .enumerate()
        .filter_map(|(at, id)| wrong.take(ids::parse(&format!("media_ids[{at}]"), id)))
        .collect();
    wrong.into_result()?;
    Ok((workspace_id, owner_id, items))
}
