//! Connected accounts and their sealed tokens.
//!
//! **Invariant:** a token is written by compare-and-set on `token_version`, and the version is part of what seals it,
//! so a late writer can neither bring back an old pair nor mix two pairs. The identity of an account in its workspace
//! is unique: connecting it again finds the same row.

use postmesh_kit::{faults, read, write};
use uuid::Uuid;

use super::Store;
use crate::{error::Error, networks::limits::Limits};

/// Whether an account can publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// Ready.
    Connected,
    /// The network took the authorization back.
    NeedsReconnect,
    /// Disconnected by a user.
    Disconnected,
}

impl AccountState {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "connected" => Self::Connected,
            "needs_reconnect" => Self::NeedsReconnect,
            "disconnected" => Self::Disconnected,
            _ => return None,
        })
    }
}

/// An account without its secrets.
#[derive(Debug, Clone)]
pub struct Account {
    /// UUID.
    pub id: Uuid,
    /// Its workspace.
    pub workspace_id: Uuid,
    /// Network id.
    pub network: String,
    /// Base address of its server.
    pub server: String,
    /// Its id at the network.
    pub native_id: String,
    /// Its name there.
    pub handle: String,
    /// Its name for people.
    pub display_name: String,
    /// Its picture.
    pub avatar_url: String,
    /// Its page.
    pub profile_url: String,
    /// Whether it can publish.
    pub state: AccountState,
    /// When it cannot: why, and what to do.
    pub state_message: String,
    /// What its server accepts.
    pub limits: Limits,
    /// When it was connected first, Unix milliseconds.
    pub created_at: i64,
    /// When its access token expires, Unix milliseconds.
    pub access_expires_at: Option<i64>,
    /// Counts every stored pair of tokens.
    pub token_version: i64,
}

/// The tokens of an account as they are stored.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) access_token: Vec<u8>,
    pub(crate) refresh_token: Option<Vec<u8>>,
    pub(crate) extra: Vec<u8>,
}

/// What connecting writes.
pub(crate) struct Connecting {
    pub(crate) account: Account,
    /// What makes it the same account within its workspace and network.
    pub(crate) identity: String,
    pub(crate) sealed: Sealed,
    /// The version the row must have now; `None` when there must be none.
    pub(crate) replaces: Option<i64>,
}

/// Whether a refresh may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshIntent {
    /// Committed: ask the network now. `tries` counts from 1; 2 means that the answer to the first asking was lost, and
    /// that this one is the last.
    Committed {
        /// How often this pair has been asked for.
        tries: i64,
    },
    /// An answer was lost, so the refresh token may be used up. The access token is good until then; after that there is
    /// one more try.
    Waits {
        /// When the access token expires, Unix milliseconds.
        until: i64,
    },
    /// The one more try was lost too.
    Exhausted,
    /// Another pair is stored already, or the account is no longer connected: read it again.
    Outdated,
}

macro_rules! columns {
    () => {
        "id, workspace_id, network, server, native_id, handle, display_name, avatar_url, profile_url, state,
         state_message, limits, created_at, access_expires_at, token_version"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    workspace_id: Uuid,
    network: String,
    server: String,
    native_id: String,
    handle: String,
    display_name: String,
    avatar_url: String,
    profile_url: String,
    state: String,
    state_message: String,
    limits: String,
    created_at: i64,
    access_expires_at: Option<i64>,
    token_version: i64,
}

impl TryFrom<Row> for Account {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            workspace_id: row.workspace_id,
            network: row.network,
            server: row.server,
            native_id: row.native_id,
            handle: row.handle,
            display_name: row.display_name,
            avatar_url: row.avatar_url,
            profile_url: row.profile_url,
            state: AccountState::parse(&row.state)
                .ok_or_else(|| Error::corrupt("state of an account", &row.state))?,
            state_message: row.state_message,
            limits: serde_json::from_str(&row.limits)
                .map_err(|why| Error::corrupt("limits of an account", why))?,
            created_at: row.created_at,
            access_expires_at: row.access_expires_at,
            token_version: row.token_version,
        })
    }
}

const LIST: &str = concat!(
    "select ",
    columns!(),
    " from accounts
       where workspace_id = $1
         and (created_at > $2 or (created_at = $2 and id > $3))
         and (state <> 'disconnected' or $4)
       order by created_at, id
       limit $5"
);

const CONNECT: &str = "
insert into accounts (id, workspace_id, network, server, native_id, identity, handle, display_name, avatar_url,
       profile_url, state, state_message, limits, access_token, refresh_token, extra, access_expires_at, token_version,
       created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'connected', '', $11, $12, $13, $14, $15, $16, $17, $17)
    on conflict (workspace_id, network, identity) do update
   set server = excluded.server, native_id = excluded.native_id, handle = excluded.handle,
       display_name = excluded.display_name, avatar_url = excluded.avatar_url, profile_url = excluded.profile_url,
       state = 'connected', state_message = '', limits = excluded.limits, access_token = excluded.access_token,
       refresh_token = excluded.refresh_token, extra = excluded.extra, access_expires_at = excluded.access_expires_at,
       token_version = excluded.token_version, refresh_version = null, refresh_tries = 0,
       updated_at = excluded.updated_at
 where accounts.id = excluded.id and accounts.token_version = $18";

const STORE_TOKENS: &str = "
update accounts
   set access_token = $3, refresh_token = $4, extra = $5, access_expires_at = $6,
       token_version = token_version + 1, refresh_version = null, refresh_tries = 0, updated_at = $7
 where id = $1 and token_version = $2 and state <> 'disconnected'";

const INTEND_REFRESH: &str = "
update accounts
   set refresh_tries = case when refresh_version = $2 then refresh_tries + 1 else 1 end,
       refresh_version = $2, updated_at = $3
 where id = $1 and token_version = $2 and state = 'connected'
   and (refresh_version is null or refresh_version <> $2 or refresh_tries < 1
        or (refresh_tries < $4 and ($5 or access_expires_at is null or access_expires_at <= $3)))
returning refresh_tries";

/// How often a pair of tokens is asked for at most when answers are lost: a refresh token that is good for one use may
/// be used up by the first asking, and presenting it over and over looks like theft to a network.
const REFRESHES: i64 = 2;

impl Store {
    /// One account of a workspace.
    pub async fn account(&self, workspace_id: Uuid, account_id: Uuid) -> Result<Option<Account>, Error> {
        let row: Option<Row> = read!(self.db, c => {
            sqlx::query_as(concat!("select ", columns!(), " from accounts where id = $1 and workspace_id = $2"))
                .bind(account_id).bind(workspace_id).fetch_optional(&mut *c).await
        })?;
        row.map(Account::try_from).transpose()
    }

    /// Accounts of a workspace, oldest first, after a position.
    pub async fn accounts(
        &self,
        workspace_id: Uuid,
        after: (i64, Uuid),
        show_disconnected: bool,
        limit: i64,
    ) -> Result<Vec<Account>, Error> {
        let rows: Vec<Row> = read!(self.db, c => {
            sqlx::query_as(LIST)
                .bind(workspace_id).bind(after.0).bind(after.1).bind(show_disconnected).bind(limit)
                .fetch_all(&mut *c).await
        })?;
        rows.into_iter().map(Account::try_from).collect()
    }

    /// The id and token version under which an identity is stored.
    pub(crate) async fn known_account(
        &self,
        workspace_id: Uuid,
        network: &str,
        identity: &str,
    ) -> Result<Option<(Uuid, i64)>, Error> {
        let (network, identity) = (network.to_owned(), identity.to_owned());
        read!(self.db, c => {
            Ok(sqlx::query_as(
                "select id, token_version from accounts where workspace_id = $1 and network = $2 and identity = $3")
                .bind(workspace_id).bind(network).bind(identity).fetch_optional(&mut *c).await?)
        })
    }

    /// Stores a connected account and its tokens; false when the row is not what was expected any more.
    pub(crate) async fn connect_account(&self, new: Connecting, now: i64) -> Result<bool, Error> {
        let limits = serde_json::to_string(&new.account.limits).expect("plain values make JSON");
        write!(self.db, tx => {
            let account = new.account;
            let written = sqlx::query(CONNECT)
                .bind(account.id).bind(account.workspace_id).bind(account.network).bind(account.server)
                .bind(account.native_id).bind(new.identity).bind(account.handle).bind(account.display_name)
                .bind(account.avatar_url).bind(account.profile_url).bind(limits).bind(new.sealed.access_token)
                .bind(new.sealed.refresh_token).bind(new.sealed.extra).bind(account.access_expires_at)
                .bind(account.token_version).bind(now).bind(new.replaces)
                .execute(&mut *tx).await?;
            Ok::<_, Error>(written.rows_affected() == 1)
        })
    }

    /// An account with its sealed tokens; `None` when there is no such account. No tokens once it is disconnected.
    pub(crate) async fn sealed_account(
        &self,
        account_id: Uuid,
    ) -> Result<Option<(Account, Option<Sealed>)>, Error> {
        type Secrets = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);
        let found: Option<(Row, Secrets)> = read!(self.db, c => {
            let row: Option<Row> = sqlx::query_as(concat!("select ", columns!(), " from accounts where id = $1"))
                .bind(account_id).fetch_optional(&mut *c).await?;
            let Some(row) = row else { return Ok::<_, sqlx::Error>(None) };
            // The version binds the two reads: a pair of another version does not open.
            let secrets: Option<Secrets> = sqlx::query_as(
                "select access_token, refresh_token, extra from accounts where id = $1 and token_version = $2")
                .bind(account_id).bind(row.token_version).fetch_optional(&mut *c).await?;
            Ok(Some((row, secrets.unwrap_or_default())))
        })?;
        found
            .map(|(row, (access_token, refresh_token, extra))| {
                let sealed = access_token.zip(extra);
                let sealed =
                    sealed.map(|(access_token, extra)| Sealed { access_token, refresh_token, extra });
                Ok((row.try_into()?, sealed))
            })
            .transpose()
    }

    /// Notes, before the network is asked, that the pair of this version is being refreshed. An intent that an earlier
    /// process left open, or whose answer was lost, allows one more, and only once the access token has expired or the
    /// network refused it (`is_refused`).
    pub async fn intend_refresh(
        &self,
        account_id: Uuid,
        version: i64,
        is_refused: bool,
        now: i64,
    ) -> Result<RefreshIntent, Error> {
        faults::at("prep.token_intent.before").await?;
        let intent = write!(self.db, tx => {
            let tries: Option<i64> = sqlx::query_scalar(INTEND_REFRESH)
                .bind(account_id).bind(version).bind(now).bind(REFRESHES).bind(is_refused)
                .fetch_optional(&mut *tx).await?;
            if let Some(tries) = tries {
                return Ok::<_, Error>(RefreshIntent::Committed { tries });
            }
            let open: Option<(i64, Option<i64>)> = sqlx::query_as(
                "select refresh_tries, access_expires_at from accounts
                  where id = $1 and token_version = $2 and refresh_version = $2 and state = 'connected'")
                .bind(account_id).bind(version).fetch_optional(&mut *tx).await?;
            Ok(match open {
                None => RefreshIntent::Outdated,
                Some((tries, Some(until))) if tries < REFRESHES => RefreshIntent::Waits { until },
                Some(_) => RefreshIntent::Exhausted,
            })
        })?;
        faults::at("prep.token_intent.after").await?;
        Ok(intent)
    }

    /// Takes an intent back: the network certainly did not execute it.
    pub(crate) async fn withdraw_refresh(&self, account_id: Uuid, version: i64) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query(
                "update accounts set refresh_tries = refresh_tries - 1
                  where id = $1 and token_version = $2 and refresh_version = $2 and refresh_tries > 0")
                .bind(account_id).bind(version).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Stores a refreshed pair over the one of `version`; false when that is no longer the stored one. An account
    /// that was found to need reconnecting is not revived by it.
    pub(crate) async fn store_tokens(
        &self,
        account_id: Uuid,
        version: i64,
        sealed: Sealed,
        access_expires_at: Option<i64>,
        now: i64,
    ) -> Result<bool, Error> {
        faults::at("token.cas.before").await?;
        let written = write!(self.db, tx => {
            let written = sqlx::query(STORE_TOKENS)
                .bind(account_id).bind(version).bind(sealed.access_token).bind(sealed.refresh_token)
                .bind(sealed.extra).bind(access_expires_at).bind(now)
                .execute(&mut *tx).await?;
            Ok::<_, Error>(written.rows_affected() == 1)
        })?;
        faults::at("token.cas.after").await?;
        Ok(written)
    }

    /// Notes that the network took the authorization of this version back; false when another pair is stored since.
    pub async fn need_reconnect(
        &self,
        account_id: Uuid,
        version: i64,
        message: &str,
        now: i64,
    ) -> Result<bool, Error> {
        let message = message.to_owned();
        write!(self.db, tx => {
            let written = sqlx::query(
                "update accounts set state = 'needs_reconnect', state_message = $3, updated_at = $4
                  where id = $1 and token_version = $2 and state = 'connected'")
                .bind(account_id).bind(version).bind(message).bind(now)
                .execute(&mut *tx).await?;
            Ok::<_, Error>(written.rows_affected() == 1)
        })
    }

    /// Connected accounts whose access token expires before a moment, soonest first.
    pub async fn expiring_accounts(&self, before: i64, limit: i64) -> Result<Vec<Uuid>, Error> {
        read!(self.db, c => {
            Ok(sqlx::query_scalar(
                "select id from accounts where state = 'connected' and access_expires_at < $1
                  order by access_expires_at limit $2")
                .bind(before).bind(limit).fetch_all(&mut *c).await?)
        })
    }

    /// Disconnects: the tokens move to the revocations that are due now, none stays with the account. `None` when the
    /// workspace has no such account.
    pub(crate) async fn disconnect_account(
        &self,
        workspace_id: Uuid,
        account_id: Uuid,
        now: i64,
        give_up_at: i64,
    ) -> Result<Option<Account>, Error> {
        let revocation = postmesh_kit::ids::new();
        let row: Option<Row> = write!(self.db, tx => {
            sqlx::query(
                "insert into revocations (id, account_id, workspace_id, network, server, native_id, access_token,
                        refresh_token, extra, token_version, next_at, give_up_at)
                 select $1, id, workspace_id, network, server, native_id, access_token, refresh_token, extra,
                        token_version, $4, $5
                   from accounts
                  where id = $2 and workspace_id = $3 and access_token is not null")
                .bind(revocation).bind(account_id).bind(workspace_id).bind(now).bind(give_up_at)
                .execute(&mut *tx).await?;
            Ok::<_, Error>(sqlx::query_as(concat!(
                "update accounts
                    set state = 'disconnected', state_message = '', access_token = null, refresh_token = null,
                        extra = null, access_expires_at = null, updated_at = $3
                  where id = $1 and workspace_id = $2
                 returning ", columns!()))
                .bind(account_id).bind(workspace_id).bind(now)
                .fetch_optional(&mut *tx).await?)
        })?;
        row.map(Account::try_from).transpose()
    }
}
