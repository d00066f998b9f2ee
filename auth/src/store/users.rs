//! Users, workspaces and memberships.

use sqlx::FromRow;
use uuid::Uuid;

use super::Store;
use crate::{domain::roles::Role, error::Error, store::sessions::NewSession};

/// A stored user.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// Id.
    pub id: Uuid,
    /// As typed at registration.
    pub email: String,
    /// Shown to others.
    pub display_name: String,
    /// PHC string.
    pub password_hash: String,
    /// When the user registered.
    pub created_at: i64,
}

/// A stored workspace.
#[derive(Debug, Clone, FromRow)]
pub struct WorkspaceRow {
    /// Id.
    pub id: Uuid,
    /// Shown to its members.
    pub display_name: String,
    /// When it was made.
    pub created_at: i64,
}

/// A user in a workspace.
#[derive(Debug, Clone)]
pub struct Member {
    /// The user.
    pub user: UserRow,
    /// The workspace.
    pub workspace: WorkspaceRow,
    /// The role there.
    pub role: Role,
}

/// What Register writes, all or nothing.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// The user.
    pub user: UserRow,
    /// The user's address in the form in which addresses are unique.
    pub email_key: String,
    /// The workspace, which the user owns.
    pub workspace: WorkspaceRow,
    /// The session the user is signed in with.
    pub session: NewSession,
    /// Id and fingerprint of the request, when it may be repeated.
    pub request: Option<(Uuid, [u8; 32])>,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Everything was written.
    Made,
    /// The request id was used before; nothing was written.
    Repeated,
}

/// What an earlier request with the same id made.
#[derive(Debug, Clone, FromRow)]
pub struct RegistrationRow {
    /// SHA-256 of its fields without the password.
    pub fingerprint: Vec<u8>,
    /// Its user.
    pub user_id: Uuid,
    /// Its workspace.
    pub workspace_id: Uuid,
}

#[derive(FromRow)]
struct MemberRow {
    user_id: Uuid,
    email: String,
    user_name: String,
    password_hash: String,
    user_created_at: i64,
    workspace_id: Uuid,
    workspace_name: String,
    workspace_created_at: i64,
    role: String,
}

impl TryFrom<MemberRow> for Member {
    type Error = Error;

    fn try_from(row: MemberRow) -> Result<Self, Error> {
        Ok(Self {
            user: UserRow {
                id: row.user_id,
                email: row.email,
                display_name: row.user_name,
                password_hash: row.password_hash,
                created_at: row.user_created_at,
            },
            workspace: WorkspaceRow {
                id: row.workspace_id,
                display_name: row.workspace_name,
                created_at: row.workspace_created_at,
            },
            role: Role::named(&row.role).ok_or(Error::Stored("role"))?,
        })
    }
}

/// A user's workspaces are tried in the order in which the user joined them.
const BY_EMAIL: &str = "
select u.id as user_id, u.email, u.display_name as user_name, u.password_hash, u.created_at as user_created_at,
  w.id as workspace_id, w.display_name as workspace_name, w.created_at as workspace_created_at, m.role
from users u
join memberships m on m.user_id = u.id
join workspaces w on w.id = m.workspace_id
where u.email_key = $1
order by m.created_at, w.id
limit 1";

const BY_IDS: &str = "
select u.id as user_id, u.email, u.display_name as user_name, u.password_hash, u.created_at as user_created_at,
  w.id as workspace_id, w.display_name as workspace_name, w.created_at as workspace_created_at, m.role
from memberships m
join users u on u.id = m.user_id
join workspaces w on w.id = m.workspace_id
where m.workspace_id = $1 and m.user_id = $2";

impl Store {
    /// Writes a user, a workspace owned by it, and a session. [`Error::EmailTaken`] when the address is in use.
    pub async fn register(&self, new: NewMember) -> Result<Registered, Error> {
        postmesh_kit::write!(self.db, tx => {
            let NewMember { user, email_key, workspace, session, request } = new;
            if let Some((request_id, fingerprint)) = request {
                let first = sqlx::query(
                    "insert into registrations (request_id, fingerprint, user_id, workspace_id, created_at)
                     values ($1, $2, $3, $4, $5)
                     on conflict (request_id) do nothing",
                )
                .bind(request_id)
                .bind(fingerprint.to_vec())
                .bind(user.id)
                .bind(workspace.id)
                .bind(user.created_at)
                .execute(&mut *tx)
                .await?;
                if first.rows_affected() == 0 {
                    return Ok(Registered::Repeated);
                }
            }
            let made = sqlx::query(
                "insert into users (id, email, email_key, display_name, password_hash, created_at)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict (email_key) do nothing",
            )
            .bind(user.id)
            .bind(user.email.clone())
            .bind(email_key)
            .bind(user.display_name)
            .bind(user.password_hash)
            .bind(user.created_at)
            .execute(&mut *tx)
            .await?;
            if made.rows_affected() == 0 {
                return Err(Error::EmailTaken(user.email));
            }
            sqlx::query("insert into workspaces (id, display_name, created_at) values ($1, $2, $3)")
                .bind(workspace.id)
                .bind(workspace.display_name)
                .bind(workspace.created_at)
                .execute(&mut *tx)
                .await?;
            sqlx::query("insert into memberships (workspace_id, user_id, role, created_at) values ($1, $2, $3, $4)")
                .bind(workspace.id)
                .bind(user.id)
                .bind(Role::Owner.name())
                .bind(user.created_at)
                .execute(&mut *tx)
                .await?;
            crate::store::sessions::insert!(tx, session);
            Ok::<_, Error>(Registered::Made)
        })
    }

    /// What an earlier request with this id made.
    pub async fn registration(&self, request_id: Uuid) -> Result<Option<RegistrationRow>, Error> {
        postmesh_kit::read!(self.db, c => Ok(sqlx::query_as::<_, RegistrationRow>(
            "select fingerprint, user_id, workspace_id from registrations where request_id = $1",
        )
        .bind(request_id)
        .fetch_optional(&mut *c)
        .await?))
    }

    /// The user with this address, in the workspace joined first.
    pub async fn member_by_email(&self, email_key: &str) -> Result<Option<Member>, Error> {
        let row: Result<_, Error> = postmesh_kit::read!(self.db, c => Ok(
            sqlx::query_as::<_, MemberRow>(BY_EMAIL).bind(email_key).fetch_optional(&mut *c).await?
        ));
        row?.map(Member::try_from).transpose()
    }

    /// A user in a workspace; `None` when it is not, or no longer, a member.
    pub async fn member(&self, workspace_id: Uuid, user_id: Uuid) -> Result<Option<Member>, Error> {
        let row: Result<_, Error> = postmesh_kit::read!(self.db, c => Ok(
            sqlx::query_as::<_, MemberRow>(BY_IDS).bind(workspace_id).bind(user_id).fetch_optional(&mut *c).await?
        ));
        row?.map(Member::try_from).transpose()
    }

    /// Replaces a password hash, unless it was changed in between.
    pub async fn rehash(&self, user_id: Uuid, old: String, new: String) -> Result<bool, Error> {
        postmesh_kit::write!(self.db, tx => {
            let done = sqlx::query("update users set password_hash = $1 where id = $2 and password_hash = $3")
                .bind(new)
                .bind(user_id)
                .bind(old)
                .execute(&mut *tx)
                .await?;
            Ok::<_, Error>(done.rows_affected() == 1)
        })
    }
}
