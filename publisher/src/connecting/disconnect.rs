//! Disconnecting accounts: the authorization is taken back at the network, and old attempts to connect are forgotten.
//!
//! **Invariant:** the tokens of a disconnected account live only in its revocation, and that row goes as soon as the
//! network has answered, or after a day of trying.

use std::time::Duration;

use postmesh_kit::{identity::Identity, lifecycle::Lifecycle};
use uuid::Uuid;

use super::Connecting;
use crate::{
    domain::{outcome::Fault, step::Problem},
    error::Error,
    store::{accounts::Account, connections::Revocation},
};

/// How often the loop looks for what is due.
const EVERY: Duration = Duration::from_mins(1);

/// How long revoking is tried after a disconnection, milliseconds.
const REVOKE_FOR: i64 = 24 * 3_600_000;

/// How long one process has for a revocation before another may try, milliseconds.
const HOLD: i64 = 120_000;

/// How long an ended attempt to connect is remembered, milliseconds.
const REMEMBER: i64 = 24 * 3_600_000;

impl Connecting {
    /// Disconnects: the tokens leave the account at once, waiting deliveries are cancelled, and the authorization is
    /// taken back at the network as soon as that answers.
    pub(crate) async fn disconnect(&self, me: &Identity, account_id: Uuid) -> Result<Account, Error> {
        let now = self.clock.now_ms();
        let account =
            self.store.disconnect_account(me.workspace_id, account_id, now, now + REVOKE_FOR).await?;
        let account = account.ok_or(Error::AccountNotFound(account_id))?;
        let problem =
            Problem::new("ACCOUNT_DISCONNECTED", "The account was disconnected before this went out.");
        self.store.cancel_account(account_id, &problem).await?;
        (self.listener)(account_id);
        self.revocations.notify_one();
        Ok(account)
    }

    /// Revokes until the service stops.
    pub async fn keep_revoking(self, lifecycle: Lifecycle) {
        loop {
            if let Err(error) = self.revoke_due().await {
                tracing::warn!(error = %error, "revocations could not be read");
            }
            let forgotten = self.store.forget_connections(self.clock.now_ms() - REMEMBER).await;
            if let Err(error) = forgotten {
                tracing::warn!(error = %error, "old attempts to connect could not be forgotten");
            }
            tokio::select! {
                () = lifecycle.stopping() => return,
                () = self.revocations.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Revokes what is due, one after the other; answers how many are done with.
    pub async fn revoke_due(&self) -> Result<usize, Error> {
        let now = self.clock.now_ms();
        let mut done = 0;
        for row in self.store.take_revocations(now, now + HOLD, 20).await? {
            match self.revoke(&row).await {
                Ok(()) => {
                    self.store.end_revocation(row.id).await?;
                    done += 1;
                }
                Err(why) if row.give_up_at <= self.clock.now_ms() => {
                    tracing::warn!(account.id = %row.account_id, network = row.network, error = %why, "gave up revoking");
                    self.store.end_revocation(row.id).await?;
                    done += 1;
                }
                Err(why) => {
                    tracing::info!(account.id = %row.account_id, network = row.network, error = %why, "could not revoke yet");
                    let pause = (60_000 << row.tries.clamp(0, 5)).min(3_600_000);
                    self.store.postpone_revocation(row.id, self.clock.now_ms() + pause).await?;
                }
            }
        }
        Ok(done)
    }

    /// Asks the network once. What can never work counts as done: its tokens are destroyed.
    async fn revoke(&self, row: &Revocation) -> Result<(), Fault> {
        let Some(network) = self.networks.get(&row.network) else { return Ok(()) };
        let session = match self.vault.revoked_session(row, network.limits()).await {
            Ok(session) => session,
            Err(why) => {
                tracing::error!(account.id = %row.account_id, error = %why, "tokens to revoke do not open");
                return Ok(());
            }
        };
        match network.revoke(&session).await {
            Ok(()) | Err(Fault::Rejected { .. } | Fault::TokenExpired | Fault::Reconnect { .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}
