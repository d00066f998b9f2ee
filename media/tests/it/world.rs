//! One started service, and everyone who calls it.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use postmesh_kit::{
    blob::Blob,
    config::{BlobConfig, Secret},
    db::Db,
    lifecycle::Lifecycle,
    testing::{self, FakeClock, Tokens},
    transport::Transport,
};
use postmesh_media::{Config, Deps, MIGRATIONS, picture::Limits, store::Store, sweep};
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, CreateUploadResponse, Media, ReadRenditionRequest,
    RenditionInfo, UploadTicket, WriteUploadRequest, media_service_client::MediaServiceClient,
    read_rendition_response, write_upload_request::Part,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::net::TcpListener;
use tonic::{Request, Status};
use uuid::Uuid;

pub(crate) type Client = MediaServiceClient<Transport>;
pub(crate) const BUCKET: &str = "media";
/// Some day; the clock stands still unless it is moved.
const NOW: i64 = 1_790_000_000_000;
pub(crate) const HOUR: i64 = 60 * 60 * 1000;

/// The service on one database and one blob store.
pub(crate) struct World {
    pub(crate) gateway: Client,
    pub(crate) scheduler: Client,
    pub(crate) publisher: Client,
    pub(crate) blob: Blob,
    pub(crate) store: Store,
    pub(crate) clock: FakeClock,
    pub(crate) tokens: Tokens,
    pub(crate) folder: tempfile::TempDir,
    life: Lifecycle,
}

impl World {
    pub(crate) async fn new(db: Db, store: BlobKind, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let life = Lifecycle::new();
        let blob = match store {
            BlobKind::Directory => Blob::connect(&BlobConfig::default(), folder.path()).await.unwrap(),
            BlobKind::S3 => bucket(folder.path(), &life).await,
            BlobKind::Away => away(folder.path()).await,
        };
        let clock = FakeClock::at(NOW);
        let deps = Deps {
            db: db.clone(),
            blob: blob.clone(),
            keys: testing::keys(),
            clock: Arc::new(clock.clone()),
            lifecycle: life.clone(),
        };
        let running = postmesh_media::start(config, deps).await.unwrap();
        let tokens = Tokens::default();
        let client = |caller| {
            MediaServiceClient::new(testing::serve(
                postmesh_proto::pool(),
                running.routes.clone(),
                caller,
                &tokens,
            ))
        };
        Self {
            gateway: client("gateway"),
            scheduler: client("scheduler"),
            publisher: client("publisher"),
            store: Store::new(db),
            blob,
            clock,
            tokens,
            folder,
            life,
        }
    }

    /// A member of a new workspace, who may read and write media.
    pub(crate) fn member(&self) -> Member<'_> {
        self.member_who_may(&["media.read", "media.write"])
    }

    pub(crate) fn member_who_may(&self, permissions: &[&str]) -> Member<'_> {
        let workspace = Uuid::now_v7();
        Member { world: self, workspace, token: self.tokens.mint(Uuid::now_v7(), workspace, permissions) }
    }

    pub(crate) async fn sweep(&self) -> sweep::Swept {
        sweep::sweep(&self.store, &self.blob, &self.clock).await.unwrap()
    }

    /// Sends bytes to an upload's address as the gateway does, in the given pieces.
    pub(crate) async fn send(&self, address: &str, pieces: &[&[u8]]) -> Result<i64, Status> {
        let (upload_id, token) = parts(address);
        let ticket = Part::Ticket(UploadTicket { upload_id, token });
        let chunks = pieces.iter().map(|piece| Part::Chunk(Bytes::copy_from_slice(piece)));
        self.send_parts([ticket].into_iter().chain(chunks).collect()).await
    }

    pub(crate) async fn send_parts(&self, parts: Vec<Part>) -> Result<i64, Status> {
        let messages = stream::iter(parts.into_iter().map(|part| WriteUploadRequest { part: Some(part) }));
        let answer = self.gateway.clone().write_upload(messages).await?;
        Ok(answer.into_inner().size_bytes)
    }

    /// Reads a rendition as the publisher does.
    pub(crate) async fn rendition(
        &self,
        workspace: Uuid,
        media_id: &str,
    ) -> Result<(RenditionInfo, Vec<u8>), Status> {
        self.fitted(workspace, media_id, Limits::NONE).await
    }

    /// Reads a rendition that fits limits.
    pub(crate) async fn fitted(
        &self,
        workspace: Uuid,
        media_id: &str,
        limits: Limits,
    ) -> Result<(RenditionInfo, Vec<u8>), Status> {
        let request = ReadRenditionRequest {
            workspace_id: workspace.to_string(),
            media_id: media_id.into(),
            max_bytes: limits.max_bytes,
            max_pixels: limits.max_pixels,
            content_type: if limits.only_jpeg { "image/jpeg".into() } else { String::new() },
            range: None,
        };
        let mut parts = self.publisher.clone().read_rendition(request).await?.into_inner();
        let Some(read_rendition_response::Part::Info(info)) = parts.message().await?.and_then(|m| m.part)
        else {
            panic!("the first message says what follows");
        };
        let mut bytes = Vec::new();
        while let Some(message) = parts.message().await? {
            let Some(read_rendition_response::Part::Chunk(chunk)) = message.part else {
                panic!("then come bytes")
            };
            assert!(chunk.len() <= 64 * 1024);
            bytes.extend_from_slice(&chunk);
        }
        assert_eq!(info.size_bytes, bytes.len() as i64);
        Ok((info, bytes))
    }

    /// Every blob there is, whatever kind of store: both keep files below one folder.
    pub(crate) fn blobs(&self) -> usize {
        fn count(folder: &Path) -> usize {
            std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap())
                .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
                .map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 })
                .sum()
        }
        count(self.folder.path())
    }

    pub(crate) async fn end(self) {
        assert!(self.life.shutdown(Duration::from_secs(10)).await, "the sweeper stops when asked");
    }
}

/// A user of a workspace.
pub(crate) struct Member<'a> {
    pub(crate) world: &'a World,
    pub(crate) workspace: Uuid,
    token: String,
}

impl Member<'_> {
    /// A request of this member.
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        testing::with_token(message, &self.token)
    }

    pub(crate) fn api(&self) -> Client {
        self.world.gateway.clone()
    }

    pub(crate) async fn announce(&self, size: usize) -> CreateUploadResponse {
        let request = CreateUploadRequest {
            filename: "holiday.jpg".into(),
            size_bytes: size as i64,
            alt_text: "A beach".into(),
            request_id: Uuid::now_v7().to_string(),
        };
        self.api().create_upload(self.ask(request)).await.unwrap().into_inner()
    }

    pub(crate) async fn complete(&self, upload_id: &str) -> Result<Media, Status> {
        let request = CompleteUploadRequest { upload_id: upload_id.into() };
        Ok(self.api().complete_upload(self.ask(request)).await?.into_inner().media.unwrap())
    }

    /// Announces, sends and completes.
    pub(crate) async fn upload(&self, file: &[u8]) -> Result<Media, Status> {
        let upload = self.announce(file.len()).await;
        let pieces: Vec<&[u8]> = file.chunks(100_000).collect();
        self.world.send(&upload.upload_url, &pieces).await?;
        self.complete(&upload.upload_id).await
    }
}

/// The upload's id and the token in an address of the gateway.
pub(crate) fn parts(address: &str) -> (String, String) {
    let rest = address.strip_prefix("http://127.0.0.1:8080/v1/uploads/").unwrap();
    let (id, token) = rest.split_once("/content?token=").unwrap();
    (id.into(), token.into())
}

#[derive(Clone, Copy)]
pub(crate) enum BlobKind {
    Directory,
    S3,
    Away,
}

/// Runs a test on both databases, each with both blob stores, with uploads through the gateway.
pub(crate) async fn everywhere(test: impl AsyncFn(World)) {
    let test = &test;
    testing::each_database(MIGRATIONS, |db| async move {
        for store in [BlobKind::Directory, BlobKind::S3] {
            let config = Config { direct_uploads: false, ..Config::default() };
            test(World::new(db.clone(), store, config).await).await;
        }
    })
    .await;
}

/// A bucket of an S3 server of our own, listening on a socket until the life ends.
pub(crate) async fn bucket(folder: &Path, life: &Lifecycle) -> Blob {
    std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = life.clone();
    life.spawn(async move {
        loop {
            let (socket, _) = tokio::select! {
                accepted = listener.accept() => accepted.unwrap(),
                () = tasks.stopping() => return,
            };
            let service = service.clone();
            let stopping = tasks.clone();
            tasks.spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let served = builder.serve_connection(TokioIo::new(socket), service);
                tokio::select! {
                    _ = served => {}
                    () = stopping.stopping() => {}
                }
            });
        }
    });
    let url = format!("s3://{BUCKET}/blobs?endpoint=http://{address}&path_style=true");
    let config =
        BlobConfig { url, access_key: Secret::new("key".into()), secret_key: Secret::new("secret".into()) };
    Blob::connect(&config, folder).await.unwrap()
}

/// A bucket whose server does not listen.
pub(crate) async fn away(folder: &Path) -> Blob {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("s3://{BUCKET}?endpoint=http://{nobody}&path_style=true");
    let config =
        BlobConfig { url, access_key: Secret::new("key".into()), secret_key: Secret::new("secret".into()) };
    Blob::connect(&config, folder).await.unwrap()
}
