//! Register: a user, a workspace that it owns, and a session, in one transaction; repeatable by request id.

use postmesh_kit::{ids, status::Violations};
use postmesh_proto::auth::v1::{RegisterRequest, RegisterResponse};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Auth, convert};
use crate::{
    domain::{email::Email, names, password, roles::Role, session::SESSION_LIFE_MS},
    error::Error,
    passwords::{Password, Verdict},
    store::users::{NewMember, Registered, UserRow, WorkspaceRow},
    tokens::{Holder, Pair},
};

/// A checked request.
struct Registration {
    email: Email,
    password: Password,
    display_name: String,
    workspace_name: String,
    /// Id and fingerprint, when the request may be repeated.
    request: Option<(Uuid, [u8; 32])>,
}

impl Registration {
    fn check(request: RegisterRequest) -> Result<Self, Error> {
        let RegisterRequest { email, password, display_name, workspace_display_name, request_id } = request;
        let password = Zeroizing::new(password);
        let mut wrong = Violations::default();
        let checked = wrong.take(Email::parse(&email));
        wrong.take(password::check(&password, &email));
        let user_name = wrong.take(names::given("display_name", &display_name));
        let workspace_name = wrong.take(names::given("workspace_display_name", &workspace_display_name));
        let request_id = wrong.take(ids::parse_optional("request_id", &request_id));
        wrong.into_result()?;
        let (Some(email), Some(user_name), Some(workspace_name)) = (checked, user_name, workspace_name)
        else {
            return Err(Error::Invalid(Vec::new()));
        };
        let display_name = user_name.unwrap_or_else(|| names::of_user(&email));
        let workspace_name = workspace_name.unwrap_or_else(|| names::of_workspace(&display_name));
        let fingerprint = fingerprint(&[email.as_str(), &display_name, &workspace_name]);
        let request = request_id.flatten().map(|id| (id, fingerprint));
        Ok(Self { email, password, display_name, workspace_name, request })
    }
}

/// A hash of fields, each told apart from the next by its length. The password is not among them: it is checked
/// against its slow hash instead.
fn fingerprint(fields: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

impl Auth {
    pub(super) async fn register_user(&self, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        let registration = Registration::check(request)?;
        if let Some((request_id, fingerprint)) = registration.request
            && let Some(answer) =
                self.repeat_registration(request_id, fingerprint, &registration.password).await?
        {
            return Ok(answer);
        }
        let password_hash = self.passwords.hash(registration.password.clone()).await?;
        let (member, pair) = self.new_member(&registration, password_hash)?;
        match self.store.register(member.clone()).await? {
            Registered::Made => Ok(answer(member.user, member.workspace, pair)),
            // The same request, at the same time: it has been committed, so it can be repeated now.
            Registered::Repeated => {
                let (request_id, fingerprint) = registration.request.ok_or(Error::Stored("registration"))?;
                let repeated =
                    self.repeat_registration(request_id, fingerprint, &registration.password).await?;
                repeated.ok_or(Error::Stored("registration"))
            }
        }
    }

    fn new_member(&self, from: &Registration, password_hash: String) -> Result<(NewMember, Pair), Error> {
        let now = self.now();
        let user = UserRow {
            id: ids::new(),
            email: from.email.as_str().to_owned(),
            display_name: from.display_name.clone(),
            password_hash,
            created_at: now,
        };
        let workspace =
            WorkspaceRow { id: ids::new(), display_name: from.workspace_name.clone(), created_at: now };
        let holder = Holder {
            session_id: ids::new(),
            user_id: user.id,
            workspace_id: workspace.id,
            role: Role::Owner,
            expires_at: now + SESSION_LIFE_MS,
        };
        let (session, pair) = self.new_session(holder, now)?;
        let member =
            NewMember { user, email_key: from.email.key(), workspace, session, request: from.request };
        Ok((member, pair))
    }

    /// The answer of an earlier request with this id, with a session of its own; `None` when there was none.
    async fn repeat_registration(
        &self,
        request_id: Uuid,
        fingerprint: [u8; 32],
        password: &Password,
    ) -> Result<Option<RegisterResponse>, Error> {
        let Some(earlier) = self.store.registration(request_id).await? else {
            return Ok(None);
        };
        let member =
            self.store.member(earlier.workspace_id, earlier.user_id).await?.ok_or(Error::NotMember)?;
        let stored = member.user.password_hash.clone();
        let right = self.passwords.check(password.clone(), Some(stored)).await? != Verdict::Wrong;
        if !right || !bool::from(earlier.fingerprint.ct_eq(&fingerprint)) {
            let mut wrong = Violations::default();
            wrong.add(
                "request_id",
                "REQUEST_ID_REUSED",
                "was used by a request with other fields; take a new one",
            );
            wrong.into_result()?;
        }
        let pair = self.sign_in(&member).await?;
        Ok(Some(answer(member.user, member.workspace, pair)))
    }
}

fn answer(user: UserRow, workspace: WorkspaceRow, pair: Pair) -> RegisterResponse {
    RegisterResponse {
        user: Some(convert::user(user)),
        workspace: Some(convert::workspace(workspace)),
        session: Some(convert::session(pair)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_fields_apart() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&["ab", "c"]), fingerprint(&["ab", "c"]));
    }
}
