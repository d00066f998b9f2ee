//! Writes picture files of at most so many bytes; an attempt that grows larger is given up there and then, so it costs
//! no more than the file that would have fitted.

use std::io::{self, Write};

use image::{
    ExtendedColorType, ImageEncoder, RgbImage, RgbaImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};

/// The best first; below the last one, fewer pixels look better than less quality.
const QUALITIES: [u8; 4] = [90, 85, 80, 75];

/// Rows of one band of the sample, whole blocks of a JPEG.
const BAND: usize = 16;
/// One band of so many is in the sample.
const EVERY: usize = 8;

/// The best JPEG that fits; `None` when even the plainest does not.
pub(crate) fn jpeg(picture: &RgbImage, profile: Option<&[u8]>, most: usize) -> Option<Vec<u8>> {
    let [better @ .., plainest] = QUALITIES;
    let fitting = at_quality(picture, profile, most, plainest)?;
    Some(better.iter().find_map(|quality| at_quality(picture, profile, most, *quality)).unwrap_or(fitting))
}

fn at_quality(picture: &RgbImage, profile: Option<&[u8]>, most: usize, quality: u8) -> Option<Vec<u8>> {
    let mut file = Capped { bytes: Vec::new(), most };
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    write(encoder, profile, picture.as_raw(), picture.dimensions(), ExtendedColorType::Rgb8)?;
    Some(file.bytes)
}

/// The picture as a JPEG of this quality (1 to 100), however large.
pub fn jpeg_of_quality(picture: &RgbImage, quality: u8) -> Option<Vec<u8>> {
    at_quality(picture, None, usize::MAX, quality)
}

/// About how many bytes the plainest JPEG takes, from a part of the rows.
pub(crate) fn estimate(picture: &RgbImage) -> Option<u64> {
    let (width, height) = picture.dimensions();
    let row = picture.width() as usize * 3;
    let sample: Vec<u8> =
        picture.as_raw().chunks(row * BAND).step_by(EVERY).flat_map(<[u8]>::iter).copied().collect();
    let rows = (sample.len() / row) as u32;
    let sample = RgbImage::from_raw(width, rows, sample)?;
    let bytes = at_quality(&sample, None, usize::MAX, QUALITIES[QUALITIES.len() - 1])?.len() as u64;
    Some(bytes * u64::from(height) / u64::from(rows))
}

/// The picture as a PNG, when that fits.
pub(crate) fn png(picture: &RgbaImage, profile: Option<&[u8]>, most: usize) -> Option<Vec<u8>> {
    let mut file = Capped { bytes: Vec::new(), most };
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Default, FilterType::Adaptive);
    write(encoder, profile, picture.as_raw(), picture.dimensions(), ExtendedColorType::Rgba8)?;
    Some(file.bytes)
}

/// Both formats hold any size that uploads may have, so what fails here is the cap.
fn write(
    mut encoder: impl ImageEncoder,
    profile: Option<&[u8]>,
    pixels: &[u8],
    (width, height): (u32, u32),
    kind: ExtendedColorType,
) -> Option<()> {
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.to_vec()).ok()?;
    }
    encoder.write_image(pixels, width, height, kind).ok()
}

/// Refuses what goes beyond.
struct Capped {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.bytes.len() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
