//! Contracts of the mesh: the only thing services share about each other.
//!
//! Everything here is generated from the `.proto` files beside this crate: messages, clients, servers, and the
//! descriptor set that the gateway and the authorization layer read. The comments of the contracts are the docs.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// All contracts as an encoded `FileDescriptorSet`, options and comments included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build decoded the same bytes"));

/// The descriptors, decoded once.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

macro_rules! package {
    ($($(#[$doc:meta])* $name:ident::$version:ident = $package:literal;)*) => {
        $($(#[$doc])* pub mod $name {
            /// Version 1 of the contract.
            #[allow(clippy::all)]
            pub mod $version { tonic::include_proto!($package); }
        })*
    };
}

/// The contracts by package; the nesting follows the package names, so generated paths resolve.
pub mod postmesh {
    package! {
        /// Users, sessions, keys.
        auth::v1 = "postmesh.auth.v1";
        /// Words shared by several contracts.
        common::v1 = "postmesh.common.v1";
        /// Files that posts carry.
        media::v1 = "postmesh.media.v1";
        /// Authorization rules.
        options::v1 = "postmesh.options.v1";
        /// Networks, accounts, deliveries.
        publisher::v1 = "postmesh.publisher.v1";
        /// Posts.
        scheduler::v1 = "postmesh.scheduler.v1";
        /// Counts.
        analytics::v1 = "postmesh.analytics.v1";
    }
}

/// Google's HTTP route option.
pub mod google {
    /// Routes.
    #[allow(clippy::all)]
    pub mod api {
        tonic::include_proto!("google.api");
    }
}

pub use postmesh::{analytics, auth, common, media, options, publisher, scheduler};
