//! What the network cannot tell is asked of a user, with the timeline as evidence; a late find wins.

use postmesh_proto::common::v1::{
    TargetConfirmation, TargetEvent, TargetEventKind as Step, target_confirmation as answer,
};

use super::*;

/// A delivery that ended in a question, and its mesh. The post is live; the network tells nothing until told to.
async fn a_question(kind: Kind) -> (Mesh, String) {
    let config = Config { reconcile_budget_ms: 2_500, late_look_ms: 200, ..quick() };
    let mesh = Mesh::new(kind, config).await;
    let account = mesh.mastodon().await;
    for (operation, fault) in [
        ("publish", json!({ "kind": "accept_then_reset" })),
        ("read", json!({ "kind": "status", "code": 503, "body": "" })),
    ] {
        let rule = json!({ "network": "mastodon", "operation": operation, "times": 0, "fault": fault });
        mesh.bench.control("script", &rule).await;
    }
    let targets = mesh.deliver(vec![mesh.a_delivery(&account, "where is it", 0)]).await;
    assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::NeedsConfirmation);
    let target = targets.into_iter().next().unwrap();
    (mesh, target)
}

impl Mesh {
    async fn confirm(
        &self,
        workspace: Uuid,
        target: &str,
        answer: answer::Answer,
    ) -> Result<TargetState, tonic::Status> {
        let request = proto::ConfirmRequest {
            workspace_id: workspace.to_string(),
            target_id: target.to_owned(),
            revision: 1,
            confirmation: Some(TargetConfirmation { answer: Some(answer) }),
        };
        Ok(self.deliveries().confirm(request).await?.into_inner().state())
    }

    async fn timeline(&self, workspace: Uuid, target: &str) -> Vec<TargetEvent> {
        let mut steps = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = proto::ListStepsRequest {
                workspace_id: workspace.to_string(),
                target_id: target.to_owned(),
                page_size: 3,
                page_token,
            };
            let page = self.deliveries().list_steps(request).await.unwrap().into_inner();
            steps.extend(page.steps);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return steps;
            }
        }
    }
}

fn live() -> answer::Answer {
    answer::Answer::LiveUrl("https://social.example/@me/1".into())
}

fn drop_it() -> answer::Answer {
    answer::Answer::Drop(answer::Drop {})
}

#[tokio::test]
async fn a_user_says_it_is_live() {
    for kind in BOTH {
        let (mesh, target) = a_question(kind).await;
        let stranger = mesh.confirm(Uuid::now_v7(), &target, live()).await.unwrap_err();
        assert_eq!(stranger.code(), tonic::Code::NotFound);
        assert_eq!(mesh.confirm(mesh.workspace, &target, live()).await.unwrap(), TargetState::Published);
        assert_eq!(mesh.confirm(mesh.workspace, &target, live()).await.unwrap(), TargetState::Published);
        let late = mesh.confirm(mesh.workspace, &target, drop_it()).await.unwrap_err();
        assert_eq!(late.code(), tonic::Code::FailedPrecondition);
        let event = mesh
            .follow(std::slice::from_ref(&target), |state| state == TargetState::Published)
            .await
            .pop()
            .unwrap();
        assert_eq!(event.url, "https://social.example/@me/1");
        let steps = mesh.timeline(mesh.workspace, &target).await;
        let last = steps.last().unwrap();
        assert_eq!((last.kind(), last.replica.as_str()), (Step::Confirmed, ""));
        mesh.end().await;
    }
}

#[tokio::test]
async fn a_user_has_it_posted_again_under_another_key() {
    let (mesh, target) = a_question(Kind::Sqlite).await;
    let again = answer::Answer::PostAgain(answer::PostAgain {});
    assert_eq!(mesh.confirm(mesh.workspace, &target, again).await.unwrap(), TargetState::Dropped);
    mesh.bench.clear_script().await;
    let account = mesh.mastodon().await;
    let mut delivery = mesh.a_delivery(&account, "where is it", 0);
    delivery.target_id.clone_from(&target);
    delivery.revision = 2;
    mesh.deliver(vec![delivery]).await;
    mesh.follow(&[target], |state| state == TargetState::Published).await;
    assert_eq!(mesh.bench.ledger().await.len(), 2, "the user wanted it");
    mesh.end().await;
}

#[tokio::test]
async fn a_late_find_wins() {
    let (mesh, target) = a_question(Kind::Sqlite).await;
    mesh.bench.clear_script().await;
    let found = mesh
        .follow(std::slice::from_ref(&target), |state| state == TargetState::Published)
        .await
        .pop()
        .unwrap();
    let ledger = mesh.bench.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(found.native_id, ledger[0]["native_id"].as_str().unwrap());
    mesh.end().await;
}

#[tokio::test]
async fn the_timeline_tells_every_step() {
    for kind in BOTH {
        let (mesh, target) = a_question(kind).await;
        let steps = mesh.timeline(mesh.workspace, &target).await;
        let told: Vec<(Step, TargetState)> = steps.iter().map(|step| (step.kind(), step.state())).collect();
        let begins = [
            (Step::Moved, TargetState::HandedOver),
            (Step::Moved, TargetState::Preparing),
            (Step::Moved, TargetState::Prepared),
            (Step::Armed, TargetState::Sending),
            (Step::Moved, TargetState::Unknown),
        ];
        assert_eq!(told[..5], begins, "{steps:#?}");
        assert!(told.contains(&(Step::Looked, TargetState::Unknown)), "{told:?}");
        assert!(told.iter().any(|(kind, _)| *kind == Step::Closed), "{told:?}");
        assert!(told.contains(&(Step::Moved, TargetState::NeedsConfirmation)), "{told:?}");
        assert!(steps.windows(2).all(|pair| {
            let at = |step: &TargetEvent| time::from_proto(step.event_time.as_ref().unwrap());
            at(&pair[0]) <= at(&pair[1])
        }));
        assert!(steps.iter().all(|step| !step.replica.is_empty() && !step.detail.contains("where is it")));
        assert!(mesh.timeline(Uuid::now_v7(), &target).await.is_empty(), "nothing for strangers");
        mesh.end().await;
    }
}

#[tokio::test]
async fn what_is_in_doubt_when_its_account_is_lost_is_asked_about_in_the_end() {
    for kind in BOTH {
        let config = Config { reconcile_budget_ms: 4_000, ..quick() };
        let mesh = Mesh::new(kind, config).await;
        let account = mesh.mastodon().await;
        for (operation, fault) in [
            ("publish", json!({ "kind": "accept_then_reset" })),
            ("read", json!({ "kind": "status", "code": 503, "body": "" })),
        ] {
            let rule = json!({ "network": "mastodon", "operation": operation, "times": 0, "fault": fault });
            mesh.bench.control("script", &rule).await;
        }
        let targets = mesh.deliver(vec![mesh.a_delivery(&account, "where is it", 0)]).await;
        mesh.follow(&targets, |state| state == TargetState::Unknown).await;
        mesh.bench.clear_script().await;
        mesh.bench.fault("mastodon", "any", json!({ "kind": "revoke_tokens" })).await;
        assert_eq!(mesh.ends(&targets).await[0].state(), TargetState::NeedsConfirmation);
        assert_eq!(mesh.bench.ledger().await.len(), 1, "it was posted, and not again");
        mesh.end().await;
    }
}
