//! Small files that ask for a lot of memory or time, and files that are not what they are called.

use image::ImageFormat;

use crate::files::{animated_gif, chunk, plain};

/// A PNG that says it has this size and depth, and holds almost nothing.
pub(crate) fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    // An empty deflate stream in a zlib wrapping.
    let nothing = [0x78, 0x9C, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    [b"\x89PNG\r\n\x1A\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &nothing), chunk(b"IEND", b"")]
        .concat()
}

/// A JPEG whose frame header says another size.
pub(crate) fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut file = plain(ImageFormat::Jpeg, 8, 8);
    let at = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    file[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    file[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    file
}

/// A JPEG of many components that says it is progressive, so a decoder keeps all its samples until the end.
pub(crate) fn progressive(width: u16, height: u16) -> Vec<u8> {
    let mut file = jpeg_header(width, height);
    let at = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    file[at + 1] = 0xC2;
    for component in 0..3 {
        file[at + 11 + 3 * component] = 0x11;
    }
    file
}

/// A JPEG whose one scan is repeated.
pub(crate) fn many_scans(scans: usize) -> Vec<u8> {
    let file = plain(ImageFormat::Jpeg, 8, 8);
    let at = file.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let scan = &file[at..file.len() - 2];
    [&file[..at], &scan.repeat(scans), &[0xFF, 0xD9]].concat()
}

/// A GIF whose frames are far larger than its canvas.
pub(crate) fn huge_frames(side: u16, frames: usize) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    let frame = [0x2C, 0, 0, 0, 0, low, high, low, high, 0, 2, 2, 0x4C, 1, 0];
    [b"GIF89a\x0A\0\x0A\0\x80\0\0\0\0\0\xFF\xFF\xFF".as_slice(), &frame.repeat(frames), b"\x3B"].concat()
}

/// A WebP whose pixels say they are 16384 by 16384, inside a canvas of 10 by 10.
pub(crate) fn huge_webp() -> Vec<u8> {
    let body = [0x2F, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0];
    let mut chunks = b"VP8X\x0A\0\0\0\0\0\0\0\x09\0\0\x09\0\0".to_vec();
    chunks.extend(b"VP8L\x08\0\0\0");
    chunks.extend(body);
    [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &chunks].concat()
}

/// Every file that must be refused, with the reason and words of the sentence that tells the user.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let jpeg = plain(ImageFormat::Jpeg, 40, 30);
    let png = plain(ImageFormat::Png, 40, 30);
    let gif = animated_gif(8, 8, 2);
    let webp = plain(ImageFormat::WebP, 40, 30);
    let behind = |file: &[u8], tail: &[u8]| [file, tail].concat();
    let mut hidden_comment = jpeg[..2].to_vec();
    hidden_comment.extend(b"\xFF\xFE\x00\x1B<SCRIPT>alert(1)</SCRIPT>");
    hidden_comment.extend(&jpeg[2..]);
    let mut hidden_text = png.clone();
    hidden_text.splice(33..33, chunk(b"tEXt", b"Comment\0<script>alert(1)</script>"));
    vec![
        ("text", b"just a few words, renamed to photo.jpg\n".to_vec(), "NOT_A_PICTURE", "holds text"),
        ("svg", b"<?xml version='1.0'?><svg onload='alert(1)'/>".to_vec(), "NOT_A_PICTURE", "an SVG drawing"),
        ("html", b"<!DOCTYPE html><script>alert(1)</script>".to_vec(), "NOT_A_PICTURE", "an HTML page"),
        ("pdf", b"%PDF-1.7\n".to_vec(), "NOT_A_PICTURE", "a PDF document"),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(), "NOT_A_PICTURE", "a HEIC picture"),
        ("raw", b"\0\0\0\x18ftypcrx \0\0\0\0".to_vec(), "NOT_A_PICTURE", "a camera's raw picture"),
        ("svgz", b"\x1F\x8B\x08\0\0\0\0\0\0\0".to_vec(), "NOT_A_PICTURE", "gzip"),
        ("noise", vec![0xC3, 0x28, 0, 1, 2, 3], "NOT_A_PICTURE", "unknown kind"),
        ("html behind a jpeg", behind(&jpeg, b"<html><script>1</script>"), "HIDDEN_CONTENT", "hidden"),
        ("html behind a png", behind(&png, b"<html>"), "HIDDEN_CONTENT", "hidden"),
        ("html behind a gif", behind(&gif, b"<script>"), "HIDDEN_CONTENT", "hidden"),
        ("html behind a webp", behind(&webp, b"<script>"), "HIDDEN_CONTENT", "hidden"),
        ("html in a jpeg comment", hidden_comment, "HIDDEN_CONTENT", "hidden"),
        ("html in a png text", hidden_text, "HIDDEN_CONTENT", "hidden"),
        ("gif polyglot", b"GIF89a=1;/*<html>*/alert(1)//".to_vec(), "", "GIF"),
        ("cut jpeg", jpeg[..jpeg.len() * 2 / 3].to_vec(), "CUT_OFF", "cut off"),
        ("cut png", png[..png.len() * 2 / 3].to_vec(), "CUT_OFF", "cut off"),
        ("cut gif", gif[..gif.len() * 2 / 3].to_vec(), "CUT_OFF", "cut off"),
        ("cut webp", webp[..webp.len() * 2 / 3].to_vec(), "CUT_OFF", "cut off"),
        ("png without its last pixels", short_png(), "BROKEN_PICTURE", "damaged"),
        ("60000 pixels", png_header(60_000, 60_000, 8, 2), "TOO_LARGE", "60000 × 60000"),
        ("one long side", png_header(20_001, 1, 8, 0), "TOO_LARGE", "20000 pixels"),
        ("50.4 megapixels", png_header(7100, 7100, 8, 0), "TOO_LARGE", "50 megapixels"),
        ("too deep", png_header(7000, 7000, 16, 6), "TOO_LARGE", "256 MiB"),
        ("jpeg of 65500 pixels", jpeg_header(65_500, 65_500), "TOO_LARGE", "65500 × 65500"),
        ("progressive jpeg of 49 megapixels", progressive(7000, 7000), "TOO_LARGE", "256 MiB"),
        ("jpeg without pixels", jpeg_header(0, 8), "BROKEN_PICTURE", "without any pixels"),
        ("jpeg of 101 scans", many_scans(101), "TOO_COMPLEX", "too many parts"),
        ("gif frame larger than its canvas", huge_frames(65_535, 1), "TOO_LARGE", "megapixels"),
        ("gif of many large frames", huge_frames(7000, 400), "TOO_LARGE", "400 frames"),
        ("gif of 501 frames", animated_gif(1, 1, 501), "TOO_LARGE", "501 frames"),
        ("webp larger than its canvas", huge_webp(), "TOO_LARGE", "megapixels"),
    ]
}

/// A whole file in the right order, whose pixels end early.
fn short_png() -> Vec<u8> {
    png_header(40, 30, 8, 2)
}
