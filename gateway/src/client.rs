//! What postmesh is to authorization servers that know a client by the address of a document about it (the AT Protocol).
//!
//! Invariant: the document names its own address, and browsers come back to this gateway alone.

use serde_json::{Value, json};

/// Where the document is.
pub(crate) const PATH: &str = "/oauth/bluesky/client-metadata.json";

/// The document (<https://atproto.com/specs/oauth#clients>): a public client whose tokens are bound to a key.
pub(crate) fn document(public_url: &str) -> Value {
    let base = public_url.trim_end_matches('/');
    json!({
        "client_id": format!("{base}{PATH}"),
        "client_name": "postmesh",
        "client_uri": base,
        "application_type": "web",
        "redirect_uris": [format!("{base}/oauth/callback")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "atproto transition:generic",
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_its_own_address() {
        let document = document("https://mesh.example/");
        assert_eq!(document["client_id"], "https://mesh.example/oauth/bluesky/client-metadata.json");
        assert_eq!(document["redirect_uris"], json!(["https://mesh.example/oauth/callback"]));
        assert_eq!(document["dpop_bound_access_tokens"], true);
    }
}
