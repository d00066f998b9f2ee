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
        for target in &self.targets {
            let rest = if target.url.is_empty() { &target.message } else { &target.url };
            println!("  {:<10} {:<24} {:<18} {rest}", target.network, target.handle, target.state);
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
            state: word(target.state().as_str_name(), "TARGET_STATE_"),
            native_id: target.native_id.clone(),
            url: target.url.clone(),
            reason: problem.reason,
            message: problem.message,
            publish_time: target.publish_time.as_ref().and_then(from_proto).and_then(moment),
        }
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
    )
}

fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

fn moment(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|moment| moment.to_string())
}
