//! A delivery as it is stored, and how it becomes what decisions and adapters work with.

use uuid::Uuid;

use crate::{
    domain::{
        content::Content,
        delivery::Work,
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
         absent_since, refusal_code, refusal_message, processing_handle"
    };
}
pub(crate) use columns;

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
        })
    }
}
