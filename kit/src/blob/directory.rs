//! Blobs as files. Written aside, made durable, then renamed into place, so a key holds a whole blob or none.

use std::{
    io::{self, ErrorKind, SeekFrom},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};
use tokio_util::io::ReaderStream;

use super::{Error, Object, exact::Exact};

/// Begins with a dot, which no key can.
const INCOMING: &str = ".incoming";
/// What a crashed process left behind is removed at the next start once it is this old.
const ABANDONED: Duration = Duration::from_hours(24);
const CHUNK: usize = 64 * 1024;

/// A directory of blobs.
#[derive(Debug, Clone)]
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// Opens the directory, and makes it when missing.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let incoming = path.as_ref().join(INCOMING);
        fs::create_dir_all(&incoming).await.map_err(refused)?;
        remove_abandoned(&incoming).await.map_err(refused)?;
        Ok(Self { root: path.as_ref().into() })
    }

    pub(super) async fn put(&self, key: &str, mut content: Exact) -> Result<(), Error> {
        let fault = content.fault();
        let target = self.path(key);
        let aside = Aside(self.root.join(INCOMING).join(crate::ids::new().simple().to_string()));
        let mut file = File::create_new(&aside.0).await.map_err(refused)?;
        while let Some(chunk) = content.next().await {
            let Ok(chunk) = chunk else {
                return Err(fault.take().expect("a broken stream states its fault"));
            };
            file.write_all(&chunk).await.map_err(refused)?;
        }
        file.flush().await.map_err(refused)?;
        file.sync_all().await.map_err(refused)?;
        let parent = target.parent().expect("a key is below the root");
        self.make_durable(parent).await.map_err(refused)?;
        fs::rename(&aside.0, &target).await.map_err(refused)?;
        sync_directory(parent).await.map_err(refused)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Object>, Error> {
        let Some((file, total)) = self.open_file(key).await? else { return Ok(None) };
        let content = ReaderStream::with_capacity(file, CHUNK).map(|chunk| chunk.map_err(refused));
        Ok(Some(Object { size: total, total, content: Box::pin(content) }))
    }

    pub(super) async fn get_range(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Object>, Error> {
        let Some((mut file, total)) = self.open_file(key).await? else { return Ok(None) };
        let first = *range.start();
        if first >= total {
            return Ok(None);
        }
        let size = total.min(range.end().saturating_add(1)) - first;
        file.seek(SeekFrom::Start(first)).await.map_err(refused)?;
        let content = ReaderStream::with_capacity(file.take(size), CHUNK).map(|chunk| chunk.map_err(refused));
        Ok(Some(Object { size, total, content: Box::pin(content) }))
    }

    /// The file of a key and its length.
    async fn open_file(&self, key: &str) -> Result<Option<(File, u64)>, Error> {
        let file = match File::open(self.path(key)).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        let total = file.metadata().await.map_err(refused)?.len();
        Ok(Some((file, total)))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        match fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(error)),
            _ => Ok(()),
        }
    }

    pub(super) async fn check(&self) -> Result<(), Error> {
        let aside = Aside(self.root.join(INCOMING).join(crate::ids::new().simple().to_string()));
        fs::write(&aside.0, b"ready?").await.map_err(refused)
    }

    /// Makes a directory below the root, and every entry that leads to it durable.
    async fn make_durable(&self, directory: &Path) -> io::Result<()> {
        if fs::try_exists(directory).await? {
            return Ok(());
        }
        fs::create_dir_all(directory).await?;
        for above in directory.ancestors().skip(1).take_while(|above| above.starts_with(&self.root)) {
            sync_directory(above).await?;
        }
        Ok(())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }
}

/// A file on its way, removed when it does not arrive (after the rename there is nothing left to remove).
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path).await?.sync_all().await } else { Ok(()) }
}

async fn remove_abandoned(incoming: &Path) -> io::Result<()> {
    let mut entries = fs::read_dir(incoming).await?;
    while let Some(entry) = entries.next_entry().await? {
        let age = entry.metadata().await?.modified()?.elapsed().unwrap_or_default();
        if age > ABANDONED {
            fs::remove_file(entry.path()).await?;
        }
    }
    Ok(())
}

fn refused(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ResourceBusy => {
            Error::Unavailable(Box::new(error))
        }
        _ => Error::Refused(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::TryStreamExt;

    use super::super::Blob;
    use super::*;
    use crate::config::BlobConfig;

    struct Store {
        blob: Blob,
        root: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Store {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let blob = Blob::connect(&BlobConfig::default(), folder.path()).await.unwrap();
            Self { blob, root: folder.path().join("blobs"), _folder: folder }
        }

        async fn read(&self, key: &str) -> Option<Vec<u8>> {
            let object = self.blob.get(key).await.unwrap()?;
            let bytes = object.content.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
            assert_eq!(object.size, bytes.len() as u64);
            Some(bytes)
        }

        fn incoming(&self) -> usize {
            std::fs::read_dir(self.root.join(INCOMING)).unwrap().count()
        }
    }

    fn chunks(parts: &[&'static str]) -> impl futures::Stream<Item = io::Result<Bytes>> + use<> {
        futures::stream::iter(parts.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn keeps_what_it_was_given() {
        let store = Store::new().await;
        store.blob.put("tenant/one", 6, chunks(&["abc", "def"])).await.unwrap();
        assert_eq!(store.read("tenant/one").await.unwrap(), b"abcdef");
        store.blob.put_bytes("tenant/one", Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(store.read("tenant/one").await.unwrap(), b"new", "a second put replaces the first");
        assert_eq!(store.incoming(), 0);
        store.blob.check().await.unwrap();
        assert_eq!(store.incoming(), 0, "the readiness check leaves nothing behind");
    }

    #[tokio::test]
    async fn reads_parts_and_leaves_out_what_is_behind_the_end() {
        let store = Store::new().await;
        store.blob.put_bytes("t/a", Bytes::from_static(b"0123456789")).await.unwrap();
        for (range, expected) in [(0..=0, "0"), (3..=5, "345"), (8..=99, "89"), (0..=u64::MAX, "0123456789")]
        {
            let part = store.blob.get_range("t/a", range.clone()).await.unwrap().unwrap();
            assert_eq!((part.size, part.total), (expected.len() as u64, 10), "{range:?}");
            let bytes = part.content.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
            assert_eq!(bytes, expected.as_bytes(), "{range:?}");
        }
        for nothing in [10..=11, RangeInclusive::new(5, 4)] {
            assert!(store.blob.get_range("t/a", nothing).await.unwrap().is_none());
        }
        assert!(store.blob.get_range("t/b", 0..=1).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn deletes_twice_and_finds_nothing() {
        let store = Store::new().await;
        store.blob.put_bytes("tenant/one", Bytes::from_static(b"x")).await.unwrap();
        store.blob.delete("tenant/one").await.unwrap();
        store.blob.delete("tenant/one").await.unwrap();
        assert!(store.read("tenant/one").await.is_none());
    }

    #[tokio::test]
    async fn stores_nothing_of_content_with_another_length_or_a_broken_source() {
        let store = Store::new().await;
        assert!(matches!(
            store.blob.put("t/a", 7, chunks(&["abc", "def"])).await,
            Err(Error::Length { came: 6, .. })
        ));
        assert!(matches!(store.blob.put("t/a", 5, chunks(&["abc", "def"])).await, Err(Error::Length { .. })));
        let broken = chunks(&["abc"]).chain(futures::stream::iter([Err(io::Error::other("gone"))]));
        assert!(matches!(store.blob.put("t/a", 6, broken).await, Err(Error::Content(_))));
        assert!(store.read("t/a").await.is_none());
        assert_eq!(store.incoming(), 0);
    }

    #[tokio::test]
    async fn a_put_that_is_given_up_leaves_nothing() {
        let store = Store::new().await;
        let stuck = chunks(&["abc"]).chain(futures::stream::pending());
        let mut put = Box::pin(store.blob.put("t/a", 6, stuck));
        // The file is there once the first chunk was taken; poll until then, and give up.
        while store.incoming() == 0 {
            assert!(futures::poll!(&mut put).is_pending());
            tokio::task::yield_now().await;
        }
        drop(put);
        assert!(store.read("t/a").await.is_none());
        assert_eq!(store.incoming(), 0);
    }
}
