//! ListTargetEvents: the publisher's steps of one's own targets, page by page.

use postmesh_proto::{
    common::v1::{TargetEvent, TargetEventKind, TargetState},
    scheduler::v1 as proto,
};
use tonic::Code;
use uuid::Uuid;

use crate::world::{MINUTE, fields, reason, story};

fn a_step(n: i64) -> TargetEvent {
    TargetEvent {
        kind: TargetEventKind::Moved.into(),
        state: TargetState::Preparing.into(),
        revision: 1,
        attempt: n,
        ..TargetEvent::default()
    }
}

#[tokio::test]
async fn steps_come_from_the_publisher_page_by_page() {
    story(async |world| {
        let post = world.create(world.a_post(Some(10 * MINUTE))).await.unwrap();
        let target = post.targets[0].id.clone();
        let request = proto::ListTargetEventsRequest {
            post_id: post.id.clone(),
            target_id: target.clone(),
            page_size: 2,
            page_token: String::new(),
        };
        let mut client = world.client.clone();
        world.publisher.0.send_modify(|publisher| publisher.down = true);
        let none = client.list_target_events(world.ask(request.clone())).await.unwrap().into_inner();
        assert_eq!(none, proto::ListTargetEventsResponse::default(), "never handed over, so nobody is asked");
        world.publisher.0.send_modify(|publisher| publisher.down = false);

        world.clock.advance(9 * MINUTE);
        world.post_in(&post.id, TargetState::HandedOver).await;
        let none = client.list_target_events(world.ask(request.clone())).await.unwrap().into_inner();
        assert!(none.events.is_empty(), "the publisher has no step yet");
        world.publisher.0.send_modify(|publisher| {
            publisher
                .steps
                .insert((world.workspace.to_string(), target.clone()), (1..=3).map(a_step).collect());
        });
        let first = client.list_target_events(world.ask(request.clone())).await.unwrap().into_inner();
        assert_eq!(first.events, [a_step(1), a_step(2)]);
        let next = proto::ListTargetEventsRequest { page_token: first.next_page_token, ..request.clone() };
        let second = client.list_target_events(world.ask(next)).await.unwrap().into_inner();
        assert_eq!((second.events, second.next_page_token.as_str()), (vec![a_step(3)], ""));

        let bad = proto::ListTargetEventsRequest { page_token: "nonsense".into(), ..request.clone() };
        let status = client.list_target_events(world.ask(bad)).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["page_token".to_owned()]));
        let bad = proto::ListTargetEventsRequest { page_size: -1, ..Default::default() };
        let status = client.list_target_events(world.ask(bad)).await.unwrap_err();
        assert_eq!(fields(&status), ["post_id", "target_id", "page_size"]);
        let other = proto::ListTargetEventsRequest { target_id: Uuid::now_v7().to_string(), ..request };
        let status = client.list_target_events(world.ask(other)).await.unwrap_err();
        assert_eq!(reason(&status), "TARGET_NOT_FOUND");
    })
    .await;
}
