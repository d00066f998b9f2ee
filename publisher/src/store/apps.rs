//! A workspace's own applications at networks, their secrets sealed.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::Store;
use crate::error::Error;

/// A stored application.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct AppRow {
    pub(crate) network: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Vec<u8>,
    pub(crate) updated_at: i64,
}

impl Store {
    /// The workspace's application at a network.
    pub(crate) async fn app(&self, workspace_id: Uuid, network: &str) -> Result<Option<AppRow>, Error> {
        let row: Result<Option<AppRow>, sqlx::Error> = read!(self.db, c => {
            sqlx::query_as(
                "select network, client_id, client_secret, updated_at from apps where workspace_id = $1 and network = $2")
                .bind(workspace_id).bind(network).fetch_optional(&mut *c).await
        });
        Ok(row?)
    }

    /// All applications of the workspace, by network.
    pub(crate) async fn apps(&self, workspace_id: Uuid) -> Result<Vec<AppRow>, Error> {
        let rows: Result<Vec<AppRow>, sqlx::Error> = read!(self.db, c => {
            sqlx::query_as(
                "select network, client_id, client_secret, updated_at from apps where workspace_id = $1
                  order by network")
                .bind(workspace_id).fetch_all(&mut *c).await
        });
        Ok(rows?)
    }

    /// Sets the workspace's application at a network.
    pub(crate) async fn set_app(&self, workspace_id: Uuid, app: AppRow) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query(
                "insert into apps (workspace_id, network, client_id, client_secret, updated_at)
                 values ($1, $2, $3, $4, $5)
                 on conflict (workspace_id, network) do update
                    set client_id = excluded.client_id, client_secret = excluded.client_secret,
                        updated_at = excluded.updated_at")
                .bind(workspace_id).bind(app.network).bind(app.client_id).bind(app.client_secret)
                .bind(app.updated_at).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Deletes the workspace's application at a network.
    pub(crate) async fn delete_app(&self, workspace_id: Uuid, network: &str) -> Result<(), Error> {
        let network = network.to_owned();
        write!(self.db, tx => {
            sqlx::query("delete from apps where workspace_id = $1 and network = $2")
                .bind(workspace_id).bind(network).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }
}
