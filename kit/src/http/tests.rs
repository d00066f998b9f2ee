//! The client against real sockets: what it refuses to dial, and what each way of failing says about having sent.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Answers names from a list, one answer per question; the last one stays.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new<const N: usize>(answers: [&str; N]) -> Arc<Self> {
        let answers = answers.iter().map(|ip| vec![ip.parse().unwrap()]).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Scripted {
    fn lookup(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { next.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn client(resolver: Arc<Scripted>, allow: &[String], authorities: &[Vec<u8>]) -> GuardedClient {
    GuardedClient::with_resolver(&OutboundConfig { allow: allow.to_vec() }, resolver, authorities)
}

fn get(url: &str) -> Request<Bytes> {
    Request::builder().uri(url).body(Bytes::new()).unwrap()
}

fn post(url: &str, body: &'static str) -> Request<Bytes> {
    Request::builder().method("POST").uri(url).body(Bytes::from_static(body.as_bytes())).unwrap()
}

/// What a server does with its connections.
#[derive(Clone, Copy)]
enum Does {
    Answer(&'static str),
    /// Speaks first, as no HTTP server does.
    Greet(&'static str),
    /// Reads the request's head, then resets.
    ResetAfterRequest,
    /// Reads the request's head and never answers.
    Silence,
}

/// A server on loopback; counts what it was asked.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the server ends with the test")]
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Does::Greet(text) = does {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    continue;
                }
                let head = read_head(&mut stream).await;
                seen.lock().unwrap().push(head);
                match does {
                    Does::Answer(text) | Does::Greet(text) => {
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                    Does::ResetAfterRequest => stream.set_zero_linger().unwrap(),
                    Does::Silence => held.push(stream),
                }
            }
        });
        Self { port, heads, task }
    }

    fn allow(&self) -> Vec<String> {
        vec![format!("127.0.0.1:{}", self.port)]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn count(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

const OK: Does = Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: r1\r\n\r\nhi");

#[tokio::test]
async fn answers_any_status_with_headers_and_body() {
    let server = Server::start(OK).await;
    let client = client(Scripted::new([]), &server.allow(), &[]);
    let answer = client.send(get(&server.url("/x?y=1"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (200, b"hi".as_slice()));
    assert_eq!(answer.headers()["x-request-id"], "r1");
    let head = server.heads.lock().unwrap()[0].to_lowercase();
    assert!(
        head.starts_with("get /x?y=1 http/1.1") && head.contains(&format!("user-agent: {USER_AGENT}")),
        "{head}"
    );
}

#[tokio::test]
async fn follows_no_redirect() {
    let canary = Server::start(OK).await;
    let redirect = Server::start(Does::Answer(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let client = client(Scripted::new([]), &redirect.allow(), &[]);
    assert_eq!(client.send(get(&redirect.url("/"))).await.unwrap().status().as_u16(), 302);
    assert_eq!((redirect.count(), canary.count()), (1, 0));
}

#[tokio::test]
async fn stops_reading_at_the_cap() {
    let server =
        Server::start(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n01234567890123456789"))
            .await;
    let client =
        client(Scripted::new([]), &server.allow(), &[]).bounded(Bounds { body: 10, ..Bounds::default() });
    let url = server.url("/");
    let pooled = client.send(get(&url)).await.unwrap_err();
    let single = client
        .publishing()
        .dial(&url.parse().unwrap())
        .await
        .unwrap()
        .send(get(&url), || true)
        .await
        .unwrap_err();
    for error in [pooled, single] {
        assert!(matches!(error, Error::TooLarge { cap: 10, .. }), "{error:?}");
        assert_eq!(error.sent(), Sent::Maybe);
    }
}

#[tokio::test]
async fn names_that_point_inside_are_not_dialled() {
    let canary = Server::start(OK).await;
    for inside in
        ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "64:ff9b::7f00:1"]
    {
        let client = client(Scripted::new([inside]), &[], &[]);
        for url in ["https://rebind.example:8443/", "https://rebind.example/"] {
            let refused = client.send(get(url)).await.unwrap_err();
            assert!(
                matches!(refused, Error::Refused { rule: Refusal::PrivateAddress, .. }),
                "{inside}: {refused:?}"
            );
            assert_eq!(refused.sent(), Sent::No);
            let refused = client.publishing().dial(&url.parse().unwrap()).await.unwrap_err();
            assert!(
                matches!(refused, Error::Refused { rule: Refusal::PrivateAddress, .. }),
                "{inside}: {refused:?}"
            );
        }
    }
    assert_eq!(canary.count(), 0);
}

#[tokio::test]
async fn an_address_that_changes_after_the_check_is_checked_again() {
    let resolver = Scripted::new(["8.8.8.8", "127.0.0.1"]);
    let client = client(resolver.clone(), &[], &[]);
    let target = client.inner.policy.check(&"https://rebind.example/".parse().unwrap()).unwrap();
    let first = client.resolve("rebind.example", &target).await.unwrap();
    assert_eq!(first, ["8.8.8.8:443".parse().unwrap()], "the vetted address is the one that is dialled");
    let second = client.resolve("rebind.example", &target).await.unwrap_err();
    assert!(matches!(second, Error::Refused { rule: Refusal::PrivateAddress, .. }), "{second:?}");
    assert_eq!(
        resolver.asked.load(Ordering::SeqCst),
        2,
        "each connection resolves once and connects to that"
    );
}

#[tokio::test]
async fn mixed_answers_keep_their_public_addresses_only() {
    let found = ["127.0.0.1", "8.8.4.4", "::1"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(policy::public_only(found), Ok(vec!["8.8.4.4".parse().unwrap()]));
}

#[tokio::test]
async fn hostile_addresses_reach_no_listener() {
    let canary = Server::start(OK).await;
    let client = client(Scripted::new(["127.0.0.1"]), &[], &[]);
    let port = canary.port;
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://user@127.0.0.1:{port}/"),
        format!("https://rebind.example:{port}/"),
    ] {
        let error = client.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. } | Error::Malformed(_)), "{url}: {error:?}");
        let error = client.publishing().dial(&url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{url}: {error:?}");
    }
    assert_eq!(canary.count(), 0);
}

#[tokio::test]
async fn what_fails_before_the_first_byte_was_not_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let plain = Server::start(Does::Greet("this is no handshake")).await;
    let allow = vec![
        format!("127.0.0.1:{closed}"),
        format!("127.0.0.1:{}", plain.port),
        "nowhere.example:443".into(),
    ];
    let client = client(Scripted::new([]), &allow, &[]);
    for (url, expected) in [
        (format!("http://127.0.0.1:{closed}/"), Unreached::Connect),
        ("https://nowhere.example/".to_owned(), Unreached::Dns),
        (format!("https://127.0.0.1:{}/", plain.port), Unreached::Tls),
    ] {
        let pooled = client.send(post(&url, "x")).await.unwrap_err();
        let dialled = client.publishing().dial(&url.parse().unwrap()).await.unwrap_err();
        for error in [pooled, dialled] {
            assert!(matches!(&error, Error::Unreached { why, .. } if *why == expected), "{url}: {error:?}");
            assert_eq!(error.sent(), Sent::No);
        }
    }
}

#[tokio::test]
async fn what_breaks_after_the_first_byte_may_have_been_sent() {
    for does in [
        Does::ResetAfterRequest,
        Does::Silence,
        Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
    ] {
        let server = Server::start(does).await;
        let bounds = Bounds { answer_in: Duration::from_millis(300), ..Bounds::default() };
        let client = client(Scripted::new([]), &server.allow(), &[]).bounded(bounds);
        let url = server.url("/");
        let dialled = client.publishing().dial(&url.parse().unwrap()).await.unwrap();
        let broken = dialled.send(post(&url, "x"), || true).await.unwrap_err();
        assert!(matches!(broken, Error::Interrupted { .. }), "{broken:?}");
        assert_eq!(broken.sent(), Sent::Maybe);
        assert_eq!(server.count(), 1, "nothing is retried");
    }
}

#[tokio::test]
async fn a_reset_of_a_pooled_request_is_ambiguous_and_not_retried() {
    let server = Server::start(Does::ResetAfterRequest).await;
    let client = client(Scripted::new([]), &server.allow(), &[]);
    let broken = client.send(post(&server.url("/"), "x")).await.unwrap_err();
    assert_eq!(broken.sent(), Sent::Maybe, "{broken:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn publishing_sends_one_request_in_the_form_servers_expect() {
    let server = Server::start(OK).await;
    let client = client(Scripted::new([]), &server.allow(), &[]);
    let url = server.url("/api/v1/statuses?x=1");
    let dialled = client.publishing().dial(&url.parse().unwrap()).await.unwrap();
    let answer = dialled.send(post(&url, "body"), || true).await.unwrap();
    assert_eq!(answer.body().as_ref(), b"hi");
    let head = server.heads.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("post /api/v1/statuses?x=1 http/1.1\r\n"), "{head}");
    for line in
        [format!("host: 127.0.0.1:{}", server.port), "content-length: 4".into(), "connection: close".into()]
    {
        assert!(head.contains(&line), "{line} in {head}");
    }
    assert!(head.contains(USER_AGENT));
}

#[tokio::test]
async fn a_shut_gate_keeps_every_byte_back() {
    let server = Server::start(OK).await;
    let client = client(Scripted::new([]), &server.allow(), &[]);
    let url = server.url("/");
    let dialled = client.publishing().dial(&url.parse().unwrap()).await.unwrap();
    let late = dialled.send(post(&url, "x"), || false).await.unwrap_err();
    assert!(matches!(late, Error::Unreached { why: Unreached::Deadline, .. }), "{late:?}");
    assert_eq!(late.sent(), Sent::No);
    // The connection was accepted and closed; what it carried before is nothing.
    while server.count() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.heads.lock().unwrap()[0], "");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_was_not_sent_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = client(Scripted::new([]), &[format!("127.0.0.1:{port}")], &[]);
    let url = format!("http://127.0.0.1:{port}/");
    let url_parsed = url.parse().unwrap();
    let publishing = client.publishing();
    let (dialled, accepted) = tokio::join!(publishing.dial(&url_parsed), listener.accept());
    drop(accepted);
    let outcome = dialled.unwrap().send(post(&url, "x"), || true).await;
    // Whether the close is noticed before the first byte is a race; both answers are honest, success is not.
    assert!(matches!(outcome, Err(Error::Unreached { .. } | Error::Interrupted { .. })), "{outcome:?}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the server ends with the test")]
async fn trusts_an_authority_that_was_added_and_no_other() {
    let key = rcgen::generate_simple_self_signed(vec!["secure.example".into()]).unwrap();
    let der = key.cert.der().to_vec();
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let allow = vec![format!("secure.example:{port}"), format!("other.example:{port}")];
    let url = format!("https://secure.example:{port}/");
    let trusting = client(Scripted::new(["127.0.0.1"]), &allow, std::slice::from_ref(&der));
    let dialled = trusting.publishing().dial(&url.parse().unwrap()).await.unwrap();
    assert_eq!(dialled.send(get(&url), || true).await.unwrap().body().as_ref(), b"hi");
    assert_eq!(trusting.send(get(&url)).await.unwrap().body().as_ref(), b"hi");
    let other_name = format!("https://other.example:{port}/");
    for (client, url) in [(client(Scripted::new(["127.0.0.1"]), &allow, &[]), &url), (trusting, &other_name)]
    {
        let error = client.publishing().dial(&url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Unreached { why: Unreached::Tls, .. }), "{error:?}");
        let error = client.send(get(url)).await.unwrap_err();
        assert!(matches!(error, Error::Unreached { why: Unreached::Tls, .. }), "{error:?}");
    }
    task.abort();
}
