//! Tells kinds of files apart by their first bytes, and says in words what a refused one is.

use super::Format;

/// The picture format the bytes begin like.
pub(super) fn format(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Some(Format::Jpeg)
    } else if bytes.starts_with(super::png::SIGNATURE) {
        Some(Format::Png)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some(Format::Gif)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Format::Webp)
    } else {
        None
    }
}

/// What a file that is no accepted picture looks like, as "a thing" or "things".
pub(super) fn describe(bytes: &[u8]) -> &'static str {
    const BEGINNINGS: &[(&[u8], &str)] = &[
        (b"%PDF-", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive or an office document"),
        (b"\x1F\x8B", "gzip-compressed data"),
        (b"BM", "a BMP picture"),
        (b"II*\0", "a TIFF picture"),
        (b"MM\0*", "a TIFF picture"),
        (b"\0\0\x01\0", "an icon file"),
        (b"8BPS", "a Photoshop document"),
        (b"\xFF\x0A", "a JPEG XL picture"),
        (b"\0\0\0\x0CJXL ", "a JPEG XL picture"),
        (b"\x1A\x45\xDF\xA3", "a WebM or Matroska video"),
        (b"OggS", "an Ogg file"),
        (b"ID3", "an MP3 file"),
        (b"MZ", "a Windows program"),
        (b"\x7FELF", "a program"),
    ];
    if let Some(brand) = bytes.get(8..12).filter(|_| bytes.get(4..8) == Some(b"ftyp")) {
        return match brand {
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => "a HEIC picture",
            b"avif" | b"avis" => "an AVIF picture",
            b"crx " => "a camera's raw picture",
            _ => "a picture of an unknown kind",
        };
    }
    let head = &bytes[..bytes.len().min(4096)];
    if tags(head).any(|tag| tag.eq_ignore_ascii_case(b"<svg")) {
        return "an SVG drawing";
    }
    if is_markup(head) {
        return "an HTML page";
    }
    // Some beginnings are ordinary letters; only a PDF is readable and not text.
    if is_text(head) && !head.starts_with(b"%PDF-") {
        return "text";
    }
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    known.map_or("data of an unknown kind", |(_, kind)| kind)
}

/// True when a browser or server that guesses might run these bytes. Whole tags are looked for, because in the
/// megabytes of a film behind a photo four given letters come by chance.
pub(super) fn is_markup(bytes: &[u8]) -> bool {
    const RUN: &[&[u8]] =
        &[b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?php"];
    tags(bytes).any(|tag| RUN.iter().any(|run| tag.eq_ignore_ascii_case(run)))
}

/// Everything from a `<` to the end of the word after it.
fn tags(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const LONGEST: usize = 10;
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'<').map(|(at, _)| at);
    begins.filter_map(move |at| {
        let rest = &bytes[at..bytes.len().min(at + LONGEST)];
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'>' | b'/'))?;
        Some(&rest[..end])
    })
}

fn is_text(head: &[u8]) -> bool {
    // A character may be cut in half at the end of the head.
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_tags_only() {
        for markup in ["<script>", "x <SVG onload=x>", "<!DOCTYPE html>", "<?php echo", "<<html>"] {
            assert!(is_markup(markup.as_bytes()), "{markup}");
        }
        for harmless in ["", "<", "<svg", "<svgx>", "<scripture>", "a < b", "<x:xmpmeta>", "html script"] {
            assert!(!is_markup(harmless.as_bytes()), "{harmless}");
        }
    }
}
