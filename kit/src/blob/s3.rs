//! Blobs as objects of a bucket. Content is streamed once: a put whose stream was already read is not repeated here
//! but fails as unavailable, and whoever holds the content tries again.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::{GetObjectError, GetObjectOutput},
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use bytes::Bytes;
use url::Url;

use super::{Cause, Content, Error, Object, Presigned, exact::Exact};
use crate::config::BlobConfig;

const CONNECT: Duration = Duration::from_secs(3);
/// Until the answer begins; small requests only.
const ANSWER: Duration = Duration::from_secs(15);
/// All attempts of one small request together.
const OPERATION: Duration = Duration::from_secs(40);
/// One put, whose pace is that of whoever sends the content; longer by a minute for every so many bytes.
const PUT: Duration = Duration::from_mins(11);
const BYTES_PER_MINUTE: u64 = 16 << 20;

/// What an `s3://` address says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
    region: String,
    path_style: bool,
}

impl Address {
    /// Reads the address, or says in words what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or("names no bucket")?.to_owned();
        let prefix = url.path().trim_matches('/').to_owned();
        if !prefix.is_empty() {
            super::check_key(&prefix)
                .map_err(|_| "has a prefix that is not made of plain names".to_owned())?;
        }
        let mut address =
            Self { bucket, prefix, endpoint: None, region: "us-east-1".into(), path_style: false };
        for (name, value) in url.query_pairs() {
            match &*name {
                "endpoint" => {
                    let endpoint =
                        Url::parse(&value).map_err(|error| format!("has a bad endpoint: {error}"))?;
                    if !matches!(endpoint.scheme(), "http" | "https") {
                        return Err("has an endpoint that is neither http nor https".into());
                    }
                    address.endpoint = Some(value.into_owned());
                }
                "region" => address.region = value.into_owned(),
                "path_style" => {
                    address.path_style = value
                        .parse()
                        .map_err(|_| "has a path_style that is neither true nor false".to_owned())?;
                }
                _ => return Err(format!("has the unknown option {name}")),
            }
        }
        Ok(address)
    }
}

/// A bucket, or the part of one below a prefix.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    bucket: Arc<str>,
    prefix: Arc<str>,
}

impl S3 {
    pub(super) fn connect(config: &BlobConfig) -> Result<Self, Error> {
        let address =
            Address::parse(&config.url).map_err(|problem| Error::Settings(format!("blob.url {problem}")))?;
        let credentials = Credentials::new(
            config.access_key.expose(),
            config.secret_key.expose(),
            None,
            None,
            "postmesh settings",
        );
        let mut settings = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(address.region))
            .credentials_provider(credentials)
            .force_path_style(address.path_style)
            // Not every server that speaks S3 knows the newer checksum headers; signatures and lengths are enough here.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .read_timeout(ANSWER)
                    .operation_timeout(OPERATION)
                    .build(),
            );
        if let Some(endpoint) = address.endpoint {
            settings = settings.endpoint_url(endpoint);
        }
        Ok(Self {
            client: Client::from_conf(settings.build()),
            bucket: address.bucket.into(),
            prefix: address.prefix.into(),
        })
    }

    pub(super) async fn put(&self, key: &str, length: u64, content: Exact) -> Result<(), Error> {
        let fault = content.fault();
        self.send(key, length, ByteStream::from_body_1_x(content))
            .await
            .map_err(|error| fault.take().unwrap_or(error))
    }

    pub(super) async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.send(key, bytes.len() as u64, ByteStream::from(bytes)).await
    }

    async fn send(&self, key: &str, length: u64, body: ByteStream) -> Result<(), Error> {
        let patience = PUT + Duration::from_mins(length / BYTES_PER_MINUTE);
        let patient = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(patience)
            .operation_timeout(patience)
            .build();
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(self.object(key))
            .content_length(signed(length)?)
            .content_type("application/octet-stream")
            .body(body)
            .customize()
            .config_override(Builder::new().timeout_config(patient))
            // The hash of a stream is known only when it has passed.
            .disable_payload_signing()
            .send()
            .await
            .map(drop)
            .map_err(classify)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Object>, Error> {
        let answer = self.client.get_object().bucket(&*self.bucket).key(self.object(key)).send().await;
        let object = match answer {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(error)),
        };
        let total = length(&object);
        Ok(Some(Object { size: total, total, content: content(object) }))
    }

    pub(super) async fn get_range(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Object>, Error> {
        // Servers count in signed numbers.
        let last = i64::try_from(*range.end()).map(|last| last.to_string()).unwrap_or_default();
        let asked = format!("bytes={}-{last}", range.start());
        let answer =
            self.client.get_object().bucket(&*self.bucket).key(self.object(key)).range(asked).send().await;
        let part = match answer {
            Ok(part) => part,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Ok(None);
            }
            Err(error) if error.code() == Some("InvalidRange") => return Ok(None),
            Err(error) => return Err(classify(error)),
        };
        let size = length(&part);
        // `bytes 0-9/100`
        let total = part.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let total =
            total.ok_or_else(|| Error::Refused("the store does not answer with parts of objects".into()))?;
        Ok(Some(Object { size, total, content: content(part) }))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        let answer = self.client.delete_object().bucket(&*self.bucket).key(self.object(key)).send().await;
        answer.map(drop).map_err(classify)
    }

    pub(super) async fn presign_put(
        &self,
        key: &str,
        length: u64,
        content_type: Option<&str>,
        ttl: Duration,
    ) -> Result<Presigned, Error> {
        let until = PresigningConfig::expires_in(ttl).map_err(|error| Error::Settings(error.to_string()))?;
        let request = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(self.object(key))
            .content_length(signed(length)?)
            .set_content_type(content_type.map(str::to_owned))
            .presigned(until)
            .await
            .map_err(classify)?;
        // Every HTTP client sets these two itself, and browsers refuse to be told.
        let own =
            |name: &str| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("host");
        let headers = request
            .headers()
            .filter(|(name, _)| !own(name))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Ok(Presigned { url: request.uri().into(), headers })
    }

    pub(super) async fn check(&self) -> Result<(), Error> {
        self.client.head_bucket().bucket(&*self.bucket).send().await.map(drop).map_err(classify)
    }

    fn object(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }
}

fn length(object: &GetObjectOutput) -> u64 {
    object.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}

fn content(object: GetObjectOutput) -> Content {
    Box::pin(futures::stream::try_unfold(object.body, |mut body| async move {
        match body.next().await {
            Some(Ok(chunk)) => Ok(Some((chunk, body))),
            Some(Err(error)) => Err(Error::Unavailable(Box::new(error))),
            None => Ok(None),
        }
    }))
}

fn signed(length: u64) -> Result<i64, Error> {
    i64::try_from(length).map_err(|_| Error::Settings("a blob cannot be that long".into()))
}

/// Busy, broken or silent is [`Error::Unavailable`]; an answer that will be the same next time is [`Error::Refused`].
fn classify<E>(error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let refused = match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            (400..500).contains(&status) && !matches!(status, 408 | 429)
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    let cause: Cause = Box::new(error);
    if refused { Error::Refused(cause) } else { Error::Unavailable(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let address = Address::parse(
            "s3://media/postmesh/blobs?endpoint=http://127.0.0.1:9000&region=eu-1&path_style=true",
        )
        .unwrap();
        assert_eq!(
            address,
            Address {
                bucket: "media".into(),
                prefix: "postmesh/blobs".into(),
                endpoint: Some("http://127.0.0.1:9000".into()),
                region: "eu-1".into(),
                path_style: true,
            }
        );
        for wrong in
            ["s3://", "s3://b?path_style=maybe", "s3://b?endpoint=ftp://x", "s3://b/..%2f?x=1", "s3://b?x=1"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
