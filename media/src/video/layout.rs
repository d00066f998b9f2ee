//! The boxes that a file is made of, from the first bytes of each. It does no reading itself: it asks for the next
//! head and is given it.

use std::ops::Range;

use super::{
    MOVIE,
    boxes::{self, Kind},
    flaw::Flaw,
};

/// Boxes of a file; real ones have about five.
const MOST: usize = 200;
/// Bytes that name the formats a file claims.
const LONGEST_KIND: u64 = 4096;

/// A box of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// Where it begins.
    pub(super) at: u64,
    /// Where its body is.
    pub(super) body: Range<u64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The body of `ftyp`.
    pub(super) kind: Range<u64>,
    /// The body of `moov`.
    pub(super) movie: Range<u64>,
    /// The bodies of `mdat`, in order.
    pub(super) media: Vec<Range<u64>>,
    /// Whatever else there is, in order.
    pub(super) others: Vec<Part>,
    /// What follows the last box.
    pub(super) tail: Range<u64>,
}

/// The boxes found so far.
pub(super) struct Layout {
    size: u64,
    at: u64,
    parts: Vec<Part>,
}

impl Layout {
    pub(super) fn new(size: u64) -> Self {
        Self { size, at: 0, parts: Vec::new() }
    }

    /// Which bytes to give next: place and length.
    pub(super) fn next(&self) -> Option<(u64, u64)> {
        let left = self.size - self.at;
        (left >= 8).then_some((self.at, left.min(16)))
    }

    /// Takes what was asked for, and says how many of the bytes mattered.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let (size, kind, head) = boxes::head(bytes).ok_or(Flaw::CutOff)?;
        let left = self.size - self.at;
        let whole = match size {
            0 => left,
            size => size,
        };
        if whole < head as u64 || whole > left {
            // Phones and editors leave things of their own behind the end of a video.
            if self.has(*b"moov") && self.has(*b"mdat") {
                self.parts.push(Part { kind: [0; 4], at: self.at, body: self.at..self.size });
                self.at = self.size;
                return Ok(0);
            }
            return Err(if whole > left { Flaw::CutOff } else { Flaw::Malformed });
        }
        if self.parts.len() == MOST {
            return Err(Flaw::Costly);
        }
        let body = self.at + head as u64..self.at + whole;
        self.parts.push(Part { kind, at: self.at, body });
        self.at += whole;
        Ok(head)
    }

    fn has(&self, kind: Kind) -> bool {
        self.parts.iter().any(|part| part.kind == kind)
    }

    /// Sorts the boxes by what they are for.
    pub(super) fn finish(self) -> Result<Found, Flaw> {
        if self.has(*b"moof") {
            return Err(Flaw::Fragmented);
        }
        let mut tail = self.at..self.size;
        let (mut kind, mut movie, mut media, mut others) = (None, None, Vec::new(), Vec::new());
        for part in self.parts {
            match &part.kind {
                b"ftyp" if kind.is_none() => kind = Some(part.body),
                b"moov" if movie.is_none() => movie = Some(part.body),
                b"ftyp" | b"moov" => return Err(Flaw::Malformed),
                b"mdat" => media.push(part.body),
                [0, 0, 0, 0] if part.body.start == part.at => tail = part.body,
                _ => others.push(part),
            }
        }
        let kind = kind.ok_or(Flaw::Malformed)?;
        // A recorder writes it last, and one that was broken off did not.
        let movie = movie.ok_or(Flaw::CutOff)?;
        if kind.end - kind.start > LONGEST_KIND || movie.end - movie.start > MOVIE {
            return Err(Flaw::Costly);
        }
        Ok(Found { kind, movie, media, others, tail })
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "places in a file are ranges, however few they are")]
mod tests {
    use super::*;

    fn layout(file: &[u8]) -> Result<Found, Flaw> {
        let mut layout = Layout::new(file.len() as u64);
        while let Some((at, length)) = layout.next() {
            layout.take(&file[at as usize..(at + length) as usize])?;
        }
        layout.finish()
    }

    fn part(kind: Kind, body: usize) -> Vec<u8> {
        [&(body as u32 + 8).to_be_bytes()[..], &kind, &vec![7; body]].concat()
    }

    #[test]
    fn finds_what_a_file_is_made_of() {
        let file = [part(*b"ftyp", 4), part(*b"moov", 2), part(*b"uuid", 1), part(*b"mdat", 3)].concat();
        let found = layout(&file).unwrap();
        assert_eq!((found.kind, found.movie, found.media), (8..12, 20..22, vec![39..42]));
        assert_eq!(found.others, [Part { kind: *b"uuid", at: 22, body: 30..31 }]);
        assert_eq!(found.tail, 42..42);

        let open = [part(*b"ftyp", 4), part(*b"moov", 2), b"\0\0\0\0mdatrest".to_vec()].concat();
        assert_eq!(layout(&open).unwrap().media, vec![30..34], "the last one may go to the end");
        let long =
            [part(*b"ftyp", 4), part(*b"moov", 2), b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12xy".to_vec()].concat();
        assert_eq!(layout(&long).unwrap().media, vec![38..40]);
        for junk in [&b"junk"[..], b"SEFT and a trailer"] {
            let found = layout(&[&file[..], junk].concat()).unwrap();
            assert_eq!(found.tail, 42..42 + junk.len() as u64);
        }
    }

    #[test]
    fn refuses_what_no_player_could_follow() {
        let (kind, movie, media) = (part(*b"ftyp", 4), part(*b"moov", 2), part(*b"mdat", 3));
        let cases = [
            ([&kind[..], &media].concat(), Flaw::CutOff),
            ([&kind[..], &movie, &media[..9]].concat(), Flaw::CutOff),
            ([&movie[..], &media].concat(), Flaw::Malformed),
            ([&kind[..], &movie, &movie, &media].concat(), Flaw::Malformed),
            ([&kind[..], b"\0\0\0\x04moov"].concat(), Flaw::Malformed),
            ([&kind[..], &movie, &part(*b"moof", 9), &media].concat(), Flaw::Fragmented),
            ([kind, part(*b"free", 0).repeat(MOST), movie].concat(), Flaw::Costly),
        ];
        for (file, flaw) in cases {
            assert_eq!(layout(&file).unwrap_err(), flaw, "{file:?}");
        }
    }
}
