//! Copies a video that was checked to its own place, one chunk in memory at a time.
//!
//! **The copy has the bytes that were checked.** Whoever holds an upload's address may write to it once more while it
//! is checked, so the headers that the check relied on are compared again as they pass.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use postmesh_kit::blob::{self, Blob};
use sha2::{Digest, Sha256};

use super::{Fill, Patch, Seen, Video};
use crate::error::Error;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Of the bytes as uploaded.
    pub sha256: Vec<u8>,
}

/// Copies a video of so many bytes from one key to another, without what does not go out.
pub async fn copy(blob: &Blob, from: &str, to: &str, size: u64, video: Video) -> Result<Copied, Error> {
    let object = blob.get(from).await?.filter(|object| object.size == size).ok_or(Error::Changed)?;
    let hash = Arc::new(Mutex::new(Sha256::new()));
    let mut passing = Passing { at: 0, patches: video.patches, patch: 0, seen: video.seen, piece: 0 };
    let content = object.content.map({
        let hash = hash.clone();
        move |chunk| {
            let chunk = chunk.map_err(Error::from)?;
            hash.lock().unwrap_or_else(PoisonError::into_inner).update(&chunk);
            passing.pass(chunk)
        }
    });
    match blob.put(to, size, content).await {
        Ok(()) => {}
        Err(blob::Error::Content(cause)) => {
            return Err(cause.downcast().map_or(Error::Changed, |error| *error));
        }
        Err(error) => return Err(error.into()),
    }
    let hash = hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Copied { sha256: hash.finalize().as_slice().to_vec() })
}

/// The chunks of one file, in order.
struct Passing {
    /// Where the next chunk begins.
    at: u64,
    patches: Vec<Patch>,
    /// The first patch that does not end before there.
    patch: usize,
    seen: Vec<Seen>,
    piece: usize,
}

impl Passing {
    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, Error> {
        let (start, end) = (self.at, self.at + chunk.len() as u64);
        self.at = end;
        while let Some(piece) = self.seen.get(self.piece).filter(|piece| piece.at < end) {
            let piece_end = piece.at + piece.bytes.len() as u64;
            let (from, to) = (piece.at.max(start), piece_end.min(end));
            if from < to {
                let known = &piece.bytes[(from - piece.at) as usize..(to - piece.at) as usize];
                if known != &chunk[(from - start) as usize..(to - start) as usize] {
                    return Err(Error::Changed);
                }
            }
            if piece_end > end {
                break;
            }
            self.piece += 1;
        }
        if self.patches.get(self.patch).is_none_or(|patch| patch.range.start >= end) {
            return Ok(chunk);
        }
        let mut chunk = chunk.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        while let Some(patch) = self.patches.get(self.patch).filter(|patch| patch.range.start < end) {
            let (from, to) = (patch.range.start.max(start), patch.range.end.min(end));
            let bytes = &mut chunk[(from - start) as usize..(to - start) as usize];
            match patch.fill {
                Fill::Zeros => bytes.fill(0),
                Fill::Free => {
                    let skipped = (from - patch.range.start) as usize;
                    bytes.copy_from_slice(&b"free"[skipped..skipped + bytes.len()]);
                }
            }
            if patch.range.end > end {
                break;
            }
            self.patch += 1;
        }
        Ok(chunk.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(chunks: usize, seen: &[(u64, &'static [u8])]) -> Result<Vec<u8>, Error> {
        let patches = vec![
            Patch { range: 2..6, fill: Fill::Free },
            Patch { range: 6..9, fill: Fill::Zeros },
            Patch { range: 11..12, fill: Fill::Zeros },
        ];
        let seen =
            seen.iter().map(|(at, bytes)| Seen { at: *at, bytes: Bytes::from_static(bytes) }).collect();
        let mut passing = Passing { at: 0, patches, patch: 0, seen, piece: 0 };
        let file: Vec<u8> = (b'a'..b'n').collect();
        let mut out = Vec::new();
        for chunk in file.chunks(chunks) {
            out.extend_from_slice(&passing.pass(Bytes::copy_from_slice(chunk))?);
        }
        Ok(out)
    }

    #[test]
    fn patches_and_compares_wherever_chunks_end() {
        for chunks in 1..=13 {
            let out = passed(chunks, &[(0, b"abc"), (3, b"defghijk"), (12, b"m")]).unwrap();
            assert_eq!(out, b"abfree\0\0\0jk\0m", "{chunks}");
            for changed in [&[(0, &b"x"[..])][..], &[(0, b"abc"), (9, b"jkx")], &[(12, b"x")]] {
                assert!(matches!(passed(chunks, changed), Err(Error::Changed)), "{chunks}");
            }
        }
    }
}
