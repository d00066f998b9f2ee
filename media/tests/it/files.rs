//! Picture files of every accepted format, with secrets planted where cameras, editors and attackers put things.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, RgbImage, codecs::webp::WebPEncoder,
};

/// What no rendition may contain.
pub(crate) const PLANTED: &[&[u8]] = &[b"PLANTED", &LATITUDE, b"MotionPhoto"];
/// A latitude as EXIF writes it: 48 degrees, 51 minutes, 30.1234 seconds, each a fraction.
const LATITUDE: [u8; 24] =
    [48, 0, 0, 0, 1, 0, 0, 0, 51, 0, 0, 0, 1, 0, 0, 0, 0xB2, 0x98, 0x04, 0x00, 0x10, 0x27, 0, 0];
/// The beginning of the profile that every rendition keeps.
pub(crate) const PROFILE: &[u8] = b"colour profile to keep";

/// A picture whose pixels differ from each other.
pub(crate) fn pixels(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x + y) as u8])).into()
}

pub(crate) fn plain(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    pixels(width, height).write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// A PNG without a single opaque pixel.
pub(crate) fn clear_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::RgbaImage::new(width, height).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// EXIF data with an orientation, a camera and a place.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    // The first directory is 2 + 3 * 12 + 4 bytes long, so it ends at 50; the camera's name follows, then the place.
    tiff.extend(3u16.to_le_bytes());
    tiff.extend(entry(0x010F, 2, 16, 50));
    tiff.extend(entry(0x0112, 3, 1, orientation.into()));
    tiff.extend(entry(0x8825, 4, 1, 66));
    tiff.extend(0u32.to_le_bytes());
    tiff.extend(b"PLANTED CAMERA\0\0");
    tiff.extend(2u16.to_le_bytes());
    tiff.extend(entry(1, 2, 2, u32::from(b'N')));
    tiff.extend(entry(2, 5, 3, 66 + 2 + 24 + 4));
    tiff.extend(0u32.to_le_bytes());
    tiff.extend(LATITUDE);
    tiff
}

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xFF, marker][..], &(body.len() as u16 + 2).to_be_bytes(), body].concat()
}

/// A photo as phones make them: EXIF with a place, XMP, IPTC, a comment, a colour profile, and a film behind the end.
pub(crate) fn photo(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let plain = plain(ImageFormat::Jpeg, width, height);
    let mut file = plain[..2].to_vec();
    file.extend(segment(0xE1, &[b"Exif\0\0", &exif(orientation)[..]].concat()));
    file.extend(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>PLANTED MotionPhoto</x:xmpmeta>"));
    file.extend(segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", PROFILE].concat()));
    file.extend(segment(0xE2, b"MPF\0PLANTED"));
    file.extend(segment(0xED, b"Photoshop 3.0\08BIM\x04\x04\0\0PLANTED"));
    file.extend(segment(0xFE, b"PLANTED comment"));
    file.extend(&plain[2..]);
    file.extend(b"\0\0\0\x18ftypmp42PLANTED film");
    file
}

pub(crate) fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let checked = [&kind[..], body].concat();
    let crc = !checked.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    });
    [&(body.len() as u32).to_be_bytes()[..], &checked, &crc.to_be_bytes()].concat()
}

/// Where the chunk after the header begins in a PNG.
pub(crate) const AFTER_IHDR: usize = 33;

/// A PNG with everything planted that has a chunk for it.
pub(crate) fn png_with_secrets(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let mut file = plain(ImageFormat::Png, width, height);
    let secrets = [
        chunk(b"eXIf", &exif(orientation)),
        chunk(b"tEXt", b"Comment\0PLANTED"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<svg>PLANTED</svg>"),
        chunk(b"zTXt", b"Raw\0\0PLANTED"),
        chunk(b"tIME", b"\x07\xEA\x01\x01\x01\x01\x01"),
        chunk(b"prVt", b"PLANTED in a chunk nobody knows"),
    ]
    .concat();
    file.splice(AFTER_IHDR..AFTER_IHDR, secrets);
    file.extend(b"PLANTED behind the end");
    file
}

/// An animated PNG of one frame, which is the default image.
pub(crate) fn animated_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = plain(ImageFormat::Png, width, height);
    let mut control = 0u32.to_be_bytes().to_vec();
    control.extend(width.to_be_bytes());
    control.extend(height.to_be_bytes());
    control.extend([0; 8]);
    control.extend([0, 1, 0, 10, 0, 0]);
    let animation = [chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), chunk(b"fcTL", &control)].concat();
    file.splice(AFTER_IHDR..AFTER_IHDR, animation);
    file
}

/// A GIF animation.
pub(crate) fn animated_gif(width: u32, height: u32, frames: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(&mut file, 30);
    encoder.set_repeat(image::codecs::gif::Repeat::Infinite).unwrap();
    let frame = pixels(width, height).to_rgba8();
    encoder.encode_frames((0..frames).map(|_| image::Frame::new(frame.clone()))).unwrap();
    drop(encoder);
    file
}

/// A GIF animation with a comment, XMP and a caption before its end.
pub(crate) fn gif_with_secrets(width: u32, height: u32) -> Vec<u8> {
    let mut file = animated_gif(width, height, 3);
    file.pop();
    file.extend(b"\x21\xFE\x0FPLANTED comment\0");
    file.extend(b"\x21\xFF\x0BXMP DataXMP\x07PLANTED\0");
    file.extend(b"\x21\x01\x0C\0\0\0\0\x01\0\x01\0\x08\x08\x01\x02\x07PLANTED\0");
    file.extend(b"\x3BPLANTED behind the end");
    file
}

fn riff(chunks: &[u8]) -> Vec<u8> {
    [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WEBP", chunks].concat()
}

fn riff_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let pad = &[0][..body.len() % 2];
    [&kind[..], &(body.len() as u32).to_le_bytes(), body, pad].concat()
}

/// The pixels of a WebP file, as its one chunk.
fn webp_pixels(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let picture = pixels(width, height).to_rgb8();
    WebPEncoder::new_lossless(&mut file)
        .write_image(&picture, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    file.split_off(12)
}

fn extended(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let (w, h) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    riff_chunk(b"VP8X", &[flags, 0, 0, 0, w[0], w[1], w[2], h[0], h[1], h[2]])
}

/// A WebP with a profile, EXIF, XMP and an unknown chunk.
pub(crate) fn webp_with_secrets(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let mut file = riff(
        &[
            extended(0x20 | 0x08 | 0x04, width, height),
            riff_chunk(b"ICCP", PROFILE),
            webp_pixels(width, height),
            riff_chunk(b"EXIF", &exif(orientation)),
            riff_chunk(b"XMP ", b"<x:xmpmeta>PLANTED</x:xmpmeta>"),
            riff_chunk(b"prVt", b"PLANTED!!"),
        ]
        .concat(),
    );
    file.extend(b"PLANTED behind the end");
    file
}

/// A WebP animation of two frames, each with a secret beside its pixels.
pub(crate) fn animated_webp(width: u32, height: u32) -> Vec<u8> {
    let (w, h) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    let place = [0, 0, 0, 0, 0, 0, w[0], w[1], w[2], h[0], h[1], h[2], 100, 0, 0, 0];
    let frame = riff_chunk(
        b"ANMF",
        &[&place[..], &webp_pixels(width, height), &riff_chunk(b"prVt", b"PLANTED")].concat(),
    );
    riff(&[extended(0x02, width, height), riff_chunk(b"ANIM", &[0; 6]), frame.clone(), frame].concat())
}

/// True when the bytes hold the other bytes.
pub(crate) fn contains(bytes: &[u8], other: &[u8]) -> bool {
    bytes.windows(other.len()).any(|window| window == other)
}

/// A photo taken in bad light: a soft picture under grain, so it compresses badly.
pub(crate) fn grainy(width: u32, height: u32) -> RgbImage {
    // One band is drawn and repeated: drawing every pixel takes seconds without optimisation.
    const BAND: u32 = 40;
    let mut grain = 0x9E37_79B9_u32;
    let band = RgbImage::from_fn(width, BAND.min(height), |x, y| {
        // xorshift32: every run makes the same grain.
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        let light = |over: u32, at: u32, of: u32| (40 + 150 * at / of + over % 48) as u8;
        image::Rgb([
            light(grain, x, width),
            light(grain >> 8, y, BAND),
            light(grain >> 16, x + y, width + BAND),
        ])
    });
    let mut pixels = band.as_raw().repeat(height.div_ceil(BAND) as usize);
    pixels.truncate(width as usize * height as usize * 3);
    RgbImage::from_raw(width, height, pixels).unwrap()
}

/// The grainy photo as a JPEG of high quality, with a place in its EXIF data.
pub(crate) fn grainy_photo(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    turned(&grainy(width, height), orientation)
}

/// A JPEG of high quality that a camera took the given way up.
pub(crate) fn turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    with_segment(picture, &segment(0xE1, &[b"Exif\0\0", &exif(orientation)[..]].concat()))
}

/// A JPEG of high quality with a colour profile.
pub(crate) fn with_profile(picture: &RgbImage, profile: &[u8]) -> Vec<u8> {
    with_segment(picture, &segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", profile].concat()))
}

fn with_segment(picture: &RgbImage, segment: &[u8]) -> Vec<u8> {
    let plain = postmesh_pixels::jpeg_of_quality(picture, 95).unwrap();
    [&plain[..2], segment, &plain[2..]].concat()
}
