//! What a video file really is, decided from its headers alone, and what of it does not go out.
//!
//! ```text
//! Source ── layout (boxes of the file) ──▶ ftyp, moov ── movie (tracks, codecs, samples) ──▶ Video { facts, patches }
//!                                                                     copy: the same length, patched as it passes
//! ```
//! Only headers are read, and never more than `MOVIE` bytes of them. What playing does not need is blanked in place: a
//! box is renamed to `free` and filled with zeros, so that nothing moves and every offset stays true. That is an
//! allowlist, as for pictures: location, camera data, subtitles and telemetry tracks, and bytes that belong to no
//! frame go without being understood. Nothing here panics or loops, whatever the bytes.

mod boxes;
mod codec;
mod copy;
mod flaw;
mod layout;
mod movie;
mod samples;
mod track;

use std::ops::Range;

use bytes::Bytes;

pub use self::copy::{Copied, copy};
use self::flaw::Flaw;
use crate::{error::Error, picture::Rejection};

/// Bytes of the movie header; a feature film with every frame in a table of its own stays below it.
const MOVIE: u64 = 32 << 20;

/// The formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `video/mp4`.
    Mp4,
    /// `video/quicktime`.
    Mov,
}

impl Container {
    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Mov => "QuickTime",
        }
    }

    fn of_brand(brand: &[u8]) -> Self {
        if brand == b"qt  " { Self::Mov } else { Self::Mp4 }
    }
}

/// True for a content type of a video.
pub fn is_video(content_type: &str) -> bool {
    content_type.starts_with("video/")
}

/// A playable video.
#[derive(Debug, PartialEq, Eq)]
pub struct Video {
    /// Found from the content.
    pub container: Container,
    /// Pixels, as people see it (after the rotation is applied).
    pub width: u32,
    /// Pixels, as people see it.
    pub height: u32,
    /// How long it plays, milliseconds.
    pub duration_ms: i64,
    /// What is blanked on the way out, in order, without overlap.
    patches: Vec<Patch>,
    /// What was looked at, in order: the copy must pass the same bytes.
    seen: Vec<Seen>,
}

/// Bytes that are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patch {
    range: Range<u64>,
    fill: Fill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Zeros,
    /// The four letters `free`.
    Free,
}

/// Bytes at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    at: u64,
    bytes: Bytes,
}

/// Where the bytes of a file come from.
pub trait Source: Sync {
    /// Exactly so many bytes from a place that lie within the file.
    fn read(&self, at: u64, length: u64) -> impl Future<Output = Result<Bytes, Error>> + Send;
}

/// True when a file begins like a video, accepted or not, and is none of the pictures that begin the same way.
pub fn begins_like_one(head: &[u8]) -> bool {
    const PICTURES: &[&[u8]] = &[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx ",
        b"jp2 ", b"jpx ", b"jxl ",
    ];
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| !PICTURES.contains(&brand))
}

/// Checks a file of so many bytes by its headers.
pub async fn inspect(source: &impl Source, size: u64) -> Result<Video, Error> {
    let mut layout = layout::Layout::new(size);
    let mut seen = Vec::new();
    while let Some((at, length)) = layout.next() {
        let head = source.read(at, length).await?;
        let used = layout.take(&head).map_err(|flaw| flaw.of(Container::Mp4))?;
        seen.push(Seen { at, bytes: head.slice(..used) });
    }
    let found = layout.finish().map_err(|flaw| flaw.of(Container::Mp4))?;
    let kind = source.read(found.kind.start, found.kind.end - found.kind.start).await?;
    let container = Container::of_brand(kind.get(..4).unwrap_or_default());
    let movie = source.read(found.movie.start, found.movie.end - found.movie.start).await?;
    seen.push(Seen { at: found.kind.start, bytes: kind });
    seen.push(Seen { at: found.movie.start, bytes: movie.clone() });
    seen.sort_by_key(|piece| piece.at);

    let thread = tokio::task::spawn_blocking(move || {
        let place = found.movie.start;
        let movie = movie::Movie::read(&movie, place)?;
        let patches = movie.patches(&found)?;
        Ok((movie.width, movie.height, movie.duration_ms, patches))
    });
    // What panics was given something that is no video; the service goes on.
    let (width, height, duration_ms, patches) =
        thread.await.unwrap_or(Err(Flaw::Malformed)).map_err(|flaw| flaw.of(container))?;
    Ok(Video { container, width, height, duration_ms, patches, seen })
}

/// A picture or video that is larger than its kind may be.
pub fn too_large(what: &str, size: i64, most: i64) -> Rejection {
    Rejection {
        reason: "TOO_LARGE",
        sentence: format!("holds {what} of {size} bytes; at most {most} bytes are accepted"),
    }
}
