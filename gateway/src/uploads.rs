//! Takes a file's bytes over plain HTTP and streams them to the media service, which checks the credential in the
//! address. Nothing is kept here: a chunk is passed on as it comes.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use postmesh_kit::transport::Transport;
use postmesh_proto::media::v1::{
    UploadTicket, WriteUploadRequest, media_service_client::MediaServiceClient, write_upload_request::Part,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};
use tonic::{Status, body::Body};

use crate::json::{encode, percent};

/// Largest file that any installation may take, bytes. The media service knows how many it granted to the address.
const LARGEST: u64 = 5 << 30;
/// Largest chunk passed on, bytes.
const CHUNK: usize = 512 * 1024;
/// A client that sends nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(30);
/// A whole upload takes no longer, and a minute more for every so many bytes.
const LONGEST: Duration = Duration::from_mins(15);
const BYTES_PER_MINUTE: u64 = 16 << 20;

/// Answers `PUT /v1/uploads/{upload_id}/content?token=…`.
pub(crate) struct Uploads {
    media: MediaServiceClient<Transport>,
}

impl Uploads {
    pub(crate) fn new(media: Transport) -> Self {
        Self { media: MediaServiceClient::new(media) }
    }

    pub(crate) async fn receive(&self, id: &str, request: Request<Body>) -> Response<Body> {
        let Some(upload_id) = percent::decode(id) else {
            return encode::failure(&Status::not_found("there is no such upload"));
        };
        let token = percent::query(request.uri().query().unwrap_or_default())
            .find_map(|(key, value)| (key.as_deref() == Some("token")).then_some(value?))
            .unwrap_or_default();
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
        let length = match length {
            None => {
                let why = "the size must be known: send a content-length, not a chunked body";
                return encode::failure_as(&Status::invalid_argument(why), StatusCode::LENGTH_REQUIRED);
            }
            Some(length) if length > LARGEST => {
                let why = format!("the file is larger than {} GiB", LARGEST >> 30);
                return encode::failure_as(&Status::out_of_range(why), StatusCode::PAYLOAD_TOO_LARGE);
            }
            Some(length) => length,
        };
        let patience = LONGEST + Duration::from_mins(length / BYTES_PER_MINUTE);
        let (broken, breaks) = oneshot::channel();
        let ticket = Part::Ticket(UploadTicket { upload_id, token });
        let parts = stream::iter([ticket]).chain(chunks(request.into_body(), broken).map(Part::Chunk));
        let parts = parts.map(|part| WriteUploadRequest { part: Some(part) });
        let mut media = self.media.clone();
        let written = tokio::select! {
            written = timeout(patience, media.write_upload(parts)) => written,
            Ok(why) = breaks => {
                // Dropping the call tells the media service that the rest will not come.
                return encode::failure_as(&Status::invalid_argument(why), StatusCode::REQUEST_TIMEOUT);
            }
        };
        match written {
            Ok(Ok(answer)) => {
                let size = answer.into_inner().size_bytes;
                encode::answer(StatusCode::OK, "application/json", format!(r#"{{"sizeBytes":"{size}"}}"#))
            }
            Ok(Err(status)) => encode::failure(&status),
            Err(_) => encode::failure(&Status::deadline_exceeded("the upload took too long; send it again")),
        }
    }
}

/// The body in chunks. When it breaks off, `broken` is told why and the stream goes on silently: an end would read
/// as a complete file.
fn chunks(body: Body, broken: oneshot::Sender<&'static str>) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Some((body, Bytes::new(), broken)), |state| async move {
        let (mut body, mut left, broken) = state?;
        while left.is_empty() {
            match timeout_at(Instant::now() + SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => left = frame.into_data().unwrap_or_default(),
                Ok(None) => return None,
                Ok(Some(Err(_))) => {
                    // The receiver is gone only when nobody waits for the answer any more.
                    let _ = broken.send("the body ended before all of it arrived; send it again");
                    return std::future::pending().await;
                }
                Err(_) => {
                    let _ = broken.send("nothing arrived for 30 s; send the file again");
                    return std::future::pending().await;
                }
            }
        }
        let chunk = left.split_to(left.len().min(CHUNK));
        Some((chunk, Some((body, left, broken))))
    })
}
