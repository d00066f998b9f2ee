//! Videos and cards of links against the stand-in over a real socket.

use std::{io, net::IpAddr, sync::Arc};

use futures::future::BoxFuture;
use postmesh_kit::http::{OutboundConfig, Resolve};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::*;
use crate::{
    domain::{content::Media, outcome::Outcome},
    networks::connect::Connect,
    testing::{Bench, CLIP, Kept, PNG, TIME, clip, media_source, session, work},
};

async fn logged_in(bench: &Bench, http: &GuardedClient) -> (Bluesky, Session) {
    let bluesky = Bluesky::new(http.clone(), bench.clock.clone());
    let connected = bluesky.login(&bench.server("bluesky"), "demo.test", "demo-demo-demo-demo").await;
    (bluesky, session("bluesky", connected.unwrap()))
}

fn film(bluesky: &Bluesky, text: &str) -> Work {
    let mut work = work(bluesky, text, 1);
    work.content.media[0] = Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: clip().len() as i64,
        width: 64,
        height: 64,
        alt_text: "a clip".into(),
        duration_ms: 1000,
    };
    work
}

fn accepted(answer: &Answer) -> &str {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_video_is_processed_before_the_post_that_shows_it() {
    let bench = Bench::new().await;
    let (bluesky, session) = logged_in(&bench, &bench.http).await;
    let work = film(&bluesky, "watch");
    assert_eq!(bluesky.validate(&session.limits, &work.content, 0), []);
    let mut kept = Kept::default();
    let ready = bluesky.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!(kept.handles["blob.0"]["blob"]["size"], json!(clip().len()));
    let uploads = bench.requests("media_upload").await;
    assert!(uploads[0]["path"].as_str().unwrap().contains("app.bsky.video.uploadVideo?did="), "{uploads:?}");
    assert_eq!(uploads[0]["headers"]["content-length"], clip().len().to_string());
    let again = bluesky.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
    assert_eq!((&again, bench.requests("media_upload").await.len()), (&ready, 1));
    accepted(&bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await);
    let line = &bench.ledger().await[0];
    assert_eq!(line["media"][0]["mime"], "video/mp4");
    assert_eq!(
        (&line["media"][0]["alt"], &line["media"][0]["size"]),
        (&json!("a clip"), &json!(clip().len()))
    );
    let embed = &bench.requests("publish").await[0]["body"]["record"]["embed"];
    assert_eq!(embed["aspectRatio"], json!({ "width": 64, "height": 64 }));

    let same = film(&bluesky, "the same again");
    let ready = bluesky.prepare(&session, &same, &media_source(), &mut Kept::default()).await.unwrap();
    accepted(&bluesky.send(Armed::for_tests(false, TIME), &session, &same, &ready).await);
    assert_eq!(bench.ledger().await.len(), 2, "bytes that were uploaded before are no error");
}

#[tokio::test]
async fn a_video_that_fails_once_is_uploaded_once_more() {
    let bench = Bench::new().await;
    let (bluesky, session) = logged_in(&bench, &bench.http).await;
    let work = film(&bluesky, "hard to make");
    let fails = json!({ "kind": "processing", "ms": 1, "fails": true });
    bench.fault("bluesky", "media_upload", fails.clone()).await;
    let mut kept = Kept::default();
    let prepare = async |kept: &mut Kept| bluesky.prepare(&session, &work, &media_source(), kept).await;
    let failed = prepare(&mut kept).await.unwrap_err();
    assert!(matches!(&failed, Fault::Transient { code, .. } if code == "VIDEO_FAILED"), "{failed:?}");
    bench.fault("bluesky", "media_upload", fails.clone()).await;
    let refused = prepare(&mut Kept { handles: kept.handles.clone(), writes: 0 }).await.unwrap_err();
    assert!(matches!(&refused, Fault::Rejected { code, .. } if code == "VIDEO_REFUSED"), "{refused:?}");
    prepare(&mut kept).await.unwrap();
    let long = json!({ "error": "VideoTooLong", "message": "too long" });
    bench.fault("bluesky", "media_upload", json!({ "kind": "status", "code": 400, "body": long })).await;
    let long = prepare(&mut Kept::default()).await.unwrap_err();
    assert!(matches!(&long, Fault::Rejected { code, .. } if code == "VIDEO_TOO_LONG"), "{long:?}");
}

/// Every name is this machine.
struct Here;

impl Resolve for Here {
    fn lookup(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// Serves pages by path until it is dropped; its port.
async fn site() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let page = b"<title>x</title><meta property=og:title content='A page'><meta property=og:image content=dot.png>";
            let (status, more, body): (_, _, &[u8]) = match path {
                "/moved" => ("302 Found", "location: /page\r\n", b""),
                "/page" => ("200 OK", "content-type: text/html\r\n", page),
                "/dot.png" => ("200 OK", "content-type: image/png\r\n", PNG),
                _ => ("404 Not Found", "", b""),
            };
            let answer = format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[answer.as_bytes(), body].concat()).await;
        }
    });
    (port, server)
}

#[tokio::test]
async fn the_first_link_of_a_text_becomes_a_card() {
    let bench = Bench::new().await;
    let (port, _site) = site().await;
    let allow = vec![bench.address(), format!("page.example:{port}")];
    let http = GuardedClient::with_resolver(&OutboundConfig { allow }, Arc::new(Here), &[]);
    let (bluesky, session) = logged_in(&bench, &http).await;
    let link = format!("http://page.example:{port}/moved");
    let linked = work(&bluesky, &format!("read {link} and https://other.example"), 0);
    let mut kept = Kept::default();
    let ready = bluesky.prepare(&session, &linked, &media_source(), &mut kept).await.unwrap();
    let card = kept.handles["card"].clone();
    assert_eq!((&card["uri"], &card["title"]), (&json!(link), &json!("A page")));
    assert_eq!(card["thumb"]["size"], json!(PNG.len()));
    let again = bluesky.prepare(&session, &linked, &media_source(), &mut kept).await.unwrap();
    assert_eq!((&again, bench.requests("media_upload").await.len()), (&ready, 1), "it is fetched once");
    accepted(&bluesky.send(Armed::for_tests(false, TIME), &session, &linked, &ready).await);
    let embed = &bench.requests("publish").await[0]["body"]["record"]["embed"];
    assert_eq!((&embed["$type"], &embed["external"]), (&json!("app.bsky.embed.external"), &card));

    let gone = work(&bluesky, &format!("see http://page.example:{port}/nothing"), 0);
    let inside = work(&bluesky, "see https://localhost.example/ or so", 0);
    let pictured = work(&bluesky, &format!("see {link}"), 1);
    for (n, work) in [gone, inside, pictured].into_iter().enumerate() {
        let mut kept = Kept::default();
        let ready = bluesky.prepare(&session, &work, &media_source(), &mut kept).await.unwrap();
        accepted(&bluesky.send(Armed::for_tests(false, TIME), &session, &work, &ready).await);
        let embed = &bench.requests("publish").await[n + 1]["body"]["record"]["embed"];
        assert_ne!(embed["$type"], "app.bsky.embed.external", "{n}");
    }
}
