//! A media service for tests: one small picture as PNG and as JPEG, and one short video, through the real client and
//! server stack; and public addresses that really serve over loopback. Every id it does not know is the PNG.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::{
    future::BoxFuture,
    stream::{BoxStream, StreamExt},
};
use postmesh_kit::{
    clock::{Clock, SystemClock},
    testing::{Tokens, serve},
    time,
    transport::Transport,
};
use postmesh_proto::media::v1::{
    BatchGetMediaRequest, BatchGetMediaResponse, CompleteUploadRequest, CompleteUploadResponse,
    CreateShareRequest, CreateShareResponse, CreateUploadRequest, CreateUploadResponse, DeleteMediaRequest,
    DeleteMediaResponse, GetMediaRequest, GetMediaResponse, ListMediaRequest, ListMediaResponse,
    ReadRenditionRequest, ReadRenditionResponse, ReadShareRequest, ReadShareResponse, RenditionInfo,
    ReplaceHoldsRequest, ReplaceHoldsResponse, RevokeShareRequest, RevokeShareResponse, WriteUploadRequest,
    WriteUploadResponse,
    media_service_client::MediaServiceClient,
    media_service_server::{MediaService, MediaServiceServer},
    read_rendition_response::Part,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::media::MediaSource;

/// A valid PNG of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";
/// A JPEG of 32 × 24 pixels.
pub(crate) const JPEG: &[u8] = include_bytes!("picture.jpg");
/// The id of the PNG.
pub(crate) const PICTURE_PNG: Uuid = Uuid::from_u128(9);
/// The id of the JPEG.
pub(crate) const PICTURE_JPEG: Uuid = Uuid::from_u128(10);
/// The id of the video.
pub(crate) const CLIP: Uuid = Uuid::from_u128(11);

/// The id of a video of nine million bytes, for networks that take files in pieces.
pub(crate) const LONG_CLIP: Uuid = Uuid::from_u128(12);

/// The same video, made long by a box of nothing (`free`) at its end.
pub(crate) fn long_clip() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| clip_of(9_000_000))
}

/// The id of a video of 16 million bytes, for networks whose pieces are larger.
pub(crate) const LONGER_CLIP: Uuid = Uuid::from_u128(13);

/// The same video, made still longer.
pub(crate) fn longer_clip() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| clip_of(16_000_000))
}

fn clip_of(length: usize) -> Vec<u8> {
    let size = u32::try_from(length - clip().len()).unwrap().to_be_bytes();
    let mut bytes = [clip(), &size, b"free"].concat();
    bytes.resize(length, 0);
    bytes
}

/// The video: 64 × 64 pixels, a second long, H.264 with AAC.
pub(crate) fn clip() -> &'static [u8] {
    include_bytes!("../../../media/tests/it/fixtures/clip.mp4")
}

/// A client of a service that answers whatever is asked for, without public addresses.
pub(crate) fn media_client() -> MediaServiceClient<Transport> {
    client_of(Stand::default())
}

fn client_of(service: Stand) -> MediaServiceClient<Transport> {
    let routes = Routes::new(MediaServiceServer::new(service));
    MediaServiceClient::new(serve(postmesh_proto::pool(), routes, "publisher", &Tokens::default()))
}

/// The source of what that service holds.
pub(crate) fn media_source() -> MediaSource {
    MediaSource::new(media_client())
}

/// A source of pictures that cannot be made smaller than so many bytes.
pub(crate) fn source_of_bytes(needs: i64) -> MediaSource {
    MediaSource::new(client_of(Stand { needs, ..Stand::default() }))
}

/// The service with public addresses, which answer as long as this lives.
pub(crate) async fn library() -> Library {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stand = Stand::default();
    stand.shares.0.set(address).unwrap();
    let mut server = JoinSet::new();
    let shares = stand.shares.clone();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let shares = shares.clone();
            connections.spawn(async move { shares.answer(stream).await });
        }
    });
    Library { stand, address, _server: server }
}

/// A media service whose public addresses can be fetched.
pub(crate) struct Library {
    stand: Stand,
    address: SocketAddr,
    _server: JoinSet<()>,
}

impl Library {
    /// What adapters read through.
    pub(crate) fn source(&self) -> MediaSource {
        MediaSource::new(self.client())
    }

    /// A client of the service.
    pub(crate) fn client(&self) -> MediaServiceClient<Transport> {
        client_of(self.stand.clone())
    }

    /// Where public addresses answer, as `host:port`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How often bytes of any public address were answered.
    pub(crate) fn fetches(&self) -> i64 {
        self.stand.shares.lock().values().map(|share| share.reads).sum()
    }

    /// Fetches a public address as a network does, with a `range` unless that is empty; the status and the body.
    pub(crate) async fn fetch(&self, url: &str, range: &str) -> (u16, Vec<u8>) {
        let path = url.strip_prefix(&format!("http://{}", self.address)).unwrap_or(url);
        let range = if range.is_empty() { String::new() } else { format!("range: {range}\r\n") };
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: media\r\n{range}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }
}

/// The service.
#[derive(Clone, Default)]
struct Stand {
    /// Who has room for fewer bytes is refused.
    needs: i64,
    shares: Shares,
}

/// What the service answers for an id.
#[derive(Clone, Copy)]
struct File {
    content_type: &'static str,
    extension: &'static str,
    size: (i32, i32),
    duration_ms: i64,
    bytes: &'static [u8],
}

const PNG_FILE: File =
    File { content_type: "image/png", extension: "png", size: (1, 1), duration_ms: 0, bytes: PNG };
const JPEG_FILE: File =
    File { content_type: "image/jpeg", extension: "jpg", size: (32, 24), duration_ms: 0, bytes: JPEG };

impl Stand {
    fn file(&self, id: &str, content_type: &str, max_bytes: i64) -> Result<File, Status> {
        let refused = || {
            let why = ErrorDetails::with_error_info("CANNOT_FIT", "postmesh.media", HashMap::new());
            Status::with_error_details(tonic::Code::FailedPrecondition, "too large", why)
        };
        let bytes = match Uuid::try_parse(id) {
            Ok(CLIP) => Some(clip()),
            Ok(LONG_CLIP) => Some(long_clip()),
            Ok(LONGER_CLIP) => Some(longer_clip()),
            _ => None,
        };
        if let Some(bytes) = bytes {
            if max_bytes > 0 && max_bytes < bytes.len() as i64 {
                return Err(refused());
            }
            let (content_type, extension) = ("video/mp4", "mp4");
            return Ok(File { content_type, extension, size: (64, 64), duration_ms: 1000, bytes });
        }
        if (1..self.needs).contains(&max_bytes) {
            return Err(refused());
        }
        let jpeg = id == PICTURE_JPEG.to_string() || content_type == "image/jpeg";
        Ok(if jpeg { JPEG_FILE } else { PNG_FILE })
    }
}

fn info(file: &File) -> RenditionInfo {
    RenditionInfo {
        content_type: file.content_type.into(),
        size_bytes: file.bytes.len() as i64,
        width: file.size.0,
        height: file.size.1,
        duration: (file.duration_ms > 0).then(|| time::duration_to_proto(file.duration_ms)),
    }
}

/// Public addresses by their token, and where they answer.
#[derive(Clone, Default)]
struct Shares(Arc<OnceLock<SocketAddr>>, Arc<Mutex<HashMap<String, Share>>>);

struct Share {
    file: File,
    ended: bool,
    reads: i64,
    last_read: Option<i64>,
}

impl Shares {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Share>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request, and closes.
    async fn answer(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let answer = self.answer_to(&head);
        // A fetcher that has gone away needs no answer.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }

    fn answer_to(&self, head: &str) -> Vec<u8> {
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut shares = self.lock();
        let Some(share) = shares.get_mut(token(path)).filter(|share| !share.ended) else {
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        };
        let all = share.file.bytes;
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let range = lines
            .filter(|(name, _)| name.eq_ignore_ascii_case("range"))
            .find_map(|(_, value)| value.trim().strip_prefix("bytes=")?.split_once('-'))
            .and_then(|(first, last)| {
                let first: usize = first.parse().ok()?;
                let end = last.parse().map_or(all.len(), |last: usize| (last + 1).min(all.len()));
                (first < end).then_some(first..end)
            });
        let (status, span) = match &range {
            Some(span) => ("206 Partial Content", span.clone()),
            None => ("200 OK", 0..all.len()),
        };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\naccept-ranges: bytes\r\n\
             x-content-type-options: nosniff\r\ncache-control: private, no-store\r\nconnection: close\r\n",
            share.file.content_type,
            span.len(),
        );
        if range.is_some() {
            let (first, last) = (span.start, span.end - 1);
            let _ = write!(answer, "content-range: bytes {first}-{last}/{}\r\n", all.len());
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        if method == "GET" {
            share.reads += 1;
            share.last_read = Some(SystemClock.now_ms());
            answer.extend_from_slice(&all[span]);
        }
        answer
    }
}

/// The token in the path of an address.
fn token(path: &str) -> &str {
    path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default()
}

// `async_trait` does not look into macros, so this is what it would write.
macro_rules! unused {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'me, 'async_trait>(
            &'me self,
            _: Request<$request>,
        ) -> BoxFuture<'async_trait, Result<Response<$response>, Status>>
        where
            'me: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented("the publisher does not ask for this")) })
        })*
    };
}

#[tonic::async_trait]
impl MediaService for Stand {
    type ReadRenditionStream = BoxStream<'static, Result<ReadRenditionResponse, Status>>;
    type ReadShareStream = BoxStream<'static, Result<ReadShareResponse, Status>>;

    async fn read_rendition(
        &self,
        request: Request<ReadRenditionRequest>,
    ) -> Result<Response<Self::ReadRenditionStream>, Status> {
        let asked = request.into_inner();
        let file = self.file(&asked.media_id, &asked.content_type, asked.max_bytes)?;
        let bytes = asked.range.map_or(file.bytes, |range| {
            let first = usize::try_from(range.offset).unwrap().min(file.bytes.len());
            let length = usize::try_from(range.length).unwrap().min(file.bytes.len() - first);
            &file.bytes[first..first + length]
        });
        // Two pieces or more, so that whoever reads has to put them together.
        let pieces = bytes.chunks(bytes.len().div_ceil(2).clamp(1, 1 << 20));
        let chunks = pieces.map(|piece| Part::Chunk(bytes::Bytes::from_static(piece)));
        let parts: Vec<_> = [Part::Info(info(&file))].into_iter().chain(chunks).collect();
        let answers = parts.into_iter().map(|part| Ok(ReadRenditionResponse { part: Some(part) }));
        Ok(Response::new(futures::stream::iter(answers).boxed()))
    }

    async fn create_share(
        &self,
        request: Request<CreateShareRequest>,
    ) -> Result<Response<CreateShareResponse>, Status> {
        let asked = request.into_inner();
        let file = self.file(&asked.media_id, &asked.content_type, asked.max_bytes)?;
        let address = self.shares.0.get().ok_or_else(|| Status::unimplemented("ask `library` for these"))?;
        let token = format!("{}-{}", Uuid::now_v7().simple(), "random-part");
        let url = format!("http://{address}/m/{token}.{}", file.extension);
        self.shares.lock().insert(token, Share { file, ended: false, reads: 0, last_read: None });
        let ttl = asked.ttl.as_ref().map_or(24 * 60 * 60 * 1000, time::duration_from_proto);
        Ok(Response::new(CreateShareResponse {
            url,
            rendition: Some(info(&file)),
            expire_time: Some(time::to_proto(SystemClock.now_ms() + ttl)),
        }))
    }

    async fn revoke_share(
        &self,
        request: Request<RevokeShareRequest>,
    ) -> Result<Response<RevokeShareResponse>, Status> {
        let mut shares = self.shares.lock();
        let share = shares.get_mut(token(&request.get_ref().url));
        let share = share.ok_or_else(|| Status::not_found("there is no such public address"))?;
        share.ended = true;
        let last_read_time = share.last_read.map(time::to_proto);
        Ok(Response::new(RevokeShareResponse { read_count: share.reads, last_read_time }))
    }

    unused! {
        create_upload(CreateUploadRequest) -> CreateUploadResponse;
        complete_upload(CompleteUploadRequest) -> CompleteUploadResponse;
        get_media(GetMediaRequest) -> GetMediaResponse;
        list_media(ListMediaRequest) -> ListMediaResponse;
        delete_media(DeleteMediaRequest) -> DeleteMediaResponse;
        write_upload(Streaming<WriteUploadRequest>) -> WriteUploadResponse;
        batch_get_media(BatchGetMediaRequest) -> BatchGetMediaResponse;
        replace_holds(ReplaceHoldsRequest) -> ReplaceHoldsResponse;
        read_share(ReadShareRequest) -> Self::ReadShareStream;
    }
}
