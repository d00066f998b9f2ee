//! Server addresses as people write them, and addresses below a server. A server may live under a path
//! (`https://example.org/social`), so paths are appended, never resolved.

use url::{Url, form_urlencoded};

/// Why an address is no server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// Nothing was given.
    #[error("a server is required, such as `mastodon.social`")]
    Missing,
    /// Not an address.
    #[error("`{0}` is not a server's address; write it like `mastodon.social`")]
    Unreadable(String),
    /// Another scheme than http(s).
    #[error("`{0}` is not an https address")]
    Scheme(String),
    /// A password or a user name before the host.
    #[error("a server's address contains no user name or password")]
    Credentials,
}

/// The base address without a slash at its end. Takes `example.social`, `https://example.social/`,
/// `@ana@example.social`, `https://example.social/@ana` and international names; https is assumed.
pub fn normalise(input: &str) -> Result<String, BadServer> {
    let text: String = input.trim().chars().filter(|c| !is_invisible(*c)).collect();
    if text.is_empty() {
        return Err(BadServer::Missing);
    }
    let unreadable = || BadServer::Unreadable(input.trim().to_owned());
    let with_scheme = if text.contains("://") {
        text
    } else {
        let host_end = text.find('/').unwrap_or(text.len());
        let host_start = text[..host_end].rfind('@').map_or(0, |at| at + 1);
        format!("https://{}", &text[host_start..])
    };
    let mut url = Url::parse(&with_scheme).map_err(|_| unreadable())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BadServer::Scheme(with_scheme));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadServer::Credentials);
    }
    if url.host_str().is_none_or(str::is_empty) || url.host_str().is_some_and(|host| host.contains("..")) {
        return Err(unreadable());
    }
    url.set_query(None);
    url.set_fragment(None);
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_owned();
    url.set_host(Some(&host)).map_err(|_| unreadable())?;
    let path = url.path().trim_end_matches('/');
    let page = ["/@", "/users/", "/web", "/home", "/about", "/explore", "/public", "/auth/"];
    let path = if page.iter().any(|page| path.starts_with(page)) { "" } else { path };
    let path = path.to_owned();
    url.set_path(&path);
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Host (and port, where it is not the usual one) of a base address, for messages and handles.
pub fn host(server: &str) -> String {
    Url::parse(server).map_or_else(
        |_| server.to_owned(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        },
    )
}

/// Whether an address belongs to the same scheme, host and port as the server.
pub fn same_origin(server: &str, address: &str) -> bool {
    match (Url::parse(server), Url::parse(address)) {
        (Ok(server), Ok(address)) => server.origin() == address.origin() && server.origin().is_tuple(),
        _ => false,
    }
}

/// The address of `path` on the server.
pub fn address(server: &str, path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return format!("{server}{path}");
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{server}{path}?{query}")
}

/// Another host of the same network: `real` beside the network's own server, `default`; the server itself anywhere else,
/// where a stand-in keeps all hosts under one address.
pub(super) fn sibling<'a>(server: &'a str, default: &str, real: &'a str) -> &'a str {
    if server == default { real } else { server }
}

/// Marks of direction and width that come along when a handle is copied from a page.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

/// Text from a form field without what people copy along.
pub(super) fn cleaned(input: &str) -> String {
    input.trim().chars().filter(|c| !is_invisible(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_how_people_write_servers() {
        for (input, base) in [
            ("mastodon.example", "https://mastodon.example"),
            (" https://mastodon.example/ ", "https://mastodon.example"),
            ("HTTPS://Mastodon.Example", "https://mastodon.example"),
            ("@ana@mastodon.example", "https://mastodon.example"),
            ("ana@mastodon.example", "https://mastodon.example"),
            ("https://mastodon.example/@ana", "https://mastodon.example"),
            ("mastodon.example/@ana", "https://mastodon.example"),
            ("https://mastodon.example/web/timelines?x=1#y", "https://mastodon.example"),
            ("mastodon.example.", "https://mastodon.example"),
            ("müller.example", "https://xn--mller-kva.example"),
            ("mastodon.example:8443", "https://mastodon.example:8443"),
            ("https://mastodon.example:443/", "https://mastodon.example"),
            ("http://127.0.0.1:8090/mastodon/", "http://127.0.0.1:8090/mastodon"),
            ("https://example.org/social", "https://example.org/social"),
            ("\u{202a}mastodon.example\u{202c}", "https://mastodon.example"),
        ] {
            assert_eq!(normalise(input).as_deref(), Ok(base), "{input}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_rest() {
        assert_eq!(normalise("  "), Err(BadServer::Missing));
        assert!(matches!(normalise("ftp://a.example"), Err(BadServer::Scheme(_))));
        assert_eq!(normalise("https://ana:pw@a.example"), Err(BadServer::Credentials));
        for input in ["two words", "https://", "a..b", "https://[::1"] {
            assert!(matches!(normalise(input), Err(BadServer::Unreadable(_))), "{input}");
        }
    }

    #[test]
    fn appends_paths_below_the_base() {
        let server = "http://127.0.0.1:8090/mastodon";
        assert_eq!(address(server, "/api/v1/x", &[]), "http://127.0.0.1:8090/mastodon/api/v1/x");
        assert_eq!(address(server, "/x", &[("a b", "ü&")]), "http://127.0.0.1:8090/mastodon/x?a+b=%C3%BC%26");
        assert!(same_origin(server, "http://127.0.0.1:8090/other"));
        assert!(!same_origin(server, "http://127.0.0.1:8091/mastodon"));
        assert!(!same_origin("https://a.example", "https://a.example.evil.example"));
        assert_eq!(host(server), "127.0.0.1:8090");
    }
}
