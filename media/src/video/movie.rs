//! The movie header: which tracks go out, and what of the file they do not need.

use std::ops::Range;

use super::{
    Fill, Patch,
    boxes::{self, only},
    codec::Codec,
    flaw::Flaw,
    layout::Found,
    samples,
    track::{Dropped, Role, Time, Track},
};

/// Pixels of one side.
const SIDE: u32 = 20_000;
/// Longest video, milliseconds. No network takes longer ones.
const LONGEST: u64 = 24 * 60 * 60 * 1000;

/// What the header says.
#[derive(Debug)]
pub(super) struct Movie {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) duration_ms: i64,
    /// Where the frames are, in order.
    pieces: Vec<Range<u64>>,
    /// Boxes of the header that do not go out.
    dropped: Vec<Dropped>,
}

impl Movie {
    /// Reads the body of a `moov` at a place of the file.
    pub(super) fn read(bytes: &[u8], place: u64) -> Result<Self, Flaw> {
        let atoms = boxes::atoms(bytes, place)?;
        if atoms.iter().any(|atom| atom.kind == *b"mvex") {
            return Err(Flaw::Fragmented);
        }
        let scale = Time::read(only(&atoms, *b"mvhd")?.ok_or(Flaw::Malformed)?.body)?.scale;
        let mut dropped = Vec::new();
        let mut tracks = Vec::new();
        for atom in &atoms {
            match &atom.kind {
                b"mvhd" => {}
                b"trak" => match Track::read(atom, scale)? {
                    Some(track) => tracks.push(track),
                    None => dropped.push(Dropped::of(atom)),
                },
                _ => dropped.push(Dropped::of(atom)),
            }
        }
        let (kept, refused): (Vec<_>, Vec<_>) =
            tracks.into_iter().partition(|track| track.codec == Codec::Accepted);
        accept(&kept, &refused)?;
        dropped.extend(refused.iter().map(|track| Dropped::of(&track.atom)));

        let mut pieces = Vec::new();
        for track in &kept {
            dropped.extend_from_slice(&track.dropped);
            samples::pieces(&track.tables, &mut pieces)?;
        }
        let pictures = || kept.iter().filter(|track| track.role == Role::Picture);
        let largest =
            pictures().max_by_key(|track| (track.enabled, u64::from(track.width) * u64::from(track.height)));
        let (width, height) = largest.map_or((0, 0), |track| (track.width, track.height));
        let duration = kept.iter().map(|track| track.duration_ms).max().unwrap_or_default();
        if pieces.is_empty() || duration == 0 {
            return Err(Flaw::Empty);
        }
        if width == 0 || height == 0 || width > SIDE || height > SIDE || duration > LONGEST {
            return Err(Flaw::Malformed);
        }
        let pieces = samples::joined(pieces);
        Ok(Self { width, height, duration_ms: duration as i64, pieces, dropped })
    }

    /// What is blanked in the file: everything that is neither a frame nor needed to find one.
    pub(super) fn patches(&self, found: &Found) -> Result<Vec<Patch>, Flaw> {
        let end = found.media.last().map_or(0, |media| media.end);
        for piece in &self.pieces {
            if !found.media.iter().any(|media| media.start <= piece.start && piece.end <= media.end) {
                return Err(if piece.end > end { Flaw::CutOff } else { Flaw::Malformed });
            }
        }
        let zeros = |range: Range<u64>| Patch { range, fill: Fill::Zeros };
        let gaps = found.media.iter().flat_map(|media| samples::gaps(media, &self.pieces));
        let others = found.others.iter().map(|part| Dropped { at: part.at, body: part.body.clone() });
        let mut patches: Vec<Patch> = gaps.chain([found.tail.clone()]).map(zeros).collect();
        for unneeded in others.chain(self.dropped.iter().cloned()) {
            patches.push(Patch { range: unneeded.at + 4..unneeded.at + 8, fill: Fill::Free });
            patches.push(zeros(unneeded.body));
        }
        patches.retain(|patch| !patch.range.is_empty());
        patches.sort_unstable_by_key(|patch| patch.range.start);
        Ok(patches)
    }
}

/// A picture must be left, and sound where there was some.
fn accept(kept: &[Track<'_>], refused: &[Track<'_>]) -> Result<(), Flaw> {
    let has = |role| kept.iter().any(|track| track.role == role);
    let other = |role| {
        refused.iter().filter(|track| track.role == role).find_map(|track| match &track.codec {
            Codec::Other(name) => Some(name.clone()),
            Codec::Accepted => None,
        })
    };
    if !has(Role::Picture) {
        return Err(other(Role::Picture).map_or(Flaw::Blind, Flaw::Picture));
    }
    match other(Role::Sound).filter(|_| !has(Role::Sound)) {
        Some(name) => Err(Flaw::Sound(name)),
        None => Ok(()),
    }
}
