//! `accounts connect`, `accounts list`, `accounts disconnect`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use postmesh_proto::publisher::v1::{
    Account, AccountChoice, BeginConnectRequest, CompleteConnectRequest, ConnectMethod,
    ConnectWithPasswordRequest, DisconnectAccountRequest, ListAccountsRequest,
    account_service_client::AccountServiceClient,
};

use super::{networks, session::password};
use crate::client::{Server, Session, explain, is_pending, request_id};

const ASK_EVERY: Duration = Duration::from_secs(1);

/// Connect and list accounts.
#[derive(Debug, Args)]
pub(crate) struct Accounts {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Connect an account (the mesh is named before the verb: `accounts --server URL connect …`)
    Connect(Connect),
    /// List the workspace's accounts
    List(List),
    /// Disconnect an account: its tokens are revoked and destroyed
    Disconnect(Disconnect),
}

#[derive(Debug, Args)]
struct Connect {
    /// Network, such as `mastodon` or `bluesky`
    network: String,
    /// The network's server the account lives on, such as `mastodon.example`
    #[arg(long, value_name = "URL", default_value = "")]
    server: String,
    /// Handle or e-mail address, for networks that take an app password
    #[arg(long)]
    handle: Option<String>,
    /// Read the app password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    /// Where one login yields several accounts (pages, organizations, channels): `all`, or native ids separated by commas
    #[arg(long, value_name = "all|ID,…")]
    choose: Option<String>,
    /// Print the account as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
struct Disconnect {
    /// The account's id, from `accounts list`
    account: String,
}

impl Accounts {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Connect(verb) => verb.run(&mut self.server.session().await?).await,
            Verb::List(verb) => {
                let server = if verb.server.is_given() { &verb.server } else { &self.server };
                let mut session = server.session().await?;
                verb.run(&mut session).await
            }
            Verb::Disconnect(verb) => verb.run(&mut self.server.session().await?).await,
        }
    }
}

impl Connect {
    async fn run(self, session: &mut Session) -> anyhow::Result<ExitCode> {
        let networks = networks::all(session).await?;
        let Some(network) = networks.iter().find(|network| network.id == self.network) else {
            let known: Vec<_> = networks.iter().map(|network| network.id.as_str()).collect();
            bail!("there is no network `{}`; there are: {}", self.network, known.join(", "));
        };
        let takes = |method: ConnectMethod| network.connect_methods().any(|known| known == method);
        let by_token = takes(ConnectMethod::Token);
        let accounts = match self.handle {
            Some(identifier) if by_token || takes(ConnectMethod::AppPassword) => {
                let login = Login { network: self.network, server: self.server, identifier };
                login.run(session, self.password_stdin).await?
            }
            Some(_) => bail!("{} is connected in the browser; leave --handle out", network.display_name),
            None if takes(ConnectMethod::Oauth) => {
                in_browser(session, self.network, self.server, self.choose.as_deref()).await?
            }
            None if by_token => {
                let login = Login { network: self.network, server: self.server, identifier: String::new() };
                login.run(session, self.password_stdin).await?
            }
            None => bail!(
                "{} is connected with an app password; name the account with --handle",
                network.display_name
            ),
        };
        for account in &accounts {
            print(account, self.json);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A way in without a browser.
struct Login {
    network: String,
    server: String,
    identifier: String,
}

impl Login {
    async fn run(self, session: &mut Session, from_stdin: bool) -> anyhow::Result<Vec<Account>> {
        let request = ConnectWithPasswordRequest {
            network: self.network,
            server: self.server,
            identifier: self.identifier,
            password: password(from_stdin)?,
            request_id: request_id(),
        };
        let mut accounts = AccountServiceClient::new(session.channel());
        let answer = accounts.connect_with_password(session.request(request).await?).await;
        let account = answer.map_err(|s| explain(&s))?.into_inner().account;
        Ok(vec![account.context("the mesh answered no account")?])
    }
}

/// Sends the user to the network and waits until they come back; then connects what they chose of the login.
async fn in_browser(
    session: &mut Session,
    network: String,
    server: String,
    choose: Option<&str>,
) -> anyhow::Result<Vec<Account>> {
    let mut accounts = AccountServiceClient::new(session.channel());
    let begin = BeginConnectRequest { network, server, return_path: String::new(), request_id: request_id() };
    let begun =
        accounts.begin_connect(session.request(begin).await?).await.map_err(|s| explain(&s))?.into_inner();
    eprintln!("open this address in a browser and allow the access:\n\n  {}\n", begun.authorization_url);
    eprintln!("waiting (Ctrl-C gives up) …");
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let complete =
            CompleteConnectRequest { connection_id: begun.connection_id.clone(), native_ids: Vec::new() };
        match accounts.complete_connect(session.request(complete).await?).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                if answer.choices.is_empty() {
                    return Ok(answer.accounts);
                }
                return choice(session, begun.connection_id, answer.choices, choose).await;
            }
            Err(status) if is_pending(&status) => {}
            Err(status) => return Err(explain(&status)),
        }
    }
}

/// Connects those of a login's accounts that were named, or asks which.
async fn choice(
    session: &mut Session,
    connection_id: String,
    choices: Vec<AccountChoice>,
    choose: Option<&str>,
) -> anyhow::Result<Vec<Account>> {
    let asked = if let Some(choose) = choose {
        choose.to_owned()
    } else {
        eprintln!("this login yields several accounts:\n");
        for choice in &choices {
            eprintln!("  {:<28} {}  {}", choice.native_id, choice.handle, choice.display_name);
        }
        eprintln!("\ntype their ids separated by commas, or `all`:");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("cannot read the choice")?;
        line
    };
    let native_ids: Vec<String> = if asked.trim() == "all" {
        choices.into_iter().map(|choice| choice.native_id).collect()
    } else {
        asked.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
    };
    if native_ids.is_empty() {
        bail!("nothing was chosen; connect again");
    }
    let complete = CompleteConnectRequest { connection_id, native_ids };
    let mut accounts = AccountServiceClient::new(session.channel());
    let answer =
        accounts.complete_connect(session.request(complete).await?).await.map_err(|s| explain(&s))?;
    Ok(answer.into_inner().accounts)
}

impl List {
    async fn run(self, session: &mut Session) -> anyhow::Result<ExitCode> {
        let accounts = all(session).await?;
        if accounts.is_empty() && !self.json {
            println!("no account is connected yet; `postmesh accounts connect <network>` connects one");
        }
        for account in &accounts {
            print(account, self.json);
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Disconnect {
    async fn run(self, session: &mut Session) -> anyhow::Result<ExitCode> {
        let request = DisconnectAccountRequest { account_id: self.account, request_id: request_id() };
        let mut accounts = AccountServiceClient::new(session.channel());
        let answer =
            accounts.disconnect_account(session.request(request).await?).await.map_err(|s| explain(&s))?;
        print(&answer.into_inner().account.unwrap_or_default(), false);
        Ok(ExitCode::SUCCESS)
    }
}

/// Every account of the workspace that is not disconnected.
pub(super) async fn all(session: &mut Session) -> anyhow::Result<Vec<Account>> {
    let mut client = AccountServiceClient::new(session.channel());
    let mut accounts = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = ListAccountsRequest { page_size: 200, page_token, show_disconnected: false };
        let page =
            client.list_accounts(session.request(list).await?).await.map_err(|s| explain(&s))?.into_inner();
        accounts.extend(page.accounts);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(accounts);
        }
    }
}

fn print(account: &Account, json: bool) {
    let state = account.state().as_str_name().trim_start_matches("ACCOUNT_STATE_").to_lowercase();
    if json {
        let shown = serde_json::json!({"id": account.id, "network": account.network, "server": account.server,
            "native_id": account.native_id, "handle": account.handle, "state": state});
        println!("{shown}");
    } else {
        println!(
            "{}  {:<21} {:<32} {state}  {}",
            account.id, account.network, account.handle, account.state_message
        );
    }
}
