//! What web pages may do, and what their browsers are told.

use postmesh_gateway::Config;

use crate::harness::world_with;

const ALLOWED: &str = "https://app.example.com";

#[tokio::test]
async fn only_exact_origins_may_read() {
    let world = world_with(
        Config { allowed_origins: vec![ALLOWED.to_owned()], ..Config::default() }.for_development(),
    )
    .await;
    let own = world.url.clone();
    let table = [
        (ALLOWED, 204),
        ("http://localhost:3000", 204),
        (own.as_str(), 204),
        ("null", 403),
        ("https://app.example.com.evil.example", 403),
        ("https://evilapp.example.com", 403),
        ("https://sub.app.example.com", 403),
        ("http://app.example.com", 403),
        ("https://app.example.com:8443", 403),
        ("https://app.example.com/", 403),
        ("HTTPS://APP.EXAMPLE.COM", 403),
        ("file://", 403),
    ];
    for (origin, expected) in table {
        let preflight = world
            .ask("OPTIONS", "/v1/posts")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let response = preflight.send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{origin}");
        assert_eq!(response.headers()["vary"], "origin", "{origin}");
        let named =
            response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        let by_list = expected == 204 && origin != own;
        assert_eq!(named, by_list.then_some(origin), "{origin}");

        let post = world.ask("POST", "/v1/posts").header("origin", origin).body("{}").send().await.unwrap();
        assert_eq!(post.status().as_u16(), if expected == 204 { 400 } else { 403 }, "{origin}");
        let exposed = post.headers().get("access-control-expose-headers").is_some();
        assert_eq!(exposed, by_list, "{origin}");
    }
    assert_eq!(world.seen.count(), 3, "only the calls of allowed origins reached the service");
}

#[tokio::test]
async fn a_foreign_page_cannot_call_over_grpc_web() {
    let world = world_with(Config::default()).await;
    let response = world
        .ask("POST", "/postmesh.scheduler.v1.PostService/GetPost")
        .header("origin", "https://evil.example")
        .header("content-type", "application/grpc-web-text")
        .body("AAAAAAA=")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["grpc-status"], "7");
    assert!(response.headers().get("access-control-allow-origin").is_none());
    assert_eq!(world.seen.count(), 0);
}

#[tokio::test]
async fn answers_carry_what_guards_a_browser_and_no_banner() {
    let world = world_with(Config::default()).await;
    let response = world.ask("GET", "/v1/me").header("x-request-id", "my-id.1").send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(headers["x-request-id"], "my-id.1");
    assert!(headers.get("server").is_none());
}
