//! A bounded pool that works on files. For pictures: a permit first, then the bytes into memory, then a thread for the
//! pixels.

use std::{sync::Arc, time::Instant};

use futures::TryStreamExt;
use postmesh_kit::blob::Object;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::Error,
    metrics,
    picture::{self, Fitted, Format, Limits, Picture, Rejection, Unfit},
};

/// Works on a few files at a time.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    permits: Arc<Semaphore>,
}

/// A place in the pool; the work holds it even when its caller has gone.
pub(crate) struct Place(OwnedSemaphorePermit);

/// A picture, and the hash of the bytes it came from.
pub(crate) struct Checked {
    pub(crate) picture: Picture,
    pub(crate) sha256: Vec<u8>,
}

impl Checker {
    pub(crate) fn new(workers: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(workers)) }
    }

    /// Waits for a place.
    pub(crate) async fn place(&self) -> Place {
        Place(self.permits.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }
}

impl Place {
    /// Reads an upload whole and checks it.
    pub(crate) async fn check(self, object: Object) -> Result<Checked, Error> {
        let work = |bytes: Vec<u8>| {
            let began = Instant::now();
            let checked = picture::inspect(&bytes)
                .map(|picture| Checked { picture, sha256: Sha256::digest(&bytes).as_slice().to_vec() });
            ::metrics::histogram!(metrics::CHECK_SECONDS).record(began.elapsed().as_secs_f64());
            let outcome = checked.as_ref().map_or_else(|rejection| rejection.reason, |_| "accepted");
            ::metrics::counter!(metrics::CHECKED, "outcome" => outcome).increment(1);
            checked
        };
        // A decoder that panics was given something that is no picture; the pool and the service go on.
        let rejection = || Rejection {
            reason: "BROKEN_PICTURE",
            sentence: "holds a picture that cannot be decoded; it is damaged".into(),
        };
        Ok(self.work(object, work).await?.unwrap_or_else(|_| Err(rejection()))?)
    }

    /// Reads a stored picture whole and makes a copy of it that fits.
    pub(crate) async fn fit(
        self,
        object: Object,
        format: Format,
        limits: Limits,
    ) -> Result<Result<Fitted, Unfit>, Error> {
        let work = move |bytes: Vec<u8>| {
            let began = Instant::now();
            let fitted = picture::fit(format, &bytes, limits);
            ::metrics::histogram!(metrics::FIT_SECONDS).record(began.elapsed().as_secs_f64());
            let outcome = fitted.as_ref().map_or_else(|unfit| unfit.name(), |_| "made");
            ::metrics::counter!(metrics::FITTED, "outcome" => outcome).increment(1);
            fitted
        };
        Ok(self.work(object, work).await?.unwrap_or(Err(Unfit::Broken)))
    }

    /// Runs work on a blob's bytes in a thread of its own; the inner error says that it panicked.
    async fn work<T: Send + 'static>(
        self,
        object: Object,
        work: impl FnOnce(Vec<u8>) -> T + Send + 'static,
    ) -> Result<Result<T, tokio::task::JoinError>, Error> {
        let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or_default());
        let mut content = object.content;
        while let Some(chunk) = content.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let thread = tokio::task::spawn_blocking(move || {
            let _place = self.0;
            work(bytes)
        });
        Ok(thread.await)
    }
}
