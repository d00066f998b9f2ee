//! What a file really is, decided from its bytes alone, the picture that is left once everything else is gone, and
//! smaller copies of it.
//!
//! ```text
//! bytes ── sniff ──▶ format ── jpeg | png | gif | webp ──▶ measure + strip ── limits ──▶ decode (the stripped bytes)
//! ```
//! The headers are measured before a decoder sees the file, and the decoder sees the stripped file, so what is kept
//! is proven to be a picture by itself. Nothing here panics, whatever the bytes; parts that are not known to be
//! picture are dropped (an allowlist), so hidden data of kinds nobody thought of does not travel either.

mod decode;
mod exif;
mod fit;
mod gif;
mod jpeg;
mod limits;
mod png;
mod sniff;
mod webp;

use self::exif::Orientation;
pub use self::fit::{Fitted, Unfit, fit};
pub use postmesh_pixels::Limits;

/// The formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`, still or animated.
    Png,
    /// `image/gif`.
    Gif,
    /// `image/webp`, still or animated.
    Webp,
}

impl Format {
    /// The format that has this content type.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::Gif, Self::Webp]
            .into_iter()
            .find(|format| format.content_type() == content_type)
    }

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
        }
    }
}

/// A picture that was decoded whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Found from the content.
    pub format: Format,
    /// Pixels, as people see it (after the orientation is applied).
    pub width: u32,
    /// Pixels, as people see it.
    pub height: u32,
    /// The same pixels without comments, camera data, location, or anything behind the picture's end.
    pub rendition: Vec<u8>,
}

/// Why a file is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Stable, upper snake case.
    pub reason: &'static str,
    /// What was found and what is accepted, to be read after the word "upload".
    pub sentence: String,
}

/// A file measured and stripped, not decoded yet.
#[derive(Debug, Default)]
struct Stripped {
    /// Pixels of the canvas, before the orientation is applied.
    width: u32,
    /// Pixels of the canvas.
    height: u32,
    /// 1 for a still.
    frames: u32,
    /// Area of the largest frame or canvas that a decoder would have to hold.
    largest: u64,
    /// Bytes a decoder must hold besides the pixels: all coefficients of a progressive JPEG.
    aside: u64,
    orientation: Orientation,
    rendition: Vec<u8>,
    /// A web page or script was found in a comment or behind the end.
    hides_markup: bool,
}

/// Why a file of a known format cannot be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// It ends before its format says it may.
    CutOff,
    /// It breaks the rules of its format.
    Malformed,
    /// It is made to cost more than a picture may: too many scans or parts.
    Costly,
}

const ACCEPTED: &str = "accepted are JPEG, PNG, GIF and WebP pictures, and MP4 and QuickTime videos";

/// Checks a whole file. Takes up to a few seconds of one processor and `limits::MEMORY` bytes for the largest files.
pub fn inspect(bytes: &[u8]) -> Result<Picture, Rejection> {
    let Some(format) = sniff::format(bytes) else {
        let sentence = format!("holds {}; {ACCEPTED}", sniff::describe(bytes));
        return Err(Rejection { reason: "NOT_A_PICTURE", sentence });
    };
    let stripped = match format {
        Format::Jpeg => jpeg::strip(bytes),
        Format::Png => png::strip(bytes),
        Format::Gif => gif::strip(bytes),
        Format::Webp => webp::strip(bytes),
    }
    .map_err(|flaw| flaw.of(format))?;
    if stripped.hides_markup {
        let sentence =
            format!("holds a {} picture with a web page hidden in it; send the picture alone", format.name());
        return Err(Rejection { reason: "HIDDEN_CONTENT", sentence });
    }
    limits::check(format, &stripped)?;
    decode::prove(format, &stripped)?;
    let (width, height) = stripped.orientation.applied_to(stripped.width, stripped.height);
    Ok(Picture { format, width, height, rendition: stripped.rendition })
}

/// A picture within the limits of size that still takes too much memory.
fn too_heavy(format: Format, picture: &Stripped) -> Rejection {
    Rejection {
        reason: "TOO_LARGE",
        sentence: format!(
            "holds a {} picture of {} × {} pixels that takes more than {} MiB to decode; send a smaller or simpler one",
            format.name(),
            picture.width,
            picture.height,
            limits::MEMORY / 1024 / 1024
        ),
    }
}

impl Flaw {
    fn of(self, format: Format) -> Rejection {
        let name = format.name();
        match self {
            Self::CutOff => Rejection {
                reason: "CUT_OFF",
                sentence: format!("holds a {name} picture that is cut off; send the whole file"),
            },
            Self::Malformed => Rejection {
                reason: "BROKEN_PICTURE",
                sentence: format!("begins like a {name} picture, but is not one; {ACCEPTED}"),
            },
            Self::Costly => Rejection {
                reason: "TOO_COMPLEX",
                sentence: format!(
                    "holds a {name} picture made of too many parts; save it again in a plain form"
                ),
            },
        }
    }
}

/// Reads numbers and slices without ever leaving the file.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Flaw> {
        let end = self.at.checked_add(n).ok_or(Flaw::CutOff)?;
        let slice = self.bytes.get(self.at..end).ok_or(Flaw::CutOff)?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        Ok(self.take(N)?.try_into().expect("take answers as many bytes as asked"))
    }

    fn u8(&mut self) -> Result<u8, Flaw> {
        Ok(self.array::<1>()?[0])
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }
}

fn area(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}
