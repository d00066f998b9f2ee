//! Decodes whole files within limits: to prove that they are pictures, keeping nothing, or to make smaller copies.

use std::io::Cursor;

use image::{
    AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageResult, Limits,
    codecs::{gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder},
};

use super::{Format, Rejection, Stripped, limits};

pub(super) fn prove(format: Format, picture: &Stripped) -> Result<(), Rejection> {
    let size = match format {
        Format::Jpeg => JpegDecoder::new(Cursor::new(&picture.rendition[..])).and_then(still),
        Format::Png => png(picture),
        Format::Gif => GifDecoder::new(Cursor::new(&picture.rendition[..])).and_then(animated),
        Format::Webp => WebPDecoder::new(Cursor::new(&picture.rendition[..]))
            .and_then(|decoder| if decoder.has_animation() { animated(decoder) } else { still(decoder) }),
    };
    let name = format.name();
    match size {
        Ok(size) if size == (picture.width, picture.height) => Ok(()),
        Err(ImageError::Limits(_)) => Err(super::too_heavy(format, picture)),
        Err(ImageError::Unsupported(_)) => Err(Rejection {
            reason: "UNSUPPORTED_PICTURE",
            sentence: format!("holds a {name} picture of a rare kind; save it again in a plain form"),
        }),
        Ok(_) | Err(_) => Err(Rejection {
            reason: "BROKEN_PICTURE",
            sentence: format!("holds a {name} picture that cannot be decoded; it is damaged or not whole"),
        }),
    }
}

type Size = (u32, u32);

/// The pixels of a still, the way people see it.
pub(super) struct Upright {
    pub(super) pixels: DynamicImage,
    /// What its colours mean, when they are red, green and blue by an ICC profile.
    pub(super) profile: Option<Vec<u8>>,
}

/// Decodes a file that was accepted before; `None` for animations, and for every GIF.
pub(super) fn upright(format: Format, file: &[u8]) -> ImageResult<Option<Upright>> {
    let file = Cursor::new(file);
    match format {
        Format::Jpeg => turned(JpegDecoder::new(file)?).map(Some),
        Format::Png => {
            let decoder = PngDecoder::with_limits(file, bounds())?;
            if decoder.is_apng()? { Ok(None) } else { turned(decoder).map(Some) }
        }
        Format::Gif => Ok(None),
        Format::Webp => {
            let decoder = WebPDecoder::new(file)?;
            if decoder.has_animation() { Ok(None) } else { turned(decoder).map(Some) }
        }
    }
}

fn turned(mut decoder: impl ImageDecoder) -> ImageResult<Upright> {
    let orientation = decoder.orientation()?;
    // Other colours become red, green and blue here, where their profile says nothing any more.
    let profile = decoder.icc_profile()?.filter(|profile| profile.get(16..20) == Some(b"RGB "));
    let mut pixels = read(decoder)?;
    pixels.apply_orientation(orientation);
    Ok(Upright { pixels, profile })
}

fn png(picture: &Stripped) -> ImageResult<Size> {
    let open = || PngDecoder::with_limits(Cursor::new(&picture.rendition[..]), bounds());
    let decoder = open()?;
    if decoder.is_apng()? {
        // The default image may be no frame of the animation, so both are decoded.
        still(open()?)?;
        let size = decoder.dimensions();
        every_frame(decoder.apng()?)?;
        return Ok(size);
    }
    still(decoder)
}

fn still(decoder: impl ImageDecoder) -> ImageResult<Size> {
    let size = decoder.dimensions();
    read(decoder)?;
    Ok(size)
}

fn read(mut decoder: impl ImageDecoder) -> ImageResult<DynamicImage> {
    let mut bounds = bounds();
    // Decoders bound what they allocate for themselves; the buffer of the picture is ours to count.
    bounds.reserve(decoder.total_bytes())?;
    decoder.set_limits(bounds)?;
    DynamicImage::from_decoder(decoder)
}

fn animated<'a>(mut decoder: impl ImageDecoder + AnimationDecoder<'a>) -> ImageResult<Size> {
    decoder.set_limits(bounds())?;
    let size = decoder.dimensions();
    every_frame(decoder)?;
    Ok(size)
}

fn every_frame<'a>(decoder: impl AnimationDecoder<'a>) -> ImageResult<()> {
    decoder.into_frames().try_for_each(|frame| frame.map(drop))
}

fn bounds() -> Limits {
    let mut bounds = Limits::default();
    bounds.max_alloc = Some(limits::MEMORY);
    bounds
}
