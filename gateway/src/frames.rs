//! Bodies of gRPC calls, seen frame by frame: what goes in is held to the size limit, what comes out is watched to
//! its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use postmesh_kit::status::to_status;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status, body::Body};

use crate::{MESSAGE_BYTES, error::Refusal, metrics::Observation};

/// Bytes before every message: a flag and the length.
pub(crate) const PREFIX: usize = 5;

/// A request body whose messages are no larger than allowed. The bytes are passed on as they are.
pub(crate) struct Sized {
    body: Body,
    peeked: Option<Frame<Bytes>>,
    prefix: [u8; PREFIX],
    prefix_filled: usize,
    message_left: usize,
}

impl Sized {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, peeked: None, prefix: [0; PREFIX], prefix_filled: 0, message_left: 0 }
    }

    /// Waits for the first bytes, so that a message that is too large is refused before a service hears of the call.
    pub(crate) async fn peek(&mut self) -> Result<(), Status> {
        self.peeked = self.frame().await.transpose()?;
        Ok(())
    }

    fn inspect(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            let wanted = if self.message_left > 0 { self.message_left } else { PREFIX - self.prefix_filled };
            let (now, later) = data.split_at(wanted.min(data.len()));
            data = later;
            if self.message_left > 0 {
                self.message_left -= now.len();
                continue;
            }
            self.prefix[self.prefix_filled..self.prefix_filled + now.len()].copy_from_slice(now);
            self.prefix_filled += now.len();
            if self.prefix_filled == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.message_left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.prefix_filled = 0;
                if self.message_left > MESSAGE_BYTES {
                    return Err(to_status(Refusal::TooLarge));
                }
            }
        }
        Ok(())
    }
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(frame) = self.peeked.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.inspect(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.peeked.is_none() && self.body.is_end_stream()
    }
}

/// A response body whose end is counted, and which ends in good order when the gateway stops.
pub(crate) struct Watched {
    body: Body,
    observation: Observation,
    /// Held as long as a stream is open.
    _permit: Option<OwnedSemaphorePermit>,
    stopping: Option<BoxFuture<'static, ()>>,
    finished: bool,
}

impl Watched {
    /// Watches an answer of one message.
    pub(crate) fn unary(body: Body, observation: Observation) -> Self {
        Self { body, observation, _permit: None, stopping: None, finished: false }
    }

    /// Watches a stream; when `stopping` completes, its client is told to connect again.
    pub(crate) fn stream(
        body: Body,
        observation: Observation,
        permit: OwnedSemaphorePermit,
        stopping: BoxFuture<'static, ()>,
    ) -> Self {
        Self { body, observation, _permit: Some(permit), stopping: Some(stopping), finished: false }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        let code = code_in(trailers).unwrap_or(Code::Unknown);
                        self.observation.end(&format!("{code:?}"));
                    }
                }
                Some(Err(status)) => self.observation.end(&format!("{:?}", status.code())),
                None => self.observation.end("Ok"),
            }
            return Poll::Ready(frame);
        }
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.finished = true;
            let status = to_status(Refusal::Stopping);
            self.observation.end(&format!("{:?}", status.code()));
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(match status.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(status) => Err(status),
            }));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.finished || self.body.is_end_stream()
    }
}

/// The gRPC code in headers or trailers, where they have one.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}
