//! Loads the signing keys, makes the next one when it is time, and publishes the set that requests read.
//!
//!   timer --Reload--> Keyring --watch--> handlers
//!
//! Invariant: what it publishes is in the database, so all replicas sign with keys that all of them verify. When the
//! database is out of reach the set published last stays.

use std::{sync::Arc, time::Duration};

use postmesh_kit::{clock::Clock, keys::KeyRing};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::watch;

use crate::{
    domain::keys::{next, retire},
    error::Error,
    metrics::{KEY_GENERATION, KEY_RELOAD_ERRORS},
    store::{Store, keys::KeyRow},
    tokens::SigningKey,
};

/// How often the keys are loaded again: far more often than a new key waits before it signs.
const PERIOD: Duration = Duration::from_mins(1);

/// The keys whose tokens are accepted, newest first.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Arc<SigningKey>>);

impl KeySet {
    /// The key that signs now.
    pub fn signing(&self, now: i64) -> Result<&SigningKey, Error> {
        self.0.iter().find(|key| key.term.signs(now)).map(AsRef::as_ref).ok_or(Error::NoSigningKey)
    }

    /// The keys that verify now, newest first.
    pub fn verifying(&self, now: i64) -> impl Iterator<Item = &SigningKey> {
        self.0.iter().map(AsRef::as_ref).filter(move |key| key.term.verifies(now))
    }
}

/// Where requests read the key set.
pub type Keys = watch::Receiver<Arc<KeySet>>;

/// Loads and rotates the signing keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Where the keys are.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Seals them.
    pub ring: KeyRing,
    /// Days for which one key signs.
    pub days: u32,
    /// Where the set is published.
    pub published: watch::Sender<Arc<KeySet>>,
}

/// What the keyring is told.
#[derive(Debug)]
pub enum Msg {
    /// Load the keys, and make the next one if it is time. Answers once the set is published, true when it worked.
    Reload(Option<RpcReplyPort<bool>>),
}

impl Actor for Keyring {
    type Msg = Msg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        self.reload().await?;
        myself.send_interval(PERIOD, || Msg::Reload(None));
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let Msg::Reload(reply) = message;
        let result = self.reload().await;
        if let Err(error) = &result {
            metrics::counter!(KEY_RELOAD_ERRORS).increment(1);
            tracing::warn!(error = error as &dyn std::error::Error, "signing keys could not be reloaded");
        }
        if let Some(reply) = reply {
            // Nobody may be waiting any more.
            let _ = reply.send(result.is_ok());
        }
        Ok(())
    }
}

impl Keyring {
    async fn reload(&self) -> Result<(), Error> {
        let now = self.clock.now_ms();
        let mut rows = self.store.keys(now).await?;
        if let Some(term) = next(rows.first().map(KeyRow::term), self.days, now) {
            let key = SigningKey::generate(term, now, &self.ring)?;
            let kid = key.kid.clone();
            if self.store.add_key(key, retire(&term)).await? {
                tracing::info!(kid, generation = term.generation, "made a signing key");
            }
            rows = self.store.keys(now).await?;
        }
        let before = self.published.borrow().clone();
        let open =
            |row: &KeyRow| match before.0.iter().find(|key| key.kid == row.kid && key.term == row.term()) {
                Some(known) => Ok(known.clone()),
                None => SigningKey::open(row, &self.ring).map(Arc::new),
            };
        let keys: Vec<_> = rows.iter().map(open).collect::<Result<_, Error>>()?;
        if let Some(newest) = keys.first() {
            metrics::gauge!(KEY_GENERATION).set(newest.term.generation as f64);
        }
        self.published.send_replace(Arc::new(KeySet(keys)));
        Ok(())
    }
}
