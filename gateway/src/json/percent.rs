//! Percent-decoding (RFC 3986) that refuses what is not UTF-8 instead of repairing it.

/// The decoded text; `None` for a broken escape or for bytes that are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    unescape(text, |_| false)
}

/// As [`decode`], keeping escaped slashes escaped.
pub(crate) fn decode_but_slashes(text: &str) -> Option<String> {
    unescape(text, |byte| byte == b'/')
}

/// The pairs of a query string, `+` read as a space; `None` in place of a part that cannot be decoded.
pub(crate) fn query(text: &str) -> impl Iterator<Item = (Option<String>, Option<String>)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

fn unescape(text: &str, keep: impl Fn(u8) -> bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        let (high, low) = (bytes.get(at + 1).and_then(hex)?, bytes.get(at + 2).and_then(hex)?);
        let byte = u8::try_from(high * 16 + low).ok()?;
        if keep(byte) {
            out.extend_from_slice(&bytes[at..at + 3]);
        } else {
            out.push(byte);
        }
        at += 3;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_or_refuses() {
        assert_eq!(decode("caf%C3%A9+1").as_deref(), Some("café+1"));
        assert_eq!(decode_but_slashes("a%2fb%20c").as_deref(), Some("a%2fb c"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
        let pairs: Vec<_> = query("a=1+2&b&&c=%26").map(|(k, v)| (k.unwrap(), v.unwrap())).collect();
        assert_eq!(
            pairs,
            [("a".into(), "1 2".into()), ("b".into(), String::new()), ("c".into(), "&".into())]
        );
    }
}
