//! How many failed logins are looked at, and from where they come.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use postmesh_kit::{cache::Cache, clock::Clock, throttle::Throttle};
use tonic::metadata::MetadataMap;

use crate::{
    config::{Limit, LoginLimits},
    error::Error,
};

/// The limits on failed logins.
pub(super) struct LoginThrottles {
    account_from_address: Throttle,
    address: Throttle,
    account: Throttle,
}

/// Permits taken for one login; given back when it succeeds.
pub(super) struct Permits<'a>(Vec<(&'a Throttle, String)>);

impl LoginThrottles {
    pub(super) fn new(cache: &Cache, limits: &LoginLimits) -> Self {
        let throttle = |name, limit: Limit| {
            Throttle::new(cache, name, limit.per_hour, Duration::from_hours(1), limit.burst)
        };
        Self {
            account_from_address: throttle("login-account-address", limits.account_from_address),
            address: throttle("login-address", limits.address),
            account: throttle("login-account", limits.account),
        }
    }

    /// Takes a permit of each limit, or none and tells how long to wait. Without an address the account's own limits
    /// stand alone.
    pub(super) async fn take(
        &self,
        email_key: &str,
        address: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Permits<'_>, Error> {
        let mut wanted =
            vec![(&self.account_from_address, format!("{email_key} {}", address.unwrap_or("unknown")))];
        if let Some(address) = address {
            wanted.push((&self.address, address.to_owned()));
        }
        wanted.push((&self.account, email_key.to_owned()));
        let mut taken = Permits(Vec::with_capacity(wanted.len()));
        for (throttle, key) in wanted {
            if let Err(wait) = throttle.check(&key, clock).await {
                taken.give_back().await;
                return Err(Error::LoginThrottled(wait));
            }
            taken.0.push((throttle, key));
        }
        Ok(taken)
    }
}

impl Permits<'_> {
    /// What they were taken for does not count.
    pub(super) async fn give_back(self) {
        for (throttle, key) in self.0 {
            throttle.refund(&key).await;
        }
    }
}

/// The client's address as the gateway saw it. Of IPv6 the first 64 bits, since a client owns all of the rest.
pub(super) fn client_address(metadata: &MetadataMap) -> Option<String> {
    let text = metadata.get("x-forwarded-for")?.to_str().ok()?;
    match text.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some(address.to_string()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_in(header: &'static str) -> Option<String> {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-forwarded-for", header.parse().unwrap());
        client_address(&metadata)
    }

    #[test]
    fn one_client_has_one_address() {
        assert_eq!(address_in("203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(address_in("::ffff:203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(address_in("2001:db8:1:2:3:4:5:6"), address_in("2001:db8:1:2:ffff::1"));
        assert_ne!(address_in("2001:db8:1:2::1"), address_in("2001:db8:1:3::1"));
        assert_eq!(address_in("not an address"), None);
        assert_eq!(client_address(&MetadataMap::new()), None);
    }
}
