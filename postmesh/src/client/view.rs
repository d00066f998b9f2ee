//! Posts as the command line shows them: JSON for scripts, a line per target for people.

use jiff::Timestamp;
use postmesh_kit::time::from_proto;
use postmesh_proto::{
    common::v1::TargetState,
    scheduler::v1::{Post, PostState, Target},
};
use serde::Serialize;

/// A post, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct PostView {
    id: String,
    state: String,
    text: String,
    /// The texts of the further parts of a thread.
    thread: Vec<String>,
    schedule_time: Option<String>,
    targets: Vec<TargetView>,
}

/// A target, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct TargetView {
    id: String,
    account_id: String,
    network: String,
    handle: String,
    /// Which part of the thread, 0 for the post itself.
    thread_position: i32,
    /// Lower case, such as `published`.
    pub state: String,
    native_id: String,
    url: String,
    reason: String,
    message: String,
    publish_time: Option<String>,
}

impl PostView {
    /// From the contract.
    pub(crate) fn new(post: &Post) -> Self {
        Self {
            id: post.id.clone(),
            state: word(post.state().as_str_name(), "POST_STATE_"),
            text: post.text.clone(),
            thread: post.thread.iter().map(|part| part.text.clone()).collect(),
            schedule_time: post.schedule_time.as_ref().and_then(from_proto).and_then(moment),
            targets: post.targets.iter().map(TargetView::new).collect(),
        }
    }

    /// Prints it: one JSON object on one line, or lines for a person.
    pub(crate) fn show(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string(self).expect("a post is plain data"));
            return;
        }
        println!(
            "post {}  {}{}",
            self.id,
            self.state,
            self.schedule_time.as_ref().map_or_else(String::new, |t| format!("  for {t}"))
        );
        let network = self.targets.iter().map(|target| target.network.len()).max().unwrap_or_default();
        for target in &self.targets {
            let place = match self.thread.len() {
                0 => String::new(),
                further => format!("{:<6} ", format!("{}/{}", target.thread_position + 1, further + 1)),
            };
            println!(
                "  {:<network$} {:<24} {place}{:<18} {}",
                target.network,
                target.handle,
                target.state,
                target.rest(&self.id)
            );
        }
    }
}

impl TargetView {
    fn new(target: &Target) -> Self {
        let problem = target.problem.clone().unwrap_or_default();
        Self {
            id: target.id.clone(),
            account_id: target.account_id.clone(),
            network: target.network.clone(),
            handle: target.handle.clone(),
            thread_position: target.thread_position,
            state: word(target.state().as_str_name(), "TARGET_STATE_"),
            native_id: target.native_id.clone(),
            url: target.url.clone(),
            reason: problem.reason,
            message: problem.message,
            publish_time: target.publish_time.as_ref().and_then(from_proto).and_then(moment),
        }
    }

    /// What a person needs to know beside the state: the address, or why and what to do.
    fn rest(&self, post_id: &str) -> String {
        let next_step = match self.state.as_str() {
            "needs_confirmation" => format!(
                "look whether it is there, then: postmesh confirm {post_id} --target {} (--live URL | --again | --drop)",
                self.id
            ),
            "dropped" => "nobody knows whether it is visible; look there before you write it anew".to_owned(),
            _ if !self.url.is_empty() => return self.url.clone(),
            _ => return self.message.clone(),
        };
        if self.message.is_empty() { next_step } else { format!("{} {next_step}", self.message) }
    }
}

/// True when the post went out on every account it was meant for.
pub(crate) fn is_published(post: &Post) -> bool {
    post.state() == PostState::Published
}

/// True when nothing more will happen to the target by itself.
pub(crate) fn is_final(state: TargetState) -> bool {
    matches!(
        state,
        TargetState::Published
            | TargetState::InInbox
            | TargetState::Failed
            | TargetState::Cancelled
            | TargetState::Missed
            | TargetState::NeedsConfirmation
            | TargetState::Dropped
    )
}

/// The last words of an enum's name, in lower case.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

/// A moment as people and scripts read it.
pub(crate) fn moment(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use postmesh_proto::common::v1::TargetProblem;

    use super::*;

    fn rest(state: TargetState, url: &str, message: &str) -> String {
        let problem = TargetProblem { reason: "R".into(), message: message.into() };
        let target = Target {
            id: "t".into(),
            state: state.into(),
            url: url.into(),
            problem: (!message.is_empty()).then_some(problem),
            ..Target::default()
        };
        TargetView::new(&target).rest("p")
    }

    #[test]
    fn what_waits_for_a_person_comes_with_the_next_step() {
        let unsure = rest(TargetState::NeedsConfirmation, "", "X cannot tell.");
        assert!(unsure.starts_with("X cannot tell. look"), "{unsure}");
        assert!(unsure.contains("postmesh confirm p --target t (--live URL | --again | --drop)"), "{unsure}");
        assert!(rest(TargetState::Dropped, "", "").starts_with("nobody knows"));
        assert_eq!(rest(TargetState::Published, "https://x.example/1", ""), "https://x.example/1");
        assert_eq!(rest(TargetState::Failed, "", "too long"), "too long");
        assert!(is_final(TargetState::Dropped) && !is_final(TargetState::Sending));
    }
}
