//! Uploads, the page networks come back to, and readiness.

use postmesh_gateway::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::{world, world_with},
    services::SHARED,
};

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
        "PUT /v1/uploads/file/content?token=good HTTP/1.1\r\nhost: x\r\ncontent-length: 5368709121\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_network_fetches_a_file_whole_or_in_parts() {
    let world = world().await;
    let address = format!("{}/m/good.mp4", world.url);
    let whole = world.http.get(&address).send().await.unwrap();
    assert_eq!(whole.status().as_u16(), 200);
    let expected = [
        ("content-type", "video/mp4"),
        ("content-length", "3000000"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, no-store"),
        ("content-disposition", "attachment"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ];
    for (name, value) in expected {
        assert_eq!(whole.headers()[name], value, "{name}");
    }
    let file = whole.bytes().await.unwrap();
    assert_eq!(file.len(), SHARED);

    let head = world.http.head(&address).header("range", "bytes=0-1").send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()),
        (200, "3000000")
    );
    assert!(head.bytes().await.unwrap().is_empty());
    for (asked, part, span) in [
        ("bytes=10-19", 10..20, "bytes 10-19/3000000"),
        ("bytes=2999990-", 2_999_990..SHARED, "bytes 2999990-2999999/3000000"),
        ("bytes=-5", SHARED - 5..SHARED, "bytes 2999995-2999999/3000000"),
        ("bytes=0-9999999", 0..SHARED, "bytes 0-2999999/3000000"),
    ] {
        let answer = world.http.get(&address).header("range", asked).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 206, "{asked}");
        assert_eq!(answer.headers()["content-range"], span);
        assert_eq!(answer.headers()["content-length"], part.len().to_string());
        assert_eq!(answer.bytes().await.unwrap(), file.slice(part), "{asked}");
    }
    let beyond = world.http.get(&address).header("range", "bytes=3000000-").send().await.unwrap();
    assert_eq!(beyond.status().as_u16(), 416);
    assert_eq!(beyond.headers()["content-range"], "bytes */3000000");
    let several = world.http.get(&address).header("range", "bytes=0-1,4-5").send().await.unwrap();
    assert_eq!((several.status().as_u16(), several.bytes().await.unwrap()), (200, file));
}

#[tokio::test]
async fn an_address_that_nobody_shared_does_not_exist() {
    let world = world().await;
    for path in ["/m/other.mp4", "/m/other", "/m/", "/m/good/more.mp4"] {
        let answer = world.http.get(format!("{}{path}", world.url)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
    let post = world.http.post(format!("{}/m/good.mp4", world.url)).body("x").send().await.unwrap();
    assert_eq!((post.status().as_u16(), post.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}

#[tokio::test]
async fn files_being_sent_are_counted_and_give_their_place_back() {
    let world = world_with(Config { max_downloads: 1, ..Config::default() }).await;
    let address = format!("{}/m/endless.mp4", world.url);
    let open = world.http.get(&address).send().await.unwrap();
    assert_eq!(open.status().as_u16(), 200);
    let shed = world.http.get(&address).send().await.unwrap();
    assert_eq!((shed.status().as_u16(), shed.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    drop(open);
    while world.http.head(&address).send().await.unwrap().status().as_u16() != 200 {
        tokio::task::yield_now().await;
    }
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
