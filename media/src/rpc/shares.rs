//! Public addresses of renditions, for networks that fetch what they publish.
//!
//! An address is a capability: whoever knows it may read until it ends, and nobody can find it out. Every read is on
//! record before its first byte leaves, so an address that was ended and never read proves that nobody has the file
//! from it, nor ever will.

use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;
use futures::{
    TryStreamExt,
    stream::{self, BoxStream, StreamExt},
};
use postmesh_kit::{ids, status::Violations, time};
use postmesh_proto::media::v1::{
    CreateShareRequest, CreateShareResponse, ReadShareRequest, ReadShareResponse, RevokeShareRequest,
    RevokeShareResponse, ShareInfo, ShareRange, read_share_response::Part,
};
use sha2::{Digest, Sha256};
use tonic::Status;

use super::{
    Rpc,
    renditions::{chunks, info, limits},
};
use crate::{
    error::Error,
    metrics,
    picture::Format,
    store::{Rendition, Share},
    video::Container,
};

/// Random bytes of a credential.
const TOKEN: usize = 32;
/// How long an address works when nobody says, and how long it may at most; milliseconds.
const TTL_MS: i64 = 24 * 60 * 60 * 1000;
const LONGEST_MS: i64 = 7 * TTL_MS;

impl Rpc {
    pub(super) async fn share(&self, request: &CreateShareRequest) -> Result<CreateShareResponse, Error> {
        let mut wrong = Violations::default();
        let workspace_id = wrong.take(ids::parse("workspace_id", &request.workspace_id)).unwrap_or_default();
        let media_id = wrong.take(ids::parse("media_id", &request.media_id)).unwrap_or_default();
        let limits = limits(request.max_bytes, request.max_pixels, &request.content_type, &mut wrong);
        let ttl = request.ttl.as_ref().map_or(TTL_MS, time::duration_from_proto);
        wrong.require(
            (1..=LONGEST_MS).contains(&ttl),
            "ttl",
            "OUT_OF_RANGE",
            format!("is {ttl} ms; it must be more than 0 and at most seven days"),
        );
        wrong.into_result()?;
        let rendition = self.fitter.rendition(self.wanted(workspace_id, media_id).await?, limits).await?;
        let mut token = [0; TOKEN];
        rand::fill(&mut token).expect("the system has randomness");
        let token = BASE64URL_NOPAD.encode(&token);
        let now = self.deps.clock.now_ms();
        let share = Share {
            token_sha256: hash(&token),
            workspace_id,
            media_id,
            content_type: rendition.content_type.clone(),
            blob_key: rendition.blob_key.clone(),
            size_bytes: rendition.size_bytes,
            create_time: now,
            end_time: now + ttl,
        };
        let base = self.config.public_url.trim_end_matches('/');
        let url = format!("{base}/m/{token}.{}", extension(&rendition.content_type));
        self.store.create_share(share).await?;
        Ok(CreateShareResponse {
            url,
            rendition: Some(info(&rendition)),
            expire_time: Some(time::to_proto(now + ttl)),
        })
    }

    pub(super) async fn unshare(&self, request: &RevokeShareRequest) -> Result<RevokeShareResponse, Error> {
        let workspace_id = ids::parse("workspace_id", &request.workspace_id)?;
        let name = request.url.rsplit('/').next().unwrap_or_default();
        let token = name.split('.').next().unwrap_or_default();
        let reads = self.store.revoke_share(workspace_id, hash(token), self.deps.clock.now_ms()).await?;
        let reads = reads.ok_or(Error::ShareNotFound)?;
        Ok(RevokeShareResponse {
            read_count: reads.reads,
            last_read_time: reads.last_read_time.map(time::to_proto),
        })
    }

    pub(super) async fn shared(
        &self,
        request: &ReadShareRequest,
    ) -> Result<BoxStream<'static, Result<ReadShareResponse, Status>>, Error> {
        let token = hash(&request.token);
        let share = self.store.open_share(token.clone(), self.deps.clock.now_ms()).await?;
        let share = share.ok_or(Error::ShareNotFound)?;
        let (offset, length) = span(request.range.as_ref(), share.size_bytes);
        let info = ShareInfo {
            content_type: share.content_type.clone(),
            size_bytes: share.size_bytes,
            offset,
            length,
        };
        let info = stream::iter([Ok(Part::Info(info))]);
        if request.only_info || length == 0 {
            return Ok(info.map_ok(message).boxed());
        }
        let rendition = Rendition {
            content_type: share.content_type,
            width: 0,
            height: 0,
            blob_key: share.blob_key,
            size_bytes: share.size_bytes,
            duration_ms: 0,
        };
        let object = self.stored(share.media_id, &rendition, offset, length).await?;
        if !self.store.count_read(token, self.deps.clock.now_ms()).await? {
            return Err(Error::ShareNotFound);
        }
        let parts = chunks(object, metrics::SHARED).map_ok(Part::Chunk);
        Ok(info.chain(parts).map_ok(message).boxed())
    }
}

fn message(part: Part) -> ReadShareResponse {
    ReadShareResponse { part: Some(part) }
}

/// The credential has 256 random bits, so a slow hash would add nothing.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).as_slice().to_vec()
}

/// What file names of the type end with; some networks look at nothing else.
fn extension(content_type: &str) -> &'static str {
    match Format::of_content_type(content_type) {
        Some(Format::Jpeg) => "jpg",
        Some(Format::Png) => "png",
        Some(Format::Gif) => "gif",
        Some(Format::Webp) => "webp",
        None if content_type == Container::Mov.content_type() => "mov",
        None => "mp4",
    }
}

/// Place and number of the bytes that a range asks for; none when it holds none of the file's.
fn span(range: Option<&ShareRange>, size: i64) -> (i64, i64) {
    let Some(range) = range else { return (0, size) };
    let (first, end) = match (range.first, range.last) {
        (Some(first), last) => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
        (None, Some(from_the_end)) => (size - from_the_end.clamp(0, size), size),
        (None, None) => (0, size),
    };
    if first < 0 || first >= end { (size, 0) } else { (first, end - first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_within_the_file() {
        let of = |first, last| span(Some(&ShareRange { first, last }), 10);
        assert_eq!(span(None, 10), (0, 10));
        assert_eq!(of(None, None), (0, 10));
        assert_eq!(of(Some(0), Some(0)), (0, 1));
        assert_eq!(of(Some(3), None), (3, 7));
        assert_eq!(of(Some(3), Some(i64::MAX)), (3, 7));
        assert_eq!(of(None, Some(4)), (6, 4));
        assert_eq!(of(None, Some(40)), (0, 10));
        for (first, last) in
            [(Some(10), None), (Some(5), Some(4)), (None, Some(0)), (Some(-1), None), (None, Some(-1))]
        {
            assert_eq!(of(first, last), (10, 0), "{first:?} {last:?}");
        }
    }
}
