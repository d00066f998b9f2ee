//! One track: what it holds, how long and how large it is, and which of its boxes playing needs.

use std::ops::Range;

use super::{
    boxes::{Atom, Kind, only, u32_at, u64_at},
    codec::{self, Codec},
    flaw::Flaw,
};

/// A box that does not go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Where it begins.
    pub(super) at: u64,
    /// Where its body is.
    pub(super) body: Range<u64>,
}

impl Dropped {
    pub(super) fn of(atom: &Atom<'_>) -> Self {
        Self { at: atom.at, body: atom.at + atom.head..atom.end() }
    }
}

/// What a track is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Picture,
    Sound,
}

/// A track of pictures or sound.
pub(super) struct Track<'a> {
    pub(super) atom: Atom<'a>,
    pub(super) role: Role,
    pub(super) codec: Codec,
    /// Players show it.
    pub(super) enabled: bool,
    /// Pixels, as people see it; nothing for sound.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) duration_ms: u64,
    /// The boxes of its `stbl`.
    pub(super) tables: Vec<Atom<'a>>,
    /// The boxes in it that playing does not need.
    pub(super) dropped: Vec<Dropped>,
}

const TRACK: &[&Kind] = &[b"tkhd", b"edts", b"mdia", b"tapt"];
const MEDIA: &[&Kind] = &[b"mdhd", b"hdlr", b"minf", b"elng"];
const INSIDE: &[&Kind] = &[b"vmhd", b"smhd", b"hdlr", b"dinf", b"stbl"];
const TABLES: &[&Kind] = &[
    b"stsd", b"stts", b"ctts", b"cslg", b"stss", b"stps", b"stsh", b"sdtp", b"stsc", b"stsz", b"stco",
    b"co64", b"sgpd", b"sbgp", b"subs",
];

impl<'a> Track<'a> {
    /// Reads a track; `None` when it holds neither pictures nor sound. `scale` is how many units of the movie's time
    /// make a second.
    pub(super) fn read(atom: &Atom<'a>, scale: u64) -> Result<Option<Self>, Flaw> {
        let parts = atom.children()?;
        let media = only(&parts, *b"mdia")?.ok_or(Flaw::Malformed)?.children()?;
        let handler = only(&media, *b"hdlr")?.ok_or(Flaw::Malformed)?;
        let role = match handler.body.get(8..12) {
            Some(b"vide") => Role::Picture,
            Some(b"soun") => Role::Sound,
            _ => return Ok(None),
        };
        let inside = only(&media, *b"minf")?.ok_or(Flaw::Malformed)?.children()?;
        let tables = only(&inside, *b"stbl")?.ok_or(Flaw::Malformed)?.children()?;
        self_contained(&inside)?;
        let descriptions = only(&tables, *b"stsd")?.ok_or(Flaw::Malformed)?;
        let header = only(&parts, *b"tkhd")?.ok_or(Flaw::Malformed)?;
        let header = Header::read(header.body)?;
        let (codec, (width, height)) = match role {
            Role::Picture => {
                let stored = codec::size(&descriptions)?;
                (codec::picture(&descriptions)?, header.size(stored))
            }
            Role::Sound => (codec::sound(&descriptions)?, (0, 0)),
        };
        let own = Time::read(only(&media, *b"mdhd")?.ok_or(Flaw::Malformed)?.body)?;
        let shown = Time { scale, duration: header.duration };
        let duration_ms = shown.ms().or_else(|| own.ms()).unwrap_or_default();
        let lists = [(&parts, TRACK), (&media, MEDIA), (&inside, INSIDE), (&tables, TABLES)];
        let dropped = lists
            .iter()
            .flat_map(|(boxes, kept)| boxes.iter().filter(|atom| !kept.contains(&&atom.kind)))
            .map(Dropped::of)
            .collect();
        let enabled = header.enabled;
        Ok(Some(Self { atom: *atom, role, codec, enabled, width, height, duration_ms, tables, dropped }))
    }
}

/// Every file that a track names must be this one.
fn self_contained(inside: &[Atom<'_>]) -> Result<(), Flaw> {
    let Some(places) = only(inside, *b"dinf")? else { return Ok(()) };
    let Some(list) = only(&places.children()?, *b"dref")? else { return Ok(()) };
    for place in list.children_after(8)? {
        if u32_at(place.body, 0)? & 1 == 0 {
            return Err(Flaw::Elsewhere);
        }
    }
    Ok(())
}

/// A span of time in units of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// Units of a second.
    pub(super) scale: u64,
    /// Units; nothing when it is not known.
    duration: Option<u64>,
}

impl Time {
    /// From the body of `mvhd` or `mdhd`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Flaw> {
        let (scale, duration) = match body.first() {
            Some(0) => (u32_at(body, 12)?, known_u32(u32_at(body, 16)?)),
            Some(1) => (u32_at(body, 20)?, known_u64(u64_at(body, 24)?)),
            _ => return Err(Flaw::Malformed),
        };
        if scale == 0 { Err(Flaw::Malformed) } else { Ok(Self { scale: scale.into(), duration }) }
    }

    /// Rounded, and at least one when it is not nothing.
    fn ms(self) -> Option<u64> {
        let units = u128::from(self.duration?);
        let scale = u128::from(self.scale);
        u64::try_from((units * 1000 + scale / 2) / scale).ok().map(|ms| ms.max(1))
    }
}

/// All ones, and zero, say that it is not known.
fn known_u32(units: u32) -> Option<u64> {
    (units != 0 && units != u32::MAX).then(|| units.into())
}

fn known_u64(units: u64) -> Option<u64> {
    (units != 0 && units != u64::MAX).then_some(units)
}

/// What a `tkhd` says.
struct Header {
    enabled: bool,
    duration: Option<u64>,
    /// The two numbers that are not zero when the picture lies on its side, and the two that are then.
    turn: [u32; 4],
    /// Pixels; 0 when it does not say.
    width: u32,
    height: u32,
}

impl Header {
    fn read(body: &[u8]) -> Result<Self, Flaw> {
        let (duration, matrix) = match body.first() {
            Some(0) => (known_u32(u32_at(body, 20)?), 40),
            Some(1) => (known_u64(u64_at(body, 28)?), 52),
            _ => return Err(Flaw::Malformed),
        };
        let number = |n: usize| u32_at(body, matrix + 4 * n);
        // Whole pixels and 65536ths of one.
        let pixels = |n| Ok::<_, Flaw>((u64::from(number(n)?) + 0x8000) >> 16);
        Ok(Self {
            enabled: u32_at(body, 0)? & 1 == 1,
            duration,
            turn: [number(1)?, number(3)?, number(0)?, number(4)?],
            width: pixels(9)? as u32,
            height: pixels(10)? as u32,
        })
    }

    /// Pixels, as people see it.
    fn size(&self, stored: (u32, u32)) -> (u32, u32) {
        let (width, height) =
            if self.width == 0 || self.height == 0 { stored } else { (self.width, self.height) };
        let [across, down, along, up] = self.turn;
        let lies = across != 0 && down != 0 && along == 0 && up == 0;
        if lies { (height, width) } else { (width, height) }
    }
}
