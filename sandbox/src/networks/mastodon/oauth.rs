//! Apps, and the page where a person agrees. Codes live ten minutes and work once.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    Answer, Refusal, ok, page,
    state::{Account, App, Code, Event},
    token::{covers, live, words},
};
use crate::{
    crypto,
    networks::Network,
    params::Params,
    web,
    world::{self, Ctx},
};

const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
const CODE_TTL_MS: i64 = 600_000;
const SCOPES: &[&str] = &[
    "read",
    "profile",
    "write",
    "write:accounts",
    "write:blocks",
    "write:bookmarks",
    "write:conversations",
    "write:favourites",
    "write:filters",
    "write:follows",
    "write:lists",
    "write:media",
    "write:mutes",
    "write:notifications",
    "write:reports",
    "write:statuses",
    "read:accounts",
    "read:blocks",
    "read:bookmarks",
    "read:favourites",
    "read:filters",
    "read:follows",
    "read:lists",
    "read:mutes",
    "read:notifications",
    "read:search",
    "read:statuses",
    "follow",
    "push",
    "admin:read",
    "admin:read:accounts",
    "admin:read:reports",
    "admin:read:domain_allows",
    "admin:read:domain_blocks",
    "admin:read:ip_blocks",
    "admin:write",
    "admin:write:accounts",
    "admin:write:reports",
    "admin:write:domain_allows",
    "admin:write:domain_blocks",
    "admin:write:ip_blocks",
];

/// Only Mastodon has it, since 4.3.
pub(crate) async fn metadata(State(ctx): State<Ctx>, Extension(network): Extension<Network>) -> Response {
    if network != Network::Mastodon {
        return super::not_found().await;
    }
    let base = ctx.base(network);
    ok(&json!({
        "issuer": format!("{base}/"),
        "service_documentation": "https://docs.joinmastodon.org/",
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "app_registration_endpoint": format!("{base}/api/v1/apps"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "userinfo_endpoint": format!("{base}/oauth/userinfo"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
    }))
}

pub(crate) async fn register(State(ctx): State<Ctx>, params: Params) -> Answer {
    let name = params
        .present("client_name")
        .ok_or_else(|| Refusal::invalid("Validation failed: Application name can't be blank"))?;
    let uris: Vec<String> = params
        .list("redirect_uris")
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(str::to_owned)
        .collect();
    if uris.is_empty() {
        return Err(Refusal::invalid("Validation failed: Redirect URI can't be blank"));
    }
    if uris.iter().any(|uri| uri != OUT_OF_BAND && url::Url::parse(uri).is_err()) {
        return Err(Refusal::invalid("Validation failed: Redirect URI must be an absolute URI."));
    }
    let scopes = words(&params.present("scopes").unwrap_or_else(|| "read".to_owned()));
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Refusal::invalid("Validation failed: Scopes doesn't match configured on the server."));
    }
    let mut world = ctx.world();
    let app = App {
        id: world.mastodon.next_id(ctx.now_ms()),
        name,
        website: params.present("website"),
        redirect_uris: uris,
        scopes,
        client_id: crypto::token::<32>(),
        client_secret: crypto::token::<32>(),
    };
    let body = json!({
        "id": app.id.to_string(),
        "name": app.name,
        "website": app.website,
        "scopes": app.scopes,
        "redirect_uris": app.redirect_uris,
        "redirect_uri": app.redirect_uris.join("\n"),
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "client_secret_expires_at": 0,
        "vapid_key": "",
    });
    world.commit(world::Event::Mastodon(Event::App(app)))?;
    Ok(ok(&body))
}

pub(crate) async fn verify_app(State(ctx): State<Ctx>, headers: HeaderMap) -> Answer {
    let world = ctx.world();
    let token = live(&world, &headers)?;
    let app = world.mastodon.app(&token.client_id).ok_or_else(Refusal::not_found)?;
    Ok(ok(&json!({"id": app.id.to_string(), "name": app.name, "website": app.website, "scopes": app.scopes,
        "redirect_uris": app.redirect_uris, "redirect_uri": app.redirect_uris.join("\n"), "vapid_key": ""})))
}

/// What an authorization request asks for, once it is known to be a fair question.
struct Question {
    app: App,
    redirect_uri: String,
    scopes: Vec<String>,
    state: Option<String>,
    challenge: Option<String>,
}

impl Question {
    /// A bad client or redirect is told to the person; the rest goes back to the app.
    fn read(ctx: &Ctx, params: &Params) -> Result<Self, Box<Response>> {
        let told = |text: &str| Box::new(web::html(StatusCode::BAD_REQUEST, page::problem(text)));
        let client_id = params.present("client_id").unwrap_or_default();
        let app = ctx.world().mastodon.app(&client_id).cloned().ok_or_else(|| {
            let text = "Client authentication failed due to unknown client, no client authentication included, or \
                        unsupported authentication method.";
            Box::new(web::html(StatusCode::UNAUTHORIZED, page::problem(text)))
        })?;
        let redirect_uri = params.present("redirect_uri").unwrap_or_else(|| app.redirect_uris[0].clone());
        if !app.redirect_uris.contains(&redirect_uri) {
            return Err(told(
                "The requested redirect uri is malformed or doesn't match client redirect URI.",
            ));
        }
        let question = Self {
            scopes: words(&params.present("scope").unwrap_or_else(|| "read".to_owned())),
            state: params.text("state"),
            challenge: params.present("code_challenge"),
            app,
            redirect_uri,
        };
        let back =
            |error, text| Err(Box::new(question.back(&[("error", error), ("error_description", text)])));
        if params.present("response_type").as_deref() != Some("code") {
            return back(
                "unsupported_response_type",
                "The authorization server does not support this response type.",
            );
        }
        if question.scopes.iter().any(|scope| !covers(&question.app.scopes, scope)) {
            return back("invalid_scope", "The requested scope is invalid, unknown, or malformed.");
        }
        let method = params.present("code_challenge_method");
        if question.challenge.is_some() && method.as_deref() != Some("S256") {
            return back("invalid_request", "The code_challenge_method must be S256.");
        }
        Ok(question)
    }

    /// Sends the browser back to the app with these parameters and the state.
    fn back(&self, answer: &[(&str, &str)]) -> Response {
        if self.redirect_uri == OUT_OF_BAND {
            let (_, text) = answer[answer.len() - 1];
            return web::html(StatusCode::OK, page::code(&self.app.name, answer[0].0, text));
        }
        let mut url = url::Url::parse(&self.redirect_uri).expect("checked when the app was registered");
        for (key, value) in answer {
            url.query_pairs_mut().append_pair(key, value);
        }
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        let location = HeaderValue::from_str(url.as_str()).expect("a parsed URL is printable ASCII");
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    }
}

/// The page where a person chooses an account and agrees or declines.
pub(crate) async fn ask(
    State(ctx): State<Ctx>,
    Extension(network): Extension<Network>,
    params: Params,
) -> Response {
    let question = match Question::read(&ctx, &params) {
        Ok(question) => question,
        Err(response) => return *response,
    };
    let fields: Vec<(&str, String)> = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
    ]
    .into_iter()
    .filter_map(|name| params.text(name).map(|value| (name, value)))
    .collect();
    let accounts: Vec<Account> = ctx.world().mastodon.accounts().cloned().collect();
    let action = format!("{}/oauth/authorize", ctx.base(network));
    web::html(
        StatusCode::OK,
        page::consent(&action, &question.app.name, &question.scopes, &accounts, &fields),
    )
}

/// The form of that page: `account` and `decision=authorize|deny` beside the parameters of the question.
pub(crate) async fn decide(State(ctx): State<Ctx>, params: Params) -> Answer {
    let question = match Question::read(&ctx, &params) {
        Ok(question) => question,
        Err(response) => return Ok(*response),
    };
    if params.text("decision").as_deref() != Some("authorize") {
        let text = "The resource owner or authorization server denied the request.";
        return Ok(question.back(&[("error", "access_denied"), ("error_description", text)]));
    }
    let mut world = ctx.world();
    let handle = params.present("account").unwrap_or_default();
    let Some(account) =
        world.mastodon.account_named(handle.trim_start_matches('@')).map(|account| account.id)
    else {
        return Ok(web::html(StatusCode::BAD_REQUEST, page::problem("There is no such account here.")));
    };
    let code = Code {
        secret: crypto::token::<32>(),
        client_id: question.app.client_id.clone(),
        account,
        redirect_uri: question.redirect_uri.clone(),
        scopes: question.scopes.clone(),
        challenge: question.challenge.clone(),
        expires_ms: ctx.now_ms() + CODE_TTL_MS,
    };
    let text = code.secret.clone();
    world.commit(world::Event::Mastodon(Event::Code(code)))?;
    Ok(question.back(&[("code", &text)]))
}
