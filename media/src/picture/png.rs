//! PNG: a row of chunks. Kept are those that say how pixels look; text, time, EXIF and unknown chunks go.
//! (PNG third edition, which holds APNG)

use super::{Cursor, Flaw, Stripped, area, exif::Orientation, limits, sniff};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

const KEPT: &[&[u8; 4]] = &[
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"hIST", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, Flaw> {
    let mut file = Cursor::new(bytes);
    let mut out = Vec::with_capacity(bytes.len() + 64);
    out.extend_from_slice(file.take(SIGNATURE.len())?);
    let mut found = Stripped::default();
    let mut animation_frames = 0;
    let mut exif_at = None;
    for part in 0.. {
        if part > limits::PARTS {
            return Err(Flaw::Costly);
        }
        let start = file.at;
        let length = u32::from_be_bytes(file.array()?);
        let kind: [u8; 4] = file.array()?;
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(Flaw::Malformed);
        }
        let body = file.take(length as usize)?;
        file.take(4)?; // the checksum; the decoder verifies those that matter
        if (part == 0) != (&kind == b"IHDR") {
            return Err(Flaw::Malformed);
        }
        match &kind {
            b"IHDR" => {
                (found.width, found.height) = size(body, 0)?;
                found.largest = area(found.width, found.height);
            }
            b"fcTL" => {
                animation_frames += 1;
                let (width, height) = size(body, 4)?;
                found.largest = found.largest.max(area(width, height));
            }
            b"eXIf" => found.orientation = Orientation::read(body),
            b"tEXt" => found.hides_markup |= sniff::is_markup(body),
            b"iTXt" if !body.starts_with(b"XML:com.adobe.xmp\0") => {
                found.hides_markup |= sniff::is_markup(body);
            }
            _ => {}
        }
        if KEPT.contains(&&kind) {
            out.extend_from_slice(file.since(start));
        }
        match &kind {
            b"IHDR" => exif_at = Some(out.len()),
            b"IEND" => break,
            _ => {}
        }
    }
    found.frames = animation_frames.max(1);
    found.hides_markup |= sniff::is_markup(file.rest());
    if let (Some(exif), Some(at)) = (found.orientation.minimal_exif(), exif_at) {
        out.splice(at..at, chunk(*b"eXIf", &exif));
    }
    found.rendition = out;
    Ok(found)
}

fn size(body: &[u8], at: usize) -> Result<(u32, u32), Flaw> {
    let mut numbers = Cursor { bytes: body, at };
    let mut next = || numbers.array().map(u32::from_be_bytes).map_err(|_| Flaw::Malformed);
    Ok((next()?, next()?))
}

fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(body.len() + 12);
    chunk.extend_from_slice(&u32::try_from(body.len()).expect("our own chunks are small").to_be_bytes());
    chunk.extend_from_slice(&kind);
    chunk.extend_from_slice(body);
    chunk.extend_from_slice(&crc(&chunk[4..]).to_be_bytes());
    chunk
}

/// CRC-32 as PNG wants it, bit by bit: it covers thirty bytes.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn computes_the_checksum_of_the_standard() {
        assert_eq!(super::crc(b"IEND"), 0xAE42_6082);
    }
}
