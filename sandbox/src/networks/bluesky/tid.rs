//! Timestamp identifiers: 13 characters that sort as the microseconds they hold.

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// The TID of a time in microseconds, with clock id 0.
pub(crate) fn of(micros: u64) -> String {
    let bits = (micros & ((1 << 53) - 1)) << 10;
    (0..13).rev().map(|group| char::from(ALPHABET[(bits >> (group * 5) & 31) as usize])).collect()
}

pub(crate) fn is_valid(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|b| ALPHABET.contains(&b)) && text.as_bytes()[0] <= b'j'
}

#[cfg(test)]
mod tests {
    use super::{is_valid, of};

    #[test]
    fn sorts_and_checks() {
        assert!(of(1_767_323_045_000_000) < of(1_767_323_045_000_001));
        assert!(is_valid(&of(1_767_323_045_000_000)));
        assert!(is_valid("3lxy2abcde22k"));
        for bad in ["", "3lxy2abcde22", "zlxy2abcde22k", "3lxy2abcde221", "3LXY2ABCDE22K"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
