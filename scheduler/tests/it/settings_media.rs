//! Media that a target's settings name: looked up and checked like the post's own, and kept as long as they are needed.

use postmesh_proto::{
    common::v1::TargetState,
    media::v1::Media,
    publisher::v1::{NetworkSettings, YoutubeSettings, network_settings::Network},
    scheduler::v1::{CreatePostRequest, Post, TargetInput, UpdatePostRequest},
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{MINUTE, World, fields, mask, story, then, to, with};

const FIELD: &str = "targets[0].settings.youtube.thumbnail_media_id";

/// The world's account with a thumbnail.
fn showing(world: &World, thumbnail: &str) -> TargetInput {
    let youtube = YoutubeSettings { thumbnail_media_id: thumbnail.into(), ..Default::default() };
    TargetInput {
        settings: Some(NetworkSettings { network: Some(Network::Youtube(youtube)) }),
        ..to(world.account)
    }
}

async fn retarget(world: &World, post_id: &str, target: TargetInput) -> Result<Post, Status> {
    let request = UpdatePostRequest {
        post_id: post_id.into(),
        targets: vec![target],
        update_mask: Some(mask(&["targets"])),
        ..Default::default()
    };
    Ok(world.client.clone().update_post(world.ask(request)).await?.into_inner().post.unwrap())
}

#[tokio::test]
async fn a_thumbnail_is_kept_until_its_video_is_out() {
    story(async |world| {
        let (film, picture, other) = (world.add_video(1000), world.add_media(), world.add_media());
        let request = CreatePostRequest {
            media: vec![with(film)],
            targets: vec![showing(&world, &picture.to_string())],
            thread: vec![then("a comment below it")],
            ..world.a_post(Some(10 * MINUTE))
        };
        let post = world.create(request).await.unwrap();
        world.holds_until(&post.id, &[film, picture]).await;
        retarget(&world, &post.id, showing(&world, &other.to_string())).await.unwrap();
        world.holds_until(&post.id, &[film, other]).await;
        retarget(&world, &post.id, to(world.account)).await.unwrap();
        world.holds_until(&post.id, &[film]).await;
        let post = retarget(&world, &post.id, showing(&world, &picture.to_string())).await.unwrap();
        world.holds_until(&post.id, &[film, picture]).await;

        world.clock.advance(9 * MINUTE);
        let post = world.post_in(&post.id, TargetState::HandedOver).await;
        let settings =
            world.publisher.0.borrow().newest(&post.targets[0].id).unwrap().content.unwrap().settings;
        assert_eq!(settings, showing(&world, &picture.to_string()).settings);
        world.tell(&post, 0, TargetState::Processing);
        world.post_until(&post.id, |post| post.targets[0].state() == TargetState::Processing).await;
        world.holds_until(&post.id, &[film, picture]).await;
        world.tell(&post, 0, TargetState::Failed);
        world.tell(&post, 1, TargetState::Failed);
        world.post_in(&post.id, TargetState::Failed).await;
        world.holds_until(&post.id, &[]).await;
        world.retry(&post.id, &post.targets[0].id).await.unwrap();
        world.holds_until(&post.id, &[film, picture]).await;
    })
    .await;
}

#[tokio::test]
async fn a_thumbnail_that_is_none_is_named_by_its_field() {
    story(async |world| {
        let film = world.add_video(1000);
        let foreign = Uuid::now_v7();
        world.library.0.send_modify(|library| {
            let item =
                Media { id: foreign.to_string(), content_type: "image/png".into(), ..Media::default() };
            library.items.insert((Uuid::now_v7().to_string(), foreign.to_string()), item);
        });
        let create = |thumbnail: String| CreatePostRequest {
            media: vec![with(film)],
            targets: vec![showing(&world, &thumbnail)],
            ..world.a_post(Some(MINUTE))
        };
        for wrong in ["no id".to_owned(), Uuid::now_v7().to_string(), foreign.to_string(), film.to_string()] {
            let status = world.create(create(wrong.clone())).await.unwrap_err();
            assert_eq!(
                (status.code(), fields(&status)),
                (Code::InvalidArgument, vec![FIELD.to_owned()]),
                "{wrong}"
            );
        }
        let picture = world.add_media();
        let draft = CreatePostRequest { schedule_time: None, ..create(picture.to_string()) };
        let post = world.create(draft).await.unwrap();
        let edited = retarget(&world, &post.id, showing(&world, &film.to_string())).await.unwrap_err();
        assert_eq!(fields(&edited), [FIELD]);
        world.library.0.send_modify(|library| {
            library.items.remove(&(world.workspace.to_string(), picture.to_string()));
        });
        let planned = world.schedule(&post.id, MINUTE).await.unwrap_err();
        assert_eq!((planned.code(), fields(&planned)), (Code::InvalidArgument, vec![FIELD.to_owned()]));
    })
    .await;
}
