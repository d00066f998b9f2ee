//! The socket: HTTP/1.1 and HTTP/2 on one port, with every limit stated, and an end in good order.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use postmesh_kit::lifecycle::Lifecycle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tonic::body::Body;

use crate::door::Door;

/// Largest header list, bytes.
const HEADERS: usize = 16 * 1024;
/// A new connection on which nothing was said by then is closed.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Headers that have not arrived by then come too slowly; also how long an HTTP/1.1 connection may idle.
const HEADER_PATIENCE: Duration = Duration::from_mins(1);
/// After a failed accept (out of file handles, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the life stops; connections then finish what they have begun.
pub(crate) async fn serve(listener: TcpListener, door: Arc<Door>, connections: usize, life: Lifecycle) {
    let places = Arc::new(Semaphore::new(connections));
    let builder = Arc::new(builder(&life));
    loop {
        let place = tokio::select! {
            () = life.stopping() => return,
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = life.stopping() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                life.spawn(connection(stream, peer, place, door.clone(), builder.clone(), life.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder(life: &Lifecycle) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(life.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(HEADERS)
        .max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(u32::try_from(HEADERS).expect("the limit is small"))
        // The defaults against rapid resets, stated so that nobody turns them off unawares.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
    door: Arc<Door>,
    builder: Arc<Builder<Tracked>>,
    life: Lifecycle,
) {
    // The protocol shows with the first bytes; a client that sends none does not keep its place.
    let spoke = tokio::time::timeout(FIRST_WORD, stream.readable());
    let spoke = tokio::select! {
        spoke = spoke => matches!(spoke, Ok(Ok(()))),
        () = life.stopping() => false,
    };
    if !spoke {
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays without TCP_NODELAY");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let door = door.clone();
        async move { Ok::<_, std::convert::Infallible>(door.answer(request.map(Body::new), peer).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = life.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = &*error, "a connection ended early");
    }
}

/// Runs the tasks of connections inside the gateway's life, so that a shutdown waits for them.
#[derive(Clone)]
struct Tracked(Lifecycle);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
