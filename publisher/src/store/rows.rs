//! A delivery as it is stored, and how it becomes what decisions and adapters work with.

use uuid::Uuid;

use crate::{
    domain::{
        content::Content,
        delivery::{Reply, Work},
        key::Keys,
        state::State,
        step::{self, Problem},
    },
    error::Error,
};

/// The columns of [`Stored`], for `concat!`.
macro_rules! columns {
    () => {
        "target_id, post_id, workspace_id, account_id, network, revision, content, plan, due_at, late_at, state,
         next_at, tries, attempt_n, first_armed_at, send_deadline, is_open, doubt_since, quiet_at, absent_reads,
         absent_since, refusal_code, refusal_message, processing_handle, thread_id, previous_id, position,
         (select p.state from deliveries p where p.target_id = deliveries.previous_id) as previous_state,
         (select p.native_id from deliveries p where p.target_id = deliveries.previous_id) as previous_native_id,
         (select p.native_id from deliveries p
           where p.target_id = deliveries.thread_id and deliveries.previous_id is not null) as root_native_id,
         (select p.state from deliveries p
           where p.target_id = deliveries.thread_id and deliveries.previous_id is not null) as root_state"
    };
}
pub(crate) use columns;

/// The part of a thread before a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predecessor {
    /// It is a post of its own, or a first part.
    None,
    /// It is visible.
    Published,
    /// It ended otherwise.
    Gone,
    /// It is still in the line.
    Ahead,
    /// It left the line and may come to be published later.
    Away,
}

impl Predecessor {
    /// Whether what follows may be sent.
    pub(crate) fn lets_pass(self) -> bool {
        matches!(self, Self::None | Self::Published)
    }
}

/// One row of `deliveries`.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns; the migrations say what they mean")]
pub struct Stored {
    pub target_id: Uuid,
    pub post_id: Uuid,
    pub workspace_id: Uuid,
    pub account_id: Uuid,
    pub network: String,
    pub revision: i64,
    pub content: String,
    pub plan: String,
    pub due_at: i64,
    pub late_at: i64,
    pub state: String,
    pub next_at: Option<i64>,
    pub tries: i64,
    pub attempt_n: i64,
    pub first_armed_at: Option<i64>,
    pub send_deadline: Option<i64>,
    pub is_open: bool,
    pub doubt_since: Option<i64>,
    pub quiet_at: Option<i64>,
    pub absent_reads: i64,
    pub absent_since: Option<i64>,
    pub refusal_code: Option<String>,
    pub refusal_message: Option<String>,
    pub processing_handle: Option<String>,
    pub thread_id: Uuid,
    pub previous_id: Option<Uuid>,
    pub position: i64,
    pub previous_state: Option<String>,
    pub previous_native_id: Option<String>,
    pub root_native_id: Option<String>,
    pub root_state: Option<String>,
}

impl Stored {
    /// What decisions depend on.
    pub fn decision(&self) -> Result<step::Delivery, Error> {
        let state =
            State::parse(&self.state).ok_or_else(|| Error::corrupt("state of a delivery", &self.state))?;
        Ok(step::Delivery {
            state,
            due_at: self.due_at,
            late_at: self.late_at,
            next_at: self.next_at,
            tries: i32::try_from(self.tries).unwrap_or(i32::MAX),
            is_open: self.is_open,
            first_armed_at: self.first_armed_at,
            send_deadline: self.send_deadline,
            doubt_since: self.doubt_since,
            quiet_at: self.quiet_at,
            absent_reads: i32::try_from(self.absent_reads).unwrap_or(i32::MAX),
            absent_since: self.absent_since,
            refusal: self
                .refusal_code
                .clone()
                .map(|code| Problem { code, message: self.refusal_message.clone().unwrap_or_default() }),
        })
    }

    /// Whether the part of the thread before it is published: `None` while it may still be, and when there is none.
    pub(crate) fn predecessor(&self) -> Predecessor {
        if self.previous_id.is_none() {
            return Predecessor::None;
        }
        let state_of = |stored: &Option<String>| stored.as_deref().and_then(State::parse);
        let before = match state_of(&self.previous_state) {
            // A part found before the first one was: what replies to the thread has to know where it begins.
            Some(State::Published | State::InInbox) => {
                state_of(&self.root_state).filter(|root| !root.is_final()).or(Some(State::Published))
            }
            before => before,
        };
        match before {
            Some(State::Published | State::InInbox) => Predecessor::Published,
            Some(state) if state.is_final() => Predecessor::Gone,
            Some(State::Parked | State::Processing | State::NeedsConfirmation) => Predecessor::Away,
            Some(_) | None => Predecessor::Ahead,
        }
    }

    fn reply(&self) -> Option<Reply> {
        let parent_native_id = self.previous_native_id.clone()?;
        let root_native_id = self.root_native_id.clone().unwrap_or_else(|| parent_native_id.clone());
        Some(Reply { parent_native_id, root_native_id })
    }

    /// What adapters work with.
    pub fn work(&self, keys: &Keys) -> Result<Work, Error> {
        let content: Content = serde_json::from_str(&self.content)
            .map_err(|why| Error::corrupt("content of a delivery", why))?;
        let plan =
            serde_json::from_str(&self.plan).map_err(|why| Error::corrupt("plan of a delivery", why))?;
        Ok(Work {
            target_id: self.target_id,
            post_id: self.post_id,
            workspace_id: self.workspace_id,
            account_id: self.account_id,
            revision: self.revision,
            due_at: self.due_at,
            key: keys.derive(self.workspace_id, self.target_id, self.revision, &self.network),
            content,
            plan,
            position: self.position,
            reply: self.reply(),
        })
    }
}
