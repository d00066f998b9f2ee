//! Accounts that wait for room, taken one workspace after the other: a tenant with thousands of due accounts delays
//! another tenant's one account by a single turn.

use std::collections::{HashMap, HashSet, VecDeque};

use uuid::Uuid;

/// The queue. An account stands in it at most once.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_workspace: HashMap<Uuid, VecDeque<Uuid>>,
    /// Workspaces with accounts that wait; the first one's turn is next.
    workspaces: VecDeque<Uuid>,
    accounts: HashSet<Uuid>,
}

impl Turns {
    /// Lines an account up behind the others of its workspace.
    pub(super) fn push(&mut self, workspace_id: Uuid, account_id: Uuid) {
        if !self.accounts.insert(account_id) {
            return;
        }
        let queue = self.by_workspace.entry(workspace_id).or_default();
        if queue.is_empty() {
            self.workspaces.push_back(workspace_id);
        }
        queue.push_back(account_id);
    }

    /// The account whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Uuid> {
        let workspace_id = self.workspaces.pop_front()?;
        let queue = self.by_workspace.get_mut(&workspace_id)?;
        let account_id = queue.pop_front()?;
        if queue.is_empty() {
            self.by_workspace.remove(&workspace_id);
        } else {
            self.workspaces.push_back(workspace_id);
        }
        self.accounts.remove(&account_id);
        Some(account_id)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Sends everybody away.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_take_turns() {
        let mut turns = Turns::default();
        let id = Uuid::from_u128;
        for account in 1..=3 {
            turns.push(id(100), id(account));
        }
        turns.push(id(200), id(4));
        turns.push(id(100), id(1)); // stands there already
        turns.push(id(200), id(5));
        let order: Vec<u128> = std::iter::from_fn(|| turns.pop()).map(|id| id.as_u128()).collect();
        assert_eq!(order, [1, 4, 2, 5, 3]);
        assert!(turns.is_empty());
        turns.push(id(100), id(1));
        assert_eq!(turns.pop(), Some(id(1)));
    }
}
