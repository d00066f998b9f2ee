//! Where large bytes are kept: a directory beside the databases, or a bucket that speaks S3.
//!
//! A put is whole or absent: readers never see a part of one, and after `Ok` it survives a power cut. Keys are chosen
//! by us (`<workspace>/<uuid>`), and are checked all the same, so that none can leave its root or its prefix.

mod directory;
mod exact;
mod s3;

use std::{error::Error as StdError, fmt, ops::RangeInclusive, path::Path, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::Stream;

use self::exact::Exact;
pub use self::{directory::Directory, s3::S3};
use crate::config::BlobConfig;

/// Any cause.
pub type Cause = Box<dyn StdError + Send + Sync>;
/// The bytes of a blob, in chunks of whatever size the store reads.
pub type Content = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Everything that is wrong with the settings, in sentences.
pub fn problems(config: &BlobConfig) -> Vec<String> {
    let mut problems = Vec::new();
    if config.url.starts_with("s3://") {
        if let Err(problem) = s3::Address::parse(&config.url) {
            problems.push(format!("blob.url {problem}"));
        }
        if config.access_key.expose().is_empty() || config.secret_key.expose().is_empty() {
            problems.push("blob.access_key and blob.secret_key are required with an s3:// address".into());
        }
    } else if config.url.contains("://") {
        problems.push("blob.url must be a folder or begin with s3://".into());
    }
    problems
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong.
    #[error("the blob store's settings are wrong: {0}")]
    Settings(String),
    /// The store did not answer, or asked to come back later.
    #[error("the blob store cannot be reached")]
    Unavailable(#[source] Cause),
    /// The store answered and refused: wrong credentials, no such bucket, a full disk.
    #[error("the blob store refused")]
    Refused(#[source] Cause),
    /// The content had another length than announced; nothing was stored.
    #[error("{expected} bytes were announced, but {} came", Came(*.came, *.expected))]
    Length {
        /// Bytes announced.
        expected: u64,
        /// Bytes seen; when more than announced, reading stopped there.
        came: u64,
    },
    /// Whoever sends the content failed; nothing was stored.
    #[error("the content broke off")]
    Content(#[source] Cause),
    /// Not a key this store can hold.
    #[error("not a blob key: {0:?}")]
    Key(String),
}

struct Came(u64, u64);

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > self.1 { f.write_str("more") } else { write!(f, "only {}", self.0) }
    }
}

/// A blob being read, or a part of one.
pub struct Object {
    /// How many bytes follow.
    pub size: u64,
    /// How many the whole blob has.
    pub total: u64,
    /// The bytes.
    pub content: Content,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("size", &self.size).field("total", &self.total).finish_non_exhaustive()
    }
}

/// An address that takes one `PUT` without further credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// Where to send the bytes.
    pub url: String,
    /// Headers that must go with them, besides `content-length`.
    pub headers: Vec<(String, String)>,
}

/// The blob store.
#[derive(Debug, Clone)]
pub enum Blob {
    /// Files in a directory.
    Directory(Directory),
    /// Objects in a bucket.
    S3(S3),
}

impl Blob {
    /// Opens the store: the bucket or folder that `url` names (`path_style=true` in an `s3://` address is what most
    /// servers other than Amazon's want), or `blobs` in the `data` folder when it is empty. A folder is made when
    /// missing; a bucket is not contacted yet (see [`Blob::check`]).
    pub async fn connect(config: &BlobConfig, data: &Path) -> Result<Self, Error> {
        if let Some(problem) = problems(config).into_iter().next() {
            return Err(Error::Settings(problem));
        }
        if config.url.starts_with("s3://") {
            return S3::connect(config).map(Self::S3);
        }
        let folder = if config.url.is_empty() { data.join("blobs") } else { config.url.clone().into() };
        Directory::open(folder).await.map(Self::Directory)
    }

    /// Stores `content`, which must have exactly `length` bytes, replacing what was under the key.
    /// Holds one chunk in memory at a time.
    pub async fn put<S, E>(&self, key: &str, length: u64, content: S) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        check_key(key)?;
        let content = Exact::new(length, content);
        match self {
            Self::Directory(store) => store.put(key, content).await,
            Self::S3(store) => store.put(key, length, content).await,
        }
    }

    /// Stores bytes that are in memory already.
    pub async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        check_key(key)?;
        match self {
            Self::Directory(store) => {
                let length = bytes.len() as u64;
                store.put(key, Exact::new(length, futures::stream::iter([Ok::<_, Error>(bytes)]))).await
            }
            Self::S3(store) => store.put_bytes(key, bytes).await,
        }
    }

    /// Opens a blob for reading; `None` when there is none.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, Error> {
        check_key(key)?;
        match self {
            Self::Directory(store) => store.get(key).await,
            Self::S3(store) => store.get(key).await,
        }
    }

    /// Opens a part of a blob for reading, by the places of its first and its last byte; what lies behind the blob's end
    /// is left out. `None` when there is no blob, or it ends before the part begins.
    pub async fn get_range(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<Object>, Error> {
        check_key(key)?;
        if range.is_empty() {
            return Ok(None);
        }
        match self {
            Self::Directory(store) => store.get_range(key, range).await,
            Self::S3(store) => store.get_range(key, range).await,
        }
    }

    /// Removes a blob; one that is not there is removed already.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        check_key(key)?;
        match self {
            Self::Directory(store) => store.delete(key).await,
            Self::S3(store) => store.delete(key).await,
        }
    }

    /// An address where anyone may `PUT` exactly `length` bytes of the content type under the key until `ttl` has
    /// passed; `None` when the store has no such thing (a directory).
    pub async fn presign_put(
        &self,
        key: &str,
        length: u64,
        content_type: Option<&str>,
        ttl: Duration,
    ) -> Result<Option<Presigned>, Error> {
        check_key(key)?;
        match self {
            Self::Directory(_) => Ok(None),
            Self::S3(store) => store.presign_put(key, length, content_type, ttl).await.map(Some),
        }
    }

    /// `Ok` when the store can be used now.
    pub async fn check(&self) -> Result<(), Error> {
        match self {
            Self::Directory(store) => store.check().await,
            Self::S3(store) => store.check().await,
        }
    }
}

/// Letters, digits, `-`, `_` and `.` in parts separated by `/`; no part is empty or begins with a dot.
fn check_key(key: &str) -> Result<(), Error> {
    let part_is_fine = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if key.len() <= 512 && key.split('/').all(part_is_fine) { Ok(()) } else { Err(Error::Key(key.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_keys_that_could_leave_the_root() {
        for key in
            ["", "/etc/passwd", "a/../b", "..", "a//b", "a/", ".incoming/a", "a\\b", "a\0b", "ä", "a b"]
        {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key("0190b8e0-0000-7000-8000-000000000000/0190b8e0.rendition").is_ok());
    }

    #[test]
    fn says_everything_that_is_wrong_with_the_settings() {
        let of = |url: &str| problems(&BlobConfig { url: url.into(), ..BlobConfig::default() });
        assert!(of("").is_empty());
        assert!(of("data/blobs").is_empty());
        assert_eq!(of("ftp://x").len(), 1);
        assert_eq!(of("s3://bucket?endpont=x").len(), 2, "a misspelt option, and no keys");
    }
}
