//! The relatives of Mastodon: what their servers say they are, and where they forget or refuse.

use serde_json::json;

use crate::support::{Bench, PNG, got};

#[tokio::test]
async fn each_server_says_what_it_runs() {
    let bench = Bench::new().await;
    for (network, characters) in [("pixelfed", 500), ("gotosocial", 5000), ("pleroma", 5000)] {
        let links = got(bench.get(&format!("/{network}/.well-known/nodeinfo"))).await;
        let href = links.str("/links/0/href");
        assert_eq!(href, bench.url(&format!("/{network}/nodeinfo/2.0")));
        assert_eq!(got(bench.http.get(href)).await.str("/software/name"), network);
        let instance = got(bench.get(&format!("/{network}/api/v2/instance"))).await;
        assert_eq!(instance.body["configuration"]["statuses"]["max_characters"], characters);
        assert!(instance.body.get("api_versions").is_none());
        let metadata = got(bench.get(&format!("/{network}/.well-known/oauth-authorization-server"))).await;
        assert_eq!(metadata.status, 404);
    }
}

#[tokio::test]
async fn keys_are_forgotten_and_pixelfed_wants_a_picture() {
    let bench = Bench::new().await;
    let mastodon = bench.mastodon().await;
    let post = async |network: &str, body: &serde_json::Value| {
        let request = bench.post(&format!("/{network}/api/v1/statuses"), body);
        got(request.bearer_auth(&mastodon.token).header("idempotency-key", "k")).await
    };
    let body = json!({"status": "hi"});
    let first = post("pleroma", &body).await.str("/id");
    assert_ne!(post("pleroma", &body).await.str("/id"), first);
    assert_ne!(post("gotosocial", &body).await.str("/id"), first);
    let bare = post("pixelfed", &body).await;
    assert_eq!((bare.status, bare.str("/message")), (422, "The media ids field is required.".to_owned()));
    let media = mastodon.upload(PNG, "image/png").await.str("/id");
    assert_eq!(post("pixelfed", &json!({"status": "hi", "media_ids": [media]})).await.status, 200);
    let networks: Vec<_> = bench.ledger().await.iter().map(|line| line["network"].clone()).collect();
    assert_eq!(networks, ["pleroma", "pleroma", "gotosocial", "pixelfed"]);
}
