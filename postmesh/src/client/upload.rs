//! Sends a file to the media library: announce, put the bytes, complete. A file is read as it is sent, never whole.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, CreateUploadResponse, Media,
    media_service_client::MediaServiceClient,
};
use reqwest::Body;
use tokio::{fs::File, io::AsyncReadExt as _, time::Instant};

use super::{Session, explain, http, request_id};

/// Files from this size on show a progress bar.
const WORTH_A_BAR: u64 = 4 << 20;
const CHUNK: usize = 256 << 10;
/// One call that completes an upload; the mesh may allow less.
const CALL: Duration = Duration::from_mins(1);
/// Checking the largest video takes no longer.
const CHECK: Duration = Duration::from_mins(30);

/// Uploads a file with a description; `quiet` shows no bar.
pub(crate) async fn file(
    session: &mut Session,
    path: &Path,
    alt_text: &str,
    quiet: bool,
) -> anyhow::Result<Media> {
    let shown = path.display();
    let file = File::open(path).await.with_context(|| format!("cannot read {shown}"))?;
    let about = file.metadata().await.with_context(|| format!("cannot read {shown}"))?;
    if !about.is_file() {
        bail!("cannot read {shown}: it is not a file");
    }
    let filename =
        path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
    let chunks = stream::try_unfold(file, |mut file: File| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), file)))
    });
    send(session, filename, about.len(), chunks, alt_text, quiet)
        .await
        .with_context(|| format!("cannot upload {shown}"))
}

/// Uploads bytes under a name.
pub(crate) async fn this(
    session: &mut Session,
    filename: String,
    bytes: Vec<u8>,
    alt_text: &str,
    quiet: bool,
) -> anyhow::Result<Media> {
    let size = bytes.len() as u64;
    send(session, filename, size, stream::iter([Ok(Bytes::from(bytes))]), alt_text, quiet).await
}

async fn send(
    session: &mut Session,
    filename: String,
    size: u64,
    chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    alt_text: &str,
    quiet: bool,
) -> anyhow::Result<Media> {
    let announced = CreateUploadRequest {
        filename,
        size_bytes: i64::try_from(size)?,
        alt_text: alt_text.to_owned(),
        request_id: request_id(),
    };
    let mut media = MediaServiceClient::new(session.channel());
    let upload =
        media.create_upload(session.request(announced).await?).await.map_err(|s| explain(&s))?.into_inner();
    let bar = if quiet || size < WORTH_A_BAR { ProgressBar::hidden() } else { ProgressBar::new(size) };
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}")
            .expect("the template is constant"),
    );
    let counted = bar.clone();
    let chunks = chunks.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counted.inc(chunk.len() as u64);
        }
    });
    let sent = put(&upload, size, Body::wrap_stream(chunks)).await;
    bar.set_message("checking");
    let media = match sent {
        Ok(()) => complete(session, upload.upload_id).await,
        Err(error) => Err(error),
    };
    bar.finish_and_clear();
    media
}

async fn put(upload: &CreateUploadResponse, size: u64, body: Body) -> anyhow::Result<()> {
    let mut put = http().put(&upload.upload_url).header("content-length", size).body(body);
    for (name, value) in &upload.headers {
        put = put.header(name, value);
    }
    let answer = put.send().await?;
    if !answer.status().is_success() {
        let status = answer.status();
        bail!("the upload was refused with {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(())
}

/// Completes an upload. The mesh goes on with the work when a call runs out of time, and the next call waits for it.
async fn complete(session: &mut Session, upload_id: String) -> anyhow::Result<Media> {
    let mut media = MediaServiceClient::new(session.channel());
    let until = Instant::now() + CHECK;
    loop {
        let mut request = session.request(CompleteUploadRequest { upload_id: upload_id.clone() }).await?;
        request.set_timeout(CALL);
        match media.complete_upload(request).await {
            Ok(completed) => {
                return completed.into_inner().media.context("the mesh answered no media item");
            }
            Err(status)
                if matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled)
                    && Instant::now() < until => {}
            Err(status) => return Err(explain(&status)),
        }
    }
}
