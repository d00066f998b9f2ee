//! `register`, `login`, `logout`.

use std::{
    io::{IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use postmesh_proto::auth::v1::{
    LoginRequest, LogoutRequest, RegisterRequest, Session, User, Workspace,
    auth_service_client::AuthServiceClient,
};

use crate::client::{self, Logins, Server, explain, request_id};

/// Register a user and a workspace, and sign in.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// E-mail address
    #[arg(long)]
    email: String,
    /// Your name; taken from the address when left out
    #[arg(long, default_value = "")]
    name: String,
    /// The workspace's name
    #[arg(long, default_value = "")]
    workspace: String,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    server: Server,
}

/// Sign in.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// E-mail address
    #[arg(long)]
    email: String,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    server: Server,
}

/// Sign out.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    server: Server,
}

impl Register {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (address, channel) = self.server.connect().await?;
        let request = RegisterRequest {
            email: self.email,
            password: password(self.password_stdin)?,
            display_name: self.name,
            workspace_display_name: self.workspace,
            request_id: request_id(),
        };
        let answer =
            AuthServiceClient::new(channel).register(request).await.map_err(|s| explain(&s))?.into_inner();
        keep(&address, answer.user, answer.workspace, answer.session)
    }
}

impl Login {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let (address, channel) = self.server.connect().await?;
        let request = LoginRequest { email: self.email, password: password(self.password_stdin)? };
        let answer =
            AuthServiceClient::new(channel).login(request).await.map_err(|s| explain(&s))?.into_inner();
        keep(&address, answer.user, answer.workspace, answer.session)
    }
}

impl Logout {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let address = self.server.address()?;
        let Some(login) = Logins::read()?.logins.remove(&address) else {
            bail!("not signed in to {address}");
        };
        let (_, channel) = self.server.connect().await?;
        let request = LogoutRequest { refresh_token: login.refresh_token };
        AuthServiceClient::new(channel).logout(request).await.map_err(|s| explain(&s))?;
        Logins::change(|logins| {
            logins.logins.remove(&address);
            if logins.current.as_deref() == Some(&*address) {
                logins.current = None;
            }
        })?;
        println!("signed out of {address}");
        Ok(ExitCode::SUCCESS)
    }
}

fn keep(
    address: &str,
    user: Option<User>,
    workspace: Option<Workspace>,
    session: Option<Session>,
) -> anyhow::Result<ExitCode> {
    let email = user.unwrap_or_default().email;
    let workspace = workspace.unwrap_or_default().display_name;
    let login = client::Login::new(&email, &workspace, session.context("the mesh answered no session")?);
    Logins::change(|logins| {
        logins.logins.insert(address.to_owned(), login);
        logins.current = Some(address.to_owned());
    })?;
    println!("signed in to {address} as {email}, workspace {workspace}");
    Ok(ExitCode::SUCCESS)
}

/// A password from standard input (its first line) or asked for without echo.
pub(super) fn password(from_stdin: bool) -> anyhow::Result<String> {
    if from_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the password from standard input")?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password; use --password-stdin");
    }
    rpassword::prompt_password("password: ").context("cannot read the password")
}
