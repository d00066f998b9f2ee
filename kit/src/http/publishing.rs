//! Sends that become visible: one fresh connection each, dialled before the send is armed, and nothing on it that
//! could send twice or late. The socket has linger 0, so the kernel forgets unsent bytes when the process dies, and
//! a user timeout, so it does not deliver them minutes later. A gate is asked right before the first byte.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ::http::{
    Request, Response,
    header::{CONNECTION, HOST, HeaderValue, USER_AGENT},
};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, FutureExt, select};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    Bounds, CONNECT, Cause, Error, GuardedClient, Unreached, find, policy::Target, refused, server_of,
    unreached,
};
use crate::faults;

/// After this long without an acknowledgement the kernel gives the bytes up.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Dials connections for sends that become visible.
#[derive(Debug, Clone)]
pub struct Publishing {
    client: GuardedClient,
}

impl Publishing {
    pub(super) fn new(client: GuardedClient) -> Self {
        Self { client }
    }

    /// Resolves, connects and encrypts; sends nothing of a request. Drop the connection to change one's mind.
    pub async fn dial(&self, url: &Url) -> Result<Dialed, Error> {
        let server = server_of(url);
        let target = self.client.inner.policy.check(url).map_err(|rule| refused(&server, rule))?;
        match tokio::time::timeout(CONNECT, self.connect(&server, &target)).await {
            Ok(dialed) => dialed,
            Err(late) => Err(unreached(&server, Unreached::Connect, late)),
        }
    }

    async fn connect(&self, server: &str, target: &Target) -> Result<Dialed, Error> {
        let addresses = self.client.resolve(server, target).await?;
        let stream =
            first_to_accept(&addresses).await.map_err(|e| unreached(server, Unreached::Connect, e))?;
        prepare(&stream).map_err(|e| unreached(server, Unreached::Connect, e))?;
        let gate = Gate::default();
        let stream: Pin<Box<dyn Stream>> = if target.tls {
            let encrypted =
                self.encrypt(target, stream).await.map_err(|e| unreached(server, Unreached::Tls, e))?;
            Box::pin(Gated { stream: encrypted, gate: gate.clone() })
        } else {
            Box::pin(Gated { stream, gate: gate.clone() })
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| unreached(server, Unreached::Connect, e))?;
        let connection = connection.map(|ended| ended.map_err(Cause::from)).boxed();
        Ok(Dialed { server: server.to_owned(), sender, connection, gate, bounds: self.client.bounds })
    }

    async fn encrypt(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = match &target.host {
            url::Host::Domain(name) => {
                rustls_pki_types::ServerName::try_from(name.clone()).map_err(io::Error::other)?
            }
            url::Host::Ipv4(ip) => rustls_pki_types::ServerName::from(std::net::IpAddr::V4(*ip)),
            url::Host::Ipv6(ip) => rustls_pki_types::ServerName::from(std::net::IpAddr::V6(*ip)),
        };
        TlsConnector::from(self.client.inner.tls.clone()).connect(name, stream).await
    }
}

async fn first_to_accept(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// An open connection that has carried nothing yet and will carry one request.
pub struct Dialed {
    server: String,
    sender: http1::SendRequest<Full<Bytes>>,
    connection: BoxFuture<'static, Result<(), Cause>>,
    gate: Gate,
    bounds: Bounds,
}

impl std::fmt::Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialed").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Dialed {
    /// The same connection with another time for the answer.
    #[must_use]
    pub fn answering_in(mut self, answer_in: Duration) -> Self {
        self.bounds.answer_in = answer_in;
        self
    }

    /// Sends the request and reads the answer, any status. `may_begin` is asked right before the first byte leaves;
    /// when it says no, nothing is sent and the error is [`Unreached::Deadline`]. The request's server must be the
    /// one dialled; only its path and query are used.
    pub async fn send(
        mut self,
        request: Request<Bytes>,
        may_begin: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Response<Bytes>, Error> {
        let request = on_the_wire(request)?;
        self.gate.arm(Arc::new(may_begin));
        let (sender, bounds, written) = (&mut self.sender, self.bounds, self.gate.written.clone());
        let exchange = Box::pin(async move {
            let mut answer = pin!(sender.send_request(request));
            let early = if faults::ENABLED { last_byte(&written, &mut answer).await? } else { None };
            let answered = match early {
                Some(answered) => answered,
                None => answer.await,
            };
            let (head, body) = answered.map_err(Cause::from)?.into_parts();
            faults::at("resp.headers").await?;
            let body = Limited::new(body, bounds.body).collect().await?.to_bytes();
            Ok::<_, Cause>(Response::from_parts(head, body))
        });
        let both = async {
            match select(exchange, &mut self.connection).await {
                Either::Left((answer, _)) => answer,
                // The server closed after its answer: what arrived is still to be read.
                Either::Right((_, exchange)) => exchange.await,
            }
        };
        let answered = tokio::time::timeout(bounds.answer_in, both).await;
        let cause = match answered {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(cause)) => cause,
            Err(late) => late.into(),
        };
        Err(self.gate.explain(self.server, bounds, cause))
    }
}

/// Waits until the request has left and passes the point there; an answer that comes first is handed on.
async fn last_byte<A>(
    written: &Notify,
    answer: &mut (impl Future<Output = A> + Unpin),
) -> Result<Option<A>, Cause> {
    match select(pin!(written.notified()), answer).await {
        Either::Left(_) => {
            faults::at("send.last_byte").await?;
            Ok(None)
        }
        Either::Right((answered, _)) => Ok(Some(answered)),
    }
}

/// HTTP/1.1 form: path and query in the request line, the server in a header.
fn on_the_wire(request: Request<Bytes>) -> Result<Request<Full<Bytes>>, Error> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let host = HeaderValue::try_from(authority).map_err(|e| Error::Malformed(e.into()))?;
    head.headers.insert(HOST, host);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|e: ::http::uri::InvalidUri| Error::Malformed(e.into()))?;
    Ok(Request::from_parts(head, Full::new(body)))
}

/// Stands before the first byte, and remembers whether it was passed.
#[derive(Clone, Default)]
struct Gate {
    passed: Arc<AtomicBool>,
    may_begin: Arc<std::sync::OnceLock<Arc<dyn Fn() -> bool + Send + Sync>>>,
    /// Told when the request has left; heard only where a failure there can be planned.
    written: Arc<Notify>,
}

/// The gate said no.
#[derive(Debug, thiserror::Error)]
#[error("the time to send has passed")]
struct Shut;

impl Gate {
    fn arm(&self, may_begin: Arc<dyn Fn() -> bool + Send + Sync>) {
        assert!(
            self.may_begin.set(may_begin).is_ok(),
            "a connection carries one request: send takes it by value"
        );
    }

    fn pass(&self) -> io::Result<()> {
        if self.passed.load(Ordering::Acquire) {
            return Ok(());
        }
        if !self.may_begin.get().is_some_and(|may_begin| may_begin()) {
            return Err(io::Error::other(Shut));
        }
        self.passed.store(true, Ordering::Release);
        Ok(())
    }

    fn explain(&self, server: String, bounds: Bounds, cause: Cause) -> Error {
        if find::<LengthLimitError>(cause.as_ref()).is_some() {
            return Error::TooLarge { server, cap: bounds.body };
        }
        if self.passed.load(Ordering::Acquire) {
            return Error::Interrupted { server, source: cause };
        }
        let shut = find::<Shut>(cause.as_ref()).is_some();
        let why = if shut { Unreached::Deadline } else { Unreached::Connect };
        Error::Unreached { server, why, source: cause }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

struct Gated<S> {
    stream: S,
    gate: Gate,
}

impl<S: AsyncRead + Unpin> AsyncRead for Gated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gated<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.pass()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gate.pass()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if faults::ENABLED
            && matches!(flushed, Poll::Ready(Ok(())))
            && self.gate.passed.load(Ordering::Acquire)
        {
            self.gate.written.notify_one();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
