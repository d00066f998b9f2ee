//! One target: one post on one account, its states, and what may follow what.
//!
//! Invariant: a target that may be in the publisher's hands (`offered_at` set, not final) never changes here without
//! the publisher's word: an acknowledged recall, or a fact from its event stream.

use uuid::Uuid;

/// Where a target stands. The words are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetState {
    /// Not planned yet.
    Draft,
    /// Planned, still here (or offered to the publisher without an answer yet).
    Scheduled,
    /// The publisher owns it, nothing begun.
    HandedOver,
    /// Reversible steps are running.
    Preparing,
    /// Ready for its due time.
    Prepared,
    /// The one visible request is on its way.
    Sending,
    /// Accepted, the network works on it.
    Processing,
    /// Proven invisible, will be tried again.
    RetryWait,
    /// Sent, answer lost.
    Unknown,
    /// Waits for its account to be reconnected.
    Parked,
    /// Visible. Final.
    Published,
    /// In the person's inbox at the network. Final.
    InInbox,
    /// Refused, proven invisible. Final.
    Failed,
    /// Withdrawn before anything was sent. Final.
    Cancelled,
    /// Not sent before its deadline. Final.
    Missed,
    /// The network cannot tell; a person decides.
    NeedsConfirmation,
    /// Given up by a person after its answer was lost; nobody knows whether it is visible. Final.
    Dropped,
}

/// What may be done with a target, by where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// Entirely in our hands: never offered, or ended with nothing visible.
    Free,
    /// Waits at the publisher: has to be recalled first.
    Held,
    /// Being sent, or its outcome is not known.
    Busy,
    /// Visible on the network, or it may be and nobody will find out.
    Out,
}

impl TargetState {
    /// Every state.
    pub const ALL: [Self; 17] = [
        Self::Draft,
        Self::Scheduled,
        Self::HandedOver,
        Self::Preparing,
        Self::Prepared,
        Self::Sending,
        Self::Processing,
        Self::RetryWait,
        Self::Unknown,
        Self::Parked,
        Self::Published,
        Self::InInbox,
        Self::Failed,
        Self::Cancelled,
        Self::Missed,
        Self::NeedsConfirmation,
        Self::Dropped,
    ];

    /// The word stored in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::HandedOver => "handed_over",
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Sending => "sending",
            Self::Processing => "processing",
            Self::RetryWait => "retry_wait",
            Self::Unknown => "unknown",
            Self::Parked => "parked",
            Self::Published => "published",
            Self::InInbox => "in_inbox",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Missed => "missed",
            Self::NeedsConfirmation => "needs_confirmation",
            Self::Dropped => "dropped",
        }
    }

    /// The state of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True when nothing more happens by itself.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Published | Self::InInbox | Self::Failed | Self::Cancelled | Self::Missed | Self::Dropped
        )
    }

    /// True when it has ended and people cannot see it, as far as is known: it may be sent again.
    pub fn may_be_retried(self) -> bool {
        self.is_final() && !self.is_visible()
    }

    /// True when people can see it.
    pub fn is_visible(self) -> bool {
        matches!(self, Self::Published | Self::InInbox)
    }
}

/// The publisher's word, and ours, for a part whose predecessor was not published.
pub const THREAD_BROKEN: &str = "THREAD_BROKEN";

/// Why a target is in its state, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, upper snake case.
    pub reason: String,
    /// A sentence with the next step.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    /// The part of the thread before it was not published.
    pub fn thread_broken() -> Self {
        Self::new(
            THREAD_BROKEN,
            "the part of the thread before it was not published, so this one was not sent; send that part again, and \
             this one follows it",
        )
    }
}

/// Why a recall is under way: what becomes of the target when we crash before the answer was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallIntent {
    /// To change it: if the change is lost, the plan goes on as it was, at a new revision.
    Edit,
    /// To withdraw it: it stays withdrawn.
    Cancel,
    /// To give it up, because the publisher could not take it for as long as it might have been sent.
    Miss,
    /// To give it up, because the part of its thread before it was refused.
    Break,
}

impl RecallIntent {
    /// The word stored in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Cancel => "cancel",
            Self::Miss => "miss",
            Self::Break => "break",
        }
    }

    /// The intent of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "edit" => Some(Self::Edit),
            "cancel" => Some(Self::Cancel),
            "miss" => Some(Self::Miss),
            "break" => Some(Self::Break),
            _ => None,
        }
    }
}

/// One post on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: Uuid,
    /// Which part of the thread it is; 0 for the post itself.
    pub thread_position: i32,
    /// The account it goes to.
    pub account_id: Uuid,
    /// The account's network.
    pub network: String,
    /// The account's handle.
    pub handle: String,
    /// Its own text; the post's when `None`.
    pub text: Option<String>,
    /// The network's settings as encoded by the contract; opaque here, empty for none.
    pub settings: Vec<u8>,
    /// Where it stands.
    pub state: TargetState,
    /// Counts up with every edit or retry; the publisher knows one delivery per revision.
    pub revision: i64,
    /// When it is to be visible, Unix milliseconds.
    pub due_at: Option<i64>,
    /// When this revision was last offered to the publisher; `None` proves that the publisher has never seen it.
    pub offered_at: Option<i64>,
    /// When the clock has to look at it next; `None` when it has nothing to do with the clock.
    pub wake_at: Option<i64>,
    /// Set while a recall's outcome is not stored.
    pub recall: Option<RecallIntent>,
    /// The post's id at the network; empty until known.
    pub native_id: String,
    /// Its address for people; empty until known.
    pub url: String,
    /// Why it is where it is.
    pub problem: Option<Problem>,
    /// When it became visible.
    pub published_at: Option<i64>,
}

/// Something true about one revision of a target, told by the publisher or decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The target.
    pub target_id: Uuid,
    /// The revision it is about.
    pub revision: i64,
    /// The state it is in now.
    pub state: TargetState,
    /// The network's id; empty when not known.
    pub native_id: String,
    /// The address; empty when not known.
    pub url: String,
    /// Why.
    pub problem: Option<Problem>,
    /// When it became so, Unix milliseconds.
    pub at: i64,
}

/// What a fact did to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// Nothing: repeated, of another revision, or overtaken.
    Nothing,
    /// The target changed.
    Changed,
    /// The target changed although its state was final: what is visible is visible.
    Contradicted,
}

impl Target {
    /// What may be done with it.
    pub fn stance(&self) -> Stance {
        use TargetState as S;
        match self.state {
            S::Draft | S::Failed | S::Cancelled | S::Missed => Stance::Free,
            S::Scheduled if self.offered_at.is_none() => Stance::Free,
            S::Scheduled | S::HandedOver | S::Preparing | S::Prepared | S::RetryWait | S::Parked => {
                Stance::Held
            }
            S::Sending | S::Processing | S::Unknown | S::NeedsConfirmation => Stance::Busy,
            S::Published | S::InInbox | S::Dropped => Stance::Out,
        }
    }

    /// True when it is planned and nothing of it has been sent: what an edit, a move or a cancellation is about.
    pub fn is_waiting(&self) -> bool {
        self.stance() == Stance::Held || self.state == TargetState::Scheduled
    }

    /// Takes a fact in. Repeats, stale revisions and facts that were overtaken change nothing, so facts may arrive
    /// any number of times.
    pub fn learn(&mut self, fact: &Fact) -> Learned {
        use TargetState as S;
        if fact.revision != self.revision || self.state == S::Draft || !self.may_become(fact) {
            return Learned::Nothing;
        }
        let before = self.clone();
        self.state = fact.state;
        if !fact.native_id.is_empty() {
            self.native_id.clone_from(&fact.native_id);
        }
        if !fact.url.is_empty() {
            self.url.clone_from(&fact.url);
        }
        self.problem.clone_from(&fact.problem);
        if fact.state.is_visible() && self.published_at.is_none() {
            self.published_at = Some(fact.at);
        }
        if fact.state.is_final() {
            self.recall = None;
        }
        // A pending recall keeps its timer: someone has to ask the publisher once more.
        if self.recall.is_none() {
            self.wake_at = None;
        }
        if *self == before {
            Learned::Nothing
        } else if before.state.is_final() && before.state != S::Dropped && before.state != self.state {
            Learned::Contradicted
        } else {
            Learned::Changed
        }
    }

    fn may_become(&self, fact: &Fact) -> bool {
        use TargetState as S;
        match (self.state, fact.state) {
            (_, S::Draft | S::Scheduled) => false,
            (now, next) if now == next => true,
            // What is visible stays visible, and a late find wins over every guess.
            (now, S::Published | S::InInbox) => !now.is_visible(),
            (now, _) if now.is_final() => false,
            (now, S::HandedOver) => now == S::Scheduled,
            // A recall we asked for ourselves: its answer decides, not its echo.
            (_, S::Cancelled) => self.recall.is_none(),
            _ => true,
        }
    }

    /// Plans it anew, at a new revision that the publisher has never seen.
    pub fn plan(&mut self, due_at: i64, lead_ms: i64) {
        self.revise();
        self.state = TargetState::Scheduled;
        self.due_at = Some(due_at);
        self.wake_at = Some(due_at - lead_ms);
        self.native_id.clear();
        self.url.clear();
        self.problem = None;
        self.published_at = None;
    }

    /// Withdraws it; the revision stays, so that the publisher's echo of the recall still fits.
    pub fn cancel(&mut self) {
        self.state = TargetState::Cancelled;
        self.wake_at = None;
        self.recall = None;
        self.problem = None;
    }

    /// Ends it for the reason its recall was asked for; the revision stays.
    pub fn give_up(&mut self, why: RecallIntent) {
        self.cancel();
        match why {
            RecallIntent::Edit | RecallIntent::Cancel => {}
            RecallIntent::Miss => {
                self.state = TargetState::Missed;
                self.problem = Some(Problem::new(
                    "HAND_OVER_FAILED",
                    "the publisher failed on this post whenever it was handed over, and now it is too late to send \
                     it; nothing was sent. Send it again, and report this if it stays",
                ));
            }
            RecallIntent::Break => {
                self.state = TargetState::Failed;
                self.problem = Some(Problem::thread_broken());
            }
        }
    }

    /// True when it ended because the part of the thread before it was not published.
    pub fn is_broken(&self) -> bool {
        self.state.may_be_retried()
            && self.problem.as_ref().is_some_and(|problem| problem.reason == THREAD_BROKEN)
    }

    /// Begins a new revision, which only we know.
    pub fn revise(&mut self) {
        self.revision += 1;
        self.offered_at = None;
        self.recall = None;
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
pub(crate) mod tests;
