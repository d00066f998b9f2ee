//! Our applications at the networks: a workspace's own, sealed in the database, or the operator's from the settings.
//! They are read anew for every connection and every session, so a change needs no restart.

use std::{collections::BTreeMap, sync::Arc};

use postmesh_kit::{clock::Clock, keys::KeyRing};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::Error,
    networks::{App, Secret},
    store::{Store, apps::AppRow},
};

/// An application in the settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// Its public id, as the network's developer pages call it: client id, client key, app id.
    pub client_id: String,
    /// Its secret; empty for a public client.
    pub client_secret: postmesh_kit::config::Secret<String>,
}

/// Finds and keeps applications.
#[derive(Clone, Debug)]
pub struct Apps {
    configured: Arc<BTreeMap<String, AppConfig>>,
    store: Store,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
}

/// An application of a workspace, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) network: String,
    pub(crate) client_id: String,
    pub(crate) updated_at: i64,
}

impl Apps {
    /// Applications over the store's rows; `configured` serves workspaces without their own.
    pub fn new(
        configured: BTreeMap<String, AppConfig>,
        store: Store,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { configured: Arc::new(configured), store, keys, clock }
    }

    /// The application that a workspace uses at a network.
    pub(crate) async fn of(&self, workspace_id: Uuid, network: &str) -> Result<Option<App>, Error> {
        if let Some(row) = self.store.app(workspace_id, network).await? {
            let opened = self.keys.open(&aad(workspace_id, network), &row.client_secret);
            let opened = opened.map_err(|why| Error::Vault(why.to_string()))?;
            let secret = std::str::from_utf8(&opened).map_err(|_| Error::Vault("not a text".into()))?;
            return Ok(Some(App { client_id: row.client_id, client_secret: Secret::new(secret) }));
        }
        Ok(self.configured.get(network).filter(|app| !app.client_id.is_empty()).map(|app| App {
            client_id: app.client_id.clone(),
            client_secret: Secret::new(app.client_secret.expose().clone()),
        }))
    }

    /// The workspace's own applications.
    pub(crate) async fn list(&self, workspace_id: Uuid) -> Result<Vec<Shown>, Error> {
        let rows = self.store.apps(workspace_id).await?;
        Ok(rows.into_iter().map(Shown::from).collect())
    }

    /// Sets the workspace's application at a network.
    pub(crate) async fn set(&self, workspace_id: Uuid, network: &str, app: App) -> Result<Shown, Error> {
        let secret = self.keys.seal(&aad(workspace_id, network), app.client_secret.expose().as_bytes());
        let row = AppRow {
            network: network.to_owned(),
            client_id: app.client_id,
            client_secret: secret,
            updated_at: self.clock.now_ms(),
        };
        self.store.set_app(workspace_id, row.clone()).await?;
        Ok(row.into())
    }

    /// Deletes the workspace's application at a network.
    pub(crate) async fn delete(&self, workspace_id: Uuid, network: &str) -> Result<(), Error> {
        self.store.delete_app(workspace_id, network).await
    }
}

impl From<AppRow> for Shown {
    fn from(row: AppRow) -> Self {
        Self { network: row.network, client_id: row.client_id, updated_at: row.updated_at }
    }
}

/// `app|workspace|network`: a sealed secret opens nowhere else.
fn aad(workspace_id: Uuid, network: &str) -> Vec<u8> {
    format!("app|{workspace_id}|{network}").into_bytes()
}
