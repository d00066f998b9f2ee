//! Small services that implement some of the contracts: they answer what the tests ask for and note what they saw.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use postmesh_kit::status::{Classify, ErrorKind, Invalid, Violations, to_status};
use postmesh_proto::{
    auth::v1::{auth_service_server::AuthService, *},
    media::v1::{media_service_server::MediaService, write_upload_request::Part, *},
    publisher::v1::{account_service_server::AccountService, *},
    scheduler::v1::{post_service_server::PostService, *},
};
use tonic::{Request, Response, Status, Streaming};

/// What the services saw of the requests' headers, newest last.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

impl Seen {
    pub(crate) fn last(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn note<T>(&self, request: &Request<T>) {
        let headers = request.metadata().clone().into_headers();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let map = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        self.0.lock().unwrap().push(map);
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Boxed<'f, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'f>>;

/// Methods no test calls.
macro_rules! absent {
    ($($name:ident($input:ty) -> $output:ty;)*) => {$(
        fn $name<'s, 'f>(&'s self, _: Request<$input>) -> Boxed<'f, $output> where 's: 'f, Self: 'f {
            Box::pin(async { Err(Status::unimplemented("no test asks for this")) })
        }
    )*};
}

/// Stands for auth.
pub(crate) struct Auth(pub(crate) Seen);

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(&self, request: Request<RegisterRequest>) -> Answer<RegisterResponse> {
        self.0.note(&request);
        let input = request.into_inner();
        let user = User {
            id: input.request_id,
            email: input.email,
            display_name: input.display_name,
            create_time: None,
        };
        Ok(Response::new(RegisterResponse { user: Some(user), ..RegisterResponse::default() }))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Answer<GetMeResponse> {
        self.0.note(&request);
        Ok(Response::new(GetMeResponse {
            role: Role::Editor.into(),
            permissions: vec!["posts.read".into()],
            ..GetMeResponse::default()
        }))
    }

    absent! {
        login(LoginRequest) -> LoginResponse;
        refresh(RefreshRequest) -> RefreshResponse;
        logout(LogoutRequest) -> LogoutResponse;
        get_key_set(GetKeySetRequest) -> GetKeySetResponse;
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("there is no such post")]
    Missing,
    #[error("too many posts")]
    Limited,
    #[error("the post has been sent already")]
    Sent,
    #[error("hunter2")]
    Broken,
}

impl Classify for Trouble {
    const DOMAIN: &'static str = "postmesh.test";
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing => ErrorKind::NotFound,
            Self::Limited => ErrorKind::RateLimited,
            Self::Sent => ErrorKind::Precondition,
            Self::Broken => ErrorKind::Internal,
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "POST_NOT_FOUND",
            Self::Limited => "TOO_MANY",
            Self::Sent => "ALREADY_SENT",
            Self::Broken => "BROKEN",
        }
    }
    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Limited).then(|| Duration::from_millis(1500))
    }
}

/// Stands for the scheduler.
pub(crate) struct Posts(pub(crate) Seen);

fn post(id: &str, text: &str) -> Post {
    let create_time = Some(postmesh_kit::time::to_proto(1_900_000_000_000));
    Post {
        id: id.into(),
        text: text.into(),
        state: PostState::Scheduled.into(),
        create_time,
        ..Post::default()
    }
}

#[tonic::async_trait]
impl PostService for Posts {
    type WatchPostsStream = Pin<Box<dyn Stream<Item = Result<WatchPostsResponse, Status>> + Send>>;

    async fn create_post(&self, request: Request<CreatePostRequest>) -> Answer<CreatePostResponse> {
        self.0.note(&request);
        let input = request.into_inner();
        let mut bad = Violations::default();
        bad.require(!input.text.is_empty(), "text", "REQUIRED", "is required");
        bad.require(!input.targets.is_empty(), "targets", "REQUIRED", "needs at least one");
        bad.into_result().map_err(|list| to_status(Invalid(list)))?;
        let mut post = post(&input.request_id, &input.text);
        post.schedule_time = input.schedule_time;
        Ok(Response::new(CreatePostResponse { post: Some(post) }))
    }

    async fn get_post(&self, request: Request<GetPostRequest>) -> Answer<GetPostResponse> {
        self.0.note(&request);
        let id = request.into_inner().post_id;
        match id.as_str() {
            "missing" => Err(to_status(Trouble::Missing)),
            "limited" => Err(to_status(Trouble::Limited)),
            "sent" => Err(to_status(Trouble::Sent)),
            "broken" => Err(to_status(Trouble::Broken)),
            "slow" => std::future::pending().await,
            _ => Ok(Response::new(GetPostResponse { post: Some(post(&id, "")) })),
        }
    }

    async fn list_posts(&self, request: Request<ListPostsRequest>) -> Answer<ListPostsResponse> {
        self.0.note(&request);
        let input = request.into_inner();
        let posts = vec![post(&input.page_size.to_string(), &input.filter)];
        Ok(Response::new(ListPostsResponse { posts, next_page_token: input.page_token }))
    }

    async fn cancel_post(&self, request: Request<CancelPostRequest>) -> Answer<CancelPostResponse> {
        self.0.note(&request);
        let input = request.into_inner();
        Ok(Response::new(CancelPostResponse { post: Some(post(&input.post_id, &input.etag)) }))
    }

    async fn update_post(&self, request: Request<UpdatePostRequest>) -> Answer<UpdatePostResponse> {
        self.0.note(&request);
        let input = request.into_inner();
        let mask = input.update_mask.map(|mask| mask.paths.join(",")).unwrap_or_default();
        Ok(Response::new(UpdatePostResponse { post: Some(post(&input.post_id, &mask)) }))
    }

    async fn watch_posts(&self, request: Request<WatchPostsRequest>) -> Answer<Self::WatchPostsStream> {
        self.0.note(&request);
        let input = request.into_inner();
        let ids = input.post_ids.clone();
        let items = ids.into_iter().map(|id| match id.as_str() {
            "missing" => Err(to_status(Trouble::Missing)),
            _ => Ok(WatchPostsResponse { post: Some(post(&id, "")) }),
        });
        let items = stream::iter(items);
        Ok(Response::new(if input.until_final {
            items.boxed()
        } else {
            items.chain(stream::pending()).boxed()
        }))
    }

    absent! {
        delete_post(DeletePostRequest) -> DeletePostResponse;
        schedule_post(SchedulePostRequest) -> SchedulePostResponse;
        retry_target(RetryTargetRequest) -> RetryTargetResponse;
        confirm_target(ConfirmTargetRequest) -> ConfirmTargetResponse;
        list_target_events(ListTargetEventsRequest) -> ListTargetEventsResponse;
    }
}

/// Bytes of the file that is shared under the token `good`.
pub(crate) const SHARED: usize = 3_000_000;

/// Stands for media: takes the upload `file` with the token `good`, and shares a file under that token, and one that
/// never ends under `endless`.
pub(crate) struct Media;

#[tonic::async_trait]
impl MediaService for Media {
    type ReadRenditionStream = Pin<Box<dyn Stream<Item = Result<ReadRenditionResponse, Status>> + Send>>;
    type ReadShareStream = Pin<Box<dyn Stream<Item = Result<ReadShareResponse, Status>> + Send>>;

    async fn read_share(&self, request: Request<ReadShareRequest>) -> Answer<Self::ReadShareStream> {
        let asked = request.into_inner();
        if !matches!(&*asked.token, "good" | "endless") {
            return Err(Status::not_found("there is no such public address"));
        }
        let size = SHARED as i64;
        let range = asked.range.unwrap_or_default();
        let (first, end) = match (range.first, range.last) {
            (None, Some(last)) => (size - last, size),
            (first, last) => (first.unwrap_or(0), last.map_or(size, |last| (last + 1).min(size))),
        };
        let (offset, length) = (first, (end - first).max(0));
        let info = ShareInfo { content_type: "video/mp4".into(), size_bytes: size, offset, length };
        let message = |part| Ok(ReadShareResponse { part: Some(part) });
        let bytes: Vec<u8> = (offset..offset + length).map(|at| at as u8).collect();
        let chunks: Vec<_> = bytes
            .chunks(64 * 1024)
            .take(if asked.only_info { 0 } else { usize::MAX })
            .map(|chunk| message(read_share_response::Part::Chunk(chunk.to_vec().into())))
            .collect();
        let parts = stream::iter([message(read_share_response::Part::Info(info))]);
        if asked.token == "endless" && !asked.only_info {
            return Ok(Response::new(parts.chain(stream::pending()).boxed()));
        }
        Ok(Response::new(parts.chain(stream::iter(chunks)).boxed()))
    }

    async fn write_upload(
        &self,
        request: Request<Streaming<WriteUploadRequest>>,
    ) -> Answer<WriteUploadResponse> {
        let mut parts = request.into_inner();
        let (mut size_bytes, mut allowed) = (0, false);
        while let Some(part) = parts.message().await? {
            match part.part {
                Some(Part::Ticket(ticket)) => allowed = ticket.upload_id == "file" && ticket.token == "good",
                Some(Part::Chunk(chunk)) if allowed => size_bytes += chunk.len() as i64,
                _ => return Err(Status::permission_denied("the upload's credential is not valid")),
            }
        }
        Ok(Response::new(WriteUploadResponse { size_bytes }))
    }

    absent! {
        create_upload(CreateUploadRequest) -> CreateUploadResponse;
        complete_upload(CompleteUploadRequest) -> CompleteUploadResponse;
        get_media(GetMediaRequest) -> GetMediaResponse;
        list_media(ListMediaRequest) -> ListMediaResponse;
        delete_media(DeleteMediaRequest) -> DeleteMediaResponse;
        batch_get_media(BatchGetMediaRequest) -> BatchGetMediaResponse;
        replace_holds(ReplaceHoldsRequest) -> ReplaceHoldsResponse;
        read_rendition(ReadRenditionRequest) -> Self::ReadRenditionStream;
        create_share(CreateShareRequest) -> CreateShareResponse;
        revoke_share(RevokeShareRequest) -> RevokeShareResponse;
    }
}

/// Stands for the publisher's accounts: the state of an authorization says what becomes of it.
pub(crate) struct Accounts;

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn receive_authorization(
        &self,
        request: Request<ReceiveAuthorizationRequest>,
    ) -> Answer<ReceiveAuthorizationResponse> {
        let input = request.into_inner();
        let answer = |return_path: &str| ReceiveAuthorizationResponse {
            return_path: return_path.into(),
            connection_id: "0190-c".into(),
            network_display_name: "<Mastodon>".into(),
            refused: input.error == "access_denied",
        };
        match input.state.as_str() {
            "page" => Ok(Response::new(answer(""))),
            "path" if input.code == "a b" && input.issuer == "https://m.example" => {
                Ok(Response::new(answer("/accounts?tab=1")))
            }
            "evil" => Ok(Response::new(answer("//evil.example"))),
            _ => Err(Status::failed_precondition("the state <b> is not known")),
        }
    }

    absent! {
        begin_connect(BeginConnectRequest) -> BeginConnectResponse;
        complete_connect(CompleteConnectRequest) -> CompleteConnectResponse;
        connect_with_password(ConnectWithPasswordRequest) -> ConnectWithPasswordResponse;
        fit_content(FitContentRequest) -> FitContentResponse;
        get_account(GetAccountRequest) -> GetAccountResponse;
        list_accounts(ListAccountsRequest) -> ListAccountsResponse;
        disconnect_account(DisconnectAccountRequest) -> DisconnectAccountResponse;
    }
}
