//! WatchPosts: the newest state of each post, as it changes.
//!
//! A watcher is woken, reads what changed from the database and sends it. While its consumer is slow it does not
//! read, so what it reads next is newer: states are skipped, never queued, and its memory is a number per post.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use postmesh_kit::{
    identity::Identity,
    ids,
    status::{Violations, to_status},
};
use postmesh_proto::scheduler::v1 as proto;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::{Posts, Watch, convert, invalid};
use crate::{domain::Post, error::Error, metrics, store::Bounds};

const MAX_NAMED: usize = 1000;
/// Posts read at once, and posts on their way to the consumer.
const BATCH: usize = 50;
const BUFFER: usize = 8;
/// Numbers a watcher of a whole workspace remembers at most; forgetting them repeats a state at worst.
const MAX_REMEMBERED: usize = 10_000;
/// Posts deleted by another replica wake nobody, so a watcher of named posts looks by itself this often.
const LOOK: Duration = Duration::from_secs(10);

type Sender = mpsc::Sender<Result<proto::WatchPostsResponse, Status>>;

/// Why a watcher ends early.
enum End {
    /// The consumer has gone.
    Gone,
    /// Tell it.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Posts {
    pub(super) async fn watch(
        &self,
        me: &Identity,
        request: proto::WatchPostsRequest,
    ) -> Result<Watch, Error> {
        let mut violations = Violations::default();
        let named = request.post_ids.len();
        violations.require(
            named <= MAX_NAMED,
            "post_ids",
            "TOO_MANY",
            format!("has {named} ids; at most {MAX_NAMED} are allowed"),
        );
        violations.require(
            named > 0 || !request.until_final,
            "until_final",
            "NEEDS_POSTS",
            "needs post_ids: a workspace as a whole is never final",
        );
        let mut post_ids = Vec::with_capacity(named.min(MAX_NAMED));
        let mut seen = HashSet::new();
        for (at, id) in request.post_ids.iter().take(MAX_NAMED).enumerate() {
            let id = violations.take(ids::parse(&format!("post_ids[{at}]"), id));
            post_ids.extend(id.filter(|id| seen.insert(*id)));
        }
        invalid(violations)?;

        // Before the first read, so that nothing falls between the two.
        let wakes = self.feed.watch(me.workspace_id);
        let bounds = self.store.bounds().await?;
        let existing = self.store.change_numbers(me.workspace_id, &post_ids).await?;
        if let Some(missing) = post_ids.iter().find(|id| existing.iter().all(|(found, _)| found != *id)) {
            return Err(Error::PostNotFound(*missing));
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        // The first look begins at the floor, below which all is settled; what is above it already is no news.
        let mut after = (bounds.floor, Uuid::nil());
        let mut sent = HashMap::new();
        while post_ids.is_empty() && sent.len() < MAX_REMEMBERED {
            let page = self.store.changed_posts(me.workspace_id, after, bounds, BATCH).await?;
            let Some((id, number)) = page.last() else { break };
            after = (*number, *id);
            sent.extend(page);
        }
        let mut watcher = Watcher { posts: self.clone(), workspace_id: me.workspace_id, wakes, sender, sent };
        self.deps.lifecycle.spawn(async move {
            ::metrics::gauge!(metrics::WATCHERS).increment(1.0);
            let ended = if post_ids.is_empty() {
                watcher.follow_workspace(bounds).await
            } else {
                watcher.follow_named(post_ids, request.until_final).await
            };
            ::metrics::gauge!(metrics::WATCHERS).decrement(1.0);
            if let Err(End::Failed(error)) = ended {
                // The consumer may have gone.
                let _ = watcher.sender.send(Err(to_status(error))).await;
            }
        });
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }
}

struct Watcher {
    posts: Posts,
    workspace_id: Uuid,
    wakes: watch::Receiver<()>,
    sender: Sender,
    /// The number of the last change sent, by post.
    sent: HashMap<Uuid, i64>,
}

impl Watcher {
    async fn follow_named(&mut self, mut open: Vec<Uuid>, until_final: bool) -> Result<(), End> {
        let mut ended = HashSet::new();
        loop {
            let numbers: HashMap<_, _> =
                self.posts.store.change_numbers(self.workspace_id, &open).await?.into_iter().collect();
            open.retain(|id| numbers.contains_key(id));
            let changed: Vec<_> =
                open.iter().filter(|id| self.sent.get(id) != numbers.get(id)).copied().collect();
            for batch in changed.chunks(BATCH) {
                for post in self.send(batch).await? {
                    if post.is_final() {
                        ended.insert(post.id);
                    } else {
                        ended.remove(&post.id);
                    }
                }
            }
            if until_final && open.iter().all(|id| ended.contains(id)) {
                return Ok(());
            }
            self.wait(LOOK).await?;
        }
    }

    async fn follow_workspace(&mut self, bounds: Bounds) -> Result<(), End> {
        let mut floor = bounds.floor;
        loop {
            let bounds = self.posts.store.bounds().await?;
            let mut after = (floor.min(bounds.floor), Uuid::nil());
            loop {
                let page = self.posts.store.changed_posts(self.workspace_id, after, bounds, BATCH).await?;
                let more = page.len() == BATCH;
                let changed: Vec<_> = page
                    .iter()
                    .filter(|(id, number)| self.sent.get(id) != Some(number))
                    .map(|(id, _)| *id)
                    .collect();
                self.send(&changed).await?;
                match page.last() {
                    Some((id, number)) if more => after = (*number, *id),
                    _ => break,
                }
            }
            floor = bounds.floor;
            self.sent.retain(|_, number| *number >= floor);
            if self.sent.len() > MAX_REMEMBERED {
                self.sent.clear();
            }
            self.wait(Duration::MAX).await?;
        }
    }

    /// Sends posts as they are now, and answers them.
    async fn send(&mut self, ids: &[Uuid]) -> Result<Vec<Post>, End> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut posts = self.posts.store.posts(self.workspace_id, ids).await?;
        posts.sort_by_key(|post| ids.iter().position(|id| *id == post.id));
        for post in &posts {
            let answer = proto::WatchPostsResponse { post: Some(convert::post(post)) };
            tokio::select! {
                sent = self.sender.send(Ok(answer)) => sent.map_err(|_| End::Gone)?,
                () = self.posts.deps.lifecycle.stopping() => return Err(Error::Stopping.into()),
            }
            self.sent.insert(post.id, post.change_seq);
        }
        Ok(posts)
    }

    /// Waits until something changed in the workspace, or for `most`.
    async fn wait(&mut self, most: Duration) -> Result<(), End> {
        tokio::select! {
            woken = self.wakes.changed() => woken.map_err(|_| Error::Stopping.into()),
            () = tokio::time::sleep(most) => Ok(()),
            () = self.sender.closed() => Err(End::Gone),
            () = self.posts.deps.lifecycle.stopping() => Err(Error::Stopping.into()),
        }
    }
}
