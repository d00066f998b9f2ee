//! The socket. Every connection can be told to end in a TCP reset without another byte, which is how the faults
//! `drop_before` and `accept_then_reset` look to a client.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Serves until `closing`, then finishes the requests under way.
pub(crate) async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<Connection>();
    let served =
        axum::serve(Accepting(listener), service).with_graceful_shutdown(closing.cancelled_owned()).await;
    if let Err(problem) = served {
        tracing::error!(error = %problem, "the sandbox stopped listening");
    }
}

/// The client's side of a request: who it is, and the way to cut the wire.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Connection {
    /// From here on nothing is written: the next attempt closes the socket with a reset.
    pub(crate) fn reset(&self) {
        self.cut.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Accepting>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Accepting>) -> Self {
        Self { peer: *stream.remote_addr(), cut: stream.io().cut.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct Accepting(TcpListener);

impl Listener for Accepting {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    if let Err(problem) = stream.set_nodelay(true) {
                        tracing::debug!(error = %problem, "a connection ended before it began");
                        continue;
                    }
                    return (Wire { stream, cut: Arc::default() }, peer);
                }
                Err(problem) => {
                    // Out of file descriptors, most likely: give those in use a moment to close.
                    tracing::warn!(error = %problem, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn check(&self) -> io::Result<()> {
        if !self.cut.load(Ordering::Acquire) {
            return Ok(());
        }
        self.stream.set_zero_linger()?; // closing now discards what is unsent and sends a reset
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Waits for a future unless the sandbox closes first.
pub(crate) async fn unless<T>(closing: &CancellationToken, future: impl Future<Output = T>) -> Option<T> {
    closing.run_until_cancelled(future).await
}
