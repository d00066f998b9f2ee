//! The one thing worth keeping of a camera's metadata: which side is up.

use image::metadata::Orientation as Turn;

/// How a picture must be turned to be seen as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(Turn);

impl Default for Orientation {
    fn default() -> Self {
        Self(Turn::NoTransforms)
    }
}

impl Orientation {
    /// Reads it from EXIF data (a TIFF structure, with or without the prefix that JPEG files put before it).
    /// Upright when there is none.
    pub(super) fn read(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        Self(Turn::from_exif_chunk(tiff).unwrap_or(Turn::NoTransforms))
    }

    /// Width and height as people see them.
    pub(super) fn applied_to(self, width: u32, height: u32) -> (u32, u32) {
        match self.0 {
            Turn::Rotate90 | Turn::Rotate270 | Turn::Rotate90FlipH | Turn::Rotate270FlipH => (height, width),
            Turn::NoTransforms | Turn::Rotate180 | Turn::FlipHorizontal | Turn::FlipVertical => {
                (width, height)
            }
        }
    }

    /// The smallest EXIF data that says this and nothing else; `None` when upright, which needs no saying.
    pub(super) fn minimal_exif(self) -> Option<[u8; 26]> {
        let turn = self.0.to_exif();
        (self.0 != Turn::NoTransforms).then_some([
            b'I', b'I', 42, 0, 8, 0, 0, 0, // little endian; the first directory is at 8
            1, 0, // one entry:
            0x12, 0x01, 3, 0, 1, 0, 0, 0, turn, 0, 0, 0, // orientation, SHORT, one value
            0, 0, 0, 0, // no further directory
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for turn in 2..=8 {
            let orientation = Orientation(Turn::from_exif(turn).unwrap());
            assert_eq!(Orientation::read(&orientation.minimal_exif().unwrap()), orientation);
            let size = if turn >= 5 { (1, 2) } else { (2, 1) };
            assert_eq!(orientation.applied_to(2, 1), size, "turn {turn}");
        }
        assert_eq!(Orientation::default().minimal_exif(), None);
    }
}
