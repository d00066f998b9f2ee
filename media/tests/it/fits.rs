//! What `fit` makes of files: small enough, turned upright, in their colours, and always the same.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgba, RgbaImage};
use postmesh_media::picture::{Fitted, Format, Limits, Unfit, fit, inspect};

use crate::files::{self, PLANTED, contains};

fn bytes(max_bytes: i64) -> Limits {
    Limits { max_bytes, ..Limits::NONE }
}

fn decode(fitted: &Fitted) -> DynamicImage {
    let picture = image::load_from_memory(&fitted.bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (fitted.width, fitted.height));
    picture
}

/// The mean difference of two pictures' colours, 0 to 255.
fn difference(a: &DynamicImage, b: &DynamicImage) -> f64 {
    let (a, b) = (a.to_rgb8(), b.to_rgb8());
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

#[test]
fn a_phone_photo_of_twelve_megapixels_fits_in_a_megabyte() {
    let photo = files::grainy_photo(4000, 3000, 1);
    assert!(photo.len() > 10_000_000, "{}", photo.len());
    let fitted = fit(Format::Jpeg, &photo, bytes(1_000_000)).unwrap();
    assert_eq!(fitted.format, Format::Jpeg);
    assert!((700_000..=1_000_000).contains(&fitted.bytes.len()), "{}", fitted.bytes.len());
    assert!(fitted.width > 1500, "it is no smaller than it must be: {}", fitted.width);
    assert!((fitted.width * 3).abs_diff(fitted.height * 4) <= 4, "the proportions stay");
    let expected = DynamicImage::from(files::grainy(4000, 3000)).thumbnail_exact(fitted.width, fitted.height);
    assert!(difference(&decode(&fitted), &expected) < 12.0, "and it is the same picture");
}

#[test]
fn the_orientation_is_in_the_pixels_and_no_metadata_is_left() {
    for (orientation, corner) in [(1, (0, 0)), (3, (1, 1)), (6, (1, 0)), (8, (0, 1))] {
        // Black but for its first corner, so it shows which way it was turned.
        let mut picture = image::RgbImage::new(400, 300);
        for (x, y) in (0..100).flat_map(|x| (0..100).map(move |y| (x, y))) {
            picture.put_pixel(x, y, image::Rgb([255, 255, 255]));
        }
        let file = files::turned(&picture, orientation);
        let seen = inspect(&file).unwrap();
        let fitted =
            fit(Format::Jpeg, &seen.rendition, Limits { max_pixels: 30_000, ..Limits::NONE }).unwrap();
        assert_eq!(fitted.width > fitted.height, seen.width > seen.height, "orientation {orientation}");
        assert!(fitted.width * fitted.height <= 30_000);
        let pixels = decode(&fitted).to_luma8();
        let (right, bottom) = (fitted.width - 10, fitted.height - 10);
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let light =
                pixels.get_pixel(if x == 0 { 10 } else { right }, if y == 0 { 10 } else { bottom })[0];
            assert_eq!(light > 128, (x, y) == corner, "orientation {orientation}, corner {x} {y}: {light}");
        }
        let mut decoder = ImageReader::new(Cursor::new(&fitted.bytes))
            .with_guessed_format()
            .unwrap()
            .into_decoder()
            .unwrap();
        assert_eq!(decoder.exif_metadata().unwrap(), None);
        assert!(PLANTED.iter().all(|planted| !contains(&fitted.bytes, planted)));
    }
}

/// A round logo: noise inside, clear outside.
fn logo(side: u32) -> Vec<u8> {
    let grain = files::grainy(side, side);
    let picture = RgbaImage::from_fn(side, side, |x, y| {
        let (dx, dy) = (x.abs_diff(side / 2), y.abs_diff(side / 2));
        let [r, g, b] = grain.get_pixel(x, y).0;
        if dx * dx + dy * dy < side * side / 4 { Rgba([r, g, b, 255]) } else { Rgba([0, 0, 0, 0]) }
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

#[test]
fn transparency_stays_where_it_fits_and_becomes_white_where_not() {
    let file = logo(300);
    let whole = fit(Format::Png, &file, Limits { max_pixels: 90_000, ..Limits::NONE }).unwrap();
    assert_eq!((whole.format, whole.width), (Format::Png, 300));
    let most = whole.bytes.len() * 2 / 3;
    let kept = fit(Format::Png, &file, bytes(most as i64)).unwrap();
    assert_eq!(kept.format, Format::Png);
    assert!(kept.bytes.len() <= most && (150..300).contains(&kept.width), "{}", kept.width);
    let pixels = decode(&kept).to_rgba8();
    assert_eq!(pixels.get_pixel(0, 0)[3], 0);
    assert_eq!(pixels.get_pixel(kept.width / 2, kept.height / 2)[3], 255);

    let flat = fit(Format::Png, &file, bytes(20_000)).unwrap();
    assert_eq!(flat.format, Format::Jpeg);
    assert!(flat.bytes.len() <= 20_000);
    let corner = decode(&flat).to_rgb8().get_pixel(0, 0).0;
    assert!(corner.iter().all(|colour| *colour > 245), "white shows through: {corner:?}");
}

#[test]
fn opaque_pictures_of_every_format_become_jpeg() {
    for (format, kind) in [(Format::Png, ImageFormat::Png), (Format::Webp, ImageFormat::WebP)] {
        let mut file = Cursor::new(Vec::new());
        files::grainy(300, 200).write_to(&mut file, kind).unwrap();
        let fitted = fit(format, &file.into_inner(), bytes(20_000)).unwrap();
        assert_eq!(fitted.format, Format::Jpeg);
        assert!(fitted.bytes.len() <= 20_000);
        decode(&fitted);
    }
}

#[test]
fn the_colour_profile_goes_along_unless_it_would_crowd_out_the_picture() {
    let profile = |length: usize| {
        let mut profile = vec![7; length];
        profile[16..20].copy_from_slice(b"RGB ");
        profile
    };
    let found = |file: &[u8], limits| {
        let fitted = fit(Format::Jpeg, file, limits).unwrap();
        let mut decoder = ImageReader::new(Cursor::new(&fitted.bytes))
            .with_guessed_format()
            .unwrap()
            .into_decoder()
            .unwrap();
        decoder.icc_profile().unwrap()
    };
    let file = files::with_profile(&files::grainy(200, 200), &profile(600));
    assert_eq!(found(&file, bytes(16_000)), Some(profile(600)));
    assert_eq!(found(&file, bytes(9_000)), None);
    let of_ink = [&[7; 16][..], b"CMYK", &[7; 600]].concat();
    let file = files::with_profile(&files::grainy(200, 200), &of_ink);
    assert_eq!(found(&file, bytes(16_000)), None, "a profile of other colours says nothing about these");
}

#[test]
fn the_same_file_and_limits_make_the_same_bytes() {
    let file = files::grainy_photo(400, 300, 6);
    let limits = Limits { max_bytes: 30_000, max_pixels: 100_000, only_jpeg: false };
    assert_eq!(fit(Format::Jpeg, &file, limits), fit(Format::Jpeg, &file, limits));
}

#[test]
fn animations_and_hopeless_limits_are_refused() {
    let small = Limits { max_pixels: 50, ..Limits::NONE };
    for (format, file) in [
        (Format::Gif, files::animated_gif(20, 10, 3)),
        (Format::Webp, files::animated_webp(20, 10)),
        (Format::Png, files::animated_png(20, 10)),
    ] {
        assert_eq!(fit(format, &file, small), Err(Unfit::Animated), "{format:?}");
    }
    let still = files::plain(ImageFormat::Jpeg, 40, 30);
    assert_eq!(fit(Format::Jpeg, &still, bytes(500)), Err(Unfit::LimitTooSmall));
    assert_eq!(fit(Format::Jpeg, &still[..still.len() / 4], small), Err(Unfit::Broken));
}
