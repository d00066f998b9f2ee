//! Uploads, the page networks come back to, and readiness.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::world;

#[tokio::test]
async fn an_upload_is_streamed_to_media() {
    let world = world().await;
    let send = |path: &str, body: Vec<u8>| world.http.put(format!("{}{path}", world.url)).body(body);
    let (status, answer) = world.json(send("/v1/uploads/file/content?token=good", vec![7; 3_000_000])).await;
    assert_eq!((status, answer), (200, json!({ "sizeBytes": "3000000" })));
    let (status, _) = world.json(send("/v1/uploads/file/content?token=bad", vec![7; 10])).await;
    assert_eq!(status, 403);
    let get = world.ask("GET", "/v1/uploads/file/content").send().await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "PUT"));
}

#[tokio::test]
async fn an_upload_states_its_size_first() {
    let world = world().await;
    let path = format!("{}/v1/uploads/file/content?token=good", world.url);
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(vec![7; 10])]));
    assert_eq!(world.json(world.http.put(&path).body(chunked)).await.0, 411);

    // Written by hand: the refusal comes before the bytes would.
    let mut socket = tokio::net::TcpStream::connect(world.url.trim_start_matches("http://")).await.unwrap();
    let head =
        "PUT /v1/uploads/file/content?token=good HTTP/1.1\r\nhost: x\r\ncontent-length: 52428801\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn the_browser_goes_on_to_the_path_or_sees_a_page() {
    let world = world().await;
    let get = |query: &str| world.http.get(format!("{}/oauth/callback?{query}", world.url)).send();
    let sent_on = get("state=path&code=a+b&iss=https%3A%2F%2Fm.example").await.unwrap();
    assert_eq!(sent_on.status().as_u16(), 303);
    assert_eq!(sent_on.headers()["location"], "/accounts?tab=1&connection_id=0190-c");

    let page = get("state=page&code=x").await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let text = page.text().await.unwrap();
    assert!(
        text.contains("&lt;Mastodon&gt; gave access") && text.contains("may close this window"),
        "{text}"
    );

    let refused = get("state=page&error=access_denied").await.unwrap().text().await.unwrap();
    assert!(refused.contains("did not give access"), "{refused}");

    let evil = get("state=evil&code=x").await.unwrap();
    assert_eq!(evil.status().as_u16(), 200, "a path to elsewhere is not followed");

    for query in ["", "state=unknown&code=x"] {
        let bad = get(query).await.unwrap();
        assert_eq!(bad.status().as_u16(), 400, "{query}");
        let text = bad.text().await.unwrap();
        assert!(text.contains("accounts") && !text.contains("<b>"), "{text}");
    }
}

#[tokio::test]
async fn healthz_names_every_service() {
    let world = world().await;
    let (status, answer) = world.json(world.http.get(format!("{}/healthz", world.url))).await;
    assert_eq!(status, 200);
    let services = json!({ "auth": "ok", "media": "ok", "publisher": "ok", "scheduler": "ok" });
    assert_eq!(answer, json!({ "ready": true, "services": services }));
}
