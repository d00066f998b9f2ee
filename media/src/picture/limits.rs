//! How large a picture may be. Checked against the headers, before a decoder allocates anything.

use super::{Format, Rejection, Stripped, area};

/// Pixels of one frame.
const PIXELS: u64 = 50_000_000;
/// Pixels of one side.
const SIDE: u32 = 20_000;
/// Frames of an animation.
const FRAMES: u32 = 500;
/// Pixels of all frames together: each frame of an animation is composed onto the whole canvas.
const ALL_PIXELS: u64 = 500_000_000;
/// Bytes a decoder may allocate.
pub(super) const MEMORY: u64 = 256 * 1024 * 1024;
/// Scans of a progressive JPEG; real ones have about ten, and each one costs a pass over all pixels.
pub(super) const SCANS: u32 = 100;
/// Segments, chunks or blocks of a file.
pub(super) const PARTS: u32 = 200_000;

pub(super) fn check(format: Format, picture: &Stripped) -> Result<(), Rejection> {
    let Stripped { width, height, frames, .. } = *picture;
    let name = format.name();
    let reject = |sentence: String| Err(Rejection { reason: "TOO_LARGE", sentence });
    if width == 0 || height == 0 || frames == 0 {
        return Err(Rejection {
            reason: "BROKEN_PICTURE",
            sentence: format!("holds a {name} picture without any pixels; {}", super::ACCEPTED),
        });
    }
    if width > SIDE || height > SIDE {
        return reject(format!(
            "holds a {name} picture of {width} × {height} pixels; a side may have at most {SIDE} pixels"
        ));
    }
    let each = area(width, height).max(picture.largest);
    if each > PIXELS {
        return reject(format!(
            "holds a {name} picture of {width} × {height} pixels; at most {} megapixels are accepted",
            PIXELS / 1_000_000
        ));
    }
    if picture.aside > MEMORY {
        return Err(super::too_heavy(format, picture));
    }
    if frames > FRAMES {
        return reject(format!("holds a {name} animation of {frames} frames; at most {FRAMES} are accepted"));
    }
    if frames > 1 && each * u64::from(frames) > ALL_PIXELS {
        return reject(format!(
            "holds a {name} animation of {frames} frames of {width} × {height} pixels; all frames together may have \
             at most {} megapixels",
            ALL_PIXELS / 1_000_000
        ));
    }
    Ok(())
}
