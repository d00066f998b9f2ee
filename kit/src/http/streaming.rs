//! Requests whose body is read while it goes out, for files that are too large for memory.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use ::http::{Request, Response, header::CONTENT_LENGTH};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http_body::{Body, Frame, SizeHint};

use super::{Error, GuardedClient};

impl GuardedClient {
    /// Sends one request whose repetition would be harmless, with a body of exactly `length` bytes that is read as it goes
    /// out. A piece that cannot be read, and a body of another length, cut the request off.
    pub async fn send_stream(
        &self,
        head: Request<()>,
        length: u64,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Response<Bytes>, Error> {
        let (mut parts, ()) = head.into_parts();
        parts.headers.insert(CONTENT_LENGTH, length.into());
        let body = reqwest::Body::wrap(Pieces { left: length, pieces: Mutex::new(pieces.boxed()) });
        let request = reqwest::Request::try_from(Request::from_parts(parts, body));
        self.execute(request.map_err(|e| Error::Malformed(e.without_url().into()))?).await
    }
}

/// A body whose length is known.
struct Pieces {
    left: u64,
    /// Locked by nobody else: it makes the stream shareable, as clients ask of bodies.
    pieces: Mutex<BoxStream<'static, io::Result<Bytes>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = {
            let pieces = self.pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::task::ready!(pieces.poll_next_unpin(context))
        };
        let wrong = || io::Error::other("the body has another length than was announced");
        Poll::Ready(match next {
            Some(Ok(piece)) => Some(match self.left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    self.left = left;
                    Ok(Frame::data(piece))
                }
                None => Err(wrong()),
            }),
            Some(Err(why)) => Some(Err(why)),
            None if self.left > 0 => Some(Err(wrong())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
    };

    use super::{
        super::{OutboundConfig, Sent},
        *,
    };

    /// Answers each request with the body it came with, once that is as long as its head said.
    async fn echo() -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut seen = Vec::new();
                loop {
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let head = head.to_ascii_lowercase();
                        let length =
                            head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                        let length: usize =
                            length.and_then(|length| length.parse().ok()).unwrap_or(usize::MAX);
                        if body.len() >= length {
                            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                            break;
                        }
                    }
                    match stream.read_buf(&mut seen).await {
                        Ok(read) if read > 0 => {}
                        _ => break,
                    }
                }
            }
        });
        (address, server)
    }

    #[tokio::test]
    async fn a_body_goes_out_whole_and_with_its_length() {
        let (address, _server) = echo().await;
        let client = GuardedClient::new(&OutboundConfig { allow: vec![address.clone()] });
        let send = async |length: u64, pieces: Vec<io::Result<Bytes>>| {
            let head = Request::post(format!("http://{address}/")).body(()).unwrap();
            client.send_stream(head, length, stream::iter(pieces)).await
        };
        let piece = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let whole = send(5, vec![piece("ab"), piece("cde")]).await.unwrap();
        assert_eq!(whole.body(), "abcde");
        for (length, pieces) in [
            (6, vec![piece("ab"), piece("cde")]),
            (4, vec![piece("ab"), piece("cde")]),
            (5, vec![piece("ab"), Err(io::Error::other("the file is gone"))]),
        ] {
            let cut = send(length, pieces).await.unwrap_err();
            assert_eq!(cut.sent(), Sent::Maybe, "{length}: {cut}");
        }
    }
}
