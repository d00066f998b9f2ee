//! Names of the auth service's metrics.

use std::sync::Once;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counter of logins; label `outcome` (`ok`, `wrong`, `throttled`).
pub const LOGINS: &str = "postmesh_auth_logins_total";
/// Counter of refreshes; label `outcome` (`rotated`, `repeated`, `reused`, `ended`).
pub const REFRESHES: &str = "postmesh_auth_refreshes_total";
/// Histogram of password hashes, in seconds, without the wait for a free place.
pub const HASH_SECONDS: &str = "postmesh_auth_password_hash_seconds";
/// Gauge: the generation of the newest signing key.
pub const KEY_GENERATION: &str = "postmesh_auth_signing_key_generation";
/// Counter of reloads of the signing keys that failed.
pub const KEY_RELOAD_ERRORS: &str = "postmesh_auth_key_reload_errors_total";

/// Describes the metrics to the recorder, once per process.
pub fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_counter!(LOGINS, "Logins by outcome.");
        describe_counter!(REFRESHES, "Refreshes of sessions by outcome.");
        describe_histogram!(HASH_SECONDS, Unit::Seconds, "How long a password hash takes.");
        describe_gauge!(KEY_GENERATION, "The generation of the newest signing key.");
        describe_counter!(KEY_RELOAD_ERRORS, "Reloads of the signing keys that failed.");
    });
}
