//! How accounts of each network are connected. A further network is a line in [`NETWORKS`].

use std::time::Duration;

use anyhow::{Context as _, ensure};
use postmesh_proto::publisher::v1::{
    self as proto, AccountState, BeginConnectRequest, CompleteConnectRequest, ConnectWithPasswordRequest,
    ListAccountsRequest, account_service_client::AccountServiceClient,
};
use tokio::time::Instant;
use url::Url;

use super::{PATIENCE, User, request_id, told};
use crate::rig::{
    Sandbox,
    history::{Account, Class},
    process::http,
};

/// A network the program speaks to and the sandbox plays.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Its id; the stand-in that plays it has the same name.
    pub name: &'static str,
    /// How a lost answer is settled there.
    pub class: Class,
    /// How an account is connected.
    pub way: Way,
    /// What follows the name in a handle.
    pub suffix: &'static str,
    /// What every post needs to carry.
    pub needs: Needs,
    /// Whether it shows descriptions of pictures.
    pub shows_alt: bool,
    /// Whether further parts of a thread have a place there.
    pub threads: bool,
    /// Whether these become comments, which have no handle.
    pub comments: bool,
    /// Whether it says how long to wait when it is asked too much; the others are left alone for an hour or a day.
    pub tells_wait: bool,
}

/// What every post of a network needs to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: a text will do.
    Nothing,
    /// A picture.
    Picture,
    /// A video.
    Video,
}

/// How an account is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With an app password.
    Password,
    /// Through the network's authorization page, where postmesh makes itself known.
    Page,
    /// Through the network's authorization page, with an application that was registered before.
    App,
}

/// The nine main networks, of every class; what is left of the adapters is proven one by one.
pub const NETWORKS: &[Network] = &[
    Network { way: Way::Password, suffix: ".test", tells_wait: true, ..of("bluesky", Class::A) },
    Network { way: Way::Page, tells_wait: true, ..of("mastodon", Class::C) },
    Network { tells_wait: true, ..of("x", Class::D) },
    Network { needs: Needs::Picture, comments: true, ..of("instagram", Class::B) },
    of("linkedin", Class::E),
    of("threads", Class::B),
    of("facebook", Class::D),
    Network { needs: Needs::Video, shows_alt: false, comments: true, ..of("youtube", Class::B) },
    Network { needs: Needs::Video, shows_alt: false, threads: false, ..of("tiktok", Class::B) },
];

/// A network that takes texts, knows our application, and shows descriptions and threads.
const fn of(name: &'static str, class: Class) -> Network {
    Network {
        name,
        class,
        way: Way::App,
        suffix: "",
        needs: Needs::Nothing,
        shows_alt: true,
        threads: true,
        comments: false,
        tells_wait: false,
    }
}

/// The network of that name.
pub fn network(name: &str) -> Option<&'static Network> {
    NETWORKS.iter().find(|network| network.name == name)
}

impl Network {
    /// A handle as this network has them.
    pub fn handle(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }
}

impl User {
    /// The accounts whose authorization was lost, as the mesh says.
    pub async fn disconnected(&self) -> anyhow::Result<Vec<Account>> {
        let request = ListAccountsRequest { page_size: 200, ..Default::default() };
        let answer = self
            .call(request, |channel, request| async move {
                AccountServiceClient::new(channel).list_accounts(request).await
            })
            .await
            .map_err(|status| told("ListAccounts", &status))?;
        let lost: Vec<_> = answer
            .accounts
            .into_iter()
            .filter(|account| account.state() == AccountState::NeedsReconnect)
            .map(|account| account.id)
            .collect();
        Ok(self.client.accounts().into_iter().filter(|account| lost.contains(&account.id)).collect())
    }
}

pub(super) async fn connect(
    user: &User,
    sandbox: &Sandbox,
    network: &Network,
    handle: &str,
) -> anyhow::Result<Account> {
    let made = sandbox.account(network.name, handle).await?;
    let server = format!("http://{}/{}", sandbox.public(), network.name);
    let account = match network.way {
        Way::Password => {
            let password = made["password"].as_str().context("the sandbox answered no password")?;
            with_password(user, network, server, handle, password).await?
        }
        Way::Page | Way::App => over_page(user, network, server, handle).await?,
    };
    Ok(Account {
        id: account.id,
        tenant: user.tenant.clone(),
        network: network.name.to_owned(),
        handle: handle.to_owned(),
        class: network.class,
        comments: network.comments,
        shows_alt: network.shows_alt,
        permits: None,
    })
}

async fn with_password(
    user: &User,
    network: &Network,
    server: String,
    handle: &str,
    password: &str,
) -> anyhow::Result<proto::Account> {
    let request = ConnectWithPasswordRequest {
        network: network.name.to_owned(),
        server,
        identifier: handle.to_owned(),
        password: password.to_owned(),
        request_id: request_id(),
    };
    let answer = user
        .call(request, |channel, request| async move {
            AccountServiceClient::new(channel).connect_with_password(request).await
        })
        .await
        .map_err(|status| told("ConnectWithPassword", &status))?;
    answer.account.context("no account was answered")
}

/// Begins again, as a user does, when the mesh or the network lost its thread on the way.
async fn over_page(
    user: &User,
    network: &Network,
    server: String,
    handle: &str,
) -> anyhow::Result<proto::Account> {
    let until = Instant::now() + PATIENCE;
    loop {
        match once_over_page(user, network, server.clone(), handle).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(200)).await,
            ended => return ended,
        }
    }
}

async fn once_over_page(
    user: &User,
    network: &Network,
    server: String,
    handle: &str,
) -> anyhow::Result<proto::Account> {
    let begin = BeginConnectRequest {
        network: network.name.to_owned(),
        server,
        return_path: String::new(),
        request_id: request_id(),
    };
    let begun = user
        .call(begin, |channel, request| async move {
            AccountServiceClient::new(channel).begin_connect(request).await
        })
        .await
        .map_err(|status| told("BeginConnect", &status))?;
    allow_as(handle, &begun.authorization_url).await?;
    let mut native_ids = Vec::new();
    loop {
        let complete = CompleteConnectRequest { connection_id: begun.connection_id.clone(), native_ids };
        let answer = user
            .call(complete, |channel, request| async move {
                AccountServiceClient::new(channel).complete_connect(request).await
            })
            .await
            .map_err(|status| told("CompleteConnect", &status))?;
        // A login that yields several accounts: the first one.
        match answer.choices.into_iter().next() {
            Some(first) => native_ids = vec![first.native_id],
            None => return answer.account.context("no account was answered"),
        }
    }
}

/// Does what a person does at the network's page: allows the access and follows the way back.
async fn allow_as(handle: &str, authorization_url: &str) -> anyhow::Result<()> {
    let mut page = Url::parse(authorization_url)?;
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.extend(
        [("account", handle), ("decision", "authorize")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    page.set_query(None);
    let answer = http().post(page).form(&form).send().await?;
    let back = answer.headers().get("location").and_then(|to| to.to_str().ok());
    let back = back.with_context(|| format!("the browser was not sent back: {}", answer.status()))?;
    let landed = http().get(back).send().await?;
    let fine = landed.status().is_success() || landed.status().is_redirection();
    ensure!(fine, "the callback page answered {}", landed.status());
    Ok(())
}
