//! What `inspect` makes of files: sizes, what is left of them, and what is refused.

use image::ImageFormat;
use postmesh_media::picture::{Format, Picture, Rejection, inspect};
use proptest::prelude::*;

use crate::{
    bombs,
    files::{self, PLANTED, PROFILE, contains},
};

fn decode(bytes: &[u8]) -> image::RgbaImage {
    image::load_from_memory(bytes).unwrap().to_rgba8()
}

fn accepted(file: &[u8]) -> Picture {
    let picture = inspect(file).unwrap();
    for planted in PLANTED {
        assert!(!contains(&picture.rendition, planted), "{:?} holds {planted:?}", picture.format);
    }
    picture
}

#[test]
fn plants_what_it_looks_for() {
    for file in [files::photo(4, 4, 1), files::png_with_secrets(4, 4, 1), files::webp_with_secrets(4, 4, 1)] {
        assert!(contains(&file, PLANTED[0]) && contains(&file, PLANTED[1]));
    }
    assert!(contains(&files::gif_with_secrets(4, 4), PLANTED[0]));
}

#[test]
fn strips_a_photo_and_keeps_pixels_profile_and_orientation() {
    for (orientation, size) in [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))] {
        let file = files::photo(40, 30, orientation);
        let picture = accepted(&file);
        assert_eq!(picture.format, Format::Jpeg);
        assert_eq!((picture.width, picture.height), size, "orientation {orientation}");
        assert!(contains(&picture.rendition, PROFILE));
        assert_eq!(decode(&picture.rendition), decode(&file), "the pixels are the same");
        assert_eq!(orientation_of(&picture.rendition), orientation);
    }
}

#[test]
fn strips_png_and_keeps_pixels_and_orientation() {
    for (orientation, size) in [(1, (40, 30)), (6, (30, 40))] {
        let file = files::png_with_secrets(40, 30, orientation);
        let picture = accepted(&file);
        assert_eq!((picture.format, picture.width, picture.height), (Format::Png, size.0, size.1));
        assert_eq!(decode(&picture.rendition), decode(&file));
        assert_eq!(orientation_of(&picture.rendition), orientation);
    }
}

#[test]
fn strips_webp_and_keeps_pixels_profile_and_orientation() {
    for (orientation, size) in [(1, (41, 30)), (6, (30, 41))] {
        let file = files::webp_with_secrets(41, 30, orientation);
        let picture = accepted(&file);
        assert_eq!((picture.format, picture.width, picture.height), (Format::Webp, size.0, size.1));
        assert!(contains(&picture.rendition, PROFILE));
        assert_eq!(decode(&picture.rendition), decode(&file));
        assert_eq!(orientation_of(&picture.rendition), orientation);
    }
}

#[test]
fn strips_animations_and_keeps_every_frame() {
    use image::{AnimationDecoder, codecs};
    let gif = accepted(&files::gif_with_secrets(20, 10));
    assert_eq!((gif.format, gif.width, gif.height), (Format::Gif, 20, 10));
    let frames = codecs::gif::GifDecoder::new(std::io::Cursor::new(&gif.rendition)).unwrap().into_frames();
    assert_eq!(frames.collect_frames().unwrap().len(), 3);
    assert!(contains(&gif.rendition, b"NETSCAPE2.0"), "it still loops");

    let webp = accepted(&files::animated_webp(20, 10));
    let frames = codecs::webp::WebPDecoder::new(std::io::Cursor::new(&webp.rendition)).unwrap().into_frames();
    assert_eq!(frames.collect_frames().unwrap().len(), 2);

    let png = accepted(&files::animated_png(20, 10));
    assert!(contains(&png.rendition, b"acTL") && contains(&png.rendition, b"fcTL"));
}

#[test]
fn leaves_plain_files_as_they_are() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let file = files::plain(format, 17, 9);
        assert_eq!(accepted(&file).rendition, file, "{format:?}");
    }
    let gif = files::animated_gif(17, 9, 2);
    assert_eq!(accepted(&gif).rendition, gif);
}

#[test]
fn stripping_a_stripped_file_changes_nothing() {
    for file in
        [files::photo(40, 30, 6), files::png_with_secrets(40, 30, 6), files::webp_with_secrets(40, 30, 6)]
    {
        let once = accepted(&file);
        assert_eq!(accepted(&once.rendition), once);
    }
}

#[test]
fn refuses_bombs_and_other_files_and_says_why() {
    for (name, file, reason, words) in bombs::all() {
        let Rejection { reason: given, sentence } = inspect(&file).expect_err(name);
        assert!(reason.is_empty() || given == reason, "{name}: {given}, {sentence}");
        assert!(sentence.contains(words), "{name}: {sentence}");
    }
}

fn orientation_of(file: &[u8]) -> u8 {
    use image::ImageDecoder;
    let reader = image::ImageReader::new(std::io::Cursor::new(file)).with_guessed_format().unwrap();
    reader.into_decoder().unwrap().orientation().unwrap().to_exif()
}

fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"\xFF\xD8\xFF\xE1".to_vec()),
        Just(b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".to_vec()),
        Just(b"GIF89a".to_vec()),
        Just(b"RIFF\x40\0\0\0WEBPVP8X".to_vec()),
        Just(b"RIFF\x40\0\0\0WEBPVP8 ".to_vec()),
    ]
}

fn real_files() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(files::photo(16, 12, 6)),
        Just(files::png_with_secrets(16, 12, 6)),
        Just(files::animated_png(16, 12)),
        Just(files::gif_with_secrets(16, 12)),
        Just(files::webp_with_secrets(16, 12, 6)),
        Just(files::animated_webp(16, 12)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(begin in beginnings(), rest in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = inspect(&[begin, rest].concat());
    }

    #[test]
    fn damaged_files_never_panic_nor_leak(
        mut file in real_files(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(picture) = inspect(&file) {
            prop_assert!(inspect(&picture.rendition).is_ok(), "what is kept is a picture by itself");
        }
    }
}
