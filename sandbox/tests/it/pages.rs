//! What a person sees in a browser.

use serde_json::json;

use crate::support::{Bench, PNG, got};

#[tokio::test]
async fn the_timeline_shows_posts_newest_first_and_escapes_them() {
    let bench = Bench::new().await;
    let empty = got(bench.get("/")).await;
    assert_eq!((empty.status, empty.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(empty.text.contains("demo-demo-demo-demo") && empty.text.contains(&bench.url("/mastodon")));
    let demo = bench.mastodon().await;
    let media = demo.upload(PNG, "image/png").await.str("/id");
    let first = got(demo.post(&json!({"status": "<script>alert(1)</script>", "media_ids": [media]}))).await;
    bench.bluesky().await.put("3lxy2abcde22k", "from the \"sky\"").await;
    let page = got(bench.get("/")).await.text;
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"));
    assert!(page.find("from the &quot;sky&quot;").unwrap() < page.find("&lt;script&gt;").unwrap());
    let image = page.split("<img src=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(got(bench.http.get(image)).await.header("content-type"), "image/png");
    for link in page.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert_eq!(got(bench.http.get(link)).await.status, 200, "{link}");
    }
    for url in [
        first.str("/url"),
        first.str("/uri"),
        bench.url("/mastodon/@demo"),
        bench.url("/bluesky/profile/demo.test"),
    ] {
        let shown = got(bench.http.get(&url)).await;
        assert_eq!(shown.status, 200, "{url}");
        assert!(!shown.text.contains("<script>alert"));
    }
    let delete = bench.http.delete(bench.url(&format!("/mastodon/api/v1/statuses/{}", first.str("/id"))));
    got(delete.bearer_auth(&demo.token)).await;
    assert!(!got(bench.get("/")).await.text.contains("alert(1)"), "deleted posts leave the page");
    assert_eq!(got(bench.http.get(first.str("/url"))).await.status, 404);
    assert_eq!(got(bench.get("/bluesky/profile/nobody.test")).await.status, 404);
}
