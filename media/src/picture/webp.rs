//! WebP: a RIFF file of chunks. Kept are pixels, transparency, frames and the colour profile; EXIF, XMP and unknown
//! chunks go, inside frames too, and the flags that announce them. (RFC 9649)

use super::{Cursor, Flaw, Stripped, area, exif::Orientation, limits, sniff};

const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, Flaw> {
    let mut header = Cursor::new(bytes);
    header.take(4)?;
    let length = u32::from_le_bytes(header.array()?) as usize;
    let content = header.take(length)?.strip_prefix(b"WEBP").ok_or(Flaw::Malformed)?;
    let mut found = Stripped { hides_markup: sniff::is_markup(header.rest()), ..Stripped::default() };
    let mut out = Vec::with_capacity(bytes.len() + 64);
    out.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    let mut flags_at = None;
    let mut parts = 0;
    let mut file = Cursor::new(content);
    while !file.is_at_end() {
        count(&mut parts)?;
        let (kind, body) = next_chunk(&mut file)?;
        match &kind {
            b"VP8X" if flags_at.is_none() && found.width == 0 => {
                let [flags, _, _, _, w1, w2, w3, h1, h2, h3] = *body.first_chunk().ok_or(Flaw::Malformed)?;
                found.width = u32::from_le_bytes([w1, w2, w3, 0]) + 1;
                found.height = u32::from_le_bytes([h1, h2, h3, 0]) + 1;
                found.largest = area(found.width, found.height);
                flags_at = Some(out.len() + 8);
                write(&mut out, kind, body);
                let at = flags_at.expect("set one line above");
                out[at] = flags & !(HAS_EXIF | HAS_XMP);
            }
            b"VP8 " | b"VP8L" => {
                found.frames += 1;
                let (width, height) = bitstream_size(kind, body)?;
                if flags_at.is_none() {
                    (found.width, found.height) = (width, height);
                }
                found.largest = found.largest.max(area(width, height));
                write(&mut out, kind, body);
            }
            b"ANMF" => {
                found.frames += 1;
                let frame = strip_frame(body, &mut found.largest, &mut parts)?;
                write(&mut out, kind, &frame);
            }
            b"ICCP" | b"ANIM" | b"ALPH" => write(&mut out, kind, body),
            b"EXIF" if flags_at.is_some() => found.orientation = Orientation::read(body),
            _ => {}
        }
    }
    if let (Some(exif), Some(at)) = (found.orientation.minimal_exif(), flags_at) {
        write(&mut out, *b"EXIF", &exif);
        out[at] |= HAS_EXIF;
    }
    let length = u32::try_from(out.len() - 8).map_err(|_| Flaw::Malformed)?;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    found.rendition = out;
    Ok(found)
}

/// A frame of an animation: sixteen bytes of place and time, then chunks.
fn strip_frame(body: &[u8], largest: &mut u64, parts: &mut u32) -> Result<Vec<u8>, Flaw> {
    let mut frame = Cursor::new(body);
    let mut out = frame.take(16).map_err(|_| Flaw::Malformed)?.to_vec();
    while !frame.is_at_end() {
        count(parts)?;
        let (kind, body) = next_chunk(&mut frame)?;
        match &kind {
            b"VP8 " | b"VP8L" => {
                let (width, height) = bitstream_size(kind, body)?;
                *largest = (*largest).max(area(width, height));
                write(&mut out, kind, body);
            }
            b"ALPH" => write(&mut out, kind, body),
            _ => {}
        }
    }
    Ok(out)
}

fn count(parts: &mut u32) -> Result<(), Flaw> {
    *parts += 1;
    if *parts > limits::PARTS { Err(Flaw::Costly) } else { Ok(()) }
}

fn next_chunk<'a>(file: &mut Cursor<'a>) -> Result<([u8; 4], &'a [u8]), Flaw> {
    let kind = file.array()?;
    let length = u32::from_le_bytes(file.array()?) as usize;
    let body = file.take(length)?;
    if length % 2 == 1 && !file.is_at_end() {
        file.take(1)?;
    }
    Ok((kind, body))
}

/// The size a frame's own header states.
fn bitstream_size(kind: [u8; 4], body: &[u8]) -> Result<(u32, u32), Flaw> {
    if &kind == b"VP8L" {
        let [0x2F, a, b, c, d] = *body.first_chunk().ok_or(Flaw::Malformed)? else {
            return Err(Flaw::Malformed);
        };
        let bits = u32::from_le_bytes([a, b, c, d]);
        return Ok(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1));
    }
    let [_, _, _, 0x9D, 0x01, 0x2A, w1, w2, h1, h2] = *body.first_chunk().ok_or(Flaw::Malformed)? else {
        return Err(Flaw::Malformed);
    };
    Ok((u32::from(u16::from_le_bytes([w1, w2]) & 0x3FFF), u32::from(u16::from_le_bytes([h1, h2]) & 0x3FFF)))
}

fn write(out: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    out.extend_from_slice(&kind);
    out.extend_from_slice(
        &u32::try_from(body.len()).expect("no longer than the file it came from").to_le_bytes(),
    );
    out.extend_from_slice(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
}
