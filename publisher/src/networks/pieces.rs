//! A file piece by piece, for uploads that are too large for memory.

use bytes::Bytes;
use futures::{Stream, stream};

use crate::media::Whole;

/// How much is read at once, bytes.
const PIECE: u64 = 4 << 20;

/// The file from its first byte to its last; a piece that cannot be read ends the upload.
pub(super) fn pieces(whole: Whole) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    pieces_from(whole, 0)
}

/// The same from a later byte on, for an upload that broke off.
pub(super) fn pieces_from(
    whole: Whole,
    offset: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let size = whole.size_bytes;
    stream::try_unfold((whole, offset), move |(whole, at)| async move {
        if at >= size {
            return Ok(None);
        }
        let piece = whole.read_range(at, PIECE.min(size - at)).await.map_err(std::io::Error::other)?;
        if piece.is_empty() {
            return Err(std::io::Error::other("the file ended early"));
        }
        let next = at + piece.len() as u64;
        Ok(Some((piece, (whole, next))))
    })
}
