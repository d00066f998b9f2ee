//! Sends a file to the media library: announce, put the bytes, complete.

use std::path::Path;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, Media, media_service_client::MediaServiceClient,
};
use reqwest::Body;

use super::{Session, explain, http, request_id};

/// Files from this size on show a progress bar.
const WORTH_A_BAR: u64 = 4 << 20;
const CHUNK: usize = 256 << 10;

/// Uploads a file with a description; `quiet` shows no bar.
pub(crate) async fn file(
    session: &mut Session,
    path: &Path,
    alt_text: &str,
    quiet: bool,
) -> anyhow::Result<Media> {
    let shown = path.display();
    let bytes = tokio::fs::read(path).await.with_context(|| format!("cannot read {shown}"))?;
    let filename =
        path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned());
    this(session, filename, bytes, alt_text, quiet).await.with_context(|| format!("cannot upload {shown}"))
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
    let mut media = MediaServiceClient::new(session.channel());
    let announced = CreateUploadRequest {
        filename,
        size_bytes: i64::try_from(size)?,
        alt_text: alt_text.to_owned(),
        request_id: request_id(),
    };
    let upload =
        media.create_upload(session.request(announced).await?).await.map_err(|s| explain(&s))?.into_inner();

    let bar = if quiet || size < WORTH_A_BAR { ProgressBar::hidden() } else { ProgressBar::new(size) };
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}")
            .expect("the template is constant"),
    );
    let bytes = bytes::Bytes::from(bytes);
    let chunks = (0..bytes.len()).step_by(CHUNK).map({
        let bar = bar.clone();
        move |from| {
            let chunk = bytes.slice(from..bytes.len().min(from + CHUNK));
            bar.inc(chunk.len() as u64);
            Ok::<_, std::io::Error>(chunk)
        }
    });
    let mut put = http()
        .put(&upload.upload_url)
        .header("content-length", size)
        .body(Body::wrap_stream(futures::stream::iter(chunks.collect::<Vec<_>>())));
    for (name, value) in &upload.headers {
        put = put.header(name, value);
    }
    let answer = put.send().await?;
    bar.finish_and_clear();
    if !answer.status().is_success() {
        let status = answer.status();
        bail!("the upload was refused with {status}: {}", answer.text().await.unwrap_or_default());
    }
    let complete = CompleteUploadRequest { upload_id: upload.upload_id };
    let completed = media.complete_upload(session.request(complete).await?).await.map_err(|s| explain(&s))?;
    completed.into_inner().media.context("the mesh answered no media item")
}
