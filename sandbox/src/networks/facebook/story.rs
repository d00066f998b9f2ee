//! Stories of one photo or one video, which are shown for a day, and the list that tells of them.

use serde_json::json;

use super::{
    NETWORK, Photo, Post,
    graph::{self, Refusal},
    own_page,
    posts::{WRITE, entry, files, kept},
    shown,
    video::{draft, show, start},
};
use crate::{
    docs::Change,
    networks::graph::{Answer, Ask},
};

/// `POST /{page}/video_stories`.
pub(super) async fn video(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let page = own_page(&ask, &world, &ask.id, WRITE)?;
    if ask.params.text("upload_phase").as_deref() == Some("start") {
        return start(&ask, &mut world, &page, "story");
    }
    let video = draft(&ask, &world, &page, "story")?;
    let post = show(&ask, &mut world, &page, video)?;
    Ok(graph::ok(&json!({ "success": true, "post_id": post })))
}

/// `POST /{page}/photo_stories`: a photo that no post shows.
pub(super) async fn photo(ask: Ask) -> Answer {
    let mut world = ask.ctx.world();
    let page = own_page(&ask, &world, &ask.id, WRITE)?;
    let photo_id = ask.params.present("photo_id").unwrap_or_default();
    let photo: Option<Photo> = world.docs.get(NETWORK, "photo", &photo_id);
    let photo = photo.filter(|photo| photo.page == page.id && photo.used_in.is_none());
    let photo = photo.ok_or_else(|| Refusal::parameter("The photo cannot be used for a story"))?;
    let n = world.next_id(NETWORK, ask.now_ms());
    let post = Post {
        photos: vec![photo.id.clone()],
        ..Post::new(&page, "story", graph::short(n).to_string(), ask.now_ms())
    };
    let seen = entry(&post, &page, files(std::slice::from_ref(&photo)), &ask.request);
    let mut changes = kept(&post, n);
    let used = Photo { used_in: Some(post.id.clone()), ..photo };
    changes.push(Change::put("photo", &used.id, &used));
    world.show(NETWORK, changes, vec![seen])?;
    Ok(graph::ok(&json!({ "success": true, "post_id": post.id })))
}

/// `GET /{page}/stories`.
pub(super) async fn list(ask: Ask) -> Answer {
    let world = ask.ctx.world();
    let now_ms = ask.now_ms();
    let token = ask.token(&world, NETWORK)?;
    super::covered(&token, &["pages_read_engagement"])?;
    let docs = ask.docs(&world);
    let of_page = docs.range::<String>(NETWORK, "post_of", &format!("{}|", ask.id)).rev();
    let stories = of_page.filter_map(|(_, id)| shown(docs, &id, now_ms)).filter(|post| post.kind == "story");
    let nodes = stories.map(|post| {
        let (media_type, media_id) = match &post.video {
            Some(video) => ("video", Some(video.clone())),
            None => ("photo", post.photos.first().cloned()),
        };
        let status = if now_ms - post.created_ms > 86_400_000 { "ARCHIVED" } else { "PUBLISHED" };
        json!({
            "post_id": post.id, "status": status, "creation_time": (post.created_ms / 1000).to_string(),
            "media_type": media_type, "media_id": media_id,
            "url": format!("https://www.facebook.com/stories/{}", post.id),
        })
    });
    let untold = "post_id,status,creation_time,media_type,media_id,url";
    ask.list((&token, NETWORK), nodes, (untold, "Stories"), 100)
}
