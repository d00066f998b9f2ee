//! Settings: documented defaults < `postmesh.toml` < environment (`POSTMESH_<SECTION>__<KEY>`) < flags.

use std::{fmt, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// A setting that is never shown: it prints and serialises as `***`, or as nothing when it is not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Default + PartialEq> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 == T::default() { "" } else { "***" })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Why the settings cannot be used; the message names the key and where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value does not fit.
    #[error("{0}")]
    Invalid(#[from] Box<figment::Error>),
    /// The file named does not exist.
    #[error("there is no settings file {0}")]
    Missing(String),
}

/// Reads the settings. `file` must exist when named; without one, `postmesh.toml` in the working folder is read if
/// it is there. `flags` come last and win. The defaults of `T` (serde's `default`) fill the rest; unknown keys are
/// errors where `T` says so. Environment variables without a section (`POSTMESH_SERVER`) are not settings.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, flags: &serde_json::Value) -> Result<T, ConfigError> {
    if let Some(named) = file
        && !named.is_file()
    {
        return Err(ConfigError::Missing(named.display().to_string()));
    }
    Figment::new()
        .merge(Toml::file(file.unwrap_or_else(|| Path::new("postmesh.toml"))))
        .merge(Env::prefixed("POSTMESH_").filter(|key| key.as_str().contains("__")).split("__"))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| ConfigError::Invalid(Box::new(error)))
}

/// Where rows are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://…` for PostgreSQL 15 or newer; empty for SQLite files in the data folder.
    pub url: Secret<String>,
    /// Connections one service may hold (PostgreSQL) or readers per file (SQLite).
    pub connections: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: Secret::default(), connections: 8 }
    }
}

/// Where limits and caches are shared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// `redis://…` for Redis 7 or newer; empty keeps them in the memory of each process.
    pub url: Secret<String>,
}

/// Where files are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlobConfig {
    /// A folder, or `s3://bucket/prefix?endpoint=https://…&region=…`; empty for a folder in the data folder.
    pub url: String,
    /// S3 access key.
    pub access_key: Secret<String>,
    /// S3 secret key.
    pub secret_key: Secret<String>,
}

/// What the process tells about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Levels by module, such as `info,sqlx=warn`.
    pub filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,sqlx=warn,hyper=warn,h2=warn,tower=warn".to_owned() }
    }
}
