//! Login: limited by account and address, and as slow for an unknown user as for a known one.

use postmesh_kit::status::Violations;
use postmesh_proto::auth::v1::{LoginRequest, LoginResponse};
use zeroize::Zeroizing;

use super::{Auth, convert};
use crate::{
    domain::password,
    error::Error,
    metrics::LOGINS,
    passwords::{Password, Verdict},
    store::users::Member,
};

/// The longest address that is looked up, in characters.
const MAX_EMAIL: usize = 254;

impl Auth {
    pub(super) async fn login_user(
        &self,
        request: LoginRequest,
        address: Option<String>,
    ) -> Result<LoginResponse, Error> {
        let (email_key, password) = check(request)?;
        let permits = match self.limits.take(&email_key, address.as_deref(), self.deps.clock.as_ref()).await {
            Ok(permits) => permits,
            Err(refusal) => {
                count("throttled");
                return Err(refusal);
            }
        };
        let member = self.store.member_by_email(&email_key).await?;
        let stored = member.as_ref().map(|m| m.user.password_hash.clone());
        let verdict = self.passwords.check(password.clone(), stored).await?;
        let Some(member) = member.filter(|_| verdict != Verdict::Wrong) else {
            count("wrong");
            return Err(Error::WrongCredentials);
        };
        permits.give_back().await;
        count("ok");
        if verdict == Verdict::RightButWeak {
            self.strengthen(&member, password).await?;
        }
        let pair = self.sign_in(&member).await?;
        Ok(LoginResponse {
            user: Some(convert::user(member.user)),
            workspace: Some(convert::workspace(member.workspace)),
            session: Some(convert::session(pair)),
        })
    }

    /// Hashes a password again with today's parameters.
    async fn strengthen(&self, member: &Member, password: Password) -> Result<(), Error> {
        let hash = self.passwords.hash(password).await?;
        self.store.rehash(member.user.id, member.user.password_hash.clone(), hash).await?;
        Ok(())
    }
}

fn check(request: LoginRequest) -> Result<(String, Password), Error> {
    let LoginRequest { email, password } = request;
    let password = Zeroizing::new(password);
    let email = email.trim();
    let mut wrong = Violations::default();
    wrong.require(!email.is_empty(), "email", "REQUIRED", "is required");
    wrong.require(
        email.chars().count() <= MAX_EMAIL,
        "email",
        "TOO_LONG",
        "must have at most 254 characters",
    );
    wrong.require(!password.is_empty(), "password", "REQUIRED", "is required");
    let longest = password::MAX;
    wrong.require(
        password.chars().count() <= longest,
        "password",
        "TOO_LONG",
        format!("must have at most {longest} characters"),
    );
    wrong.into_result()?;
    Ok((email.to_lowercase(), password))
}

fn count(outcome: &'static str) {
    metrics::counter!(LOGINS, "outcome" => outcome).increment(1);
}
