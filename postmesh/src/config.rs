//! All settings of the program. Each service documents its own section; here stand the sections they share.
//!
//! Defaults < `postmesh.toml` < environment (`POSTMESH_<SECTION>__<KEY>`) < flags.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use postmesh_kit::{
    blob,
    config::{self, BlobConfig, CacheConfig, DatabaseConfig, LogConfig},
    http::OutboundConfig,
};
use serde::{Deserialize, Serialize};

/// All settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The folder of the embedded default.
    pub data: DataConfig,
    /// Where rows are kept.
    pub database: DatabaseConfig,
    /// Where limits and caches are shared.
    pub cache: CacheConfig,
    /// Where files are kept.
    pub blob: BlobConfig,
    /// Keys that seal secrets.
    pub keys: KeysConfig,
    /// How the processes of a mesh reach each other.
    pub mesh: MeshConfig,
    /// Health and metrics.
    pub admin: AdminConfig,
    /// Log lines.
    pub log: LogConfig,
    /// Calls to addresses that users name.
    pub outbound: OutboundConfig,
    /// The stand-in networks.
    pub sandbox: SandboxConfig,
    /// Where the outside finds the gateway.
    pub public: PublicConfig,
    /// Users and sessions.
    pub auth: postmesh_auth::Config,
    /// Uploads and the library.
    pub media: postmesh_media::Config,
    /// Accounts and deliveries.
    pub publisher: postmesh_publisher::Config,
    /// Counts.
    pub analytics: postmesh_analytics::Config,
    /// Posts and plans.
    pub scheduler: postmesh_scheduler::Config,
    /// The public door.
    pub gateway: postmesh_gateway::Config,
}

/// The folder of the embedded default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataConfig {
    /// Holds the SQLite files, the blobs and the key file, unless other sections say otherwise.
    pub dir: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("data") }
    }
}

/// Keys that seal secrets at rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeysConfig {
    /// The key file, mode 0600; empty for `keys` in the data folder, made at the first start.
    pub file: PathBuf,
}

/// Where the outside finds the gateway.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PublicConfig {
    /// The gateway's address as browsers and networks see it, such as `https://post.example.com`; empty for the
    /// address it listens on.
    pub url: String,
}

/// How the processes of a mesh reach each other. Not used by `postmesh up`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MeshConfig {
    /// Where a service listens for the others.
    pub bind: SocketAddr,
    /// The authority that signed every service's certificate (PEM).
    pub ca: PathBuf,
    /// This service's certificate (PEM).
    pub cert: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Address of the auth service.
    pub auth: String,
    /// Address of the media service.
    pub media: String,
    /// Address of the publisher.
    pub publisher: String,
    /// Address of the analytics service.
    pub analytics: String,
    /// Address of the scheduler.
    pub scheduler: String,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let at = |name: &str| format!("https://{name}:7000");
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)),
            ca: PathBuf::new(),
            cert: PathBuf::new(),
            key: PathBuf::new(),
            auth: at("auth"),
            media: at("media"),
            publisher: at("publisher"),
            analytics: at("analytics"),
            scheduler: at("scheduler"),
        }
    }
}

/// Health and metrics: for machines of the house, never for the outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminConfig {
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub bind: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)) }
    }
}

/// The stand-in networks of `postmesh up --sandbox` and `postmesh sandbox`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SandboxConfig {
    /// Where they listen.
    pub bind: SocketAddr,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)) }
    }
}

impl Config {
    /// Reads the settings and checks every section; the error names all that is wrong.
    pub(crate) fn load(file: Option<&Path>, flags: &serde_json::Value) -> anyhow::Result<Self> {
        let mut config: Self = config::load(file, flags)?;
        if config.keys.file.as_os_str().is_empty() {
            config.keys.file = config.data.dir.join("keys");
        }
        if config.public.url.is_empty() {
            config.public.url = format!("http://{}", config.gateway.bind);
        }
        while config.public.url.ends_with('/') {
            config.public.url.pop();
        }
        config.media.public_url.clone_from(&config.public.url);
        config.publisher.public_url.clone_from(&config.public.url);
        config.gateway.public_url.clone_from(&config.public.url);
        config.publisher.outbound.clone_from(&config.outbound);
        let problems = config.problems();
        anyhow::ensure!(problems.is_empty(), "the settings cannot be used:\n  {}", problems.join("\n  "));
        Ok(config)
    }

    fn problems(&self) -> Vec<String> {
        if !url::Url::parse(&self.public.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return vec![format!("public.url: `{}` is not an http or https address", self.public.url)];
        }
        [
            self.auth.validate(),
            self.media.validate(),
            self.publisher.validate(),
            self.analytics.validate(),
            self.scheduler.validate(),
            self.gateway.validate(),
            blob::problems(&self.blob),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_secrets_never_print() {
        let mut config = Config::load(None, &serde_json::json!({})).unwrap();
        config.database.url = postmesh_kit::config::Secret::new("postgres://u:hunter2@host/db".to_owned());
        let shown = toml::to_string(&config).unwrap();
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
    }

    #[test]
    fn names_a_key_that_does_not_exist() {
        let wrong = serde_json::json!({"gateway": {"bnd": "127.0.0.1:1"}});
        assert!(Config::load(None, &wrong).unwrap_err().to_string().contains("bnd"));
    }
}
