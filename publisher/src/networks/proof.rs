//! One proof for every kind of post on every network, over a real socket against its stand-in. A network names its kinds
//! as [`Case`]s; what each must hold is here, once: published exactly once with the fields on the wire that the network
//! documents, refused one over each limit, an expired token refreshed once, a lost answer settled by the class, counted,
//! deleted.

pub(crate) mod shared;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{HandleMap, Network, Ready, Session, all, connect::Connected, linkedin::Linkedin};
use crate::{
    domain::{
        content::Content,
        delivery::{AttemptFacts, Work},
        outcome::{Answer, DeliveryClass, Fault, Found, Outcome},
    },
    media::MediaSource,
    store::Armed,
    testing::{Bench, Kept, Library, TIME, app, attempt, library, session, stand_in, work},
};

/// One kind of post on one network.
pub(crate) struct Case {
    /// Network id.
    pub(crate) network: &'static str,
    /// What it is called in messages: `text`, `image`, `carousel`, `video`, `reel`, …
    pub(crate) kind: &'static str,
    /// How the account comes in.
    pub(crate) way: Way,
    /// A content of that kind at every limit it has, with this text in it (the text is at most 60 characters).
    pub(crate) content: fn(&str) -> Content,
    /// Contents one over a limit, with the reason of the violation.
    pub(crate) over: fn() -> Vec<(Content, &'static str)>,
    /// The calls that the network documents for it: a JSON list of `{"method", "path", "body"}`, in their order. `"*"`
    /// stands for any value, a path may end in `*`, and a body may be absent. Other calls may come between.
    pub(crate) shape: &'static str,
    /// Whether its access token ends and is refreshed.
    pub(crate) refreshes: bool,
    /// The stand-in's operation of the visible request, `publish` nearly always.
    pub(crate) visible: &'static str,
}

/// How an account comes in.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// In the browser; the first account of the login that the function accepts.
    OAuth(fn(&Connected) -> bool),
    /// With a token or password: identifier and password, which the stand-in's accounts tell.
    Login(fn(&Value) -> (String, String)),
}

/// Every case of every network.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for network in TABLE {
        cases.extend(network());
    }
    cases
}

/// The networks' own cases; one line each.
const TABLE: &[fn() -> Vec<Case>] = &[
    super::facebook::proof::cases,
    super::instagram::proof::cases,
    super::linkedin::proof::cases,
    super::pinterest::proof::cases,
    super::x::proof::cases,
    super::youtube::proof::cases,
    super::telegram::proof::cases,
    super::mastodon::proof::cases,
    super::bluesky::proof::cases,
    super::threads::proof::cases,
    super::discord::proof::cases,
    super::slack::proof::cases,
    super::reddit::proof::cases,
    super::tiktok::proof::cases,
];

/// A network with a connected account beside its stand-in.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) library: Library,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) session: Session,
}

impl Stage {
    /// Connects the stand-in's demo account.
    pub(crate) async fn new(network: &str, way: Way) -> Self {
        let bench = Bench::new().await;
        let library = library().await;
        let (networks, connectors) = all(&bench.http, &bench.clock, Some(&library.source()));
        // The stand-in's pictures are ready sooner than LinkedIn's.
        let linkedin = Linkedin::member(bench.http.clone(), bench.clock.clone());
        let networks = networks.with(linkedin.settling_in(Duration::from_millis(400)));
        let connector = connectors.get(network).expect("the network connects accounts").clone();
        let server = bench.server(stand_in(network));
        let yields = match way {
            Way::OAuth(_) => {
                let app = app(network);
                let app = connector.facts().needs_app.then_some(&app);
                let yields = shared::login(&bench, connector.as_ref(), app, str::to_owned).await;
                yields.expect("the stand-in connects its demo account")
            }
            Way::Login(credentials) => {
                let accounts = bench.read("accounts").await;
                let mine = |account: &&Value| {
                    account["network"] == stand_in(network)
                        && account["handle"].as_str().is_some_and(|h| h.starts_with("demo"))
                };
                let demo = accounts
                    .as_array()
                    .expect("a list")
                    .iter()
                    .find(mine)
                    .expect("every stand-in has a demo account");
                let (identifier, password) = credentials(demo);
                vec![
                    connector
                        .login(&server, &identifier, &password)
                        .await
                        .expect("the stand-in knows this account"),
                ]
            }
        };
        let wanted = |account: &Connected| match way {
            Way::OAuth(accepts) => accepts(account),
            Way::Login(_) => true,
        };
        let connected = yields.into_iter().find(wanted).expect("the login yields such an account");
        let session = session(network, connected);
        let network = networks.get(network).expect("it has an adapter").clone();
        Self { bench, library, network, session }
    }

    fn media(&self) -> MediaSource {
        self.library.source()
    }

    /// A delivery of this content.
    pub(crate) fn work(&self, content: Content) -> Work {
        let mut work = Work { content, ..work(self.network.as_ref(), "", 0) };
        work.plan = Value::Null;
        work.plan = self.network.plan(&work);
        work
    }

    /// Prepares to the end, as often as the adapter asks to be called again.
    pub(crate) async fn ready(&self, work: &Work, kept: &mut Kept) -> Ready {
        let mut last = None;
        for _ in 0..40 {
            match self.network.prepare(&self.session, work, &self.media(), kept).await {
                Ok(ready) => return ready,
                Err(fault @ Fault::Transient { .. }) => last = Some(fault),
                Err(fault) => panic!("{fault:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never got ready: {last:?}");
    }

    /// Sends it and follows the processing to its end.
    pub(crate) async fn send(&self, work: &Work, ready: &Ready) -> Answer {
        let answer = self.network.send(Armed::for_tests(false, TIME), &self.session, work, ready).await;
        let Outcome::Processing { handle } = &answer.outcome else { return answer };
        for _ in 0..100 {
            let polled = self.network.poll(&self.session, work, handle).await;
            if !matches!(polled.outcome, Outcome::Processing { .. } | Outcome::Transient { .. }) {
                return polled;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("its processing never ended");
    }

    /// Publishes it; its id.
    pub(crate) async fn publish(&self, content: Content) -> String {
        let work = self.work(content);
        let ready = self.ready(&work, &mut Kept::default()).await;
        accepted(&self.send(&work, &ready).await)
    }

    async fn lines(&self) -> Vec<Value> {
        let ledger = self.bench.ledger().await;
        ledger.into_iter().filter(|line| line["network"] == stand_in(self.network.facts().id)).collect()
    }

    /// Writes down what the network was asked, one call a line, for a validator that is not ours
    /// (`scripts/check-wire.sh`).
    #[expect(clippy::disallowed_methods, reason = "a test is told through its environment where to write")]
    async fn record(&self) {
        use std::io::Write;
        let Ok(folder) = std::env::var("POSTMESH_WIRE_DIR") else { return };
        let network = self.network.facts().id;
        let calls = self.bench.all_requests().await;
        let of_this = calls.iter().filter(|call| call["network"] == stand_in(network));
        let lines = of_this.map(|call| format!("{call}\n")).collect::<Vec<_>>().concat();
        let path = std::path::Path::new(&folder).join(format!("{network}.ndjson"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // At once: other tests write here as well.
        file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("the folder takes it");
    }

    /// Looks as often as reads may lag behind.
    async fn look(&self, work: &Work, handles: &HandleMap, facts: &AttemptFacts) -> Found {
        let mut found = Found::Absent;
        for _ in 0..40 {
            found = self.network.reconcile(&self.session, work, handles, facts).await;
            if matches!(found, Found::Live { .. }) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        found
    }
}

/// The id of an accepted post.
pub(crate) fn accepted(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Accepted { native_id, .. } => native_id.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_kind_is_published_once_as_documented() {
    for case in cases() {
        let name = format!("{} {}", case.network, case.kind);
        let stage = Stage::new(case.network, case.way).await;
        let content = (case.content)("proof of a post");
        let violations = stage.network.validate(&stage.session.limits, &content, 0);
        assert_eq!(violations, [], "{name} at its limits");
        let before = stage.bench.all_requests().await.len();
        let id = stage.publish(content).await;
        let lines = stage.lines().await;
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        let shown = lines[0]["native_id"].as_str().unwrap_or_default();
        assert!(id == shown || id.contains(shown) || shown.contains(&id), "{name}: {id} is shown as {shown}");
        let shape: Vec<Value> = serde_json::from_str(case.shape).expect("a recorded shape is a JSON list");
        let calls = stage.bench.all_requests().await.split_off(before);
        stage.record().await;
        let mut calls = calls.iter().filter(|call| call["network"] == stand_in(case.network));
        for expected in &shape {
            assert!(
                calls.any(|call| fits_call(expected, call, case.network)),
                "{name}: no call like {expected}"
            );
        }
    }
}

#[tokio::test]
async fn one_over_each_limit_is_refused_before_it_is_sent() {
    for case in cases() {
        let (networks, _) = {
            let bench = Bench::new().await;
            all(&bench.http, &bench.clock, None)
        };
        let network = networks.get(case.network).expect("it has an adapter");
        for (content, reason) in (case.over)() {
            let found = network.validate(&network.limits(), &content, 0);
            assert!(
                found.iter().any(|violation| violation.reason == reason),
                "{} {}: {reason} among {found:?}",
                case.network,
                case.kind
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_the_class() {
    for case in cases() {
        let name = format!("{} {}", case.network, case.kind);
        let stage = Stage::new(case.network, case.way).await;
        let class = stage.network.facts().class;
        // What this account published right before, as the publisher knows it.
        let mut last = None;
        for (n, fault) in ["accept_then_reset", "accept_then_500"].into_iter().enumerate() {
            let work = stage.work((case.content)(&format!("executed, number {n}")));
            let mut kept = Kept::default();
            let ready = stage.ready(&work, &mut kept).await;
            let facts = AttemptFacts { last_native_id: last.take(), ..attempt() };
            stage.bench.fault(stand_in(case.network), case.visible, json!({ "kind": fault })).await;
            let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
            assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{name} {fault}: {lost:?}");
            if class == DeliveryClass::Nothing {
                let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &facts).await;
                assert!(matches!(found, Found::Unsure { .. }), "{name} {fault}: {found:?}");
            } else {
                let found = stage.look(&work, &kept.handles, &facts).await;
                let Found::Live { native_id, .. } = found else { panic!("{name} {fault}: {found:?}") };
                last = Some(native_id);
            }
            assert_eq!(stage.lines().await.len(), n + 1, "{name} {fault}");
        }
        let work = stage.work((case.content)("never executed"));
        let mut kept = Kept::default();
        let ready = stage.ready(&work, &mut kept).await;
        let facts = AttemptFacts { last_native_id: last, ..attempt() };
        stage.bench.fault(stand_in(case.network), case.visible, json!({ "kind": "drop_before" })).await;
        let lost = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
        assert!(matches!(lost.outcome, Outcome::Ambiguous { .. }), "{name}: {lost:?}");
        let found = stage.network.reconcile(&stage.session, &work, &kept.handles, &facts).await;
        assert!(!matches!(found, Found::Live { .. }), "{name}, dropped: {found:?}");
        assert_eq!(stage.lines().await.len(), 2, "{name}, dropped");
        stage.record().await;
    }
}

#[tokio::test]
async fn an_expired_token_is_refreshed_once_and_the_same_request_goes_out() {
    for case in cases().into_iter().filter(|case| case.refreshes) {
        let name = format!("{} {}", case.network, case.kind);
        let mut stage = Stage::new(case.network, case.way).await;
        let work = stage.work((case.content)("after a refresh"));
        let ready = stage.ready(&work, &mut Kept::default()).await;
        let expire = json!({ "network": stand_in(case.network), "fault": { "kind": "expire_tokens" } });
        stage.bench.control("script", &expire).await;
        let expired = stage.network.send(Armed::for_tests(false, TIME), &stage.session, &work, &ready).await;
        assert_eq!(expired.outcome, Outcome::TokenExpired, "{name}");
        let tokens =
            stage.network.refresh(&stage.session).await.unwrap_or_else(|why| panic!("{name}: {why}"));
        stage.session.access_token = tokens.access_token;
        stage.session.refresh_token = tokens.refresh_token.or(stage.session.refresh_token.take());
        accepted(&stage.send(&work, &ready).await);
        assert_eq!(stage.lines().await.len(), 1, "{name}");
        stage.record().await;
    }
}

#[tokio::test]
async fn what_was_published_is_counted_and_deleted() {
    for case in cases() {
        let name = format!("{} {}", case.network, case.kind);
        let stage = Stage::new(case.network, case.way).await;
        let can = stage.network.facts().capabilities;
        let id = stage.publish((case.content)("to be counted")).await;
        if can.metrics {
            let shown = stage.lines().await[0]["native_id"].clone();
            let counts = json!({ "network": stand_in(case.network), "native_id": shown, "likes": 5, "reposts": 3, "replies": 1 });
            stage.bench.control("engage", &counts).await;
            let metrics = stage.network.metrics(&stage.session, std::slice::from_ref(&id)).await;
            let metrics = metrics.unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(metrics[0].found && metrics[0].native_id == id, "{name}: {metrics:?}");
            assert!(metrics[0].likes + metrics[0].reposts + metrics[0].replies > 0, "{name}: {metrics:?}");
        }
        let deleted = stage.network.delete(&stage.session, &id).await;
        if can.delete {
            deleted.unwrap_or_else(|why| panic!("{name}: {why}"));
            stage
                .network
                .delete(&stage.session, &id)
                .await
                .unwrap_or_else(|why| panic!("{name}, again: {why}"));
        } else {
            assert!(
                matches!(&deleted, Err(Fault::Rejected { code, .. }) if code == "CANNOT_DELETE"),
                "{name}: {deleted:?}"
            );
        }
        stage.record().await;
    }
}

/// Whether a call is the documented one.
fn fits_call(expected: &Value, call: &Value, network: &str) -> bool {
    let path = call["path"].as_str().unwrap_or_default();
    let path = path.strip_prefix(&format!("/{}", stand_in(network))).unwrap_or(path);
    let wanted = expected["path"].as_str().unwrap_or_default();
    let path_fits = glob(wanted, path) || glob(wanted, path.split('?').next().unwrap_or_default());
    let body = call.get("body").cloned().unwrap_or_default();
    expected["method"] == call["method"]
        && path_fits
        && expected.get("body").is_none_or(|wanted| fits(wanted, &body))
}

/// Whether a text is like a pattern in which `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

/// Whether a body is the documented one: the same fields, no more and no less. A form is compared as an object.
fn fits(wanted: &Value, body: &Value) -> bool {
    match (wanted, body) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(_), Value::String(form)) => {
            let pairs = url::form_urlencoded::parse(form.as_bytes());
            let fields = pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
            fits(wanted, &Value::Object(fields.collect()))
        }
        (Value::Object(wanted), Value::Object(body)) => {
            wanted.len() == body.len()
                && wanted.iter().all(|(name, value)| body.get(name).is_some_and(|found| fits(value, found)))
        }
        (Value::Array(wanted), Value::Array(body)) => {
            wanted.len() == body.len() && wanted.iter().zip(body).all(|(wanted, found)| fits(wanted, found))
        }
        (Value::String(pattern), Value::String(text)) => glob(pattern, text),
        _ => wanted == body,
    }
}
