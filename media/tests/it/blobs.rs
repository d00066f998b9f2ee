//! The blob store on S3: the same promises as a folder, and addresses that take one exact `PUT`.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use postmesh_kit::{
    blob::{Blob, Error, Presigned},
    config::{BlobConfig, Secret},
    lifecycle::Lifecycle,
    testing,
};
use postmesh_media::{Config, MIGRATIONS};
use postmesh_proto::media::v1::CreateUploadRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::{
    files,
    world::{BlobKind, World, away, bucket},
};

async fn read(blob: &Blob, key: &str) -> Option<Vec<u8>> {
    let object = blob.get(key).await.unwrap()?;
    let bytes = object.content.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
    assert_eq!(object.size, bytes.len() as u64);
    Some(bytes)
}

fn chunks(parts: &[&'static [u8]]) -> impl futures::Stream<Item = io::Result<Bytes>> + use<> {
    stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part))).collect::<Vec<_>>())
}

/// One `PUT` as a browser would send it; answers the status.
async fn put(to: &Presigned, body: &[u8], without_headers: bool) -> u16 {
    let rest = to.url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in to.headers.iter().filter(|_| !without_headers) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let mut socket = TcpStream::connect(host).await.unwrap();
    socket.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

#[tokio::test]
async fn a_bucket_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let life = Lifecycle::new();
    let blob = bucket(folder.path(), &life).await;
    blob.check().await.unwrap();
    blob.put("tenant/one", 6, chunks(&[b"abc", b"def"])).await.unwrap();
    assert_eq!(read(&blob, "tenant/one").await.unwrap(), b"abcdef");
    assert!(folder.path().join("media/blobs/tenant/one").exists(), "below the prefix");
    blob.put_bytes("tenant/one", Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(read(&blob, "tenant/one").await.unwrap(), b"new");
    let large: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    let pieces: Vec<io::Result<Bytes>> =
        large.chunks(10_000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    blob.put("tenant/large", large.len() as u64, stream::iter(pieces)).await.unwrap();
    assert_eq!(read(&blob, "tenant/large").await.unwrap(), large);
    for (range, expected) in
        [(0..=0, 0..1), (70_000..=199_999, 70_000..200_000), (2_999_990..=u64::MAX, 2_999_990..3_000_000)]
    {
        let part = blob.get_range("tenant/large", range).await.unwrap().unwrap();
        assert_eq!((part.size, part.total), (expected.len() as u64, 3_000_000));
        let bytes = part.content.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
        assert_eq!(bytes, large[expected]);
    }
    assert!(blob.get_range("tenant/large", 3_000_000..=3_000_001).await.unwrap().is_none());
    assert!(blob.get_range("tenant/two", 0..=1).await.unwrap().is_none());
    blob.delete("tenant/one").await.unwrap();
    blob.delete("tenant/one").await.unwrap();
    assert!(read(&blob, "tenant/one").await.is_none());
    assert!(matches!(blob.get("../escape").await, Err(Error::Key(_))));
    life.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_bucket_stores_nothing_of_content_with_another_length_or_a_broken_source() {
    let folder = tempfile::tempdir().unwrap();
    let life = Lifecycle::new();
    let blob = bucket(folder.path(), &life).await;
    assert!(matches!(
        blob.put("t/a", 7, chunks(&[b"abc", b"def"])).await,
        Err(Error::Length { came: 6, .. })
    ));
    assert!(matches!(blob.put("t/a", 5, chunks(&[b"abc", b"def"])).await, Err(Error::Length { .. })));
    assert!(matches!(blob.put("t/a", 3, chunks(&[b"abc", b"def"])).await, Err(Error::Length { .. })));
    let broken = chunks(&[b"abc"]).chain(stream::iter([Err(io::Error::other("gone"))]));
    assert!(matches!(blob.put("t/a", 6, broken).await, Err(Error::Content(_))));
    assert!(read(&blob, "t/a").await.is_none());
    life.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn tells_a_silent_store_from_one_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let life = Lifecycle::new();
    let silent = away(folder.path()).await;
    assert!(matches!(silent.check().await, Err(Error::Unavailable(_))));
    assert!(matches!(silent.get("t/a").await, Err(Error::Unavailable(_))));
    assert!(matches!(silent.put("t/a", 3, chunks(&[b"abc"])).await, Err(Error::Unavailable(_))));

    let working = bucket(folder.path(), &life).await;
    let presigned = working.presign_put("t/a", 1, None, Duration::from_secs(9)).await.unwrap().unwrap();
    let host = presigned.url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap();
    for (bucket, key) in [("nothere", "key"), ("media", "stranger")] {
        let url = format!("s3://{bucket}?endpoint=http://{host}&path_style=true");
        let (access_key, secret_key) = (Secret::new(key.into()), Secret::new("secret".into()));
        let refusing =
            Blob::connect(&BlobConfig { url, access_key, secret_key }, folder.path()).await.unwrap();
        let check = refusing.check().await;
        assert!(matches!(check, Err(Error::Refused(_))), "{bucket}, {key}: {check:?}");
        if key == "stranger" {
            let put = refusing.put("t/a", 3, chunks(&[b"abc"])).await;
            assert!(matches!(put, Err(Error::Refused(_))), "{put:?}");
            assert!(matches!(refusing.get("t/a").await, Err(Error::Refused(_))));
        }
    }
    let none = BlobConfig { url: "s3://media".into(), ..BlobConfig::default() };
    assert!(matches!(Blob::connect(&none, folder.path()).await, Err(Error::Settings(_))));
    life.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_address_takes_one_exact_put() {
    let folder = tempfile::tempdir().unwrap();
    let life = Lifecycle::new();
    let blob = bucket(folder.path(), &life).await;
    let kind = Some("application/octet-stream");
    let address = blob.presign_put("a/one", 5, kind, Duration::from_mins(10)).await.unwrap().unwrap();
    assert_eq!(put(&address, b"longer", false).await, 403, "a larger file");
    assert_eq!(put(&address, b"hello", true).await, 403, "another content type");
    let other = Presigned { url: address.url.replace("/a/one", "/b/two"), ..address.clone() };
    assert_eq!(put(&other, b"hello", false).await, 403, "another tenant's key");
    let longer =
        Presigned { url: address.url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"), ..address.clone() };
    assert_ne!(longer.url, address.url);
    assert_eq!(put(&longer, b"hello", false).await, 403, "a longer life");
    assert!(read(&blob, "a/one").await.is_none());
    assert_eq!(put(&address, b"hello", false).await, 200);
    assert_eq!(read(&blob, "a/one").await.unwrap(), b"hello");
    life.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn uploads_go_straight_to_the_bucket_and_are_checked_from_there() {
    testing::each_database(MIGRATIONS, |db| async move {
        let world = World::new(db, BlobKind::S3, Config { direct_uploads: true, ..Config::default() }).await;
        let anna = world.member();
        let file = files::photo(40, 30, 6);
        let request = CreateUploadRequest {
            filename: "a.jpg".into(),
            size_bytes: file.len() as i64,
            alt_text: String::new(),
            request_id: Uuid::now_v7().to_string(),
        };
        let upload = anna.api().create_upload(anna.ask(request.clone())).await.unwrap().into_inner();
        let address = Presigned { url: upload.upload_url, headers: upload.headers.into_iter().collect() };
        assert_eq!(put(&address, &file, false).await, 200);
        let media = anna.complete(&upload.upload_id).await.unwrap();
        assert_eq!((media.width, media.height), (30, 40));

        // The address still works, but what is written there now is nobody's, and goes.
        assert_eq!(put(&address, &vec![b'x'; file.len()], false).await, 200);
        let (_, bytes) = world.rendition(anna.workspace, &media.id).await.unwrap();
        assert!(bytes.starts_with(&[0xFF, 0xD8]));
        let again = anna.api().create_upload(anna.ask(request)).await.unwrap().into_inner();
        assert!(again.upload_url.starts_with("http://127.0.0.1:8080/"), "no further address into the bucket");
        world.clock.advance(2 * crate::world::HOUR);
        world.sweep().await;
        assert_eq!(world.blobs(), 1);
        world.end().await;
    })
    .await;
}
