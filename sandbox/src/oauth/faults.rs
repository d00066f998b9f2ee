//! The faults that act on tokens at once. A moment is kept, not a mark on each token: everything handed out before it
//! has ended, and what comes after it lives.

use std::io;

use super::tokens::Cut;
use crate::{docs::Change, networks::Network, script::Fault, world::World};

/// Carries out `expire_tokens`, `revoke_tokens` or `token_lifetime` for one account or for everybody.
pub(crate) fn act(
    world: &mut World,
    network: Network,
    account: Option<&str>,
    fault: &Fault,
    now_ms: i64,
) -> io::Result<()> {
    let change = match fault {
        Fault::TokenLifetime { access_s } => {
            Change::put("lifetime", account.unwrap_or("*"), &access_s.saturating_mul(1000))
        }
        Fault::RevokeTokens { .. } => {
            Change::put("cutoff", Cut::Revoked.key(account), &world.next_id(network, now_ms))
        }
        _ => Change::put("cutoff", Cut::Expired.key(account), &world.next_id(network, now_ms)),
    };
    world.keep(network, vec![change])
}

/// How long new access tokens of the account live, where a test said so; milliseconds.
pub(super) fn lifetime(world: &World, network: Network, account: &str) -> Option<i64> {
    let set = |key: &str| world.docs.get::<u64>(network, "lifetime", key);
    set(account).or_else(|| set("*")).map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
}
