//! Copies of stored pictures that fit what a receiver takes: opened here, the way people see them, and made smaller by
//! the pixels crate.

use std::fmt;

use postmesh_pixels::{Kind, Limits};

use super::{Format, decode};

/// A picture made for limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// JPEG or PNG.
    pub format: Format,
    /// Pixels, as people see it.
    pub width: u32,
    /// Pixels, as people see it.
    pub height: u32,
    /// The file, without metadata.
    pub bytes: Vec<u8>,
}

/// Why a picture cannot be made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its frames would have to be thinned out too. GIF files are not looked into: all of them count as animations.
    Animated,
    /// No picture has so few bytes.
    LimitTooSmall,
    /// Videos go out as they are.
    Video,
    /// The stored file cannot be decoded (any more).
    Broken,
}

impl Unfit {
    /// For metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Animated => "animated",
            Self::LimitTooSmall => "limit_too_small",
            Self::Video => "video",
            Self::Broken => "broken",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Animated => "animations and GIF pictures go out as they are",
            Self::LimitTooSmall => "no picture is that small",
            Self::Video => "videos are never made smaller",
            Self::Broken => "it cannot be decoded",
        })
    }
}

/// Makes the copy; the same file and limits make the same bytes. Takes up to a few seconds of one processor, and as
/// much memory as the check of an upload.
pub fn fit(format: Format, file: &[u8], limits: Limits) -> Result<Fitted, Unfit> {
    let Some(still) = decode::upright(format, file).map_err(|_| Unfit::Broken)? else {
        return Err(Unfit::Animated);
    };
    let fitted = postmesh_pixels::fit(still.pixels, still.profile.as_deref(), limits);
    let fitted = fitted.ok_or(Unfit::LimitTooSmall)?;
    let format = match fitted.kind {
        Kind::Jpeg => Format::Jpeg,
        Kind::Png => Format::Png,
    };
    Ok(Fitted { format, width: fitted.width, height: fitted.height, bytes: fitted.bytes })
}
