//! How the frames of a track are coded, from the descriptions in its `stsd`.

use super::{
    boxes::{Atom, Kind, u16_at},
    flaw::Flaw,
};

/// What a track's frames are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    /// Networks take it.
    Accepted,
    /// Anything else, by the name people know it under.
    Other(String),
}

/// Bytes of a picture's description before the boxes in it.
const PICTURE: usize = 78;
/// Bytes of a sound's description before the boxes in it.
const SOUND: usize = 28;
/// What QuickTime puts between, by the version of the description.
const QUICKTIME: [usize; 3] = [0, 16, 36];

/// The picture's codec; every description must be of an accepted one.
pub(super) fn picture(stsd: &Atom<'_>) -> Result<Codec, Flaw> {
    every(stsd, |entry| {
        let described_by = match &entry.kind {
            b"avc1" | b"avc3" => b"avcC",
            b"hvc1" | b"hev1" => b"hvcC",
            other => return Ok(Codec::Other(name(*other))),
        };
        // Some tools write only the first few bytes of these; decoders look them up, and so do the networks.
        let mut parts = entry.children_after(PICTURE)?.into_iter();
        let found = parts.any(|part| part.kind == *described_by && part.body.len() >= 7);
        if found { Ok(Codec::Accepted) } else { Err(Flaw::Malformed) }
    })
}

/// The sound's codec; every description must be of an accepted one.
pub(super) fn sound(stsd: &Atom<'_>) -> Result<Codec, Flaw> {
    every(stsd, |entry| {
        if entry.kind != *b"mp4a" {
            return Ok(Codec::Other(name(entry.kind)));
        }
        Ok(match object_type(entry)? {
            // AAC of MPEG-4, and the three profiles of MPEG-2.
            Some(0x40 | 0x66..=0x68) => Codec::Accepted,
            Some(0x69 | 0x6B) => Codec::Other("MP3".into()),
            Some(other) => Codec::Other(format!("an unknown kind of MPEG sound ({other:#04x})")),
            None => Codec::Other("MPEG sound without a description".into()),
        })
    })
}

/// Pixels as they are stored.
pub(super) fn size(stsd: &Atom<'_>) -> Result<(u32, u32), Flaw> {
    let entries = stsd.children_after(8)?;
    let first = entries.first().ok_or(Flaw::Malformed)?;
    Ok((u16_at(first.body, 24)?.into(), u16_at(first.body, 26)?.into()))
}

fn every(stsd: &Atom<'_>, codec: impl Fn(&Atom<'_>) -> Result<Codec, Flaw>) -> Result<Codec, Flaw> {
    let entries = stsd.children_after(8)?;
    if entries.is_empty() {
        return Err(Flaw::Malformed);
    }
    for entry in &entries {
        match codec(entry)? {
            Codec::Accepted => {}
            other @ Codec::Other(_) => return Ok(other),
        }
    }
    Ok(Codec::Accepted)
}

/// What kind of MPEG sound it is, from the description in the entry or in QuickTime's box inside it.
fn object_type(entry: &Atom<'_>) -> Result<Option<u8>, Flaw> {
    let version = usize::from(u16_at(entry.body, 8)?);
    let quicktime = QUICKTIME.get(version).copied().unwrap_or_default();
    // MP4 files may say version 1 too, and mean nothing by it.
    for before in [SOUND + quicktime, SOUND] {
        let Ok(parts) = entry.children_after(before) else { continue };
        for part in parts {
            let found = match &part.kind {
                b"esds" => described(part.body),
                b"wave" => part
                    .children()?
                    .iter()
                    .find(|inner| inner.kind == *b"esds")
                    .and_then(|inner| described(inner.body)),
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The object type in a chain of descriptors: an elementary stream (3) and in it the decoder's configuration (4).
fn described(body: &[u8]) -> Option<u8> {
    let (tag, stream) = descriptor(body.get(4..)?)?;
    if tag != 3 {
        return None;
    }
    let flags = *stream.get(2)?;
    let mut own = 3;
    if flags & 0x80 != 0 {
        own += 2;
    }
    if flags & 0x40 != 0 {
        own += 1 + usize::from(*stream.get(own)?);
    }
    if flags & 0x20 != 0 {
        own += 2;
    }
    let (tag, decoder) = descriptor(stream.get(own..)?)?;
    decoder.first().copied().filter(|_| tag == 4)
}

/// A descriptor's tag and what follows its length, which takes one to four bytes.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    Some((*tag, rest.get(length + 1..)?))
}

/// The name of a codec that is not accepted.
fn name(kind: Kind) -> String {
    let known = match &kind {
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "ProRes",
        b"mp4v" => "MPEG-4 Visual",
        b"s263" | b"h263" => "H.263",
        b"jpeg" | b"mjpa" | b"mjpb" => "Motion JPEG",
        b"lpcm" | b"sowt" | b"twos" | b"raw " | b"in24" | b"in32" | b"fl32" | b"fl64" | b"ipcm" => "PCM",
        b"ac-3" => "Dolby Digital (AC-3)",
        b"ec-3" => "Dolby Digital Plus (E-AC-3)",
        b"alac" => "Apple Lossless (ALAC)",
        b"Opus" => "Opus",
        b"fLaC" => "FLAC",
        b".mp3" => "MP3",
        b"samr" | b"sawb" => "AMR",
        b"encv" | b"enca" => "an encrypted stream",
        _ => "",
    };
    if !known.is_empty() {
        return known.into();
    }
    let letters: String =
        kind.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect();
    format!("{letters:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: Kind, body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], &kind, body].concat()
    }

    fn esds(object_type: u8) -> Vec<u8> {
        // The decoder's descriptor has a length of four bytes, as most tools write it.
        part(*b"esds", &[0, 0, 0, 0, 3, 9, 0, 1, 0, 4, 0x80, 0x80, 0x80, 2, object_type, 0x15])
    }

    fn sounds(version: u16, between: usize, parts: &[u8]) -> Result<Codec, Flaw> {
        let mut body = vec![0; SOUND + between];
        body[8..10].copy_from_slice(&version.to_be_bytes());
        body.extend(parts);
        let list = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &part(*b"mp4a", &body)].concat();
        sound(&Atom { kind: *b"stsd", at: 0, head: 8, body: &list })
    }

    #[test]
    fn finds_the_sound_wherever_it_is_described() {
        assert_eq!(sounds(0, 0, &esds(0x40)), Ok(Codec::Accepted));
        assert_eq!(sounds(1, 16, &esds(0x67)), Ok(Codec::Accepted));
        assert_eq!(sounds(1, 0, &esds(0x40)), Ok(Codec::Accepted), "version 1 in an MP4 file");
        let wave = part(*b"wave", &[part(*b"frma", b"mp4a"), esds(0x40), part(*b"\0\0\0\0", b"")].concat());
        assert_eq!(sounds(1, 16, &wave), Ok(Codec::Accepted));
        assert_eq!(sounds(2, 36, &esds(0x40)), Ok(Codec::Accepted));
        assert_eq!(sounds(0, 0, &esds(0x6B)), Ok(Codec::Other("MP3".into())));
        assert!(matches!(sounds(0, 0, &[]), Ok(Codec::Other(_))));
        assert!(matches!(sounds(0, 0, &part(*b"esds", &[0, 0, 0, 0, 3])), Ok(Codec::Other(_))));
    }

    #[test]
    fn names_what_is_refused() {
        assert_eq!(name(*b"vp09"), "VP9");
        assert_eq!(name(*b"ab\0\xFF"), "\"ab??\"");
    }
}
