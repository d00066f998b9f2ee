//! What holds for every network, whichever it is: an account to begin with, a place on the page, accounts on demand.

use serde_json::json;

use crate::support::{Bench, got};

const NETWORKS: [&str; 14] = [
    "mastodon",
    "bluesky",
    "x",
    "linkedin",
    "facebook",
    "instagram",
    "threads",
    "youtube",
    "tiktok",
    "pinterest",
    "reddit",
    "discord",
    "telegram",
    "slack",
];

#[tokio::test]
async fn each_network_begins_with_an_account_and_is_on_the_page() {
    let bench = Bench::new().await;
    let accounts = got(bench.get("/_sandbox/accounts")).await.body;
    let page = got(bench.get("/")).await.text;
    for network in NETWORKS {
        let of = |account: &&serde_json::Value| account["network"] == network;
        let first = accounts.as_array().unwrap().iter().find(of).unwrap();
        assert!(first["handle"].as_str().unwrap().starts_with("demo"), "{first}");
        assert!(page.contains(&format!("badge {network}")), "{network}");
        assert!(page.contains(&bench.url(&format!("/{network}"))), "{network}");
    }
}

#[tokio::test]
async fn accounts_are_made_once_and_survive_until_a_reset() {
    let bench = Bench::new().await;
    let made = bench.control("accounts", json!({"network": "x", "handle": "@Ada"})).await;
    assert_eq!((made.status, made.str("/handle")), (200, "ada".to_owned()));
    let again = bench.control("accounts", json!({"network": "x", "handle": "ada"})).await;
    assert_eq!(made.str("/id"), again.str("/id"));
    let unfit = bench.control("accounts", json!({"network": "x", "handle": "a b"})).await;
    assert!(unfit.refusal().1.starts_with("handle"), "{}", unfit.text);
    for (rule, named) in [
        (json!({"network": "x", "account": "nobody", "fault": {"kind": "expire_tokens"}}), "account"),
        (json!({"network": "twitter", "fault": {"kind": "expire_tokens"}}), "`twitter`"),
    ] {
        let refused = bench.control("script", rule).await;
        assert!(refused.status == 400 && refused.text.contains(named), "{}", refused.text);
    }
    let unknown = bench.control("engage", json!({"network": "x", "native_id": "5"})).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(bench.control("reset", json!({})).await.status, 200);
    let left = got(bench.get("/_sandbox/accounts")).await.text;
    assert!(!left.contains("ada"), "{left}");
    assert_eq!(got(bench.get("/_posts/x/1")).await.status, 404);
}
