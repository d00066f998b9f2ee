//! Uploaded bytes, by their SHA-256: files in the data folder, or memory without one. Writing the same bytes twice
//! is one blob. A file is whole before its name exists, so a killed process leaves no half blob behind.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering},
};

use bytes::Bytes;

use crate::{Error, crypto, web::lock};

#[derive(Debug)]
pub(crate) struct Blobs {
    folder: Option<PathBuf>,
    memory: Mutex<HashMap<String, Bytes>>,
    parts: AtomicU64,
}

impl Blobs {
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, Error> {
        let folder = data_dir.map(|dir| dir.join("media"));
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).map_err(|source| Error::folder(folder, source))?;
        }
        Ok(Self { folder, memory: Mutex::default(), parts: AtomicU64::new(0) })
    }

    /// Keeps the bytes and answers their SHA-256 in lower-case hex.
    pub(crate) async fn put(&self, bytes: &Bytes) -> io::Result<String> {
        let sha256 = crypto::sha256_hex(bytes);
        if let Some(folder) = &self.folder {
            let whole = folder.join(&sha256);
            if !tokio::fs::try_exists(&whole).await? {
                let part =
                    folder.join(format!("{sha256}.{}.part", self.parts.fetch_add(1, Ordering::Relaxed)));
                tokio::fs::write(&part, bytes).await?;
                tokio::fs::rename(&part, &whole).await?;
            }
        } else {
            lock(&self.memory).insert(sha256.clone(), bytes.clone());
        }
        Ok(sha256)
    }

    /// The bytes of that hash; `None` for a hash we do not hold or that is not a hash at all.
    pub(crate) async fn get(&self, sha256: &str) -> Option<Bytes> {
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match &self.folder {
            Some(folder) => tokio::fs::read(folder.join(sha256)).await.ok().map(Bytes::from),
            None => lock(&self.memory).get(sha256).cloned(),
        }
    }

    pub(crate) async fn clear(&self) -> io::Result<()> {
        lock(&self.memory).clear();
        if let Some(folder) = &self.folder {
            tokio::fs::remove_dir_all(folder).await?;
            tokio::fs::create_dir_all(folder).await?;
        }
        Ok(())
    }
}
