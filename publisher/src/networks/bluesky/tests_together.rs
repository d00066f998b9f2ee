//! A thread in one commit, against the stand-in over a real socket.

use serde_json::json;

use super::*;
use crate::{
    domain::{delivery::Reply, outcome::Outcome},
    networks::{Part, Placed, connect::Connect},
    testing::{Bench, Kept, TIME, attempt, media_source, session, work},
};

/// A thread whose own steps are done: `n` parts, each with a mention, a link and a picture.
struct Thread {
    bench: Bench,
    bluesky: Bluesky,
    session: Session,
    works: Vec<Arc<Work>>,
    handles: Vec<HandleMap>,
}

impl Thread {
    async fn new(n: i64) -> Self {
        let bench = Bench::new().await;
        let bluesky = Bluesky::new(bench.http.clone(), bench.clock.clone());
        let connected = bluesky.login(&bench.server("bluesky"), "demo.test", "demo-demo-demo-demo").await;
        let session = session("bluesky", connected.unwrap());
        let (mut works, mut handles) = (Vec::new(), Vec::new());
        for position in 0..n {
            let text = format!("{position} of @demo.test, see https://example.com/ü #tag");
            let mut part = Work { position, due_at: 1_790_000_000_000, ..work(&bluesky, &text, 1) };
            part.plan = bluesky.plan(&part);
            let mut kept = Kept::default();
            bluesky.prepare(&session, &part, &media_source(), &mut kept).await.unwrap();
            assert!(!kept.handles.contains_key("reply"));
            works.push(Arc::new(part));
            handles.push(kept.handles);
        }
        Self { bench, bluesky, session, works, handles }
    }

    fn parts(&self) -> Vec<Part<'_>> {
        self.works.iter().zip(&self.handles).map(|(work, handles)| Part { work, handles }).collect()
    }

    fn composed(&self) -> Ready {
        let (ready, count) = self.bluesky.compose(&self.session, &self.parts()).unwrap();
        assert_eq!(count, self.works.len());
        ready
    }

    async fn send(&self, ready: &Ready) -> Together {
        self.bluesky.send_together(Armed::for_tests(false, TIME), &self.session, &self.works, ready).await
    }

    fn uri(&self, n: usize) -> String {
        record::uri(&self.session.native_id, &self.works[n])
    }

    /// The work of a part as it is once those before it are published.
    fn alone(&self, n: usize) -> Work {
        let reply = Reply { parent_native_id: self.uri(n - 1), root_native_id: self.uri(0) };
        Work { reply: Some(reply), ..(*self.works[n]).clone() }
    }
}

#[tokio::test]
async fn a_thread_appears_in_one_commit() {
    let thread = Thread::new(4).await;
    let ready = thread.composed();
    assert_eq!(ready, thread.composed(), "the same inputs make the same bytes");
    let body: Value = serde_json::from_slice(&ready.request).unwrap();
    assert_eq!(body["repo"], thread.session.native_id);
    let writes = body["writes"].as_array().unwrap();
    for (n, write) in writes.iter().enumerate() {
        assert_eq!(write["$type"], "com.atproto.repo.applyWrites#create");
        assert_eq!(write["collection"], "app.bsky.feed.post");
        assert_eq!(write["rkey"], thread.works[n].plan["rkey"]);
        assert_eq!(write["value"]["embed"]["images"][0]["alt"], "a dot");
    }
    assert!(writes.is_sorted_by(|a, b| a["rkey"].as_str() < b["rkey"].as_str()));
    assert!(writes[0]["value"].get("reply").is_none());

    let together = thread.send(&ready).await;
    assert!(
        matches!(&together.answer.outcome, Outcome::Accepted { native_id, .. } if *native_id == thread.uri(0)),
        "{together:?}"
    );
    for (n, placed) in together.others.iter().enumerate() {
        let url = record::page(&thread.session.native_id, text_of(&thread.works[n + 1].plan, "rkey"));
        assert_eq!(*placed, Placed { native_id: thread.uri(n + 1), url });
    }
    let ledger = thread.bench.ledger().await;
    assert_eq!(ledger.len(), 4);
    assert!(ledger.iter().all(|line| line["visible_at_ms"] == ledger[0]["visible_at_ms"]));
    // The versions that the replies name are those that the server computed.
    let mut cids = Vec::new();
    for (n, write) in writes.iter().enumerate() {
        let found =
            publish::get_record(&thread.session, record::COLLECTION, text_of(&thread.works[n].plan, "rkey"));
        let found = thread.bluesky.ask(&thread.session, found).await.unwrap();
        assert_eq!(found["value"], write["value"]);
        cids.push(found["cid"].clone());
    }
    for (n, write) in writes.iter().enumerate().skip(1) {
        let reply = &write["value"]["reply"];
        assert_eq!(reply["root"], json!({ "uri": thread.uri(0), "cid": cids[0] }));
        assert_eq!(reply["parent"], json!({ "uri": thread.uri(n - 1), "cid": cids[n - 1] }));
    }
}

#[tokio::test]
async fn a_part_that_is_sent_alone_later_has_the_same_bytes() {
    let thread = Thread::new(4).await;
    let ready = thread.composed();
    let body: Value = serde_json::from_slice(&ready.request).unwrap();
    thread.bench.fault("bluesky", "publish", json!({ "kind": "accept_then_reset" })).await;
    let lost = thread.send(&ready).await;
    assert!(matches!(lost.answer.outcome, Outcome::Ambiguous { .. }) && lost.others.is_empty(), "{lost:?}");
    for n in 1..4 {
        let found =
            thread.bluesky.reconcile(&thread.session, &thread.works[n], &thread.handles[n], &attempt()).await;
        assert!(matches!(&found, Found::Live { native_id, .. } if *native_id == thread.uri(n)), "{found:?}");
        // The handles are those of its own steps; the posts it replies to are read from the server.
        let alone = thread.alone(n);
        let mut kept = Kept { handles: thread.handles[n].clone(), ..Kept::default() };
        let single =
            thread.bluesky.prepare(&thread.session, &alone, &media_source(), &mut kept).await.unwrap();
        let put: Value = serde_json::from_slice(&single.request).unwrap();
        assert_eq!(put["record"].to_string(), body["writes"][n]["value"].to_string(), "byte by byte");
        assert_eq!(put["rkey"], body["writes"][n]["rkey"]);
        let again = thread.bluesky.send(Armed::for_tests(true, TIME), &thread.session, &alone, &single).await;
        assert!(matches!(again.outcome, Outcome::Accepted { .. }), "{again:?}");
    }
    assert_eq!(thread.bench.ledger().await.len(), 4, "nothing was written twice");
    let mut other = (*thread.works[1]).clone();
    other.content.text = "another".into();
    let strange = thread.bluesky.reconcile(&thread.session, &other, &thread.handles[1], &attempt()).await;
    assert!(matches!(strange, Found::Unsure { .. }), "{strange:?}");
}

#[tokio::test]
async fn a_taken_key_makes_nothing_visible() {
    let thread = Thread::new(3).await;
    let mut kept = Kept { handles: thread.handles[0].clone(), ..Kept::default() };
    let first =
        thread.bluesky.prepare(&thread.session, &thread.works[0], &media_source(), &mut kept).await.unwrap();
    thread.bluesky.send(Armed::for_tests(false, TIME), &thread.session, &thread.works[0], &first).await;
    let together = thread.send(&thread.composed()).await;
    assert!(matches!(together.answer.outcome, Outcome::Ambiguous { .. }), "{together:?}");
    assert_eq!(thread.bench.ledger().await.len(), 1, "the others are not there either");
}

#[tokio::test]
async fn only_an_answer_for_every_part_is_an_acceptance() {
    let thread = Thread::new(3).await;
    let result = |n: usize| json!({ "uri": thread.uri(n), "cid": "bafy", "validationStatus": "valid" });
    let all = json!([result(0), result(1), result(2)]);
    let answers = [
        (json!({ "results": all }), true),
        (json!({ "results": [result(0), result(1)] }), false),
        (json!({ "results": [result(0), result(2), result(1)] }), false),
        (json!({ "results": [result(0), result(1), { "uri": thread.uri(2) }] }), false),
        (json!({}), false),
    ];
    for (body, is_accepted) in answers {
        let response = Response::builder().status(200).body(Bytes::from(body.to_string())).unwrap();
        let together = together::answer(&response, &thread.session, &thread.works, 0);
        assert_eq!(matches!(together.answer.outcome, Outcome::Accepted { .. }), is_accepted, "{body}");
        assert_eq!(together.others.len(), if is_accepted { 2 } else { 0 });
    }
}

#[tokio::test]
async fn takes_along_what_fits_and_keeps_the_order_of_keys() {
    let thread = Thread::new(3).await;
    let did = &thread.session.native_id;
    let compose = |parts: &[Part<'_>]| together::compose(did, parts).map(|(_, count)| count);
    let parts = thread.parts();
    assert_eq!(compose(&parts[..1]), None, "one part goes alone");
    assert_eq!(compose(&[parts[0], parts[2], parts[1]]), Some(2), "a key that comes before ends it");
    let mut large = (*thread.works[0]).clone();
    large.content.text = "é".repeat(1400);
    let many: Vec<Work> = (0..300)
        .map(|position| {
            let mut part = Work { position, key: format!("KEY {position}"), ..large.clone() };
            part.plan = thread.bluesky.plan(&part);
            part
        })
        .collect();
    let none = HandleMap::new();
    let all: Vec<Part<'_>> = many.iter().map(|work| Part { work, handles: &none }).collect();
    let (ready, count) = together::compose(did, &all).unwrap();
    assert!((20..100).contains(&count) && ready.request.len() <= 100_000, "{count} {}", ready.request.len());
    let short: Vec<Work> = many
        .into_iter()
        .map(|mut work| {
            work.content.text = "x".into();
            work
        })
        .collect();
    let all: Vec<Part<'_>> = short.iter().map(|work| Part { work, handles: &none }).collect();
    let (ready, count) = together::compose(did, &all).unwrap();
    assert!(count <= 200 && ready.request.len() <= 100_000, "{count} {}", ready.request.len());
}
