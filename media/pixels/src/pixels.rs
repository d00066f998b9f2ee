//! Pixels of eight bits for each colour, and what is done to them before they are written.

use std::borrow::Cow;

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::{DynamicImage, RgbImage, RgbaImage};

/// A picture; with transparency only where there is some.
#[derive(Clone)]
pub(crate) enum Pixels {
    Opaque(RgbImage),
    Transparent(RgbaImage),
}

impl Pixels {
    pub(crate) fn of(picture: DynamicImage) -> Self {
        if picture.color().has_alpha() {
            let pixels = picture.into_rgba8();
            if pixels.pixels().any(|pixel| pixel[3] < u8::MAX) {
                return Self::Transparent(pixels);
            }
            return Self::Opaque(DynamicImage::from(pixels).into_rgb8());
        }
        Self::Opaque(picture.into_rgb8())
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        match self {
            Self::Opaque(pixels) => pixels.dimensions(),
            Self::Transparent(pixels) => pixels.dimensions(),
        }
    }

    pub(crate) fn opaque(&self) -> Option<&RgbImage> {
        if let Self::Opaque(pixels) = self { Some(pixels) } else { None }
    }

    pub(crate) fn transparent(&self) -> Option<&RgbaImage> {
        if let Self::Transparent(pixels) = self { Some(pixels) } else { None }
    }

    /// Laid on white paper, as receivers without transparency would show it.
    pub(crate) fn on_white(self) -> Self {
        let Self::Transparent(pixels) = self else { return self };
        let (width, height) = pixels.dimensions();
        let mut paper = Vec::with_capacity(pixels.len() / 4 * 3);
        for &[red, green, blue, alpha] in pixels.as_raw().as_chunks::<4>().0 {
            let mix = |colour: u8| {
                let (colour, alpha) = (u32::from(colour), u32::from(alpha));
                ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            };
            paper.extend_from_slice(&[mix(red), mix(green), mix(blue)]);
        }
        Self::Opaque(
            RgbImage::from_raw(width, height, paper).expect("three bytes were written for each pixel"),
        )
    }

    pub(crate) fn resized(&self, (width, height): (u32, u32)) -> Cow<'_, Self> {
        if self.size() == (width, height) {
            return Cow::Borrowed(self);
        }
        let why = "the buffer is as long as its size says";
        Cow::Owned(match self {
            Self::Opaque(pixels) => {
                let bytes = resample(self.size(), pixels.as_raw(), PixelType::U8x3, width, height);
                Self::Opaque(RgbImage::from_raw(width, height, bytes).expect(why))
            }
            Self::Transparent(pixels) => {
                let bytes = resample(self.size(), pixels.as_raw(), PixelType::U8x4, width, height);
                Self::Transparent(RgbaImage::from_raw(width, height, bytes).expect(why))
            }
        })
    }
}

/// Lanczos; colours count as much as they are opaque.
fn resample(from: (u32, u32), bytes: &[u8], kind: PixelType, width: u32, height: u32) -> Vec<u8> {
    let source = ImageRef::new(from.0, from.1, bytes, kind).expect("the buffer is as long as its size says");
    let mut target = Image::new(width, height, kind);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(true);
    Resizer::new()
        .resize(&source, &mut target, &options)
        .expect("both pictures have pixels of the same kind");
    target.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_shows_through_as_much_as_a_pixel_is_clear() {
        let pixels = RgbaImage::from_raw(3, 1, vec![9, 9, 9, 0, 0, 100, 255, 255, 0, 0, 0, 128]).unwrap();
        let paper = Pixels::Transparent(pixels).on_white();
        assert_eq!(paper.opaque().unwrap().as_raw(), &[255, 255, 255, 0, 100, 255, 127, 127, 127]);
    }

    #[test]
    fn a_picture_without_a_clear_pixel_counts_as_opaque() {
        let of = |alpha| Pixels::of(RgbaImage::from_pixel(2, 2, image::Rgba([1, 2, 3, alpha])).into());
        assert!(of(255).opaque().is_some());
        assert!(of(254).transparent().is_some());
    }
}
