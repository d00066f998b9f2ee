//! The demo workspace of `up --sandbox`: a user, an account on every sandbox network, one welcome post with a
//! picture. It is made through the public door, as any client would; each step looks first whether it is done.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use data_encoding::BASE32_NOPAD;
use postmesh_kit::{
    clock::{Clock as _, SystemClock},
    time::to_proto,
    tls::write_new,
};
use postmesh_proto::{
    auth::v1::{LoginRequest, RegisterRequest, auth_service_client::AuthServiceClient},
    publisher::v1::{
        Account, BeginConnectRequest, CompleteConnectRequest, ConnectMethod, ConnectWithPasswordRequest,
        FitContentRequest, ListAccountsRequest, ListNetworksRequest, TextFit,
        account_service_client::AccountServiceClient, network_service_client::NetworkServiceClient,
    },
    scheduler::v1::{
        CreatePostRequest, ListPostsRequest, PostMedia, TargetInput, WatchPostsRequest,
        post_service_client::PostServiceClient,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Code;
use url::Url;

use crate::{
    client::{Login, Logins, Server, Session, explain, http, request_id, upload},
    stand_ins::stand_in,
};

const EMAIL: &str = "demo@example.com";
const WELCOME: &str = "Hello from postmesh! Written once, published everywhere, exactly once. #postmesh";
const PICTURE: &[u8] = include_bytes!("../assets/welcome.png");
const PICTURE_ALT: &str = "The word postmesh, with lines that run from one point to many";

/// The demo user's password, made at the first start and kept beside the data.
#[derive(Serialize, Deserialize)]
struct Demo {
    email: String,
    password: String,
}

/// Makes what is missing of the demo workspace, signs this machine's command line in, and says what to try.
pub(crate) async fn prepare(folder: &Path, gateway: SocketAddr, sandbox: &str) -> anyhow::Result<()> {
    let demo = Demo::open(&folder.join("demo.json"))?;
    let server = format!("http://{gateway}");
    sign_in(&server, &demo).await?;
    let mut session = Server::at(server.clone()).session().await?;
    let accounts = connect(&mut session, sandbox).await?;
    let first = welcome(&mut session, accounts).await?;
    println!("\nsigned in as {} (password {})", demo.email, demo.password);
    if first {
        println!("a welcome post is out: look at {sandbox}/");
    }
    println!("\ntry next, in another terminal:");
    let own = std::env::current_exe()
        .ok()
        .filter(|path| path.components().any(|part| part.as_os_str() == "target"));
    let program = own.map_or_else(|| "postmesh".to_owned(), |path| relative(&path).display().to_string());
    println!("  {program} post \"hello\" --to all --in 3s --wait");
    println!("  {program} accounts list");
    println!("  {program} watch");
    Ok(())
}

/// A path as it is typed from the working folder.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned())
}

impl Demo {
    fn open(path: &Path) -> anyhow::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let password = BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_lowercase();
                let demo = Self { email: EMAIL.to_owned(), password };
                write_new(path, &serde_json::to_vec_pretty(&demo)?, 0o600)?;
                Ok(demo)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn sign_in(server: &str, demo: &Demo) -> anyhow::Result<()> {
    let (_, channel) = Server::at(server.to_owned()).connect().await?;
    let mut auth = AuthServiceClient::new(channel);
    let login = LoginRequest { email: demo.email.clone(), password: demo.password.clone() };
    let (workspace, session) = match auth.login(login).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            (answer.workspace, answer.session)
        }
        Err(status) if status.code() == Code::Unauthenticated => {
            let request = RegisterRequest {
                email: demo.email.clone(),
                password: demo.password.clone(),
                display_name: "Demo".to_owned(),
                workspace_display_name: "Demo".to_owned(),
                request_id: request_id(),
            };
            let answer = auth.register(request).await.map_err(|s| explain(&s))?.into_inner();
            (answer.workspace, answer.session)
        }
        Err(status) => return Err(explain(&status)),
    };
    let session = session.context("the mesh answered no session")?;
    let login = Login::new(&demo.email, &workspace.unwrap_or_default().display_name, session);
    Logins::change(|logins| {
        logins.logins.insert(server.to_owned(), login);
        logins.current = Some(server.to_owned());
    })
}

/// One account per sandbox network; answers the ids of all.
async fn connect(session: &mut Session, sandbox: &str) -> anyhow::Result<Vec<String>> {
    let mut client = AccountServiceClient::new(session.channel());
    let list = ListAccountsRequest { page_size: 200, ..Default::default() };
    let there = client
        .list_accounts(session.request(list).await?)
        .await
        .map_err(|s| explain(&s))?
        .into_inner()
        .accounts;
    let networks = NetworkServiceClient::new(session.channel())
        .list_networks(session.request(ListNetworksRequest {}).await?)
        .await
        .map_err(|s| explain(&s))?
        .into_inner()
        .networks;
    let known: Vec<Value> = http().get(format!("{sandbox}/_sandbox/accounts")).send().await?.json().await?;
    let mut ids: Vec<_> = there.iter().map(|account| account.id.clone()).collect();
    for network in networks.iter().filter(|network| network.available) {
        if there.iter().any(|account| account.network == network.id) {
            continue;
        }
        let server = format!("{sandbox}/{}", stand_in(&network.id));
        let is_beside = network.needs_server || network.id == "bluesky" || network.default_server == server;
        if !is_beside {
            continue; // a real network: its owner connects it
        }
        let by_password = network
            .connect_methods()
            .any(|method| matches!(method, ConnectMethod::AppPassword | ConnectMethod::Token));
        let account = if by_password {
            let mine = |account: &&Value| {
                account["network"] == stand_in(&network.id)
                    && account["handle"].as_str().is_some_and(|handle| handle.starts_with("demo"))
            };
            let demo = known.iter().find(mine).context("the sandbox has no demo account there")?;
            let told = |name: &str| demo[name].as_str().unwrap_or_default().to_owned();
            let request = ConnectWithPasswordRequest {
                network: network.id.clone(),
                server,
                identifier: told("identifier"),
                password: told("password"),
                request_id: request_id(),
            };
            client
                .connect_with_password(session.request(request).await?)
                .await
                .map_err(|s| explain(&s))?
                .into_inner()
                .account
        } else {
            in_browser(session, network.id.clone(), server).await?
        };
        ids.push(account.context("no account was answered")?.id);
    }
    Ok(ids)
}

/// Connects the first account of a login at a sandbox network's page.
async fn in_browser(
    session: &mut Session,
    network: String,
    server: String,
) -> anyhow::Result<Option<Account>> {
    let mut client = AccountServiceClient::new(session.channel());
    let begin = BeginConnectRequest { network, server, return_path: String::new(), request_id: request_id() };
    let begun =
        client.begin_connect(session.request(begin).await?).await.map_err(|s| explain(&s))?.into_inner();
    allow_as("demo", &begun.authorization_url).await?;
    let mut native_ids = Vec::new();
    loop {
        let complete = CompleteConnectRequest { connection_id: begun.connection_id.clone(), native_ids };
        let answer = client
            .complete_connect(session.request(complete).await?)
            .await
            .map_err(|s| explain(&s))?
            .into_inner();
        match answer.choices.into_iter().next() {
            Some(first) => native_ids = vec![first.native_id],
            None => return Ok(answer.account),
        }
    }
}

/// Does what a person does in the browser at a sandbox network: allows the access and follows the way back.
pub(crate) async fn allow_as(account: &str, authorization_url: &str) -> anyhow::Result<()> {
    let mut page = Url::parse(authorization_url)?;
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.extend(
        [("account", account), ("decision", "authorize")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    page.set_query(None);
    let answer = http().post(page).form(&form).send().await?;
    let Some(back) = answer.headers().get("location").and_then(|to| to.to_str().ok()) else {
        bail!("the sandbox did not send the browser back (status {})", answer.status());
    };
    let landed = http().get(back).send().await?;
    let fine = landed.status().is_success() || landed.status().is_redirection();
    ensure!(fine, "the callback page answered {}", landed.status());
    Ok(())
}

/// Publishes the welcome post unless the workspace has posts; true when it did.
async fn welcome(session: &mut Session, accounts: Vec<String>) -> anyhow::Result<bool> {
    let mut posts = PostServiceClient::new(session.channel());
    let list = ListPostsRequest { page_size: 1, ..Default::default() };
    let there =
        posts.list_posts(session.request(list).await?).await.map_err(|s| explain(&s))?.into_inner().posts;
    if !there.is_empty() {
        return Ok(false);
    }
    let picture =
        upload::this(session, "welcome.png".to_owned(), PICTURE.to_vec(), PICTURE_ALT, true).await?;
    let fit = FitContentRequest {
        text: WELCOME.to_owned(),
        media_types: vec![picture.content_type.clone()],
        account_ids: accounts,
        text_fit: TextFit::Shorten.into(),
        fit_media: true,
    };
    let mut client = AccountServiceClient::new(session.channel());
    let fitted = client.fit_content(session.request(fit).await?).await.map_err(|s| explain(&s))?;
    // Networks that take videos alone begin without a post.
    let takes_it = fitted.into_inner().contents.into_iter().filter(|content| !content.media.is_empty());
    let targets = takes_it.map(|content| TargetInput {
        account_id: content.account_id,
        text: content.parts.into_iter().next(),
        settings: None,
    });
    let create = CreatePostRequest {
        text: WELCOME.to_owned(),
        media: vec![PostMedia { media_id: picture.id, alt_text: String::new() }],
        targets: targets.collect(),
        schedule_time: Some(to_proto(SystemClock.now_ms())),
        request_id: request_id(),
        validate_only: false,
        thread: Vec::new(),
    };
    let created =
        posts.create_post(session.request(create).await?).await.map_err(|s| explain(&s))?.into_inner();
    let post_ids = vec![created.post.context("no post was answered")?.id];
    let watch = session.request(WatchPostsRequest { post_ids, until_final: true }).await?;
    let mut changes = posts.watch_posts(watch).await.map_err(|s| explain(&s))?.into_inner();
    while changes.message().await.map_err(|s| explain(&s))?.is_some() {}
    Ok(true)
}
