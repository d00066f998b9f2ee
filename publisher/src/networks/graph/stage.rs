//! What the tests of these networks share: a connected account beside its stand-in, and the refusals that a table
//! proves.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json as object};
use url::Url;

use super::{
    super::{
        Ready,
        connect::{Begin, Connect, ConnectFault, Connected, Finish},
        wire::Rule,
    },
    HandleMap, Session, Work, refusal,
};
use crate::{
    domain::{
        content::Media,
        delivery::{AttemptFacts, Reply},
        outcome::{Answer, Fault, Found, Outcome, RATE_LIMITED},
    },
    store::Armed,
    testing::{Bench, CLIP, Kept, Library, PICTURE_JPEG, PNG, TIME, app, clip, library, session, stand_in},
};

const REDIRECT: &str = "https://mesh.example/oauth/callback";

/// What rows are about that both logins of Facebook's Graph have, with what follows from them.
pub(in super::super) const REFUSALS: &[(i64, i64, &str)] = &[
    (190, 463, "expired"),
    (190, 458, "reconnect"),
    (190, 0, "reconnect"),
    (102, 0, "reconnect"),
    (4, 0, RATE_LIMITED),
    (17, 0, RATE_LIMITED),
    (32, 0, RATE_LIMITED),
    (341, 0, RATE_LIMITED),
    (613, 0, RATE_LIMITED),
    (80_001, 0, RATE_LIMITED),
    (80_002, 0, RATE_LIMITED),
    (10, 0, "reconnect"),
    (200, 0, "reconnect"),
    (210, 0, "reconnect"),
    (299, 0, "reconnect"),
    (100, 0, "CONTENT_REFUSED"),
];

/// Sends a person through the network's page, for these scopes instead of those that are asked for; where the browser
/// goes back to.
pub(in super::super) async fn agreed(
    bench: &Bench,
    network: &dyn Connect,
    handle: &str,
    scopes: Option<&str>,
) -> Url {
    let (server, app) = (bench.server(stand_in(network.id())), app(network.id()));
    let ask = Begin {
        server: &server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: "",
        registration: None,
        app: Some(&app),
    };
    let began = network.begin(ask).await.unwrap();
    assert_eq!(began.issuer, server);
    let mut url = Url::parse(&began.authorization_url).unwrap();
    let asked: Vec<_> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert!(asked.contains(&("scope".to_owned(), network.facts().scopes.join(","))));
    url.set_query(None);
    let fields = asked.into_iter().map(|(name, value)| match scopes {
        Some(scopes) if name == "scope" => (name, scopes.to_owned()),
        _ => (name, value),
    });
    let pressed = [("account", handle), ("decision", "authorize")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let form =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.chain(pressed)).finish();
    let request = http::Request::post(url.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let answer = bench.http.send(request).await.unwrap();
    Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap()
}

/// The code that the browser brings back.
pub(in super::super) fn code(back: &Url) -> String {
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

pub(in super::super) async fn finish(
    bench: &Bench,
    network: &dyn Connect,
    code: &str,
) -> Result<Vec<Connected>, ConnectFault> {
    let (server, app) = (bench.server(stand_in(network.id())), app(network.id()));
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: "",
        code,
        verifier: "",
        app: Some(&app),
    };
    network.finish(ask).await
}

/// A network with a connected account beside its stand-in.
pub(in super::super) struct Stage<N> {
    pub(in super::super) bench: Bench,
    pub(in super::super) library: Library,
    pub(in super::super) network: N,
    pub(in super::super) session: Session,
}

impl<N: Connect> Stage<N> {
    /// With the first account that this person's login yields; the person is made unless it is the one that is there.
    pub(in super::super) async fn of(make: impl FnOnce(&Bench) -> N, handle: &str) -> Self {
        let bench = Bench::new().await;
        let network = make(&bench);
        if handle != "demo" {
            let account = object!({ "network": stand_in(network.id()), "handle": handle });
            bench.control("accounts", &account).await;
        }
        let session = another(&bench, &network, handle).await;
        Self { bench, library: library().await, network, session }
    }

    pub(in super::super) async fn prepared(&self, work: &Work, kept: &mut Kept) -> Result<Ready, Fault> {
        self.network.prepare(&self.session, work, &self.library.source(), kept).await
    }

    pub(in super::super) async fn ready(&self, work: &Work) -> Ready {
        self.prepared(work, &mut Kept::default()).await.unwrap()
    }

    pub(in super::super) async fn send(&self, work: &Work, ready: &Ready) -> Answer {
        self.sent(work, ready, false, TIME).await
    }

    pub(in super::super) async fn resend(&self, work: &Work, ready: &Ready) -> Answer {
        self.sent(work, ready, true, TIME).await
    }

    /// Sends it in the time that the attempt has.
    pub(in super::super) async fn sent(
        &self,
        work: &Work,
        ready: &Ready,
        resend: bool,
        time: Duration,
    ) -> Answer {
        self.network.send(Armed::for_tests(resend, time), &self.session, work, ready).await
    }

    /// Publishes it; id and address.
    pub(in super::super) async fn publish(&self, work: &Work) -> (String, String) {
        addressed(self.send(work, &self.ready(work).await).await)
    }

    pub(in super::super) async fn find(
        &self,
        work: &Work,
        handles: &HandleMap,
        facts: &AttemptFacts,
    ) -> Found {
        self.network.reconcile(&self.session, work, handles, facts).await
    }

    /// The next request of that kind goes wrong in this way.
    pub(in super::super) async fn fault(&self, operation: &str, fault: Value) {
        self.script(operation, object!({ "fault": fault })).await;
    }

    /// A rule of the stand-in with more to it.
    pub(in super::super) async fn script(&self, operation: &str, mut rule: Value) {
        rule["network"] = object!(stand_in(self.network.id()));
        rule["operation"] = object!(operation);
        self.bench.control("script", &rule).await;
    }

    pub(in super::super) async fn refuse(&self, operation: &str, status: u16, code: i64, subcode: i64) {
        self.fault(operation, refused(status, code, subcode)).await;
    }

    /// Publishing is refused with each of these, and ends as the word says; every row of the tables is tried. What is
    /// refused otherwise proves nothing.
    pub(in super::super) async fn refusals(
        &self,
        work: &Work,
        rules: &[&[Rule]],
        listed: &[&[(i64, i64, &str)]],
        unlisted: &[(u16, i64, i64)],
    ) {
        let ready = self.ready(work).await;
        let listed = listed.concat();
        for (code, subcode, expected) in &listed {
            self.refuse("publish", 400, *code, *subcode).await;
            let answer = self.send(work, &ready).await;
            assert_eq!(word(&answer.outcome), *expected, "{code}/{subcode}");
            assert_eq!(answer.wire.platform_code.as_deref(), Some(&*format!("{code}/{subcode}")));
        }
        let texts: Vec<_> =
            listed.iter().flat_map(|(code, sub, _)| refusal::texts(&format!("{code}/{sub}"))).collect();
        let is_tried = |rule: &Rule| texts.iter().any(|text| rule.fits(400, text));
        assert!(rules.iter().copied().flatten().all(is_tried), "a row without a test");
        for (status, code, subcode) in unlisted {
            self.refuse("publish", *status, *code, *subcode).await;
            let outcome = self.send(work, &ready).await.outcome;
            assert_eq!(word(&outcome), "ambiguous", "{status} {code}/{subcode}");
        }
        self.fault("publish", object!({ "kind": "drop_before" })).await;
        assert_eq!(word(&self.send(work, &ready).await.outcome), "ambiguous");
        let late = self.sent(work, &ready, false, Duration::ZERO).await.outcome;
        assert!(matches!(late, Outcome::NotSent { .. }), "{late:?}");
        assert_eq!(self.bench.ledger().await.len(), 0);
    }

    /// Reading the address of a post cannot spoil it, whatever becomes of the read: it ends as published with the id, in
    /// time, and with `untold` for an address.
    pub(in super::super) async fn address_is_cosmetic(
        &self,
        work: impl Fn(usize) -> Work,
        untold: impl Fn(&str) -> String,
    ) {
        let faults = [
            refused(400, 190, 463),
            object!({ "kind": "status", "code": 503 }),
            object!({ "kind": "drop_before" }),
            object!({ "kind": "accept_then_reset" }),
            object!({ "kind": "accept_then_timeout" }),
            object!({ "kind": "garbage" }),
        ];
        for (n, fault) in faults.into_iter().enumerate() {
            let work = work(n);
            let ready = self.ready(&work).await;
            self.fault("read", fault.clone()).await;
            let began = tokio::time::Instant::now();
            let (id, url) = addressed(self.sent(&work, &ready, false, Duration::from_secs(7)).await);
            assert_eq!(url, untold(&id), "{fault}");
            assert!(began.elapsed() < Duration::from_secs(4), "{fault} took {:?}", began.elapsed());
            assert_eq!(self.bench.ledger().await[n]["native_id"], object!(id), "{fault}");
            // The rule is spent by the read that it was about.
            self.bench.clear_script().await;
        }
        // Without time to spare nothing is read, and a post that is not shown at once is asked for again.
        let (reads, n) = (async || self.bench.requests("read").await.len(), self.bench.ledger().await.len());
        let hurried = work(n);
        let ready = self.ready(&hurried).await;
        let before = reads().await;
        let (id, url) = addressed(self.sent(&hurried, &ready, false, Duration::from_secs(4)).await);
        assert_eq!((url, reads().await), (untold(&id), before));
        let late = work(n + 1);
        let ready = self.ready(&late).await;
        self.refuse("read", 400, 100, 33).await;
        let (_, url) = addressed(self.send(&late, &ready).await);
        assert!(url.starts_with("http"), "{url}");
    }
}

/// The session of the first account that a person's login yields.
pub(in super::super) async fn another<N: Connect>(bench: &Bench, network: &N, handle: &str) -> Session {
    let code = code(&agreed(bench, network, handle, None).await);
    let account = finish(bench, network, &code).await.unwrap().remove(0);
    session(network.id(), account)
}

/// The parts of a thread after these: its root, and the part right before this one.
pub(in super::super) fn part_of(root: &str, parent: &str, work: Work) -> Work {
    let reply = Reply { parent_native_id: parent.to_owned(), root_native_id: root.to_owned() };
    Work { reply: Some(reply), position: 1, ..work }
}

/// A picture of the library, described like this.
pub(in super::super) fn still(media_id: uuid::Uuid, alt_text: &str) -> Media {
    Media {
        media_id,
        content_type: if media_id == PICTURE_JPEG { "image/jpeg" } else { "image/png" }.into(),
        size_bytes: i64::try_from(PNG.len()).unwrap(),
        width: 1,
        height: 1,
        alt_text: alt_text.into(),
        ..Media::default()
    }
}

/// The library's film, said to last so long.
pub(in super::super) fn film(duration_ms: i64) -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).unwrap(),
        width: 64,
        height: 64,
        duration_ms,
        ..Media::default()
    }
}

/// An answer of the network's own refusal.
fn refused(status: u16, code: i64, subcode: i64) -> Value {
    let error = object!({ "message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode });
    object!({ "kind": "status", "code": status, "body": { "error": error } })
}

/// Id and address of an accepted post.
pub(in super::super) fn addressed(answer: Answer) -> (String, String) {
    match answer.outcome {
        Outcome::Accepted { native_id, url } => (native_id, url),
        other => panic!("{other:?}"),
    }
}

/// An outcome in a word: its code, where it has one.
pub(in super::super) fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::TokenExpired => "expired",
        Outcome::Reconnect { .. } => "reconnect",
        Outcome::Stale { .. } => "stale",
        Outcome::Rejected { code, .. } | Outcome::Transient { code, .. } => code,
        Outcome::Ambiguous { .. } => "ambiguous",
        _ => "other",
    }
}
