//! Answers the public addresses under which networks fetch the files of posts. The media service knows the addresses,
//! counts each read before its first byte leaves, and resolves ranges; a chunk is passed on as it comes.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use postmesh_kit::{status::to_status, transport::Transport};
use postmesh_proto::media::v1::{
    ReadShareRequest, ShareInfo, ShareRange, media_service_client::MediaServiceClient,
    read_share_response::Part,
};
use tokio::sync::Semaphore;
use tonic::{Status, body::Body};

use crate::{error::Refusal, json::encode};

/// Answers `GET` and `HEAD /m/{token}.{extension}`.
pub(crate) struct Shares {
    media: MediaServiceClient<Transport>,
    places: Arc<Semaphore>,
}

impl Shares {
    /// Sends at most so many files at once.
    pub(crate) fn new(media: Transport, most: usize) -> Self {
        Self { media: MediaServiceClient::new(media), places: Arc::new(Semaphore::new(most)) }
    }

    pub(crate) async fn send(&self, token: &str, request: Request<Body>) -> Response<Body> {
        let only_info = *request.method() == Method::HEAD;
        let range = range(request.headers()).filter(|_| !only_info);
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return encode::failure(&to_status(Refusal::Overloaded));
        };
        let asked = ReadShareRequest { token: token.to_owned(), only_info, range };
        let mut parts = match self.media.clone().read_share(asked).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return encode::failure(&status),
        };
        let info = match parts.message().await.map(|first| first.and_then(|message| message.part)) {
            Ok(Some(Part::Info(info))) => info,
            Ok(_) => return encode::failure(&to_status(Refusal::Garbled)),
            Err(status) => return encode::failure(&status),
        };
        if range.is_some() && info.length == 0 {
            let status = Status::out_of_range("the file has no such bytes");
            let mut response = encode::failure_as(&status, StatusCode::RANGE_NOT_SATISFIABLE);
            let size = HeaderValue::try_from(format!("bytes */{}", info.size_bytes));
            response.headers_mut().insert(header::CONTENT_RANGE, size.expect("digits are valid in a header"));
            return response;
        }
        let body = if only_info {
            Body::empty()
        } else {
            let chunks = parts.map(move |message| {
                let _held = &place;
                match message.map(|message| message.part) {
                    Ok(Some(Part::Chunk(chunk))) => Ok(chunk),
                    Ok(_) => Err(to_status(Refusal::Garbled)),
                    Err(status) => Err(status),
                }
            });
            Body::new(StreamBody::new(chunks.map_ok(Frame::data)))
        };
        describe(Response::new(body), &info, range.is_some())
    }
}

/// The answer with its headers. It is a file to take away, never a page, and nothing keeps a copy on the way: a copy
/// would be read without being counted.
fn describe(mut response: Response<Body>, info: &ShareInfo, is_part: bool) -> Response<Body> {
    let Ok(kind) = HeaderValue::try_from(&info.content_type) else {
        return encode::failure(&to_status(Refusal::Garbled));
    };
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(info.length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
    );
    if is_part {
        let last = info.offset + info.length - 1;
        let part = HeaderValue::try_from(format!("bytes {}-{last}/{}", info.offset, info.size_bytes));
        headers.insert(header::CONTENT_RANGE, part.expect("digits are valid in a header"));
    }
    response
}

/// The one range that is asked for (RFC 9110, section 14.2). Anything else is answered with the whole file, and so is
/// a condition: the answers carry nothing that it could be checked against.
fn range(headers: &HeaderMap) -> Option<ShareRange> {
    let mut given = headers.get_all(header::RANGE).iter();
    let text = given.next()?.to_str().ok()?;
    if given.next().is_some() || headers.contains_key(header::IF_RANGE) {
        return None;
    }
    let (unit, span) = text.split_once('=')?;
    let (first, last) = span.trim().split_once('-')?;
    let number = |digits: &str| match digits {
        "" => Some(None),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i64>().ok().map(Some),
        _ => None,
    };
    let range = ShareRange { first: number(first)?, last: number(last)? };
    let stated = range.first.is_some() || range.last.is_some();
    let ordered = range.first.zip(range.last).is_none_or(|(first, last)| first <= last);
    (unit.trim().eq_ignore_ascii_case("bytes") && stated && ordered).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_range_or_none() {
        let of = |text: &'static str| {
            range(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]))
        };
        let range = |first, last| Some(ShareRange { first, last });
        assert_eq!(of("bytes=0-499"), range(Some(0), Some(499)));
        assert_eq!(of("Bytes=500-"), range(Some(500), None));
        assert_eq!(of("bytes=-500"), range(None, Some(500)));
        for whole in
            ["bytes=-", "bytes=0-1,5-6", "bytes=5-4", "lines=0-1", "bytes=+1-2", "bytes", "bytes=a-b"]
        {
            assert_eq!(of(whole), None, "{whole}");
        }
        let two = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"x\"")];
        let headers = two.map(|(name, text)| (name, HeaderValue::from_static(text)));
        assert_eq!(super::range(&HeaderMap::from_iter(headers)), None);
    }
}
