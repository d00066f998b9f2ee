//! Settings of the gateway. Every default is safe on a developer's machine: loopback only, no foreign origin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Settings of the gateway (`[gateway]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of the one public door.
    pub bind: SocketAddr,
    /// Where the gateway is reached from outside, such as `https://mesh.example`. From `public.url`.
    #[serde(skip)]
    pub public_url: String,
    /// Web origins, besides the gateway's own, whose pages may call: exact, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// Addresses of reverse proxies whose `x-forwarded-for` is believed. Empty: the peer is the client.
    pub trusted_proxies: Vec<IpAddr>,
    /// Answers gRPC server reflection, for the public methods only.
    pub reflection: bool,
    /// Calls being worked on at once; the next one is told to come back in a second.
    pub max_in_flight: usize,
    /// Uploads being received at once.
    pub max_uploads: usize,
    /// Files being sent to networks at once.
    pub max_downloads: usize,
    /// Server streams open at once.
    pub max_streams: usize,
    /// Connections open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Longest a unary call may ask for, seconds.
    pub unary_deadline_seconds: u64,
    /// Requests per second from one address, on average.
    pub address_rate: u32,
    /// Requests from one address that may come at once.
    pub address_burst: u32,
    /// Calls per second of one user, on average.
    pub user_rate: u32,
    /// Calls of one user that may come at once.
    pub user_burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: "http://127.0.0.1:8080".into(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            reflection: true,
            max_in_flight: 2_000,
            max_uploads: 200,
            max_downloads: 200,
            max_streams: 10_000,
            max_connections: 10_000,
            unary_deadline_seconds: 60,
            address_rate: 2_000,
            address_burst: 4_000,
            user_rate: 1_000,
            user_burst: 2_000,
        }
    }
}

impl Config {
    /// Lets the pages of a web front end under development, on port 3000 of this machine, call the gateway.
    #[must_use]
    pub fn for_development(mut self) -> Self {
        for origin in ["http://localhost:3000", "http://127.0.0.1:3000"] {
            if !self.allowed_origins.iter().any(|known| known == origin) {
                self.allowed_origins.push(origin.to_owned());
            }
        }
        self
    }

    /// Every problem at once, in words that name the setting.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for origin in &self.allowed_origins {
            let exact = url::Url::parse(origin).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin
            });
            if !exact {
                problems.push(format!(
                    "gateway.allowed_origins: `{origin}` is not an origin; write scheme, host and port only, such as https://app.example.com"
                ));
            }
        }
        let counts = [
            ("max_in_flight", self.max_in_flight as u64),
            ("max_uploads", self.max_uploads as u64),
            ("max_downloads", self.max_downloads as u64),
            ("max_streams", self.max_streams as u64),
            ("max_connections", self.max_connections as u64),
            ("unary_deadline_seconds", self.unary_deadline_seconds),
            ("address_rate", self.address_rate.into()),
            ("address_burst", self.address_burst.into()),
            ("user_rate", self.user_rate.into()),
            ("user_burst", self.user_burst.into()),
        ];
        problems.extend(
            counts
                .iter()
                .filter(|(_, n)| *n == 0)
                .map(|(name, _)| format!("gateway.{name}: must be at least 1")),
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_every_problem_at_once() {
        assert_eq!(Config::default().for_development().validate(), Vec::<String>::new());
        let bad = Config {
            allowed_origins: ["*", "null", "https://a.example/", "https://a.example"]
                .map(str::to_owned)
                .into(),
            max_in_flight: 0,
            ..Config::default()
        };
        assert_eq!(bad.validate().len(), 4);
    }
}
