//! JPEG: a row of segments, of which scans carry the pixels. Kept are the segments a decoder needs, the JFIF header
//! without its thumbnail, Adobe's colour note and the ICC profile. (ITU-T T.81 annex B; JFIF 1.02)

use super::{Cursor, Flaw, Stripped, area, exif::Orientation, limits, sniff};

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const COM: u8 = 0xFE;

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, Flaw> {
    let mut file = Cursor::new(bytes);
    let mut out = Vec::with_capacity(bytes.len() + 64);
    out.extend_from_slice(file.take(2)?);
    let mut found = Stripped { frames: 1, ..Stripped::default() };
    let mut orientation = None;
    let mut exif_at = out.len();
    let mut scans = 0;
    for part in 0.. {
        if part > limits::PARTS {
            return Err(Flaw::Costly);
        }
        let marker = next_marker(&mut file)?;
        if marker == EOI {
            out.extend_from_slice(&[0xFF, EOI]);
            break;
        }
        // Markers without a length: restarts and TEM, meaningless between segments; a second beginning is an error.
        match marker {
            0x01 | 0xD0..=0xD7 => continue,
            0xD8 => return Err(Flaw::Malformed),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(file.array()?));
        let body = file.take(length.checked_sub(2).ok_or(Flaw::Malformed)?)?;
        match marker {
            0xE0 => {
                if let Some(header) = body.strip_prefix(b"JFIF\0").and_then(|rest| rest.get(..7)) {
                    write(&mut out, 0xE0, &[b"JFIF\0", header, &[0, 0]]);
                    if scans == 0 && found.width == 0 {
                        exif_at = out.len();
                    }
                }
            }
            0xE1 if body.starts_with(b"Exif\0\0") => {
                orientation.get_or_insert_with(|| Orientation::read(body));
            }
            0xE2 if body.starts_with(b"ICC_PROFILE\0") => write(&mut out, marker, &[body]),
            0xEE if body.starts_with(b"Adobe") => write(&mut out, marker, &[body]),
            COM => found.hides_markup |= sniff::is_markup(body),
            // Start of frame, of whatever process (C4, C8 and CC are tables).
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                if found.largest > 0 {
                    return Err(Flaw::Malformed);
                }
                read_frame(marker, body, &mut found).map_err(|_| Flaw::Malformed)?;
                write(&mut out, marker, &[body]);
            }
            SOS => {
                scans += 1;
                if scans > limits::SCANS {
                    return Err(Flaw::Costly);
                }
                write(&mut out, marker, &[body]);
                out.extend_from_slice(entropy_coded(&mut file)?);
            }
            0xC4 | 0xC8 | 0xCC | 0xDB..=0xDF => write(&mut out, marker, &[body]),
            _ => {}
        }
    }
    found.hides_markup |= sniff::is_markup(file.rest());
    found.orientation = orientation.unwrap_or_default();
    if let Some(exif) = found.orientation.minimal_exif() {
        let mut segment = Vec::new();
        write(&mut segment, 0xE1, &[b"Exif\0\0", &exif]);
        out.splice(exif_at..exif_at, segment);
    }
    found.rendition = out;
    Ok(found)
}

/// Reads a frame header. A progressive or lossless process keeps two bytes for every sample until the last scan.
fn read_frame(marker: u8, body: &[u8], found: &mut Stripped) -> Result<(), Flaw> {
    let mut frame = Cursor::new(body);
    let [_, h1, h2, w1, w2, components] = frame.array()?;
    found.height = u32::from(u16::from_be_bytes([h1, h2]));
    found.width = u32::from(u16::from_be_bytes([w1, w2]));
    found.largest = area(found.width, found.height);
    let samplings = (0..components)
        .map(|_| {
            frame
                .array()
                .map(|[_, sampling, _]| (u64::from(sampling >> 4).max(1), u64::from(sampling & 15).max(1)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let most_h = samplings.iter().map(|s| s.0).max().unwrap_or(1);
    let most_v = samplings.iter().map(|s| s.1).max().unwrap_or(1);
    if marker != 0xC0 && marker != 0xC1 {
        found.aside = samplings.iter().map(|(h, v)| 2 * found.largest * h * v / (most_h * most_v)).sum();
    }
    Ok(())
}

/// Finds the next marker, over stray bytes and fill bytes.
fn next_marker(file: &mut Cursor<'_>) -> Result<u8, Flaw> {
    loop {
        let stray = file.rest().iter().position(|&b| b == 0xFF).ok_or(Flaw::CutOff)?;
        file.take(stray)?;
        let fill = file.rest().iter().position(|&b| b != 0xFF).ok_or(Flaw::CutOff)?;
        file.take(fill)?;
        match file.u8()? {
            0 => {}
            marker => return Ok(marker),
        }
    }
}

/// The coded pixels of a scan: everything up to the next marker that is neither a restart nor an escaped FF.
fn entropy_coded<'a>(file: &mut Cursor<'a>) -> Result<&'a [u8], Flaw> {
    let start = file.at;
    loop {
        let ordinary = file.rest().iter().position(|&b| b == 0xFF).ok_or(Flaw::CutOff)?;
        file.take(ordinary)?;
        match file.rest() {
            [_, 0x00 | 0xD0..=0xD7, ..] => {
                file.take(2)?;
            }
            [_, _, ..] => return Ok(file.since(start)),
            _ => return Err(Flaw::CutOff),
        }
    }
}

fn write(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&[0xFF, marker]);
    out.extend_from_slice(
        &u16::try_from(length).expect("no longer than the segment it came from").to_be_bytes(),
    );
    for part in parts {
        out.extend_from_slice(part);
    }
}
