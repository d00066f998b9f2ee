//! The accounts of the networks that keep documents: one each begins with, more by `POST /_sandbox/accounts`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{docs::Change, networks::Network, world::World};

/// The numeric id of the account every network begins with.
pub(crate) const DEMO_ID: u64 = 1_701_234_567_890_123_456;

/// One account; its handle is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The id the network's answers carry, in the network's own shape.
    pub(crate) id: String,
    /// Lower case; how rules, the ledger and the authorization page name it.
    pub(crate) handle: String,
    pub(crate) display_name: String,
    pub(crate) created_ms: i64,
    /// What only this network knows of it.
    #[serde(default)]
    pub(crate) extra: Value,
}

impl Account {
    /// A plain account.
    pub(crate) fn new(id: impl Into<String>, handle: &str, display_name: &str, created_ms: i64) -> Self {
        Self {
            id: id.into(),
            handle: handle.to_owned(),
            display_name: display_name.to_owned(),
            created_ms,
            extra: Value::Null,
        }
    }

    /// The documents that make it known by handle and by id.
    pub(crate) fn changes(&self) -> Vec<Change> {
        vec![Change::put("account", &self.handle, self), Change::put("account_id", &self.id, &self.handle)]
    }
}

/// The account of that handle.
pub(crate) fn named(world: &World, network: Network, handle: &str) -> Option<Account> {
    world.docs.get(network, "account", handle.trim_start_matches('@'))
}

/// The account of that id.
pub(crate) fn with_id(world: &World, network: Network, id: &str) -> Option<Account> {
    let handle: String = world.docs.get(network, "account_id", id)?;
    named(world, network, &handle)
}
