//! The command line as a client of any mesh: plain gRPC to a gateway, with the login kept in the user's
//! configuration folder.

mod login;
mod status;
pub(crate) mod upload;
pub(crate) mod view;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use postmesh_kit::clock::{Clock as _, SystemClock};
use postmesh_proto::auth::v1::{RefreshRequest, auth_service_client::AuthServiceClient};
use tonic::{
    Request,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

pub(crate) use login::{Login, Logins};
pub(crate) use status::{explain, is_pending};

/// An access token that ends sooner than this is exchanged before it is used.
const MARGIN_MS: i64 = 30_000;
/// The mesh that is meant when none is named and nobody is signed in anywhere.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// Which mesh a client verb speaks to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Server {
    /// Address of the mesh; the one signed in to last when left out
    #[arg(long = "server", id = "mesh_server", value_name = "URL", env = "POSTMESH_SERVER")]
    url: Option<String>,
}

impl Server {
    /// A server whose address is known.
    pub(crate) fn at(url: String) -> Self {
        Self { url: Some(url) }
    }

    /// True when an address was named.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// The address: as given, or of the last login, or the default.
    pub(crate) fn address(&self) -> anyhow::Result<String> {
        let address = match &self.url {
            Some(url) => url.clone(),
            None => Logins::read()?.current.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
        };
        let address = address.trim_end_matches('/').to_owned();
        if !url::Url::parse(&address).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            bail!("--server: `{address}` is not an address such as https://post.example.com");
        }
        Ok(address)
    }

    /// A channel to the gateway.
    pub(crate) async fn connect(&self) -> anyhow::Result<(String, Channel)> {
        let address = self.address()?;
        let mut endpoint = Endpoint::from_shared(address.clone())?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20));
        if address.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        let channel = endpoint.connect().await.with_context(|| {
            format!("no mesh answers at {address}; is it running? (`postmesh up` starts one)")
        })?;
        Ok((address, channel))
    }

    /// A signed-in session.
    pub(crate) async fn session(&self) -> anyhow::Result<Session> {
        let (address, channel) = self.connect().await?;
        let Some(login) = Logins::read()?.logins.remove(&address) else {
            bail!(
                "not signed in to {address}; run `postmesh login --server {address}` or `postmesh register --server {address}`"
            );
        };
        Ok(Session { address, channel, login })
    }
}

/// A signed-in session with a mesh.
#[derive(Debug)]
pub(crate) struct Session {
    address: String,
    channel: Channel,
    login: Login,
}

impl Session {
    /// The channel, for a generated client.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request that carries the access token, which is renewed first when it is about to end.
    pub(crate) async fn request<T>(&mut self, message: T) -> anyhow::Result<Request<T>> {
        if self.login.access_expires_ms - SystemClock.now_ms() < MARGIN_MS {
            self.renew().await?;
        }
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.login.access_token);
        request
            .metadata_mut()
            .insert("authorization", bearer.parse().context("the stored login is damaged; sign in again")?);
        Ok(request)
    }

    async fn renew(&mut self) -> anyhow::Result<()> {
        // Another invocation may have renewed it since it was read.
        if let Some(newer) = Logins::read()?.logins.remove(&self.address)
            && newer.access_expires_ms > self.login.access_expires_ms
        {
            self.login = newer;
            return Ok(());
        }
        let request = RefreshRequest { refresh_token: self.login.refresh_token.clone() };
        let renewed = AuthServiceClient::new(self.channel())
            .refresh(request)
            .await
            .map_err(|status| explain(&status))
            .with_context(|| format!("the login at {} has ended; run `postmesh login`", self.address))?;
        let session = renewed.into_inner().session.context("the mesh answered no session")?;
        self.login = Login::new(&self.login.email, &self.login.workspace, session);
        Logins::change(|logins| {
            logins.logins.insert(self.address.clone(), self.login.clone());
        })
    }
}

/// Plain HTTP, for uploads and health checks: to addresses the user's own mesh answered or the user named.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line calls what its own user names, not what strangers do"
)]
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("the client's settings are constant")
}

/// A new request id, so that a call repeated by the network takes effect once.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
