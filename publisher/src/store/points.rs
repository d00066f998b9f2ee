//! Where storing steps fails on purpose: which points a transaction passes depends on what its steps are about.

use postmesh_kit::faults::{Injected, at};

use super::Change;
use crate::domain::state::State;

/// What one transaction is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About {
    /// The answer to a send.
    outcome: bool,
    /// A post's own id at the network.
    native_id: bool,
    /// How far a network's processing is.
    poll: bool,
    /// What a read about a lost answer told.
    reconcile: bool,
    /// The ARM of an attempt, and whether it is a repetition.
    arms: Option<bool>,
}

impl About {
    pub(super) fn of(changes: &[Change]) -> Self {
        let from = |states: &[State]| changes.iter().any(|change| states.contains(&change.from));
        Self {
            outcome: from(&[State::Sending]),
            native_id: changes.iter().any(|change| change.native_id.is_some()),
            poll: from(&[State::Processing]),
            reconcile: from(&[State::Unknown, State::NeedsConfirmation]),
            arms: None,
        }
    }

    pub(super) fn arming(self, is_resend: bool) -> Self {
        Self { arms: Some(is_resend), ..self }
    }

    /// Nothing of it is stored.
    pub(super) async fn before(self) -> Result<(), Injected> {
        if self.poll {
            at("poll.save.before").await?;
        }
        if self.reconcile {
            at("reconcile.save.before").await?;
        }
        if self.outcome {
            at("outcome.commit.before").await?;
        }
        if self.native_id {
            at("native_id.save.before").await?;
        }
        match self.arms {
            Some(false) => at("arm.commit.before").await,
            Some(true) => at("resend.arm.before").await,
            None => Ok(()),
        }
    }

    /// All of it is stored; whether an attempt was armed with it.
    pub(super) async fn after(self, is_armed: bool) -> Result<(), Injected> {
        if self.poll {
            at("poll.save.after").await?;
        }
        if self.reconcile {
            at("reconcile.save.after").await?;
        }
        if self.outcome {
            at("outcome.commit.after").await?;
        }
        if self.native_id {
            at("native_id.save.after").await?;
        }
        match self.arms.filter(|_| is_armed) {
            Some(false) => at("arm.commit.after").await,
            Some(true) => at("resend.arm.after").await,
            None => Ok(()),
        }
    }
}
