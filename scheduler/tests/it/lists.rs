//! ListPosts: order, filters, and pages that stay whole while posts are written.

use postmesh_proto::scheduler::v1::{CreatePostRequest, ListPostsRequest, ListPostsResponse};
use tonic::{Code, Status};

use crate::world::{MINUTE, World, fields, story, to};

async fn list(world: &World, request: ListPostsRequest) -> Result<ListPostsResponse, Status> {
    Ok(world.client.clone().list_posts(world.ask(request)).await?.into_inner())
}

async fn all(world: &World, mut request: ListPostsRequest) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let page = list(world, request.clone()).await.unwrap();
        texts.extend(page.posts.into_iter().map(|post| post.text));
        if page.next_page_token.is_empty() {
            return texts;
        }
        request.page_token = page.next_page_token;
    }
}

async fn write(world: &World, text: &str, due_in: Option<i64>) {
    world.clock.advance(1);
    world.create(CreatePostRequest { text: text.into(), ..world.a_post(due_in) }).await.unwrap();
}

#[tokio::test]
async fn pages_keep_their_order_while_posts_are_written() {
    story(async |world| {
        for text in ["a", "b", "c", "d", "e"] {
            write(&world, text, None).await;
        }
        let first = list(&world, ListPostsRequest { page_size: 2, ..Default::default() }).await.unwrap();
        let texts: Vec<_> = first.posts.iter().map(|post| post.text.as_str()).collect();
        assert_eq!(texts, ["e", "d"]);
        write(&world, "f", None).await;
        let rest = ListPostsRequest { page_size: 2, page_token: first.next_page_token, ..Default::default() };
        assert_eq!(all(&world, rest).await, ["c", "b", "a"], "nothing twice, nothing hidden");
        let oldest = ListPostsRequest { page_size: 4, order_by: "create_time".into(), ..Default::default() };
        assert_eq!(all(&world, oldest).await, ["a", "b", "c", "d", "e", "f"]);
        let exact = list(&world, ListPostsRequest { page_size: 6, ..Default::default() }).await.unwrap();
        assert_eq!(exact.next_page_token, "", "the last page says so");
    })
    .await;
}

#[tokio::test]
async fn plans_are_ordered_by_their_time_with_drafts_at_the_end() {
    story(async |world| {
        for (text, due_in) in
            [("later", Some(90 * MINUTE)), ("draft", None), ("soon", Some(30 * MINUTE)), ("draft 2", None)]
        {
            write(&world, text, due_in).await;
        }
        for size in [1, 3, 50] {
            let by = |order: &str| ListPostsRequest {
                page_size: size,
                order_by: order.into(),
                ..Default::default()
            };
            assert_eq!(all(&world, by("schedule_time")).await, ["soon", "later", "draft", "draft 2"]);
            assert_eq!(all(&world, by("schedule_time desc")).await, ["draft 2", "draft", "later", "soon"]);
        }
    })
    .await;
}

#[tokio::test]
async fn filters_choose_by_state_and_account() {
    story(async |world| {
        let account = world.connect_many(1)[0];
        write(&world, "planned", Some(90 * MINUTE)).await;
        write(&world, "draft", None).await;
        let request =
            CreatePostRequest { text: "elsewhere".into(), targets: vec![to(account)], ..world.a_post(None) };
        world.create(request).await.unwrap();
        let by = |filter: String| ListPostsRequest { page_size: 1, filter, ..Default::default() };
        assert_eq!(all(&world, by("state = SCHEDULED".into())).await, ["planned"]);
        assert_eq!(all(&world, by("state = DRAFT".into())).await, ["elsewhere", "draft"]);
        assert_eq!(all(&world, by(format!("account_id = \"{account}\""))).await, ["elsewhere"]);
        let both = format!("state = DRAFT AND account_id = \"{}\"", world.account);
        assert_eq!(all(&world, by(both)).await, ["draft"]);
        assert_eq!(all(&world, by("state = FAILED".into())).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn bad_lists_name_every_field_and_tokens_belong_to_their_list() {
    story(async |world| {
        let request = ListPostsRequest {
            page_size: -1,
            page_token: "!".into(),
            filter: "state = GONE".into(),
            order_by: "text".into(),
        };
        let status = list(&world, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["page_size", "page_token", "filter", "order_by"]);
        write(&world, "a", None).await;
        write(&world, "b", None).await;
        let token = list(&world, ListPostsRequest { page_size: 1, ..Default::default() })
            .await
            .unwrap()
            .next_page_token;
        for other in [
            ListPostsRequest { filter: "state = DRAFT".into(), ..Default::default() },
            ListPostsRequest { order_by: "create_time".into(), ..Default::default() },
        ] {
            let status =
                list(&world, ListPostsRequest { page_token: token.clone(), ..other }).await.unwrap_err();
            assert_eq!(fields(&status), ["page_token"]);
        }
    })
    .await;
}
