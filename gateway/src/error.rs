//! Why the gateway does not start, and what it refuses by itself before any service is asked.

use std::{io, net::SocketAddr, time::Duration};

use postmesh_kit::status::{Classify, ErrorKind};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot work; all of them.
    #[error("the gateway's settings are wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The port is taken or may not be used.
    #[error("cannot listen on {bind} (setting gateway.bind): {}", why(.source, *.bind))]
    Bind {
        /// The address asked for.
        bind: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A contract the gateway cannot serve.
    #[error("the contracts cannot be served: {0}")]
    Contracts(String),
}

fn why(source: &io::Error, bind: SocketAddr) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {} is in use by another program; stop it or choose another port", bind.port())
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {} may not be used by this user; choose one above 1023", bind.port())
        }
        _ => source.to_string(),
    }
}

/// What the gateway refuses by itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("there is no method {0}")]
    UnknownMethod(String),
    #[error("a message is larger than the {} MiB allowed", crate::MESSAGE_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("the gateway is at its limit; try again in a second")]
    Overloaded,
    #[error("too many requests; wait {} s and send fewer at once", .0.as_secs().max(1))]
    Throttled(Duration),
    #[error("the page's origin may not call this gateway; add it to gateway.allowed_origins")]
    ForeignOrigin,
    #[error("the call took longer than its deadline allows")]
    TooLate,
    #[error("the gateway is stopping; connect again to go on")]
    Stopping,
    #[error("a service answered what its contract does not allow")]
    Garbled,
}

impl Classify for Refusal {
    const DOMAIN: &'static str = "postmesh.gateway";

    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownMethod(_) => ErrorKind::Unimplemented,
            Self::TooLarge | Self::Throttled(_) => ErrorKind::RateLimited,
            Self::Overloaded | Self::Stopping => ErrorKind::Unavailable,
            Self::ForeignOrigin => ErrorKind::Forbidden,
            Self::TooLate => ErrorKind::Timeout,
            Self::Garbled => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownMethod(_) => "UNKNOWN_METHOD",
            Self::TooLarge => "MESSAGE_TOO_LARGE",
            Self::Overloaded => "OVERLOADED",
            Self::Throttled(_) => "TOO_MANY_REQUESTS",
            Self::ForeignOrigin => "FOREIGN_ORIGIN",
            Self::TooLate => "DEADLINE_EXCEEDED",
            Self::Stopping => "STOPPING",
            Self::Garbled => "GARBLED",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_secs(1)),
            Self::Stopping => Some(Duration::from_millis(100)),
            Self::Throttled(wait) => Some(*wait),
            _ => None,
        }
    }
}
