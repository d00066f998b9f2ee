//! A scheduler between its stand-in neighbours, and requests with readable defaults.

use std::{future::Future, sync::Arc, time::Duration};

use postmesh_kit::{
    clock::{Clock, SystemClock},
    db::Db,
    lifecycle::Lifecycle,
    testing::{self, FakeClock, Tokens, with_token},
    time,
    transport::Transport,
};
use postmesh_proto::{
    common::v1::{TargetConfirmation, TargetState, target_confirmation::Answer},
    media::v1::{Media, media_service_server::MediaServiceServer},
    publisher::v1::{Account, AccountState, DeliveryEvent, delivery_service_server::DeliveryServiceServer},
    scheduler::v1::{
        self as proto, CreatePostRequest, Post, PostMedia, TargetInput, ThreadPart,
        post_service_client::PostServiceClient,
    },
};
use postmesh_scheduler::{Config, Deps, MIGRATIONS, MediaClient, PublisherClient, store::Store};
use tokio::sync::watch;
use tonic::{Request, Status, service::Routes};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::neighbours::{Library, Publisher, PublisherState};

pub(crate) type Client = PostServiceClient<Transport>;
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const MINUTE: i64 = 60_000;

/// A running scheduler and everything around it.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) store: Store,
    pub(crate) clock: FakeClock,
    pub(crate) publisher: Publisher,
    pub(crate) library: Library,
    pub(crate) life: Lifecycle,
    pub(crate) client: Client,
    pub(crate) workspace: Uuid,
    pub(crate) user: Uuid,
    pub(crate) account: Uuid,
    pub(crate) config: Config,
    pub(crate) tokens: Tokens,
}

/// Runs a story on both databases.
pub(crate) async fn story<F, Fut>(tell: F)
where
    F: Fn(World) -> Fut,
    Fut: Future<Output = ()>,
{
    testing::each_database(MIGRATIONS, |db| async {
        let world = World::start(db).await;
        let life = world.life.clone();
        tell(world).await;
        assert!(life.shutdown(Duration::from_secs(10)).await, "everything ends when asked to");
    })
    .await;
}

impl World {
    pub(crate) async fn start(db: Db) -> Self {
        let world_config = Config { scan_period_ms: 20, watch_poll_ms: 20, ..Config::default() };
        let clock = FakeClock::at(SystemClock.now_ms());
        let (publisher, library, tokens) = (Publisher::default(), Library::default(), Tokens::default());
        let (life, client) = start(&db, &clock, &publisher, &library, &tokens, world_config.clone()).await;
        let world = Self {
            store: Store::new(db.clone()),
            db,
            clock,
            publisher,
            library,
            life,
            client,
            workspace: Uuid::now_v7(),
            user: Uuid::now_v7(),
            account: Uuid::now_v7(),
            config: world_config,
            tokens,
        };
        world.connect(world.account, AccountState::Connected);
        world
    }

    /// Ends the scheduler and starts another on the same database, with the same neighbours.
    pub(crate) async fn restart(&mut self) {
        assert!(self.life.shutdown(Duration::from_secs(10)).await);
        (self.life, self.client) =
            start(&self.db, &self.clock, &self.publisher, &self.library, &self.tokens, self.config.clone())
                .await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Connects an account to the workspace.
    pub(crate) fn connect(&self, account: Uuid, state: AccountState) {
        self.publisher.0.send_modify(|publisher| {
            publisher.accounts.insert(
                (self.workspace.to_string(), account.to_string()),
                Account {
                    id: account.to_string(),
                    network: "mastodon".into(),
                    handle: "@ana@mastodon.example".into(),
                    state: state.into(),
                    ..Account::default()
                },
            );
        });
    }

    /// Connects an account to another workspace.
    pub(crate) fn connect_elsewhere(&self, workspace: Uuid) -> Uuid {
        let account = Uuid::now_v7();
        self.publisher.0.send_modify(|publisher| {
            let known = &publisher.accounts[&(self.workspace.to_string(), self.account.to_string())];
            let copy = Account { id: account.to_string(), ..known.clone() };
            publisher.accounts.insert((workspace.to_string(), account.to_string()), copy);
        });
        account
    }

    /// A request of the world's user in another workspace.
    pub(crate) fn ask_in<T>(&self, workspace: Uuid, message: T) -> Request<T> {
        with_token(message, &self.token(workspace))
    }

    /// Starts another scheduler on the same database, with the same neighbours.
    pub(crate) async fn replica(&self) -> (Lifecycle, Client) {
        start(&self.db, &self.clock, &self.publisher, &self.library, &self.tokens, self.config.clone()).await
    }

    /// Connects this many accounts more.
    pub(crate) fn connect_many(&self, count: usize) -> Vec<Uuid> {
        let accounts: Vec<_> = (0..count).map(|_| Uuid::now_v7()).collect();
        for account in &accounts {
            self.connect(*account, AccountState::Connected);
        }
        accounts
    }

    /// Puts a video into the library.
    pub(crate) fn add_video(&self, length_ms: i64) -> Uuid {
        let id = self.add_media();
        self.library.0.send_modify(|library| {
            let item = library.items.get_mut(&(self.workspace.to_string(), id.to_string())).unwrap();
            item.content_type = "video/mp4".into();
            item.duration = Some(postmesh_kit::time::duration_to_proto(length_ms));
        });
        id
    }

    /// Puts an item into the library.
    pub(crate) fn add_media(&self) -> Uuid {
        let id = Uuid::now_v7();
        self.library.0.send_modify(|library| {
            library.items.insert(
                (self.workspace.to_string(), id.to_string()),
                Media {
                    id: id.to_string(),
                    content_type: "image/png".into(),
                    size_bytes: 1234,
                    width: 10,
                    height: 20,
                    alt_text: "from the library".into(),
                    ..Media::default()
                },
            );
        });
        id
    }

    /// A request of the world's user.
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.token(self.workspace))
    }

    /// A request of somebody in another workspace.
    pub(crate) fn stranger<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.token(Uuid::now_v7()))
    }

    fn token(&self, workspace: Uuid) -> String {
        self.tokens.mint(self.user, workspace, &["posts.read", "posts.write", "posts.publish"])
    }

    /// A post to the world's account: a draft, or due after this many milliseconds.
    pub(crate) fn a_post(&self, due_in: Option<i64>) -> CreatePostRequest {
        CreatePostRequest {
            text: "hello".into(),
            targets: vec![to(self.account)],
            schedule_time: due_in.map(|ms| time::to_proto(self.now() + ms)),
            ..CreatePostRequest::default()
        }
    }

    pub(crate) async fn create(&self, request: CreatePostRequest) -> Result<Post, Status> {
        Ok(self.client.clone().create_post(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn get(&self, post_id: &str) -> Post {
        let request = proto::GetPostRequest { post_id: post_id.into() };
        self.client.clone().get_post(self.ask(request)).await.unwrap().into_inner().post.unwrap()
    }

    pub(crate) async fn cancel(&self, post_id: &str) -> Result<Post, Status> {
        let request = proto::CancelPostRequest { post_id: post_id.into(), ..Default::default() };
        Ok(self.client.clone().cancel_post(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn schedule(&self, post_id: &str, due_in: i64) -> Result<Post, Status> {
        let request = proto::SchedulePostRequest {
            post_id: post_id.into(),
            schedule_time: Some(time::to_proto(self.now() + due_in)),
            ..Default::default()
        };
        Ok(self.client.clone().schedule_post(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn retry(&self, post_id: &str, target_id: &str) -> Result<Post, Status> {
        let request = proto::RetryTargetRequest {
            post_id: post_id.into(),
            target_id: target_id.into(),
            request_id: String::new(),
        };
        Ok(self.client.clone().retry_target(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn confirm(
        &self,
        post_id: &str,
        target_id: &str,
        answer: Answer,
    ) -> Result<Post, Status> {
        let request = proto::ConfirmTargetRequest {
            post_id: post_id.into(),
            target_id: target_id.into(),
            confirmation: Some(TargetConfirmation { answer: Some(answer) }),
            request_id: String::new(),
        };
        Ok(self.client.clone().confirm_target(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn edit_text(&self, post_id: &str, text: &str) -> Result<Post, Status> {
        let request = proto::UpdatePostRequest {
            post_id: post_id.into(),
            text: text.into(),
            update_mask: Some(mask(&["text"])),
            ..Default::default()
        };
        Ok(self.client.clone().update_post(self.ask(request)).await?.into_inner().post.unwrap())
    }

    pub(crate) async fn delete(&self, post_id: &str) -> Result<(), Status> {
        let request = proto::DeletePostRequest { post_id: post_id.into(), ..Default::default() };
        self.client.clone().delete_post(self.ask(request)).await.map(|_| ())
    }

    /// Waits until the publisher's state is as expected.
    pub(crate) async fn publisher_until(&self, expected: impl FnMut(&PublisherState) -> bool) {
        until(&self.publisher.0, expected).await;
    }

    /// Waits until the holds of an owner are these.
    pub(crate) async fn holds_until(&self, owner: &str, expected: &[Uuid]) {
        let mut expected: Vec<_> = expected.iter().map(Uuid::to_string).collect();
        expected.sort();
        until(&self.library.0, |library| {
            let mut held = library.holds.get(owner).cloned().unwrap_or_default();
            held.sort();
            held == expected
        })
        .await;
    }

    /// Waits until a post is as expected, by watching it.
    pub(crate) async fn post_until(&self, post_id: &str, mut expected: impl FnMut(&Post) -> bool) -> Post {
        let request = proto::WatchPostsRequest { post_ids: vec![post_id.into()], until_final: false };
        let mut stream = self.client.clone().watch_posts(self.ask(request)).await.unwrap().into_inner();
        let seen = async {
            loop {
                let post = stream.message().await.unwrap().unwrap().post.unwrap();
                if expected(&post) {
                    return post;
                }
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the post never became as expected")
    }

    /// Waits until every target of a post is in this state.
    pub(crate) async fn post_in(&self, post_id: &str, state: TargetState) -> Post {
        self.post_until(post_id, |post| post.targets.iter().all(|target| target.state() == state)).await
    }

    /// Loses the answer of a target that was handed over, and waits until it is known here.
    pub(crate) async fn doubt(&self, post_id: &str, at: usize) -> Post {
        let target = self.get(post_id).await.targets[at].id.clone();
        self.publisher.0.send_modify(|publisher| publisher.doubt(&target));
        self.post_until(post_id, |post| post.targets[at].state() == TargetState::NeedsConfirmation).await
    }

    /// Tells what became of a target of a post, as the publisher does.
    pub(crate) fn tell(&self, post: &Post, at: usize, state: TargetState) {
        self.publisher.0.send_modify(|publisher| {
            let sequence = publisher.events.last().map_or(1, |event| event.sequence + 1);
            let event = an_event(self, post, at, state, sequence);
            publisher.events.push(event);
        });
    }
}

async fn start(
    db: &Db,
    clock: &FakeClock,
    publisher: &Publisher,
    library: &Library,
    tokens: &Tokens,
    config: Config,
) -> (Lifecycle, Client) {
    assert_eq!(config.validate(), Vec::<String>::new());
    let life = Lifecycle::new();
    let deps = Deps {
        db: db.clone(),
        clock: Arc::new(clock.clone()),
        lifecycle: life.clone(),
        publisher: publisher.client(tokens),
        media: library.client(tokens),
    };
    let running = postmesh_scheduler::start(config, deps).await.unwrap();
    let transport = testing::serve(postmesh_proto::pool(), running.routes, "gateway", tokens);
    (life, PostServiceClient::new(transport))
}

impl Publisher {
    pub(crate) fn client(&self, tokens: &Tokens) -> PublisherClient {
        let routes = Routes::new(DeliveryServiceServer::new(self.clone()));
        PublisherClient::new(testing::serve(postmesh_proto::pool(), routes, "scheduler", tokens))
    }
}

impl Library {
    pub(crate) fn client(&self, tokens: &Tokens) -> MediaClient {
        let routes = Routes::new(MediaServiceServer::new(self.clone()));
        MediaClient::new(testing::serve(postmesh_proto::pool(), routes, "scheduler", tokens))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.stop();
    }
}

/// An event about a target of a post.
pub(crate) fn an_event(
    world: &World,
    post: &Post,
    at: usize,
    state: TargetState,
    sequence: i64,
) -> DeliveryEvent {
    let target = &post.targets[at];
    let published = state == TargetState::Published;
    DeliveryEvent {
        sequence,
        target_id: target.id.clone(),
        post_id: post.id.clone(),
        workspace_id: world.workspace.to_string(),
        account_id: target.account_id.clone(),
        network: target.network.clone(),
        revision: target.revision,
        state: state.into(),
        native_id: if published { "109".into() } else { String::new() },
        url: if published { "https://mastodon.example/@ana/109".into() } else { String::new() },
        problem: None,
        event_time: Some(time::to_proto(world.now())),
    }
}

/// Waits until what a channel shows is as expected.
pub(crate) async fn until<T>(sender: &watch::Sender<T>, expected: impl FnMut(&T) -> bool) {
    let mut receiver = sender.subscribe();
    let seen = tokio::time::timeout(PATIENCE, receiver.wait_for(expected)).await;
    assert!(seen.expect("it never became as expected").is_ok());
}

/// A target without text or settings of its own.
pub(crate) fn to(account: Uuid) -> TargetInput {
    TargetInput { account_id: account.to_string(), ..TargetInput::default() }
}

/// A further part of a thread, without media.
pub(crate) fn then(text: &str) -> ThreadPart {
    ThreadPart { text: text.into(), media: Vec::new() }
}

/// A media item without a description of its own.
pub(crate) fn with(media: Uuid) -> PostMedia {
    PostMedia { media_id: media.to_string(), alt_text: String::new() }
}

pub(crate) fn mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }
}

/// The fields a status names, in order.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    status
        .get_details_bad_request()
        .map(|bad| bad.field_violations.into_iter().map(|violation| violation.field).collect())
        .unwrap_or_default()
}

/// The reason a status gives.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
