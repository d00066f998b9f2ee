//! Uploads of a small picture and a small video.

use anyhow::{Context as _, ensure};
use postmesh_proto::media::v1::{
    CompleteUploadRequest, CreateUploadRequest, media_service_client::MediaServiceClient,
};

use super::{User, request_id, told};
use crate::rig::process::http;

/// A PNG of 8 x 8 pixels.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0Km)\xdc\0\0\0&IDATx\xdac`\
    \x90\xb3\x89\xaa\x98\xb6\xe5\xd2\x07>\x1d\xaf\x8c\xb6%\x87\x1e\xfc\x93\xb1\x8a(\x9b\xb2\x89ahI\0\0\x0b\xb5Z\
    \xc1)\xc5\xa4\xa8\0\0\0\0IEND\xaeB`\x82";

/// Four seconds of an upright video.
const CLIP: &[u8] = include_bytes!("../clip.mp4");

impl User {
    /// Uploads a picture with this description; answers its id. The mesh has to be up: bytes are put only once.
    pub async fn upload(&self, alt: &str) -> anyhow::Result<String> {
        self.upload_file("picture.png", PICTURE, alt).await
    }

    /// The same with a video.
    pub async fn upload_clip(&self, alt: &str) -> anyhow::Result<String> {
        self.upload_file("clip.mp4", CLIP, alt).await
    }

    async fn upload_file(&self, filename: &str, bytes: &'static [u8], alt: &str) -> anyhow::Result<String> {
        let announced = CreateUploadRequest {
            filename: filename.to_owned(),
            size_bytes: i64::try_from(bytes.len())?,
            alt_text: alt.to_owned(),
            request_id: request_id(),
        };
        let upload = self
            .call(announced, |channel, request| async move {
                MediaServiceClient::new(channel).create_upload(request).await
            })
            .await
            .map_err(|status| told("CreateUpload", &status))?;
        let mut put = http().put(&upload.upload_url).body(bytes);
        for (name, value) in &upload.headers {
            put = put.header(name, value);
        }
        let answer = put.send().await?;
        ensure!(answer.status().is_success(), "the upload was refused with {}", answer.status());
        let complete = CompleteUploadRequest { upload_id: upload.upload_id };
        let completed = self
            .call(complete, |channel, request| async move {
                MediaServiceClient::new(channel).complete_upload(request).await
            })
            .await
            .map_err(|status| told("CompleteUpload", &status))?;
        Ok(completed.media.context("no media item was answered")?.id)
    }
}
