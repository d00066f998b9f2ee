//! The fifteen invariants, each a function over one [`History`]. They know nothing of how the history came about: the
//! simulation, the process layers and an investigation of a real incident use the same ones.

mod ends;
mod limits;
mod posts;
mod times;

use std::collections::HashMap;

use crate::{
    report::{Layer, Violation},
    rig::history::{Account, History, Target, Visible},
};

/// An invariant.
type Invariant = fn(&Case<'_>, &mut Findings);

/// All of them, in order.
const ALL: [(&str, Invariant); 15] = [
    ("I1", posts::every_published_target_is_there),
    ("I2", posts::at_most_one_post_per_target),
    ("I3", posts::every_post_was_asked_for_as_it_is),
    ("I4", posts::nothing_is_visible_of_what_ended_otherwise),
    ("I5", posts::published_targets_name_their_post),
    ("I6", times::nothing_is_early_and_little_is_late),
    ("I7", times::nothing_withdrawn_is_visible),
    ("I8", times::accounts_keep_the_order),
    ("I9", limits::limits_are_kept),
    ("I10", limits::refresh_tokens_are_presented_once),
    ("I11", ends::only_the_undecidable_is_left_to_users),
    ("I12", ends::nothing_is_left_lying),
    ("I13", ends::every_end_was_told),
    ("I14", posts::tenants_stay_apart),
    ("I15", ends::everything_ends),
];

/// What does not hold; empty when all is well.
pub fn check(history: &History) -> Vec<Violation> {
    let case = Case::of(history);
    let mut found = Vec::new();
    for (name, invariant) in ALL {
        let mut findings = Findings { name, found: Vec::new() };
        invariant(&case, &mut findings);
        found.append(&mut findings.found);
    }
    found
}

/// A history judged: its counts and what does not hold.
pub fn judge(layer: &str, history: &History) -> Layer {
    let case = Case::of(history);
    let mut judged = Layer::named(layer);
    judged.counts.targets = history.targets.len() as u64;
    judged.counts.duplicates =
        history.targets.iter().map(|target| case.posts_of(target).len().saturating_sub(1) as u64).sum();
    judged.counts.lost = history.targets.iter().filter(|target| is_lost(&case, target)).count() as u64;
    judged.ambiguous = history.ambiguous();
    let is_unsure = |target: &&Target| target.state == "needs_confirmation";
    judged.needs_confirmation = history.targets.iter().filter(is_unsure).count() as u64;
    judged.violations = check(history);
    judged
}

/// Neither ended nor there.
fn is_lost(case: &Case<'_>, target: &Target) -> bool {
    match target.state.as_str() {
        "published" => case.posts_of(target).is_empty(),
        _ => !target.is_final() && !case.history.waits_for_a_user(target),
    }
}

/// A history with what became visible sorted by target.
struct Case<'a> {
    history: &'a History,
    accounts: HashMap<&'a str, &'a Account>,
    posts: HashMap<&'a str, Vec<&'a Visible>>,
    /// Posts that belong to no target of the account they are on.
    strays: Vec<&'a Visible>,
}

impl<'a> Case<'a> {
    fn of(history: &'a History) -> Self {
        let accounts: HashMap<_, _> =
            history.accounts.iter().map(|account| (account.id.as_str(), account)).collect();
        let mut owners = HashMap::new();
        for target in &history.targets {
            let Some(account) = accounts.get(target.account.as_str()) else { continue };
            for revision in &target.revisions {
                let place = (account.network.as_str(), account.handle.as_str(), revision.content.as_str());
                owners.insert(place, target);
            }
        }
        let mut case = Self { history, accounts, posts: HashMap::new(), strays: Vec::new() };
        for post in &history.visible {
            let place = (post.network.as_str(), post.account.as_str(), post.content.as_str());
            match owners.get(&place) {
                Some(target) => case.posts.entry(&target.id).or_default().push(post),
                None => case.strays.push(post),
            }
        }
        case
    }

    /// What became visible of a target, oldest first.
    fn posts_of(&self, target: &Target) -> &[&'a Visible] {
        self.posts.get(target.id.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    fn account_of(&self, target: &Target) -> Option<&'a Account> {
        self.accounts.get(target.account.as_str()).copied()
    }
}

/// Where one invariant puts what it finds.
struct Findings {
    name: &'static str,
    found: Vec<Violation>,
}

impl Findings {
    fn of(&mut self, target: &Target, what: impl Into<String>) {
        self.found.push(Violation::of(self.name, what).at(&target.id));
    }

    fn add(&mut self, what: impl Into<String>) {
        self.found.push(Violation::of(self.name, what));
    }
}

#[cfg(test)]
mod tests;
