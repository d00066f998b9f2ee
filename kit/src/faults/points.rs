//! The points, in the order in which a post passes them. The sources and this list name the same ones; a test of the
//! fault suite walks the sources.

/// A step that can fail on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Its name, with `.before` or `.after` where it stands around a transaction.
    pub name: &'static str,
    /// Where it stands.
    pub what: &'static str,
}

impl Point {
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        POINTS.iter().map(|point| point.name)
    }
}

const fn point(name: &'static str, what: &'static str) -> Point {
    Point { name, what }
}

/// Every point there is.
pub const POINTS: &[Point] = &[
    point("schedule.insert.before", "A post was asked for; nothing is stored."),
    point("schedule.insert.after", "The post is stored; nobody was told."),
    point("edit.rev.before", "A change was asked for and the publisher gave the target back."),
    point("edit.rev.after", "The new revision is stored; nobody was told."),
    point("cancel.cas.before", "A cancellation was asked for; the post is as it was."),
    point("cancel.cas.after", "The post changed or refused to; nobody was told."),
    point("recall.cas.before", "The publisher was asked to give a target back; its row is as it was."),
    point("recall.cas.after", "Its row changed or refused to; the scheduler was not told."),
    point("sweep.claim.before", "The scheduler is about to claim what is due for the hand-over."),
    point("sweep.claim.after", "Targets are claimed; nothing was handed over."),
    point("outbox.insert.before", "The publisher was handed a delivery; nothing is stored."),
    point("outbox.insert.after", "The delivery is stored; the scheduler was not told."),
    point("lease.acquire.before", "A process is about to take an account."),
    point("lease.acquire.after", "The account is taken; the actor does not know."),
    point("lease.renew.before", "Leases are about to be renewed."),
    point("lease.renew.after", "Leases are renewed; their holder does not know."),
    point("prep.media_put.before", "A file is about to be uploaded to the network."),
    point("prep.media_put.after", "The network has the file; its id is not stored."),
    point("prep.handle_save.before", "A handle of the network is known and not stored."),
    point("prep.handle_save.after", "The handle is stored; the step does not know."),
    point("prep.token_intent.before", "A token is about to expire; nothing is stored."),
    point("prep.token_intent.after", "The intent to refresh is stored; nothing was asked."),
    point("token.response", "The network gave new tokens; they are in memory only."),
    point("token.cas.before", "New tokens are about to be stored."),
    point("token.cas.after", "New tokens are stored; the actor does not know."),
    point("arm.commit.before", "Everything is ready; the attempt and its permit are not written down."),
    point("arm.commit.after", "The attempt and its permit are written down; no byte has left."),
    point("resend.arm.before", "A repetition is about to be armed."),
    point("resend.arm.after", "The repetition is armed; no byte has left."),
    point("send.first_byte", "The connection stands; the first byte has not left."),
    point("send.last_byte", "The request has left; no answer has come."),
    point("resp.headers", "The head of the answer is here, its body is not."),
    point("resp.parsed", "The answer is understood; nothing is stored."),
    point("outcome.commit.before", "The outcome is about to be stored."),
    point("outcome.commit.after", "The outcome is stored; the line does not know."),
    point("native_id.save.before", "The network's own id is known and not stored."),
    point("native_id.save.after", "The network's own id is stored; the line does not know."),
    point("poll.save.before", "A network told how far its processing is; nothing is stored."),
    point("poll.save.after", "The progress is stored; the line does not know."),
    point("reconcile.read", "The network is about to be asked for a post whose answer was lost."),
    point("reconcile.save.before", "It told; nothing is stored."),
    point("reconcile.save.after", "What it told is stored; the line does not know."),
    point("event.deliver.before", "The scheduler heard of a result; nothing is stored."),
    point("event.deliver.after", "The result and the cursor are stored; watchers do not know."),
    point("restore.stamp.before", "A restored copy is about to be marked as one."),
    point("restore.stamp.after", "It is marked; the operator was not told."),
];

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use super::*;

    /// Every source file of the workspace that can name a point: not this list, and not the suite that arms them.
    fn sources() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("Cargo.toml").is_file() && !path.ends_with("chaos"))
            .map(|path| path.join("src"))
            .collect();
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                let is_rust = path.extension().is_some_and(|extension| extension == "rs");
                if path.is_dir() && !path.ends_with("src/faults") {
                    folders.push(path);
                } else if is_rust && !path.ends_with("kit/src/faults.rs") {
                    files.push(path);
                }
            }
        }
        files
    }

    /// The literals that are passed to `at(` and `pass(`, and all literals.
    fn literals(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut pieces = text.split('"');
        let mut before = pieces.next().unwrap_or_default();
        let (mut passed, mut all) = (BTreeSet::new(), BTreeSet::new());
        // Every second piece is a literal, or the code between two of them: both readings are tried, for a quotation
        // mark inside a literal would shift all that follow.
        for piece in pieces {
            let is_point =
                piece.contains('.') && piece.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_');
            if is_point {
                all.insert(piece.to_owned());
                if before.ends_with("at(") || before.ends_with("pass(") {
                    passed.insert(piece.to_owned());
                }
            }
            before = piece;
        }
        (passed, all)
    }

    #[test]
    fn the_sources_and_the_list_name_the_same_points() {
        let known: BTreeSet<String> = Point::names().map(str::to_owned).collect();
        assert_eq!(known.len(), POINTS.len(), "a point is listed twice");
        let (mut passed, mut all) = (BTreeSet::new(), BTreeSet::new());
        for file in sources() {
            let (here_passed, here) = literals(&std::fs::read_to_string(file).unwrap());
            passed.extend(here_passed);
            all.extend(here);
        }
        let unknown: Vec<_> = passed.difference(&known).collect();
        assert!(unknown.is_empty(), "not in the list: {unknown:?}");
        let unused: Vec<_> = known.difference(&all).collect();
        assert!(unused.is_empty(), "in the list and nowhere else: {unused:?}");
    }
}
