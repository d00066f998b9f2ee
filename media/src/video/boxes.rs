//! Boxes inside bytes that are in memory. Children fill their parent exactly, or they are refused: nothing overlaps,
//! nothing is read twice, and no box is empty of itself.

use super::flaw::Flaw;

/// Boxes of one parent.
const MOST: usize = 4096;

/// A box's four letters.
pub(super) type Kind = [u8; 4];

/// A box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'a> {
    pub(super) kind: Kind,
    /// Where it begins in the file.
    pub(super) at: u64,
    /// Bytes of its head.
    pub(super) head: u64,
    pub(super) body: &'a [u8],
}

impl<'a> Atom<'a> {
    /// The boxes in it.
    pub(super) fn children(&self) -> Result<Vec<Atom<'a>>, Flaw> {
        self.children_after(0)
    }

    /// The boxes in it, behind so many bytes of its own.
    pub(super) fn children_after(&self, own: usize) -> Result<Vec<Atom<'a>>, Flaw> {
        let rest = self.body.get(own..).ok_or(Flaw::Malformed)?;
        atoms(rest, self.at + self.head + own as u64)
    }

    /// Where its body ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.at + self.head + self.body.len() as u64
    }
}

/// The boxes that bytes at a place of the file are made of. Up to seven zeros may follow them, as QuickTime ends lists.
pub(super) fn atoms(bytes: &[u8], place: u64) -> Result<Vec<Atom<'_>>, Flaw> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 8 {
        let (size, kind, head) = head(rest).ok_or(Flaw::Malformed)?;
        // The end of the parent ends no child here: a length of 0 is for the last box of a file.
        let size = usize::try_from(size).ok().filter(|size| *size >= head && *size <= rest.len());
        let (whole, behind) = rest.split_at(size.ok_or(Flaw::Malformed)?);
        let at = place + (bytes.len() - rest.len()) as u64;
        found.push(Atom { kind, at, head: head as u64, body: &whole[head..] });
        if found.len() > MOST {
            return Err(Flaw::Costly);
        }
        rest = behind;
    }
    if rest.iter().all(|byte| *byte == 0) { Ok(found) } else { Err(Flaw::Malformed) }
}

/// Size, kind and length of a box's head; `None` when these are too few bytes for it.
pub(super) fn head(bytes: &[u8]) -> Option<(u64, Kind, usize)> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    match u32::from_be_bytes(*size) {
        1 => Some((u64::from_be_bytes(*rest.first_chunk::<8>()?), *kind, 16)),
        size => Some((size.into(), *kind, 8)),
    }
}

/// The one box of a kind; a second one is a contradiction.
pub(super) fn only<'a>(atoms: &[Atom<'a>], kind: Kind) -> Result<Option<Atom<'a>>, Flaw> {
    let mut found = atoms.iter().filter(|atom| atom.kind == kind);
    let first = found.next().copied();
    if found.next().is_some() { Err(Flaw::Malformed) } else { Ok(first) }
}

/// The big-endian number at a place of a body.
pub(super) fn u16_at(body: &[u8], at: usize) -> Result<u16, Flaw> {
    let bytes = body.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u16::from_be_bytes(*bytes.ok_or(Flaw::Malformed)?))
}

/// The big-endian number at a place of a body.
pub(super) fn u32_at(body: &[u8], at: usize) -> Result<u32, Flaw> {
    let bytes = body.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_be_bytes(*bytes.ok_or(Flaw::Malformed)?))
}

/// The big-endian number at a place of a body.
pub(super) fn u64_at(body: &[u8], at: usize) -> Result<u64, Flaw> {
    let bytes = body.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u64::from_be_bytes(*bytes.ok_or(Flaw::Malformed)?))
}

/// The entries of a table: a count at a place, then as many entries of so many bytes each.
pub(super) fn table(body: &[u8], count_at: usize, entry: usize) -> Result<&[u8], Flaw> {
    let count = u32_at(body, count_at)? as usize;
    let bytes = count.checked_mul(entry).ok_or(Flaw::Malformed)?;
    body.get(count_at + 4..).and_then(|rest| rest.get(..bytes)).ok_or(Flaw::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_fill_their_parent_or_are_refused() {
        let two = b"\0\0\0\x09abcdX\0\0\0\x08efgh";
        let found = atoms(two, 100).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].at, found[0].body), (*b"abcd", 100, &b"X"[..]));
        assert_eq!((found[1].kind, found[1].at, found[1].end()), (*b"efgh", 109, 117));
        assert_eq!(atoms(b"\0\0\0\x08abcd\0\0\0\0", 0).unwrap().len(), 1, "a terminator");
        assert_eq!(atoms(b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x10", 0).unwrap()[0].head, 16);
        for wrong in [
            &b"\0\0\0\0abcd"[..],
            b"\0\0\0\x07abcd",
            b"\0\0\0\x0Aabcd",
            b"\0\0\0\x08abcdX",
            b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x0F",
            b"\0\0\0\x01abcd\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        ] {
            assert_eq!(atoms(wrong, 0).unwrap_err(), Flaw::Malformed, "{wrong:?}");
        }
        assert_eq!(atoms(&b"\0\0\0\x08abcd".repeat(MOST + 1), 0).unwrap_err(), Flaw::Costly);
    }

    #[test]
    fn a_table_holds_what_it_counts() {
        assert_eq!(table(b"\0\0\0\x02abcd", 0, 2).unwrap(), b"abcd");
        assert!(table(b"\0\0\0\x03abcd", 0, 2).is_err());
        assert!(table(b"\xFF\xFF\xFF\xFFabcd", 0, 8).is_err());
    }
}
