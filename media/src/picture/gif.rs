//! GIF: blocks, of which images and their control blocks are kept, and of the application blocks those that loop the
//! animation or hold its colour profile. Comments, XMP and captions go. (GIF89a)

use super::{Cursor, Flaw, Stripped, area, limits, sniff};

const TRAILER: u8 = 0x3B;
const IMAGE: u8 = 0x2C;
const EXTENSION: u8 = 0x21;
const CONTROL: u8 = 0xF9;
const COMMENT: u8 = 0xFE;
const APPLICATION: u8 = 0xFF;

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, Flaw> {
    let mut file = Cursor::new(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    file.take(6)?;
    let [w1, w2, h1, h2, flags, _, _] = file.array()?;
    let (width, height) = (u32::from(u16::from_le_bytes([w1, w2])), u32::from(u16::from_le_bytes([h1, h2])));
    let mut found = Stripped { width, height, largest: area(width, height), ..Stripped::default() };
    colour_table(&mut file, flags)?;
    out.extend_from_slice(file.since(0));
    for part in 0.. {
        if part > limits::PARTS {
            return Err(Flaw::Costly);
        }
        let start = file.at;
        match file.u8()? {
            TRAILER => {
                out.push(TRAILER);
                break;
            }
            IMAGE => {
                let [_, _, _, _, w1, w2, h1, h2, flags] = file.array()?;
                let frame =
                    area(u32::from(u16::from_le_bytes([w1, w2])), u32::from(u16::from_le_bytes([h1, h2])));
                found.largest = found.largest.max(frame);
                found.frames += 1;
                colour_table(&mut file, flags)?;
                file.u8()?; // code size of the compression
                sub_blocks(&mut file, |_| {})?;
                out.extend_from_slice(file.since(start));
            }
            EXTENSION => {
                let label = file.u8()?;
                let mut first = None;
                let mut markup = false;
                sub_blocks(&mut file, |block| {
                    markup |= label == COMMENT && sniff::is_markup(block);
                    first.get_or_insert(block);
                })?;
                found.hides_markup |= markup;
                let loops_or_colours = || {
                    first.is_some_and(|name| matches!(name, b"NETSCAPE2.0" | b"ANIMEXTS1.0" | b"ICCRGBG1012"))
                };
                if label == CONTROL || (label == APPLICATION && loops_or_colours()) {
                    out.extend_from_slice(file.since(start));
                }
            }
            _ => return Err(Flaw::Malformed),
        }
    }
    found.hides_markup |= sniff::is_markup(file.rest());
    found.rendition = out;
    Ok(found)
}

fn colour_table(file: &mut Cursor<'_>, flags: u8) -> Result<(), Flaw> {
    if flags & 0x80 != 0 {
        file.take(3 << ((flags & 7) + 1))?;
    }
    Ok(())
}

fn sub_blocks<'a>(file: &mut Cursor<'a>, mut each: impl FnMut(&'a [u8])) -> Result<(), Flaw> {
    loop {
        match file.u8()? {
            0 => return Ok(()),
            length => each(file.take(usize::from(length))?),
        }
    }
}
