//! Who serves an account: owner, fence and end, by the database's clock. Order and rate rest on it; safety does not.
//!
//! With SQLite there is one process, so a lease lasts until the next start, which ends all of them.

use postmesh_kit::{
    clock::{Clock, SystemClock},
    faults::{self, Bug},
    read, write,
};
use uuid::Uuid;

use super::{Store, timed};
use crate::error::Error;

impl Store {
    /// Takes the account, or takes it again with a new fence. `None` while another process holds it.
    pub(crate) async fn acquire_lease(
        &self,
        account_id: Uuid,
        owner: Uuid,
        ttl: i64,
    ) -> Result<Option<i64>, Error> {
        let sqlite = self.db.is_sqlite();
        let ttl = if sqlite { i64::MAX / 4 } else { ttl };
        if faults::bug(Bug::LocalClockLease) {
            return self.acquire_by_own_clock(account_id, owner, ttl).await;
        }
        faults::at("lease.acquire.before").await?;
        let fence = write!(self.db, tx => {
            let fence: Option<i64> = sqlx::query_scalar(timed!(sqlite,
                "insert into account_leases (account_id, owner, fence, until_at) values ($1, $2, 1, $3 + ", ")
                     on conflict (account_id) do update
                    set owner = excluded.owner, fence = account_leases.fence + 1, until_at = excluded.until_at
                  where account_leases.owner = excluded.owner or account_leases.until_at <= ", "
              returning fence"))
                .bind(account_id).bind(owner).bind(ttl).fetch_optional(&mut *tx).await?;
            Ok::<_, Error>(fence)
        })?;
        faults::at("lease.acquire.after").await?;
        Ok(fence)
    }

    /// The seeded bug: the same with the machine's clock.
    async fn acquire_by_own_clock(
        &self,
        account_id: Uuid,
        owner: Uuid,
        ttl: i64,
    ) -> Result<Option<i64>, Error> {
        let now = SystemClock.now_ms();
        write!(self.db, tx => {
            let fence: Option<i64> = sqlx::query_scalar(
                "insert into account_leases (account_id, owner, fence, until_at) values ($1, $2, 1, $3 + $4)
                     on conflict (account_id) do update
                    set owner = excluded.owner, fence = account_leases.fence + 1, until_at = excluded.until_at
                  where account_leases.owner = excluded.owner or account_leases.until_at <= $4
              returning fence")
                .bind(account_id).bind(owner).bind(ttl).bind(now).fetch_optional(&mut *tx).await?;
            Ok::<_, Error>(fence)
        })
    }

    /// As above.
    async fn renew_by_own_clock(&self, owner: Uuid, ttl: i64) -> Result<u64, Error> {
        let now = SystemClock.now_ms();
        write!(self.db, tx => {
            let renewed = sqlx::query(
                "update account_leases set until_at = $2 + $3 where owner = $1 and until_at > $3")
                .bind(owner).bind(ttl).bind(now).execute(&mut *tx).await?;
            Ok::<_, Error>(renewed.rows_affected())
        })
    }

    /// Whether this process serves the account now.
    pub(crate) async fn holds_lease(&self, account_id: Uuid, owner: Uuid) -> Result<bool, Error> {
        let sqlite = self.db.is_sqlite();
        read!(self.db, c => {
            Ok(sqlx::query_scalar(timed!(sqlite,
                "select exists (select 1 from account_leases
                  where account_id = $1 and owner = $2 and until_at > ", ")"))
                .bind(account_id).bind(owner).fetch_one(&mut *c).await?)
        })
    }

    /// Makes all leases of this process last `ttl` from now. A lease that has ended stays ended.
    pub(crate) async fn renew_leases(&self, owner: Uuid, ttl: i64) -> Result<u64, Error> {
        let sqlite = self.db.is_sqlite();
        if sqlite {
            return Ok(0);
        }
        faults::at("lease.renew.before").await?;
        if faults::bug(Bug::LocalClockLease) {
            return self.renew_by_own_clock(owner, ttl).await;
        }
        let renewed = write!(self.db, tx => {
            let renewed = sqlx::query(timed!(sqlite,
                "update account_leases set until_at = $2 + ", " where owner = $1 and until_at > ", ""))
                .bind(owner).bind(ttl).execute(&mut *tx).await?;
            Ok::<_, Error>(renewed.rows_affected())
        })?;
        faults::at("lease.renew.after").await?;
        Ok(renewed)
    }

    /// Ends one lease, so that another process may serve the account at once.
    pub(crate) async fn release_lease(&self, account_id: Uuid, owner: Uuid) -> Result<(), Error> {
        if self.db.is_sqlite() {
            return Ok(()); // nobody else could take it
        }
        write!(self.db, tx => {
            sqlx::query("update account_leases set until_at = 0 where account_id = $1 and owner = $2")
                .bind(account_id).bind(owner).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Ends all leases of this process.
    pub(crate) async fn release_leases(&self, owner: Uuid) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("update account_leases set until_at = 0 where owner = $1").bind(owner).execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// The seeded bug: the two indexes that carry the promise are not there.
    async fn drop_open_attempt_indexes(&self) -> Result<(), Error> {
        write!(self.db, tx => {
            sqlx::query("drop index if exists attempts_open_target").execute(&mut *tx).await?;
            sqlx::query("drop index if exists attempts_open_account").execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }

    /// Begins a life of this process on the database: with SQLite every lease of an earlier life ends, and what was
    /// being prepared in it is due for preparation again. (With PostgreSQL leases and preparations run out.)
    pub(crate) async fn begin_life(&self) -> Result<(), Error> {
        if faults::bug(Bug::NoOpenAttemptIndex) {
            self.drop_open_attempt_indexes().await?;
        }
        if !self.db.is_sqlite() {
            return Ok(());
        }
        write!(self.db, tx => {
            sqlx::query("update account_leases set until_at = 0 where until_at > 0").execute(&mut *tx).await?;
            sqlx::query("update deliveries set next_at = 0 where state = 'preparing' and next_at is not null")
                .execute(&mut *tx).await?;
            Ok::<_, Error>(())
        })
    }
}
