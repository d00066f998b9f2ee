//! The only place where tokens, and what adapters keep of deliveries, are opened and sealed.
//!
//! A sealed token opens only for the workspace, account, column and version it was sealed for, so a row whose
//! ciphertexts were swapped or rolled back yields an error, never another account's token.

mod handles;

use std::sync::Arc;

use postmesh_kit::{clock::Clock, keys::KeyRing};
use uuid::Uuid;

use crate::{
    apps::Apps,
    error::Error,
    networks::{App, Secret, Session, Tokens, connect::Connected},
    store::{
        Store,
        accounts::{Account, AccountState, Connecting, RefreshIntent, Sealed},
        connections::Revocation,
    },
};

/// Opens and seals the tokens of accounts and the handles of deliveries.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Store,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    apps: Apps,
}

impl Vault {
    /// A vault over the store's rows.
    pub fn new(store: Store, keys: KeyRing, clock: Arc<dyn Clock>, apps: Apps) -> Self {
        Self { store, keys, clock, apps }
    }

    /// An account with its opened tokens. [`Error::NeedsReconnect`] unless it is connected.
    pub async fn session(&self, account_id: Uuid) -> Result<Session, Error> {
        let found = self.store.sealed_account(account_id).await?;
        let (account, sealed) = found.ok_or(Error::AccountNotFound(account_id))?;
        match sealed {
            Some(sealed) if account.state == AccountState::Connected => {
                let app = self.apps.of(account.workspace_id, &account.network).await?;
                self.open(&account, &sealed, app)
            }
            _ => Err(Error::NeedsReconnect(account_id)),
        }
    }

    /// Commits the intent to refresh this session's tokens; call it before asking the network. `is_refused`: the network
    /// no longer takes the access token.
    pub async fn intend_refresh(&self, session: &Session, is_refused: bool) -> Result<RefreshIntent, Error> {
        let now = self.clock.now_ms();
        self.store.intend_refresh(session.account_id, session.token_version, is_refused, now).await
    }

    /// Takes the intent back: the network certainly did not execute it.
    pub(crate) async fn withdraw_refresh(&self, session: &Session) -> Result<(), Error> {
        self.store.withdraw_refresh(session.account_id, session.token_version).await
    }

    /// Stores a refreshed pair, first of all that follows the network's answer. False when another pair was stored
    /// since the session was opened: open it again. A missing refresh token leaves the stored one in place.
    pub async fn store_refreshed(&self, session: &Session, tokens: &Tokens) -> Result<bool, Error> {
        let version = session.token_version + 1;
        let seal = |column, secret: &Secret| {
            self.seal(session.workspace_id, session.account_id, column, version, secret)
        };
        let refresh = tokens
            .refresh_token
            .as_ref()
            .filter(|token| !token.is_empty())
            .or(session.refresh_token.as_ref());
        let sealed = Sealed {
            access_token: seal(Column::Access, &tokens.access_token),
            refresh_token: refresh.map(|token| seal(Column::Refresh, token)),
            extra: seal(Column::Extra, &session.extra),
        };
        let now = self.clock.now_ms();
        self.store
            .store_tokens(session.account_id, session.token_version, sealed, tokens.access_expires_at, now)
            .await
    }

    /// Notes that the network took the authorization of this session back. False when another pair was stored since.
    pub async fn need_reconnect(&self, session: &Session, message: &str) -> Result<bool, Error> {
        self.store
            .need_reconnect(session.account_id, session.token_version, message, self.clock.now_ms())
            .await
    }

    /// Stores a connected account: the row it had before in this workspace, or a new one.
    pub(crate) async fn connect(
        &self,
        workspace_id: Uuid,
        network: &str,
        identity: String,
        connected: Connected,
    ) -> Result<Account, Error> {
        let now = self.clock.now_ms();
        loop {
            let known = self.store.known_account(workspace_id, network, &identity).await?;
            let (id, replaces) =
                known.map_or_else(|| (postmesh_kit::ids::new(), None), |(id, version)| (id, Some(version)));
            let version = replaces.unwrap_or(0) + 1;
            let seal = |column, secret: &Secret| self.seal(workspace_id, id, column, version, secret);
            let sealed = Sealed {
                access_token: seal(Column::Access, &connected.access_token),
                refresh_token: connected.refresh_token.as_ref().map(|token| seal(Column::Refresh, token)),
                extra: seal(Column::Extra, &connected.extra),
            };
            let account = Account {
                id,
                workspace_id,
                network: network.to_owned(),
                server: connected.server.clone(),
                native_id: connected.native_id.clone(),
                handle: connected.handle.clone(),
                display_name: connected.display_name.clone(),
                avatar_url: connected.avatar_url.clone(),
                profile_url: connected.profile_url.clone(),
                state: AccountState::Connected,
                state_message: String::new(),
                limits: connected.limits.clone(),
                created_at: now,
                access_expires_at: connected.access_expires_at,
                token_version: version,
            };
            let connecting = Connecting { account, identity: identity.clone(), sealed, replaces };
            if self.store.connect_account(connecting, now).await? {
                return self.store.account(workspace_id, id).await?.ok_or(Error::AccountNotFound(id));
            }
            // Somebody connected or refreshed it in between: seal for the new version.
        }
    }

    /// The session behind a revocation, or why it no longer opens.
    pub(crate) async fn revoked_session(
        &self,
        row: &Revocation,
        limits: crate::networks::limits::Limits,
    ) -> Result<Session, Error> {
        let account = Account {
            id: row.account_id,
            workspace_id: row.workspace_id,
            network: row.network.clone(),
            server: row.server.clone(),
            native_id: row.native_id.clone(),
            handle: String::new(),
            display_name: String::new(),
            avatar_url: String::new(),
            profile_url: String::new(),
            state: AccountState::Disconnected,
            state_message: String::new(),
            limits,
            created_at: 0,
            access_expires_at: None,
            token_version: row.token_version,
        };
        let app = self.apps.of(row.workspace_id, &row.network).await?;
        self.open(&account, &row.sealed(), app)
    }

    fn open(&self, account: &Account, sealed: &Sealed, app: Option<App>) -> Result<Session, Error> {
        let open = |column, sealed: &[u8]| {
            let aad = aad(account.workspace_id, account.id, column, account.token_version);
            let opened = self.keys.open(&aad, sealed).map_err(|why| Error::Vault(why.to_string()))?;
            let text = std::str::from_utf8(&opened).map_err(|_| Error::Vault("not a text".into()))?;
            Ok::<_, Error>(Secret::new(text))
        };
        Ok(Session {
            account_id: account.id,
            workspace_id: account.workspace_id,
            network: account.network.clone(),
            server: account.server.clone(),
            native_id: account.native_id.clone(),
            handle: account.handle.clone(),
            limits: account.limits.clone(),
            access_token: open(Column::Access, &sealed.access_token)?,
            refresh_token: sealed
                .refresh_token
                .as_deref()
                .map(|sealed| open(Column::Refresh, sealed))
                .transpose()?,
            access_expires_at: account.access_expires_at,
            token_version: account.token_version,
            extra: open(Column::Extra, &sealed.extra)?,
            app,
        })
    }

    fn seal(
        &self,
        workspace_id: Uuid,
        account_id: Uuid,
        column: Column,
        version: i64,
        secret: &Secret,
    ) -> Vec<u8> {
        self.keys.seal(&aad(workspace_id, account_id, column, version), secret.expose().as_bytes())
    }
}

/// The sealed columns of an account.
#[derive(Debug, Clone, Copy)]
enum Column {
    Access,
    Refresh,
    Extra,
}

/// `workspace|account|column|version`.
fn aad(workspace_id: Uuid, account_id: Uuid, column: Column, version: i64) -> Vec<u8> {
    let column = match column {
        Column::Access => "access_token",
        Column::Refresh => "refresh_token",
        Column::Extra => "extra",
    };
    format!("{workspace_id}|{account_id}|{column}|{version}").into_bytes()
}
