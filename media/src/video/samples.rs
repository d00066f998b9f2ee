//! Where the frames of a track lie in the file, from its tables.

use std::ops::Range;

use super::{
    boxes::{Atom, only, table, u32_at, u64_at},
    flaw::Flaw,
};

/// Pieces of all tracks together; a film of three hours that stores each frame by itself stays below it.
pub(super) const MOST: usize = 2_000_000;

/// Adds a track's pieces, from the boxes of its `stbl`. A piece is what the format calls a chunk: frames of one track
/// that lie behind each other.
pub(super) fn pieces(tables: &[Atom<'_>], into: &mut Vec<Range<u64>>) -> Result<(), Flaw> {
    let one = |kind| only(tables, kind)?.ok_or(Flaw::Malformed);
    let sizes = Sizes::read(one(*b"stsz")?.body)?;
    let runs = table(one(*b"stsc")?.body, 4, 12)?.as_chunks::<12>().0;
    let places = match only(tables, *b"stco")? {
        Some(short) => Places::Short(table(short.body, 4, 4)?),
        None => Places::Long(table(one(*b"co64")?.body, 4, 8)?),
    };
    let mut run = 0;
    let mut frame = 0;
    for n in 0..places.len() {
        let number = n as u64 + 1;
        while runs.get(run + 1).is_some_and(|next| first_piece(next) <= number) {
            run += 1;
        }
        let each = runs.get(run).filter(|run| first_piece(run) <= number).ok_or(Flaw::Malformed)?;
        let frames = u64::from(u32_at(each, 4)?).min(sizes.count - frame);
        let length = sizes.sum(frame, frames)?;
        frame += frames;
        let start = places.get(n)?;
        let end = start.checked_add(length).ok_or(Flaw::Malformed)?;
        if end > start {
            into.push(start..end);
        }
        if into.len() > MOST {
            return Err(Flaw::Costly);
        }
    }
    if frame == sizes.count { Ok(()) } else { Err(Flaw::Malformed) }
}

fn first_piece(run: &[u8; 12]) -> u64 {
    u32::from_be_bytes([run[0], run[1], run[2], run[3]]).into()
}

/// How long each frame is.
struct Sizes<'a> {
    count: u64,
    /// All of them; 0 when they differ.
    each: u64,
    own: &'a [[u8; 4]],
}

impl<'a> Sizes<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Flaw> {
        let each = u32_at(body, 4)?.into();
        let own = if each == 0 { table(body, 8, 4)?.as_chunks().0 } else { &[] };
        Ok(Self { count: u32_at(body, 8)?.into(), each, own })
    }

    /// The length of so many frames from one on.
    fn sum(&self, first: u64, frames: u64) -> Result<u64, Flaw> {
        if self.each != 0 {
            return Ok(self.each * frames);
        }
        let own = self.own.get(first as usize..(first + frames) as usize).ok_or(Flaw::Malformed)?;
        Ok(own.iter().map(|size| u64::from(u32::from_be_bytes(*size))).sum())
    }
}

/// Where each piece begins.
enum Places<'a> {
    Short(&'a [u8]),
    Long(&'a [u8]),
}

impl Places<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Short(table) => table.len() / 4,
            Self::Long(table) => table.len() / 8,
        }
    }

    fn get(&self, n: usize) -> Result<u64, Flaw> {
        match self {
            Self::Short(table) => u32_at(table, n * 4).map(u64::from),
            Self::Long(table) => u64_at(table, n * 8),
        }
    }
}

/// What of a span no piece covers. The pieces are in order and do not overlap.
pub(super) fn gaps(span: &Range<u64>, pieces: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = span.start;
    let first = pieces.partition_point(|piece| piece.end <= span.start);
    for piece in pieces[first..].iter().take_while(|piece| piece.start < span.end) {
        if piece.start > at {
            gaps.push(at..piece.start);
        }
        at = piece.end;
    }
    if at < span.end {
        gaps.push(at..span.end);
    }
    gaps
}

/// Puts pieces in order and joins those that touch.
pub(super) fn joined(mut pieces: Vec<Range<u64>>) -> Vec<Range<u64>> {
    pieces.sort_unstable_by_key(|piece| (piece.start, piece.end));
    let mut joined: Vec<Range<u64>> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if piece.start <= last.end => last.end = last.end.max(piece.end),
            _ => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "places in a file are ranges, however few they are")]
mod tests {
    use super::*;

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    fn found(sizes: &[u32], runs: &[u32], places: &[u32]) -> Result<Vec<Range<u64>>, Flaw> {
        let (sizes, runs, places) = (numbers(sizes), numbers(runs), numbers(places));
        let atom = |kind: [u8; 4], body| Atom { kind, at: 0, head: 8, body };
        let tables = [atom(*b"stsz", &sizes[..]), atom(*b"stsc", &runs[..]), atom(*b"stco", &places[..])];
        let mut into = Vec::new();
        pieces(&tables, &mut into)?;
        Ok(into)
    }

    #[test]
    fn frames_are_where_the_tables_say() {
        // Five frames: two pieces of two, then one.
        let pieces = found(&[0, 0, 5, 1, 2, 3, 4, 5], &[0, 2, 1, 2, 1, 3, 1, 1], &[0, 3, 100, 200, 300]);
        assert_eq!(pieces.unwrap(), [100..103, 200..207, 300..305]);
        let pieces = found(&[0, 10, 4], &[0, 1, 1, 4, 1], &[0, 1, 7]);
        assert_eq!(pieces.unwrap(), [7..47], "all of one length");
        for (sizes, runs, places) in [
            (&[0, 0, 5, 1][..], &[0, 1, 1, 5, 1][..], &[0, 1, 7][..]),
            (&[0, 10, 4], &[0, 0], &[0, 1, 7]),
            (&[0, 10, 4], &[0, 1, 2, 4, 1], &[0, 1, 7]),
            (&[0, 10, 4], &[0, 1, 1, 3, 1], &[0, 1, 7]),
            (&[0, 10, 4], &[0, 1, 1, 4, 1], &[0, 9, 7]),
            (&[0, 10], &[0, 1, 1, 4, 1], &[0, 1, 7]),
        ] {
            assert_eq!(found(sizes, runs, places).unwrap_err(), Flaw::Malformed);
        }
    }

    #[test]
    fn what_no_frame_covers_is_a_gap() {
        let pieces = joined(vec![30..40, 10..20, 20..25, 12..14, 60..70]);
        assert_eq!(pieces, [10..25, 30..40, 60..70]);
        assert_eq!(gaps(&(0..50), &pieces), [0..10, 25..30, 40..50]);
        assert_eq!(gaps(&(10..25), &pieces), []);
        assert_eq!(gaps(&(26..29), &pieces), [26..29]);
        assert_eq!(gaps(&(65..80), &pieces), [70..80]);
    }
}
