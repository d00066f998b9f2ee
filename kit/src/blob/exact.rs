//! A stream that must have exactly the announced length. The chunk that completes it is held back until the source
//! has ended, so a store that counts for itself never finishes a blob whose source has more to say.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};

use super::{Cause, Error};

/// Why the content was not good, kept where it can be found after a client library has swallowed the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    /// The fault, once.
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The content broke its promise; [`Fault`] says how.
#[derive(Debug, thiserror::Error)]
#[error("the content is not what was announced")]
pub(super) struct Broken;

/// The stream. `Sync`, because client libraries ask that of a body.
pub(super) struct Exact {
    // Never locked: a mutex is how a value that is only `Send` becomes `Sync`.
    source: Mutex<BoxStream<'static, Result<Bytes, Cause>>>,
    expected: u64,
    came: u64,
    last: Option<Bytes>,
    ended: bool,
    fault: Fault,
}

impl Exact {
    pub(super) fn new<S, E>(expected: u64, source: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        Self {
            source: Mutex::new(source.map_err(Into::into).boxed()),
            expected,
            came: 0,
            last: None,
            ended: false,
            fault: Fault::default(),
        }
    }

    /// Where to look for the reason after a failure.
    pub(super) fn fault(&self) -> Fault {
        self.fault.clone()
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes, Broken>>> {
        self.fault.set(error);
        self.ended = true;
        self.last = None;
        Poll::Ready(Some(Err(Broken)))
    }
}

impl Stream for Exact {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let source = this.source.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(source.poll_next_unpin(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    this.came += chunk.len() as u64;
                    if this.came > this.expected {
                        return this.fail(Error::Length { expected: this.expected, came: this.came });
                    }
                    if this.came < this.expected {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    this.last = Some(chunk);
                }
                Some(Err(cause)) => return this.fail(Error::Content(cause)),
                None if this.came < this.expected => {
                    return this.fail(Error::Length { expected: this.expected, came: this.came });
                }
                None => this.ended = true,
            }
        }
        Poll::Ready(this.last.take().map(Ok))
    }
}

impl http_body::Body for Exact {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Broken>>> {
        self.poll_next(cx).map_ok(http_body::Frame::data)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(expected: u64, chunks: &[&'static str]) -> (String, Option<Error>) {
        let source =
            futures::stream::iter(chunks.to_vec()).map(|c| Ok::<_, Error>(Bytes::from_static(c.as_bytes())));
        let mut exact = Exact::new(expected, source);
        let fault = exact.fault();
        let mut passed = String::new();
        while let Some(Ok(chunk)) = exact.next().await {
            passed.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        (passed, fault.take())
    }

    #[tokio::test]
    async fn passes_the_announced_bytes_and_no_others() {
        assert!(matches!(run(6, &["abc", "", "def", ""]).await, (all, None) if all == "abcdef"));
        assert!(matches!(run(0, &[]).await, (none, None) if none.is_empty()));
    }

    #[tokio::test]
    async fn never_finishes_a_blob_whose_source_has_more() {
        let (passed, fault) = run(6, &["abc", "def", "g"]).await;
        assert_eq!(passed, "abc");
        assert!(matches!(fault, Some(Error::Length { expected: 6, came: 7 })));
        assert!(matches!(run(0, &["a"]).await.1, Some(Error::Length { .. })));
    }

    #[tokio::test]
    async fn notices_missing_bytes() {
        assert!(matches!(run(6, &["abc"]).await.1, Some(Error::Length { expected: 6, came: 3 })));
    }
}
