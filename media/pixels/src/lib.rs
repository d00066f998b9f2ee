//! A smaller copy of a still picture, for receivers that take less than was uploaded: the largest that fits, without
//! metadata but with its colour profile. The same pixels and limits make the same bytes.
//!
//! ```text
//! pixels ── within the limit of pixels ──▶ PNG, when it has transparency, and fits at half its width or more
//!                    └── JPEG on white: less quality, then fewer pixels, until it fits
//! ```

mod encode;
mod pixels;

use image::DynamicImage;

pub use crate::encode::jpeg_of_quality;
use crate::pixels::Pixels;

/// What a receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most bytes of the file; no limit when 0.
    pub max_bytes: i64,
    /// Most pixels; no limit when 0.
    pub max_pixels: i64,
    /// Only JPEG files; transparent parts become white.
    pub only_jpeg: bool,
}

/// The formats that copies are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
}

/// A picture made for limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// What the file is.
    pub kind: Kind,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Every file has headers and tables of about this many bytes.
const LEAST_BYTES: i64 = 1024;
/// A colour profile may take this part of the bytes; a larger one is left out, so it cannot crowd out the picture.
const PROFILE_PART: i64 = 16;
/// Sides of the next attempt, as a part of those before.
const STEP: f64 = 0.9;
/// Details lie closer together in a smaller copy, or vanish in it, so the first attempt is this much wider than the
/// estimate says.
const HOPE: f64 = 1.1;
/// Transparency is given up rather than more than this part of the sides.
const LEAST_TRANSPARENT: f64 = 0.5;

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { max_bytes: 0, max_pixels: 0, only_jpeg: false };

    /// True when a picture of so many bytes and pixels may pass as it is, whatever its type.
    pub fn admit(self, bytes: i64, pixels: i64) -> bool {
        (self.max_bytes == 0 || bytes <= self.max_bytes)
            && (self.max_pixels == 0 || pixels <= self.max_pixels)
    }

    fn bytes(self) -> usize {
        if self.max_bytes == 0 { usize::MAX } else { usize::try_from(self.max_bytes).unwrap_or(usize::MAX) }
    }
}

/// Makes the copy; `None` when no picture is that small. The profile is an ICC profile for red, green and blue.
/// Takes up to a few seconds of one processor.
pub fn fit(picture: DynamicImage, profile: Option<&[u8]>, limits: Limits) -> Option<Fitted> {
    if limits.max_bytes != 0 && limits.max_bytes < LEAST_BYTES {
        return None;
    }
    let may_keep =
        |profile: &&[u8]| limits.max_bytes == 0 || profile.len() as i64 <= limits.max_bytes / PROFILE_PART;
    let profile = profile.filter(may_keep);
    let picture = Pixels::of(picture);
    let most = limits.bytes();
    let largest = largest_scale(picture.size(), limits.max_pixels);

    if picture.transparent().is_some() && !limits.only_jpeg {
        let png = |pixels: &Pixels| encode::png(pixels.transparent()?, profile, most);
        let found = search(&picture, limits, largest, largest * LEAST_TRANSPARENT, png);
        if let Some((bytes, (width, height))) = found {
            return Some(Fitted { kind: Kind::Png, width, height, bytes });
        }
    }
    let picture = picture.on_white();
    let estimate = picture.opaque().and_then(encode::estimate);
    let promising = estimate.map_or(largest, |bytes| (most as f64 / bytes as f64).sqrt() * HOPE).min(largest);
    let jpeg = |pixels: &Pixels| encode::jpeg(pixels.opaque()?, profile, most);
    let (bytes, (width, height)) = search(&picture, limits, promising, 0.0, jpeg)?;
    Some(Fitted { kind: Kind::Jpeg, width, height, bytes })
}

/// The first size, from scale `first` down to `least`, at which `encode` makes a file.
fn search(
    picture: &Pixels,
    limits: Limits,
    first: f64,
    least: f64,
    encode: impl Fn(&Pixels) -> Option<Vec<u8>>,
) -> Option<(Vec<u8>, (u32, u32))> {
    let mut scale = first;
    while scale >= least {
        let size = scaled(picture.size(), scale, limits.max_pixels);
        if let Some(bytes) = encode(&picture.resized(size)) {
            return Some((bytes, size));
        }
        if size == (1, 1) {
            return None;
        }
        scale *= STEP;
    }
    None
}

/// 1 when the pixels are few enough.
fn largest_scale((width, height): (u32, u32), max_pixels: i64) -> f64 {
    let pixels = f64::from(width) * f64::from(height);
    if max_pixels == 0 { 1.0 } else { (max_pixels as f64 / pixels).sqrt().min(1.0) }
}

/// At least one pixel wide and high; only where that bends the proportions is the longer side cut to the limit.
fn scaled((width, height): (u32, u32), scale: f64, max_pixels: i64) -> (u32, u32) {
    let side = |pixels: u32| ((f64::from(pixels) * scale) as u32).max(1);
    let (width, height) = (side(width), side(height));
    let most = |other: u32| match u32::try_from(max_pixels) {
        Ok(0) | Err(_) => u32::MAX,
        Ok(pixels) => (pixels / other).max(1),
    };
    if width >= height { (width.min(most(height)), height) } else { (width, height.min(most(width))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_proportions_and_never_pass_the_limit() {
        for (size, pixels, expected) in [
            ((4000, 3000), 0, (4000, 3000)),
            ((4000, 3000), 12_000_000, (4000, 3000)),
            ((4000, 3000), 3_000_000, (2000, 1500)),
            ((20_000, 1), 100, (100, 1)),
            ((1, 20_000), 100, (1, 100)),
            ((3, 3), 1, (1, 1)),
        ] {
            let (width, height) = scaled(size, largest_scale(size, pixels), pixels);
            assert_eq!((width, height), expected, "{size:?} within {pixels}");
            assert!(pixels == 0 || i64::from(width * height) <= pixels);
        }
    }

    #[test]
    fn nothing_fits_in_less_than_a_header() {
        let picture = || DynamicImage::new_rgb8(8, 8);
        assert_eq!(fit(picture(), None, Limits { max_bytes: 1023, ..Limits::NONE }), None);
        let fitted = fit(picture(), None, Limits { max_bytes: 1024, ..Limits::NONE }).unwrap();
        assert_eq!((fitted.kind, fitted.width, fitted.height), (Kind::Jpeg, 8, 8));
    }
}
