//! The one outbound client. Every address that a user, a file or another server can influence is called through
//! here: [`policy`](OutboundConfig) decides, the name is resolved once and only a vetted address is dialled, redirects
//! are never followed, nothing is retried, and answers are read up to a cap.
//!
//! An error tells whether anything may have left this machine ([`Error::sent`]): the publish protocol rests on it.

mod policy;
mod publishing;
mod streaming;
#[cfg(test)]
mod tests;

use std::{
    error::Error as StdError,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use url::Url;

pub use policy::{OutboundConfig, Refusal};
pub use publishing::{Dialed, Publishing};

/// How postmesh introduces itself.
pub const USER_AGENT: &str = concat!("postmesh/", env!("CARGO_PKG_VERSION"));

/// How long a connection may take, name resolution and TLS included.
const CONNECT: Duration = Duration::from_secs(10);

type Cause = Box<dyn StdError + Send + Sync>;

/// Whether anything may have reached the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Certainly nothing.
    No,
    /// Perhaps, in part or in whole.
    Maybe,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The name does not resolve.
    #[error("its name does not resolve")]
    Dns,
    /// No machine answered there.
    #[error("it does not accept connections")]
    Connect,
    /// No trusted encrypted connection came about.
    #[error("no trusted encrypted connection came about")]
    Tls,
    /// The caller's deadline passed before the first byte.
    #[error("the deadline passed before anything was sent")]
    Deadline,
}

/// Why there is no answer. Messages name the server and never the path, the query or the content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be expressed in HTTP.
    #[error("the request cannot be expressed in HTTP")]
    Malformed(#[source] Cause),
    /// The address broke a rule; nothing was sent.
    #[error("{server} is not called: {rule}")]
    Refused {
        /// Host and port.
        server: String,
        /// The rule.
        rule: Refusal,
    },
    /// The server was not reached; nothing was sent.
    #[error("{server} cannot be reached: {why}")]
    Unreached {
        /// Host and port.
        server: String,
        /// What was missing.
        why: Unreached,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The exchange ended without a whole answer; the request may have been carried out.
    #[error("{server} gave no answer")]
    Interrupted {
        /// Host and port.
        server: String,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The answer is larger than the cap; the request was carried out or refused there.
    #[error("{server} answered with more than {cap} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// The cap in bytes.
        cap: usize,
    },
}

impl Error {
    /// Whether the request may have reached the server; `Maybe` unless the opposite is certain.
    pub fn sent(&self) -> Sent {
        match self {
            Self::Malformed(_) | Self::Refused { .. } | Self::Unreached { .. } => Sent::No,
            Self::Interrupted { .. } | Self::TooLarge { .. } => Sent::Maybe,
        }
    }
}

/// How much time and memory one call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the first byte of the request to the last of the answer.
    pub answer_in: Duration,
    /// Largest answer in bytes, decompressed.
    pub body: usize,
}

impl Default for Bounds {
    /// 30 s, 2 MiB.
    fn default() -> Self {
        Self { answer_in: Duration::from_secs(30), body: 2 << 20 }
    }
}

/// Finds the addresses of a name. The system's resolver in production; tests script one.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in order of preference.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(
            async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) },
        )
    }
}

/// The client. Cloning shares connections and policy.
#[derive(Clone)]
pub struct GuardedClient {
    inner: Arc<Inner>,
    bounds: Bounds,
}

struct Inner {
    policy: policy::Policy,
    resolver: Arc<dyn Resolve>,
    tls: Arc<rustls::ClientConfig>,
    /// Resolves names to public addresses only.
    strict: reqwest::Client,
    /// For the exceptions of the policy.
    exempt: reqwest::Client,
}

impl std::fmt::Debug for GuardedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedClient")
            .field("policy", &self.inner.policy)
            .field("bounds", &self.bounds)
            .finish()
    }
}

impl GuardedClient {
    /// A client with the system's resolver and the usual certificate authorities (the machine's and Mozilla's).
    pub fn new(config: &OutboundConfig) -> Self {
        Self::with_parts(config, Arc::new(SystemResolver), trusted_tls(&[]))
    }

    /// A client for tests: another resolver, and certificate authorities (DER) trusted besides the usual ones.
    pub fn with_resolver(
        config: &OutboundConfig,
        resolver: Arc<dyn Resolve>,
        authorities: &[Vec<u8>],
    ) -> Self {
        Self::with_parts(config, resolver, trusted_tls(authorities))
    }

    fn with_parts(config: &OutboundConfig, resolver: Arc<dyn Resolve>, tls: rustls::ClientConfig) -> Self {
        let mut either_version = tls.clone();
        either_version.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = |filter| pooled(either_version.clone(), Names { resolver: resolver.clone(), filter });
        let (strict, exempt) = (client(true), client(false));
        let tls = Arc::new(tls);
        let inner = Inner { policy: policy::Policy::new(config), resolver, tls, strict, exempt };
        Self { inner: Arc::new(inner), bounds: Bounds::default() }
    }

    /// The same client with other bounds.
    #[must_use]
    pub fn bounded(&self, bounds: Bounds) -> Self {
        Self { inner: self.inner.clone(), bounds }
    }

    /// Checks an address by every rule that needs no name resolution: for refusing input early, not instead of the
    /// checks each call makes.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        self.inner.policy.check(url).map(|_| ())
    }

    /// Sends one request whose repetition would be harmless, over pooled connections. Any status is an answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let request =
            reqwest::Request::try_from(request).map_err(|e| Error::Malformed(e.without_url().into()))?;
        self.execute(request).await
    }

    async fn execute(&self, mut request: reqwest::Request) -> Result<Response<Bytes>, Error> {
        let server = server_of(request.url());
        let target = self.inner.policy.check(request.url()).map_err(|rule| refused(&server, rule))?;
        *request.timeout_mut() = Some(self.bounds.answer_in + CONNECT);
        let client = if target.exempt { &self.inner.exempt } else { &self.inner.strict };
        let mut answer = client.execute(request).await.map_err(|cause| from_reqwest(&server, cause))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|cause| from_reqwest(&server, cause))? {
            if body.len() + chunk.len() > self.bounds.body {
                return Err(Error::TooLarge { server, cap: self.bounds.body });
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    /// The variant for requests that make something visible, which must not be sent twice or late.
    pub fn publishing(&self) -> Publishing {
        Publishing::new(self.clone())
    }

    /// The vetted addresses of a target.
    async fn resolve(&self, server: &str, target: &policy::Target) -> Result<Vec<SocketAddr>, Error> {
        let found = match &target.host {
            url::Host::Ipv4(ip) => vec![IpAddr::V4(*ip)],
            url::Host::Ipv6(ip) => vec![IpAddr::V6(*ip)],
            url::Host::Domain(name) => {
                let found = self.inner.resolver.lookup(name.clone()).await;
                let found = found.map_err(|source| unreached(server, Unreached::Dns, source))?;
                if target.exempt {
                    found
                } else {
                    policy::public_only(found).map_err(|rule| refused(server, rule))?
                }
            }
        };
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect())
    }
}

/// The resolver that reqwest asks for each new connection: it connects to one of these addresses, so the address
/// that was vetted is the one dialled.
struct Names {
    resolver: Arc<dyn Resolve>,
    filter: bool,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let lookup = self.resolver.lookup(name.as_str().to_owned());
        let filter = self.filter;
        Box::pin(async move {
            let found = lookup.await?;
            let found = if filter { policy::public_only(found)? } else { found };
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as reqwest::dns::Addrs)
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door the lint points to")]
fn pooled(tls: rustls::ClientConfig, names: Names) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(names)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(8)
        .user_agent(USER_AGENT)
        .build()
        .expect("only the TLS configuration could be refused, and it is of the expected type")
}

/// The machine's certificate authorities beside Mozilla's, so a bare machine can call out too.
fn trusted_tls(more: &[Vec<u8>]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(more.iter().cloned().map(rustls_pki_types::CertificateDer::from));
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn server_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn refused(server: &str, rule: Refusal) -> Error {
    Error::Refused { server: server.to_owned(), rule }
}

fn unreached(server: &str, why: Unreached, source: impl Into<Cause>) -> Error {
    Error::Unreached { server: server.to_owned(), why, source: source.into() }
}

fn from_reqwest(server: &str, cause: reqwest::Error) -> Error {
    let cause = cause.without_url();
    if let Some(rule) = find::<Refusal>(&cause) {
        return refused(server, *rule);
    }
    if !cause.is_connect() {
        return Error::Interrupted { server: server.to_owned(), source: cause.into() };
    }
    let why = if cause.is_dns() {
        Unreached::Dns
    } else if find::<rustls::Error>(&cause).is_some() {
        Unreached::Tls
    } else {
        Unreached::Connect
    };
    unreached(server, why, cause)
}

/// The first cause of a type, also where an I/O error hides it.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
