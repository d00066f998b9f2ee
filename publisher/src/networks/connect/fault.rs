//! Why an account could not be connected, with the next step.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use postmesh_kit::http::Error as HttpError;

use super::super::{
    server::{self, BadServer},
    wire,
};

/// Why an account could not be connected. Each message names the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFault {
    /// The address is no server's.
    #[error(transparent)]
    BadServer(#[from] BadServer),
    /// The address may not be called.
    #[error(
        "{server} is not called: {rule}; use a public https address, or have the operator list it in outbound.allow"
    )]
    NotAllowed {
        /// The server.
        server: String,
        /// The rule it broke.
        rule: String,
    },
    /// The server does not answer.
    #[error("{server} does not answer ({why}); check its name, or try again later")]
    Unreachable {
        /// The server.
        server: String,
        /// What was seen.
        why: String,
    },
    /// The server answers, but is not one of this network.
    #[error("{server} is not a {network} server; check the address")]
    WrongKind {
        /// The server.
        server: String,
        /// The network, as people call it.
        network: &'static str,
    },
    /// The server's software cannot settle a lost answer.
    #[error(
        "{server} runs {software}, which does not remember idempotency keys: a lost answer could post twice, so it is \
         not supported; use a server that runs Mastodon"
    )]
    Unsupported {
        /// The server.
        server: String,
        /// Its software.
        software: String,
    },
    /// The server's software has a network id of its own.
    #[error("{server} runs {software}; connect it as a server of `{network}`")]
    OtherNetwork {
        /// The server.
        server: String,
        /// Its software.
        software: String,
        /// The id of the network to use.
        network: &'static str,
    },
    /// The server names addresses of others as its own.
    #[error("{server} points to addresses outside of itself for signing in; do not connect accounts there")]
    ForeignEndpoints {
        /// The server.
        server: String,
    },
    /// The server sends to another address.
    #[error("{server} redirects to {target}; connect with that address")]
    Moved {
        /// The server.
        server: String,
        /// Where it points.
        target: String,
    },
    /// Name or password is wrong.
    #[error("{server} does not know this name and password; check the handle, and use an app password")]
    WrongPassword {
        /// The server.
        server: String,
    },
    /// The main password was given for an account with a second factor.
    #[error(
        "{server} asks for a second factor; make an app password in the settings of your account and use that"
    )]
    SecondFactor {
        /// The server.
        server: String,
    },
    /// The account may not be used.
    #[error("{server} has closed this account ({why}); settle it there, then connect again")]
    AccountClosed {
        /// The server.
        server: String,
        /// The server's reason.
        why: String,
    },
    /// The code was refused.
    #[error("{server} refused the authorization ({why}); connect again from the beginning")]
    CodeRefused {
        /// The server.
        server: String,
        /// The server's reason.
        why: String,
    },
    /// The server refused something else.
    #[error("{server} refused: {why}")]
    Refused {
        /// The server.
        server: String,
        /// The server's reason.
        why: String,
    },
    /// Our registration there is void; a new attempt makes a new one.
    #[error("{server} no longer knows this application; connect again from the beginning")]
    RegistrationVoid {
        /// The server.
        server: String,
    },
    /// The user allowed less than publishing needs.
    #[error("{server} did not grant {missing}; connect again and allow everything asked for")]
    ScopesMissing {
        /// The server.
        server: String,
        /// What is missing.
        missing: String,
    },
    /// Too many attempts.
    #[error("{server} asks to wait before another attempt")]
    RateLimited {
        /// The server.
        server: String,
        /// How long, when known.
        retry_after: Option<Duration>,
    },
    /// The login yields no account that posts could go to.
    #[error("{server} shows nothing to post to: {missing}; make one there, then connect again")]
    NothingToConnect {
        /// The server.
        server: String,
        /// What is missing, such as `no page that you may post to`.
        missing: &'static str,
    },
    /// The network does not connect accounts this way.
    #[error("{network} accounts are not connected this way; {instead}")]
    OtherWay {
        /// The network, as people call it.
        network: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

impl ConnectFault {
    /// What a server that gave no answer means for connecting.
    pub(in super::super) fn from_http(server: &str, error: &HttpError) -> Self {
        let server = server::host(server);
        match error {
            HttpError::Refused { rule, .. } => Self::NotAllowed { server, rule: rule.to_string() },
            HttpError::Unreached { why, .. } => Self::Unreachable { server, why: why.to_string() },
            _ => Self::Unreachable { server, why: "it gave no complete answer".into() },
        }
    }

    /// What an answer that no adapter knows better means; `why` is the server's own reason, empty for none.
    pub(in super::super) fn from_answer(
        server: &str,
        network: &'static str,
        response: &Response<Bytes>,
        why: &str,
        now_ms: i64,
    ) -> Self {
        let (host, why) = (server::host(server), wire::short(why).to_owned());
        match response.status().as_u16() {
            429 => {
                Self::RateLimited { server: host, retry_after: wire::retry_after(response.headers(), now_ms) }
            }
            500.. => Self::Unreachable { server: host, why: format!("it answered {}", response.status()) },
            _ if why.is_empty() => Self::WrongKind { server: host, network },
            _ => Self::Refused { server: host, why },
        }
    }
}
