//! `timeline`: every step of a post's targets, with what the networks answered.

use std::{
    io::{ErrorKind, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use postmesh_kit::time::from_proto;
use postmesh_proto::{
    common::v1::TargetEvent,
    scheduler::v1::{
        GetPostRequest, ListTargetEventsRequest, Target, post_service_client::PostServiceClient,
    },
};
use serde::Serialize;

use crate::client::{
    Server, Session, explain,
    view::{moment, word},
};

/// Show every step of a post's targets, with what the networks answered.
#[derive(Debug, Args)]
pub(crate) struct Timeline {
    /// The post's id
    post: String,
    /// Only this target; may be given several times
    #[arg(long, value_name = "ID")]
    target: Vec<String>,
    /// Print one JSON object per target
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// A target and its steps, as `--json` prints them.
#[derive(Debug, Serialize)]
struct TargetSteps {
    target_id: String,
    network: String,
    handle: String,
    thread_position: i32,
    state: String,
    steps: Vec<Step>,
}

/// One step, as `--json` prints it; what is not known is left out.
#[derive(Debug, Serialize)]
struct Step {
    time: Option<String>,
    kind: String,
    state: String,
    revision: i64,
    attempt: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    replica: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    platform_code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    request_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Timeline {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut session = self.server.session().await?;
        let mut posts = PostServiceClient::new(session.channel());
        let request = GetPostRequest { post_id: self.post.clone() };
        let answer = posts.get_post(session.request(request).await?).await.map_err(|s| explain(&s))?;
        let post = answer.into_inner().post.context("the mesh answered no post")?;
        if let Some(unknown) = self.target.iter().find(|id| post.targets.iter().all(|t| t.id != **id)) {
            bail!("the post has no target {unknown}; `postmesh timeline {}` shows all of them", post.id);
        }
        let wanted = |target: &&Target| self.target.is_empty() || self.target.contains(&target.id);
        let mut text = String::new();
        for target in post.targets.iter().filter(wanted) {
            let steps = TargetSteps::new(target, all(&mut session, &post.id, &target.id).await?);
            if self.json {
                text.push_str(&serde_json::to_string(&steps).expect("steps are plain data"));
                text.push('\n');
            } else {
                text.push_str(&steps.table());
            }
        }
        match std::io::stdout().write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Every step of a target, page by page.
async fn all(session: &mut Session, post_id: &str, target_id: &str) -> anyhow::Result<Vec<TargetEvent>> {
    let mut posts = PostServiceClient::new(session.channel());
    let mut request = ListTargetEventsRequest {
        post_id: post_id.to_owned(),
        target_id: target_id.to_owned(),
        page_size: 200,
        page_token: String::new(),
    };
    let mut events = Vec::new();
    loop {
        let answer = posts.list_target_events(session.request(request.clone()).await?).await;
        let page = answer.map_err(|s| explain(&s))?.into_inner();
        events.extend(page.events);
        if page.next_page_token.is_empty() {
            return Ok(events);
        }
        request.page_token = page.next_page_token;
    }
}

impl TargetSteps {
    fn new(target: &Target, events: Vec<TargetEvent>) -> Self {
        Self {
            target_id: target.id.clone(),
            network: target.network.clone(),
            handle: target.handle.clone(),
            thread_position: target.thread_position,
            state: word(target.state().as_str_name(), "TARGET_STATE_"),
            steps: events.into_iter().map(Step::new).collect(),
        }
    }

    /// A heading and a line for each step.
    fn table(&self) -> String {
        let part = match self.thread_position {
            0 => String::new(),
            further => format!("  part {}", further + 1),
        };
        let mut lines =
            vec![format!("{}  {}{part}  {}  {}", self.network, self.handle, self.state, self.target_id)];
        if self.steps.is_empty() {
            lines.push("  nothing yet: it has not been handed over".to_owned());
        }
        lines.extend(self.steps.iter().map(Step::line));
        lines.join("\n") + "\n"
    }
}

impl Step {
    fn new(event: TargetEvent) -> Self {
        let state = word(event.state().as_str_name(), "TARGET_STATE_");
        Self {
            time: event.event_time.as_ref().and_then(from_proto).and_then(moment),
            kind: word(event.kind().as_str_name(), "TARGET_EVENT_KIND_"),
            state: if state == "unspecified" { String::new() } else { state },
            revision: event.revision,
            attempt: event.attempt,
            replica: event.replica,
            http_status: (event.http_status != 0).then_some(event.http_status),
            platform_code: event.platform_code,
            request_id: event.request_id,
            detail: event.detail,
        }
    }

    /// One line of the table.
    fn line(&self) -> String {
        let mut what = Vec::new();
        if self.attempt > 0 {
            what.push(format!("attempt {}", self.attempt));
        }
        what.extend(self.http_status.map(|status| format!("HTTP {status}")));
        for (name, value) in [("code", &self.platform_code), ("request", &self.request_id)] {
            if !value.is_empty() {
                what.push(format!("{name} {value}"));
            }
        }
        if !self.detail.is_empty() {
            what.push(self.detail.clone());
        }
        let by = if self.replica.is_empty() { String::new() } else { format!("  [{}]", self.replica) };
        let line = format!(
            "  {:<26} {:<10} {:<18} r{:<3} {}{by}",
            self.time.as_deref().unwrap_or_default(),
            self.kind,
            self.state,
            self.revision,
            what.join(", ")
        );
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use postmesh_kit::time::to_proto;
    use postmesh_proto::common::v1::{TargetEventKind, TargetState};

    use super::*;

    #[test]
    fn a_line_says_when_what_and_what_the_network_answered() {
        let event = TargetEvent {
            event_time: Some(to_proto(1_800_000_000_123)),
            kind: TargetEventKind::Closed.into(),
            state: TargetState::Unspecified.into(),
            revision: 2,
            attempt: 1,
            replica: "publisher-7".into(),
            http_status: 503,
            platform_code: "X1".into(),
            request_id: "req-9".into(),
            detail: "no answer".into(),
        };
        let step = Step::new(event);
        assert_eq!(
            step.line(),
            "  2027-01-15T08:00:00.123Z   closed                        r2   attempt 1, HTTP 503, code X1, \
             request req-9, no answer  [publisher-7]"
        );
        let moved = TargetEvent {
            kind: TargetEventKind::Moved.into(),
            state: TargetState::NeedsConfirmation.into(),
            revision: 1,
            ..TargetEvent::default()
        };
        let moved = Step::new(moved);
        assert!(moved.line().ends_with("moved      needs_confirmation r1"), "{:?}", moved.line());
        let json = serde_json::to_value(&moved).unwrap();
        assert!(json.get("http_status").is_none() && json.get("replica").is_none(), "{json}");
    }
}
