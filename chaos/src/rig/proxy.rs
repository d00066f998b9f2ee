//! A wire between two parts that can be broken: passes bytes, resets, swallows them in one direction or both, holds
//! them back, delays them.
//!
//! Invariant: a stream never continues after a hole. A connection that lost bytes is reset when it may pass again, as
//! a partition ends in the real world: by a timeout or a reset, never by a stream with bytes missing.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use postmesh_kit::lifecycle::Lifecycle;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Connecting to the far side may take this long.
const CONNECT: Duration = Duration::from_secs(3);

/// Which bytes a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the one who connected to the one who listens.
    Requests,
    /// Back to the one who connected.
    Answers,
    /// Each of them.
    Both,
}

impl Way {
    fn covers(self, one: Self) -> bool {
        self == Self::Both || self == one
    }
}

/// What the wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Passes them.
    Pass,
    /// Resets every connection, and new ones as soon as they are made.
    Cut,
    /// Accepts connections and lets the bytes vanish. A connection that lost some is reset when this ends.
    Swallow(Way),
    /// Keeps the bytes and passes them on, late, when this ends: what is already on the way in a partition.
    Hold(Way),
    /// Passes each piece that much later.
    Delay(Duration),
}

/// A wire; it is gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    wire: watch::Sender<Wire>,
    far: Arc<Far>,
    life: Lifecycle,
}

/// Where connections are led: each to any of these.
#[derive(Debug)]
struct Far {
    addresses: Mutex<Vec<SocketAddr>>,
    /// Changes with the addresses; connections to the earlier ones are reset then.
    generation: watch::Sender<u64>,
}

impl Proxy {
    /// A wire to one address.
    pub async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        Self::between(vec![address]).await
    }

    /// A wire that leads each new connection to any of these addresses, and past those that do not answer.
    pub async fn between(addresses: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a proxy cannot listen")?;
        let addr = listener.local_addr()?;
        let proxy = Self {
            addr,
            wire: watch::Sender::new(Wire::Pass),
            far: Arc::new(Far { addresses: Mutex::new(addresses), generation: watch::Sender::new(0) }),
            life: Lifecycle::new(),
        };
        let (wire, far, life) = (proxy.wire.subscribe(), proxy.far.clone(), proxy.life.clone());
        proxy.life.spawn(accept(listener, wire, far, life));
        Ok(proxy)
    }

    /// Does this with bytes from now on, on connections there are and on new ones.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Resets the connections there are and leads new ones elsewhere.
    pub fn lead_to(&self, addresses: Vec<SocketAddr>) {
        *self.far.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
        self.far.generation.send_modify(|generation| *generation += 1);
    }

    /// Resets the connections there are; new ones pass.
    pub fn reset(&self) {
        self.far.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.life.stop();
    }
}

async fn accept(listener: TcpListener, wire: watch::Receiver<Wire>, far: Arc<Far>, life: Lifecycle) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = life.stopping() => return,
        };
        let Ok((near, _)) = accepted else { continue };
        life.spawn(carry(near, wire.clone(), far.clone(), life.clone()));
    }
}

/// One connection until it ends or is broken.
async fn carry(mut near: TcpStream, wire: watch::Receiver<Wire>, far: Arc<Far>, life: Lifecycle) {
    let mut generation = far.generation.subscribe();
    let broken = {
        let mut wire = wire.clone();
        async move {
            tokio::select! {
                _ = generation.changed() => {}
                _ = wire.wait_for(|wire| *wire == Wire::Cut) => {}
                () = life.stopping() => {}
            }
        }
    };
    tokio::pin!(broken);
    let connected = tokio::select! {
        connected = far.connect() => connected,
        () = &mut broken => None,
    };
    let Some(mut far) = connected else {
        let _ = near.set_zero_linger();
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let hole = AtomicBool::new(false);
    let is_whole = {
        let (from_near, to_near) = near.split();
        let (from_far, to_far) = far.split();
        let requests = pump(from_near, to_far, Way::Requests, wire.clone(), &hole);
        let answers = pump(from_far, to_near, Way::Answers, wire, &hole);
        tokio::select! {
            ended = async { tokio::try_join!(requests, answers) } => ended.is_ok(),
            () = &mut broken => false,
        }
    };
    if !is_whole {
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

impl Far {
    /// A connection to an address that answers.
    async fn connect(&self) -> Option<TcpStream> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if addresses.is_empty() {
            return None;
        }
        // In turn, callers that connect in a steady rhythm would each get the same one for ever.
        let first = rand::random_range(0..addresses.len());
        for n in 0..addresses.len() {
            let address = addresses[(first + n) % addresses.len()];
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                return Some(stream);
            }
        }
        None
    }
}

/// Moves bytes one way until the stream ends. An error means that the connection has to be reset.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    mut wire: watch::Receiver<Wire>,
    hole: &AtomicBool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let now = passable(&mut wire, way).await;
        if hole.load(Ordering::SeqCst) && !matches!(now, Wire::Swallow(_)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let read = tokio::select! {
            read = from.read(&mut chunk) => read?,
            _ = wire.changed() => continue,
        };
        // What was read as a hold began waits for its end as well.
        match passable(&mut wire, way).await {
            Wire::Swallow(gone) if gone.covers(way) => {
                if read == 0 {
                    return Ok(());
                }
                hole.store(true, Ordering::SeqCst);
                continue;
            }
            Wire::Delay(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        if hole.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

/// Waits while bytes of this direction are held; what the wire does then.
async fn passable(wire: &mut watch::Receiver<Wire>, way: Way) -> Wire {
    loop {
        let now = *wire.borrow_and_update();
        match now {
            Wire::Hold(held) if held.covers(way) => {
                if wire.changed().await.is_err() {
                    return Wire::Cut;
                }
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it is sent.
    async fn echo(life: &Lifecycle) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        life.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut chunk = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                    stream.write_all(&chunk[..read]).await.unwrap();
                }
            }
        });
        addr
    }

    async fn say(stream: &mut TcpStream, word: &[u8; 2]) -> io::Result<[u8; 2]> {
        stream.write_all(word).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn passes_cuts_and_passes_again() {
        let life = Lifecycle::new();
        let proxy = Proxy::to(echo(&life).await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        assert_eq!(say(&mut stream, b"ab").await.unwrap(), *b"ab");
        proxy.set(Wire::Cut);
        let broken = say(&mut stream, b"cd").await.unwrap_err();
        assert!(matches!(broken.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe));
        proxy.set(Wire::Pass);
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        assert_eq!(say(&mut stream, b"ef").await.unwrap(), *b"ef");
        life.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn what_is_swallowed_is_gone_and_its_connection_with_it() {
        let life = Lifecycle::new();
        let proxy = Proxy::to(echo(&life).await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        assert_eq!(say(&mut stream, b"ab").await.unwrap(), *b"ab");
        proxy.set(Wire::Swallow(Way::Answers));
        let lost = tokio::time::timeout(Duration::from_millis(100), say(&mut stream, b"cd")).await;
        assert!(lost.is_err(), "no answer comes");
        proxy.set(Wire::Pass);
        assert_eq!(say(&mut stream, b"ef").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        life.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn what_is_held_arrives_late() {
        let life = Lifecycle::new();
        let proxy = Proxy::to(echo(&life).await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        assert_eq!(say(&mut stream, b"ab").await.unwrap(), *b"ab");
        proxy.set(Wire::Hold(Way::Requests));
        stream.write_all(b"cd").await.unwrap();
        let mut answer = [0; 2];
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;
        assert!(early.is_err(), "nothing passes");
        proxy.set(Wire::Pass);
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"cd");
        life.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn leads_elsewhere_and_past_those_that_are_gone() {
        let life = Lifecycle::new();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Proxy::to(gone).await.unwrap();
        let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
        assert!(say(&mut stream, b"ab").await.is_err());
        proxy.lead_to(vec![gone, echo(&life).await]);
        for _ in 0..2 {
            let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
            assert_eq!(say(&mut stream, b"cd").await.unwrap(), *b"cd");
        }
        life.shutdown(Duration::ZERO).await;
    }
}
