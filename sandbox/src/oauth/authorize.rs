//! The page where a person chooses an account and agrees. A bad app or address is told to the person; everything else
//! goes back to the app with the browser.

use std::{collections::BTreeMap, fmt::Write};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{App, Dialect, Pkce, app, words};
use crate::{
    accounts::{self, Account},
    crypto,
    docs::Change,
    pages,
    params::{Params, as_text},
    web::{self, escape},
    world::Ctx,
};

/// What stands behind a code until it is exchanged; its secret is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) account: String,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: Option<String>,
    /// The authorization request, field by field.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) expires_ms: i64,
}

/// The authorization page of a network: GET asks, POST with `account` and `decision=authorize|deny` beside the fields
/// of the question decides.
pub(crate) fn page(dialect: &'static Dialect) -> MethodRouter<Ctx> {
    get(async move |State(ctx): State<Ctx>, params: Params| ask(&ctx, dialect, &params))
        .post(async move |State(ctx): State<Ctx>, params: Params| decide(&ctx, dialect, &params))
}

/// What an app asks for, once it is known to be a fair question.
struct Question {
    app: App,
    redirect_uri: Url,
    /// As it was written, for the exchange compares it so.
    redirect_text: String,
    scopes: Vec<String>,
    challenge: Option<String>,
    fields: BTreeMap<String, String>,
}

impl Question {
    fn read(ctx: &Ctx, dialect: &Dialect, params: &Params) -> Result<Self, Box<Response>> {
        let told = |text: &str| Box::new(web::html(StatusCode::BAD_REQUEST, pages::missing(text)));
        let client_id = params.present(dialect.client_field).unwrap_or_default();
        let app = app(&ctx.world(), dialect.network, &client_id)
            .ok_or_else(|| told("This app is not known here: its id is wrong."))?;
        let redirect_text = params.present("redirect_uri").unwrap_or_default();
        let redirect_uri = Url::parse(&redirect_text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .filter(|_| app.redirect_uris.is_empty() || app.redirect_uris.contains(&redirect_text))
            .ok_or_else(|| told("The app wants the browser sent back to an address it may not use."))?;
        let texts = params.fields().iter().filter_map(|(name, value)| Some((name.clone(), as_text(value)?)));
        let question = Self {
            app,
            redirect_uri,
            redirect_text,
            scopes: words(&params.text("scope").unwrap_or_default()),
            challenge: params.present("code_challenge").filter(|_| dialect.pkce != Pkce::None),
            fields: texts.filter(|(name, _)| name != "account" && name != "decision").collect(),
        };
        match question.problem(dialect) {
            Some((error, text)) => {
                Err(Box::new(question.back(dialect, &[("error", error), ("error_description", text)])))
            }
            None => Ok(question),
        }
    }

    /// What the app is told that asks badly.
    fn problem(&self, dialect: &Dialect) -> Option<(&'static str, &'static str)> {
        let field = |name: &str| self.fields.get(name).map(String::as_str);
        let is_known = |scope: &String| dialect.scopes.is_empty() || dialect.scopes.contains(&scope.as_str());
        if field("response_type").is_some_and(|kind| kind != "code") {
            return Some(("unsupported_response_type", "The response type must be code."));
        }
        if !self.scopes.iter().all(is_known) {
            return Some(("invalid_scope", "A requested scope is invalid or unknown."));
        }
        match &self.challenge {
            None if dialect.pkce == Pkce::Required => {
                Some(("invalid_request", "A code challenge is needed."))
            }
            Some(_) if field("code_challenge_method") != Some("S256") => {
                Some(("invalid_request", "The code challenge method must be S256."))
            }
            _ => None,
        }
    }

    /// Sends the browser back to the app with these parameters and the state.
    fn back(&self, dialect: &Dialect, answer: &[(&str, &str)]) -> Response {
        let mut url = self.redirect_uri.clone();
        let state = self.fields.get("state").map(|state| ("state", state.as_str()));
        url.query_pairs_mut().extend_pairs(answer.iter().copied().chain(state));
        if let Some(fragment) = dialect.suffix.strip_prefix('#') {
            url.set_fragment(Some(fragment));
        }
        let location = HeaderValue::from_str(url.as_str()).expect("a parsed URL is printable ASCII");
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    }
}

fn ask(ctx: &Ctx, dialect: &Dialect, params: &Params) -> Response {
    let question = match Question::read(ctx, dialect, params) {
        Ok(question) => question,
        Err(response) => return *response,
    };
    let accounts: Vec<Account> = {
        let world = ctx.world();
        world.docs.all(dialect.network, "account").map(|(_, account)| account).collect()
    };
    let action = format!("{}{}", ctx.base(dialect.network), dialect.authorize_path);
    web::html(StatusCode::OK, consent(dialect, &action, &question, &accounts))
}

fn decide(ctx: &Ctx, dialect: &Dialect, params: &Params) -> Response {
    let question = match Question::read(ctx, dialect, params) {
        Ok(question) => question,
        Err(response) => return *response,
    };
    if params.text("decision").as_deref() != Some("authorize") {
        return question.back(dialect, dialect.denied);
    }
    let mut world = ctx.world();
    let handle = params.present("account").unwrap_or_default();
    let Some(account) = accounts::named(&world, dialect.network, &handle) else {
        return web::html(StatusCode::BAD_REQUEST, pages::missing("There is no such account here."));
    };
    let scopes = question.scopes.join(&dialect.scope_separator.to_string());
    let code = Code {
        account: account.handle,
        client_id: question.app.client_id.clone(),
        redirect_uri: question.redirect_text.clone(),
        scopes: question.scopes.clone(),
        challenge: question.challenge.clone(),
        fields: question.fields.clone(),
        expires_ms: ctx.now_ms() + dialect.code_ms,
    };
    let secret = crypto::token::<32>();
    if let Err(problem) = world.keep(dialect.network, vec![Change::put("code", &secret, &code)]) {
        tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        return question.back(dialect, &[("error", "server_error")]);
    }
    let echoed = dialect.echo_scope.map(|name| (name, scopes.as_str()));
    let answer: Vec<(&str, &str)> = [("code", secret.as_str())].into_iter().chain(echoed).collect();
    question.back(dialect, &answer)
}

fn consent(dialect: &Dialect, action: &str, question: &Question, accounts: &[Account]) -> String {
    let (mut hidden, mut wanted, mut choices) = (String::new(), String::new(), String::new());
    let written = "writing to a string never fails";
    for (name, value) in &question.fields {
        let (name, value) = (escape(name), escape(value));
        write!(hidden, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">").expect(written);
    }
    for scope in &question.scopes {
        write!(wanted, "<li><code>{}</code></li>", escape(scope)).expect(written);
    }
    for (index, account) in accounts.iter().enumerate() {
        let (handle, name) = (escape(&account.handle), escape(&account.display_name));
        let checked = if index == 0 { " checked" } else { "" };
        write!(
            choices,
            "<label class=\"choice\"><input type=\"radio\" name=\"account\" value=\"{handle}\"{checked}> \
             <b>{name}</b> <span class=\"dim\">@{handle}</span></label>"
        )
        .expect(written);
    }
    let asks =
        if wanted.is_empty() { String::new() } else { format!("<p>It asks for:</p><ul>{wanted}</ul>") };
    pages::shell(
        "Authorize",
        &format!(
            "<main class=\"card narrow\"><p class=\"badge {}\">{} stand-in</p><h1>Let {} use your account?</h1>{asks}\
             <form method=\"post\" action=\"{}\">{hidden}<p class=\"dim\">Choose the account:</p>{choices}\
             <p class=\"buttons\"><button name=\"decision\" value=\"authorize\" class=\"primary\">Authorize</button>\
             <button name=\"decision\" value=\"deny\">Deny</button></p></form></main>",
            dialect.network.name(),
            dialect.network.stand_in().title(),
            escape(&question.app.name),
            escape(action),
        ),
    )
}
