//! Attempts to connect, our registrations at servers, and what is still to be revoked.
//!
//! **Invariant:** a state is found once: receiving it takes it away in the same statement. What an attempt needs
//! later (verifier, code, registration) is stored sealed and gone once it is completed.

use postmesh_kit::{read, write};
use uuid::Uuid;

use super::{Store, accounts::Sealed};
use crate::error::Error;

/// Where an attempt to connect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionStatus {
    /// The user is at the network.
    Pending,
    /// The network has sent the user back with a code.
    Received,
    /// The code was traded and yields several accounts; the user chooses. They stand sealed in the place of the code.
    Choosing,
    /// The user or the network refused, or the code was of no use.
    Refused,
    /// The account is connected.
    Completed,
}

impl ConnectionStatus {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pending" => Self::Pending,
            "received" => Self::Received,
            "choosing" => Self::Choosing,
            "refused" => Self::Refused,
            "completed" => Self::Completed,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Received => "received",
            Self::Choosing => "choosing",
            Self::Refused => "refused",
            Self::Completed => "completed",
        }
    }
}

/// An attempt to connect.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) network: String,
    pub(crate) server: String,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) status: ConnectionStatus,
    pub(crate) state_sha256: Option<Vec<u8>>,
    pub(crate) authorization_url: Option<Vec<u8>>,
    pub(crate) verifier: Option<Vec<u8>>,
    pub(crate) registration: Option<Vec<u8>>,
    pub(crate) code: Option<Vec<u8>>,
    pub(crate) redirect_uri: String,
    pub(crate) return_path: String,
    pub(crate) issuer: String,
    pub(crate) problem: String,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

/// Tokens that are still to be revoked at their network.
#[derive(sqlx::FromRow)]
pub(crate) struct Revocation {
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) network: String,
    pub(crate) server: String,
    pub(crate) native_id: String,
    pub(crate) access_token: Vec<u8>,
    pub(crate) refresh_token: Option<Vec<u8>>,
    pub(crate) extra: Option<Vec<u8>>,
    pub(crate) token_version: i64,
    pub(crate) tries: i64,
    pub(crate) give_up_at: i64,
}

impl Revocation {
    pub(crate) fn sealed(&self) -> Sealed {
        Sealed {
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            extra: self.extra.clone().unwrap_or_default(),
        }
    }
}

macro_rules! columns {
    () => {
        "id, workspace_id, user_id, network, server, request_id, status, state_sha256, authorization_url, verifier,
         registration, code, redirect_uri, return_path, issuer, problem, account_id, created_at, expires_at"
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    workspace_id: Uuid,
    user_id: Uuid,
    network: String,
    server: String,
    request_id: Option<Uuid>,
    status: String,
    state_sha256: Option<Vec<u8>>,
    authorization_url: Option<Vec<u8>>,
    verifier: Option<Vec<u8>>,
    registration: Option<Vec<u8>>,
    code: Option<Vec<u8>>,
    redirect_uri: String,
    return_path: String,
    issuer: String,
    problem: String,
    account_id: Option<Uuid>,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<Row> for Connection {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let status = ConnectionStatus::parse(&row.status);
        Ok(Self {
            status: status.ok_or_else(|| Error::corrupt("status of a connection", &row.status))?,
            id: row.id,
            workspace_id: row.workspace_id,
            user_id: row.user_id,
            network: row.network,
            server: row.server,
            request_id: row.request_id,
            state_sha256: row.state_sha256,
            authorization_url: row.authorization_url,
            verifier: row.verifier,
            registration: row.registration,
            code: row.code,
            redirect_uri: row.redirect_uri,
            return_path: row.return_path,
            issuer: row.issuer,
            problem: row.problem,
            account_id: row.account_id,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

const INSERT: &str = concat!(
    "insert into connections (",
    columns!(),
    ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
       on conflict do nothing"
);

const RECEIVE: &str = concat!(
    "update connections
        set state_sha256 = null, authorization_url = null, status = $3, code = $4, problem = $5
      where state_sha256 = $1 and expires_at > $2 and status = 'pending'
     returning ",
    columns!()
);

impl Store {
    /// Stores a new attempt; false when the same request has stored one before.
    pub(crate) async fn begin_connection(&self, new: Connection) -> Result<bool, Error> {
        write!(self.db, tx => {
            let written = sqlx::query(INSERT)
                .bind(new.id).bind(new.workspace_id).bind(new.user_id).bind(new.network).bind(new.server)
                .bind(new.request_id).bind(new.status.word()).bind(new.state_sha256).bind(new.authorization_url)
                .bind(new.verifier).bind(new.registration).bind(new.code).bind(new.redirect_uri)
                .bind(new.return_path).bind(new.issuer).bind(new.problem).bind(new.account_id)
                .bind(new.created_at).bind(new.expires_at)
                .execute(&mut *tx).await?;
            Ok::<_, Error>(written.rows_affected() == 1)
        })
    }

    /// What a repeated request answered first.
    pub(crate) async fn connection_of_request(
        &self,
        workspace_id: Uuid,
        user_id: Uuid,
        request_id: Uuid,
    ) -> Result<Option<Connection>, Error> {
        let row: Option<Row> = read!(self.db, c => {
            sqlx::query_as(concat!("select ", columns!(),
                " from connections where workspace_id = $1 and user_id = $2 and request_id = $3"))
                .bind(workspace_id).bind(user_id).bind(request_id).fetch_optional(&mut *c).await
        })?;
        row.map(Connection::try_from).transpose()
    }

    /// An attempt of a user in a workspace.
    pub(crate) async fn connection(
        &self,
        workspace_id: Uuid,
        user_id: Uuid,
        id: Uuid,
    ) -> Result<Option<Connection>, Error> {
        let row: Option<Row> = read!(self.db, c => {
            sqlx::query_as(concat!("select ", columns!(),
                " from connections where id = $1 and workspace_id = $2 and user_id = $3"))
                .bind(id).bind(workspace_id).bind(user_id).fetch_optional(&mut *c).await
        })?;
        row.map(Connection::try_from).transpose()
    }

    /// The attempt that waits for a state, without taking the state away.
    pub(crate) async fn connection_of_state(
        &self,
        state: Vec<u8>,
        now: i64,
    ) -> Result<Option<Connection>, Error> {
        let row: Option<Row> = read!(self.db, c => {
            sqlx::query_as(concat!("select ", columns!(),
                " from connections where state_sha256 = $1 and expires_at > $2 and status = 'pending'"))
                .bind(state).bind(now).fetch_optional(&mut *c).await
        })?;
        row.map(Connection::try_from).transpose()
    }

    /// Takes a state away and stores what came with it: a sealed code, or why it was refused. `None` when the state
    /// is unknown, used or expired.
    pub(crate) async fn receive_authorization(
        &self,
        state: Vec<u8>,
        answer: Result<Vec<u8>, String>,
        now: i64,
    ) -> Result<Option<Connection>, Error> {
        let (status, code, problem) = match answer {
            Ok(code) => (ConnectionStatus::Received, Some(code), String::new()),
            Err(problem) => (ConnectionStatus::Refused, None, problem),
        };
        let row: Option<Row> = write!(self.db, tx => {
            Ok::<_, Error>(sqlx::query_as(RECEIVE)
                .bind(state).bind(now).bind(status.word()).bind(code).bind(problem)
                .fetch_optional(&mut *tx).await?)
        })?;
        row.map(Connection::try_from).transpose()
    }

    /// Ends an attempt: with the account, or with why there is none. Its secrets go.
    pub(crate) async fn end_connection(&self, id: Uuid, end: Result<Uuid, String>) -> Result<(), Error> {
        let (status, account_id, problem) = match end {
            Ok(account_id) => (ConnectionStatus::Completed, Some(account_id), String::new()),
            Err(problem) => (ConnectionStatus::Refused, None, problem),
        };
        write!(self.db, tx => {
            sqlx::query(
                "update connections
                    set status = $2, account_id = $3, problem = $4, state_sha256 = null, authorization_url = null,
                        verifier = null, registration = null, code = null
                  where id = $1 and status <> 'completed'")
                .bind(id).bind(status.word()).bind(account_id).bind(problem).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Keeps what a login yields, sealed, while the user chooses; the code is used up. False when the attempt is over.
    pub(crate) async fn offer_choices(&self, id: Uuid, sealed: Vec<u8>) -> Result<bool, Error> {
        write!(self.db, tx => {
            let kept = sqlx::query(
                "update connections set status = 'choosing', code = $2, verifier = null, registration = null
                  where id = $1 and status = 'received'")
                .bind(id).bind(sealed).execute(&mut *tx).await?;
            Ok::<_, Error>(kept.rows_affected() == 1)
        })
    }

    /// Forgets attempts that ended their time before a moment.
    pub(crate) async fn forget_connections(&self, expired_before: i64) -> Result<u64, Error> {
        write!(self.db, tx => {
            let gone = sqlx::query("delete from connections where expires_at < $1")
                .bind(expired_before).execute(&mut *tx).await?;
            Ok::<_, Error>(gone.rows_affected())
        })
    }

    /// Our sealed registration at a server.
    pub(crate) async fn registration(
        &self,
        network: &str,
        server: &str,
        redirect_uri: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let key = (network.to_owned(), server.to_owned(), redirect_uri.to_owned());
        read!(self.db, c => {
            Ok(sqlx::query_scalar(
                "select registration from registrations where network = $1 and server = $2 and redirect_uri = $3")
                .bind(key.0).bind(key.1).bind(key.2).fetch_optional(&mut *c).await?)
        })
    }

    /// Keeps a registration for further attempts, or forgets it.
    pub(crate) async fn keep_registration(
        &self,
        network: &str,
        server: &str,
        redirect_uri: &str,
        registration: Option<Vec<u8>>,
        now: i64,
    ) -> Result<(), Error> {
        let key = (network.to_owned(), server.to_owned(), redirect_uri.to_owned());
        write!(self.db, tx => {
            match registration {
                Some(registration) => {
                    sqlx::query(
                        "insert into registrations (network, server, redirect_uri, registration, updated_at)
                         values ($1, $2, $3, $4, $5)
                             on conflict (network, server, redirect_uri) do update
                            set registration = excluded.registration, updated_at = excluded.updated_at")
                        .bind(key.0).bind(key.1).bind(key.2).bind(registration).bind(now).execute(&mut *tx).await?;
                }
                None => {
                    sqlx::query("delete from registrations where network = $1 and server = $2 and redirect_uri = $3")
                        .bind(key.0).bind(key.1).bind(key.2).execute(&mut *tx).await?;
                }
            }
            Ok::<_, Error>(())
        })
    }

    /// Revocations that are due, for this process alone until `until`.
    pub(crate) async fn take_revocations(
        &self,
        now: i64,
        until: i64,
        limit: i64,
    ) -> Result<Vec<Revocation>, Error> {
        write!(self.db, tx => {
            Ok::<_, Error>(sqlx::query_as(
                "update revocations set next_at = $2, tries = tries + 1
                  where id in (select id from revocations where next_at <= $1 order by next_at limit $3)
                    and next_at <= $1
                 returning id, account_id, workspace_id, network, server, native_id, access_token, refresh_token, extra,
                           token_version, tries, give_up_at")
                .bind(now).bind(until).bind(limit).fetch_all(&mut *tx).await?)
        })
    }

    /// Tries a revocation again at a moment.
    pub(crate) async fn postpone_revocation(&self, id: Uuid, next_at: i64) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("update revocations set next_at = $2 where id = $1")
                .bind(id).bind(next_at).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Destroys the tokens of a revocation.
    pub(crate) async fn end_revocation(&self, id: Uuid) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("delete from revocations where id = $1").bind(id).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }
}
