//! The authorization server of the PDS, by the profile of the AT Protocol: pushed requests, PKCE, tokens bound to a key.
//!
//! Invariant: a refresh token works once; presenting a spent one ends the whole session, as the reference server does.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    dpop::{Bad, Part, check, nonce, with_nonce},
    ok,
};
use crate::{
    crypto,
    docs::Change,
    networks::Network,
    pages,
    params::Params,
    refreshes::Outcome,
    web::{self, escape},
    world::{Ctx, World},
};

pub(super) const NETWORK: Network = Network::Bluesky;
const REQUEST_MS: i64 = 300_000;
const CODE_MS: i64 = 60_000;
/// How long a session of a public client lives, milliseconds.
const SESSION_MS: i64 = 14 * 86_400_000;
const SCOPES: [&str; 4] = ["atproto", "transition:generic", "transition:email", "transition:chat.bsky"];

/// A pushed request, and later the code it led to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: Option<String>,
    challenge: String,
    jkt: String,
    expires_ms: i64,
    /// Who agreed, of a code.
    did: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Granted {
    did: String,
    client_id: String,
    scope: String,
    jkt: String,
    expires_ms: i64,
}

/// An access token; its secret is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Access {
    pub(super) session: String,
    pub(super) did: String,
    pub(super) scope: String,
    pub(super) jkt: String,
    pub(super) serial: u64,
    pub(super) expires_ms: i64,
}

/// A refresh token; its secret is its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Renewal {
    session: String,
    used: bool,
}

pub(super) async fn protected_resource(State(ctx): State<Ctx>) -> Response {
    let base = ctx.base(NETWORK);
    ok(&json!({"resource": base, "authorization_servers": [base], "scopes_supported": [],
        "bearer_methods_supported": ["header"], "resource_documentation": "https://atproto.com"}))
}

pub(super) async fn metadata(State(ctx): State<Ctx>) -> Response {
    let base = ctx.base(NETWORK);
    ok(&json!({
        "issuer": base,
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "pushed_authorization_request_endpoint": format!("{base}/oauth/par"),
        "require_pushed_authorization_requests": true,
        "dpop_signing_alg_values_supported": ["ES256"],
        "client_id_metadata_document_supported": true,
    }))
}

/// Why the authorization server refuses.
struct Refused(StatusCode, &'static str, String);

impl Refused {
    fn new(error: &'static str, why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, error, why.into())
    }
}

impl From<std::io::Error> for Refused {
    fn from(problem: std::io::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, "server_error", problem.to_string())
    }
}

impl From<Bad> for Refused {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Nonce => Self::new("use_dpop_nonce", "Authorization server requires nonce in DPoP proof"),
            Bad::Proof(why) => Self::new("invalid_dpop_proof", why),
        }
    }
}

/// An answer with the nonce that every one of this server carries.
fn answered(ctx: &Ctx, answer: Result<Response, Refused>) -> Response {
    let response = answer.unwrap_or_else(|Refused(status, error, why)| {
        web::json(status, &json!({"error": error, "error_description": why}))
    });
    let nonce = nonce(&ctx.world(), Part::Issuer, ctx.now_ms());
    with_nonce(response, &nonce)
}

fn proven(ctx: &Ctx, world: &mut World, path: &str, headers: &HeaderMap) -> Result<String, Refused> {
    let url = format!("{}{path}", ctx.base(NETWORK));
    Ok(check(ctx, world, Part::Issuer, &Method::POST, &url, headers, None)?)
}

pub(super) async fn push(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let client_id = params.present("client_id").unwrap_or_default();
    let known = client(&ctx, &client_id).await;
    answered(&ctx, pushed(&ctx, &headers, &params, &client_id, known))
}

fn pushed(
    ctx: &Ctx,
    headers: &HeaderMap,
    params: &Params,
    client_id: &str,
    known: Result<Client, Refused>,
) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let jkt = proven(ctx, &mut world, "/oauth/par", headers)?;
    let known = known?;
    let field = |name: &str| params.present(name).unwrap_or_default();
    if field("response_type") != "code" || field("code_challenge_method") != "S256" {
        return Err(Refused::new("invalid_request", "response_type code and code_challenge_method S256"));
    }
    let (scope, redirect_uri) = (field("scope"), field("redirect_uri"));
    let asks = |name: &str| scope.split(' ').any(|one| one == name);
    let is_fair =
        scope.split(' ').all(|one| SCOPES.contains(&one) && known.scope.split(' ').any(|s| s == one));
    if !asks("atproto") || !is_fair {
        return Err(Refused::new("invalid_scope", "the scope is not one of the client's, or lacks atproto"));
    }
    if !known.redirects.contains(&redirect_uri) {
        return Err(Refused::new("invalid_request", "redirect_uri is not one of the client's"));
    }
    let challenge = field("code_challenge");
    if challenge.len() != 43 {
        return Err(Refused::new("invalid_request", "code_challenge is missing"));
    }
    let asked = Asked {
        client_id: client_id.to_owned(),
        redirect_uri,
        scope,
        state: params.text("state"),
        challenge,
        jkt,
        expires_ms: ctx.now_ms() + REQUEST_MS,
        did: None,
    };
    let uri = format!("urn:ietf:params:oauth:request_uri:req-{}", crypto::token::<16>());
    world.keep(NETWORK, vec![Change::put("oauth_request", &uri, &asked)])?;
    let body = json!({"request_uri": uri, "expires_in": REQUEST_MS / 1000 - 1});
    Ok(web::json(StatusCode::CREATED, &body))
}

/// What a client says of itself.
struct Client {
    redirects: Vec<String>,
    scope: String,
}

/// The client behind an id: the document at that address, or what the address of a machine of one's own says itself.
async fn client(ctx: &Ctx, client_id: &str) -> Result<Client, Refused> {
    let bad = |why: &str| Refused::new("invalid_client_metadata", why);
    let url = url::Url::parse(client_id).map_err(|_| bad("client_id is no address"))?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "http" && host == "localhost" {
        let values = |name: &str| {
            url.query_pairs().filter(|(key, _)| key == name).map(|(_, v)| v.into_owned()).collect::<Vec<_>>()
        };
        let scope = values("scope").pop().unwrap_or_else(|| "atproto".to_owned());
        return Ok(Client { redirects: values("redirect_uri"), scope });
    }
    if url.scheme() != "https" {
        return Err(bad("client_id must be an https address"));
    }
    if host.ends_with(".example") {
        // Nobody can fetch from there: its document is taken for granted.
        let base = client_id.split("/oauth/").next().unwrap_or_default();
        return Ok(Client { redirects: vec![format!("{base}/oauth/callback")], scope: SCOPES.join(" ") });
    }
    let fetched = ctx.fetch(client_id).await.map_err(|why| bad(&why.to_string()))?;
    let document: serde_json::Value =
        serde_json::from_slice(&fetched.bytes).map_err(|_| bad("the client's document is no JSON"))?;
    if document["client_id"] != client_id || document["dpop_bound_access_tokens"] != true {
        return Err(bad("the client's document is another's, or asks for tokens without a key"));
    }
    let listed = document["redirect_uris"].as_array().cloned().unwrap_or_default();
    let redirects = listed.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    Ok(Client { redirects, scope: document["scope"].as_str().unwrap_or_default().to_owned() })
}

/// The page where a person agrees; a request that was not pushed is none.
pub(super) async fn ask(State(ctx): State<Ctx>, params: Params) -> Response {
    let Some((uri, asked)) = waiting(&ctx, &params) else { return unknown_request() };
    let accounts: Vec<(String, String)> = {
        let world = ctx.world();
        world.bluesky.accounts().map(|a| (a.handle.clone(), a.display_name.clone())).collect()
    };
    let choices = accounts.iter().enumerate().map(|(index, (handle, name))| {
        let checked = if index == 0 { " checked" } else { "" };
        let (handle, name) = (escape(handle), escape(name));
        format!(
            "<label class=\"choice\"><input type=\"radio\" name=\"account\" value=\"{handle}\"{checked}> <b>{name}</b> \
             <span class=\"dim\">@{handle}</span></label>"
        )
    });
    let choices = choices.collect::<Vec<_>>().concat();
    let wanted = asked.scope.split(' ').map(|scope| format!("<li><code>{}</code></li>", escape(scope)));
    let wanted = wanted.collect::<Vec<_>>().concat();
    let (action, client) =
        (escape(&format!("{}/oauth/authorize", ctx.base(NETWORK))), escape(&asked.client_id));
    let uri = escape(&uri);
    web::html(
        StatusCode::OK,
        pages::shell(
            "Authorize",
            &format!(
                "<main class=\"card narrow\"><p class=\"badge bluesky\">Bluesky stand-in</p>\
                 <h1>Let this app use your account?</h1><p><code>{client}</code> asks for:</p><ul>{wanted}</ul>\
                 <form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"client_id\" value=\"{client}\">\
                 <input type=\"hidden\" name=\"request_uri\" value=\"{uri}\"><p class=\"dim\">Choose the account:</p>{choices}\
                 <p class=\"buttons\"><button name=\"decision\" value=\"authorize\" class=\"primary\">Authorize</button>\
                 <button name=\"decision\" value=\"deny\">Deny</button></p></form></main>"
            ),
        ),
    )
}

/// The form of that page; the account may be named without `.test`.
pub(super) async fn decide(State(ctx): State<Ctx>, params: Params) -> Response {
    let Some((uri, asked)) = waiting(&ctx, &params) else { return unknown_request() };
    let base = ctx.base(NETWORK);
    if params.text("decision").as_deref() != Some("authorize") {
        let why = "The user rejected the request";
        return back(&asked, &base, &[("error", "access_denied"), ("error_description", why)]);
    }
    let mut world = ctx.world();
    let name = params.present("account").unwrap_or_default();
    let account = world.bluesky.actor(&name).or_else(|| world.bluesky.actor(&format!("{name}.test")));
    let Some(did) = account.map(|account| account.did.clone()) else {
        return web::html(StatusCode::BAD_REQUEST, pages::missing("There is no such account here."));
    };
    let code = format!("cod-{}", crypto::token::<24>());
    let agreed = Asked { did: Some(did), expires_ms: ctx.now_ms() + CODE_MS, ..asked.clone() };
    let changes = vec![Change::remove("oauth_request", uri), Change::put("oauth_code", &code, &agreed)];
    match world.keep(NETWORK, changes) {
        Ok(()) => back(&asked, &base, &[("code", &code)]),
        Err(_) => back(&asked, &base, &[("error", "server_error")]),
    }
}

fn waiting(ctx: &Ctx, params: &Params) -> Option<(String, Asked)> {
    let uri = params.present("request_uri")?;
    let asked: Asked = ctx.world().docs.get(NETWORK, "oauth_request", &uri)?;
    let fits = ctx.now_ms() < asked.expires_ms && params.present("client_id")? == asked.client_id;
    fits.then_some((uri, asked))
}

fn unknown_request() -> Response {
    web::html(StatusCode::BAD_REQUEST, pages::missing("This request is not known here, or has expired."))
}

fn back(asked: &Asked, issuer: &str, answer: &[(&str, &str)]) -> Response {
    let Ok(mut url) = url::Url::parse(&asked.redirect_uri) else { return unknown_request() };
    let state = asked.state.as_deref().map(|state| ("state", state));
    url.query_pairs_mut().append_pair("iss", issuer).extend_pairs(answer.iter().copied().chain(state));
    let location = HeaderValue::from_str(url.as_str()).expect("a parsed URL is printable ASCII");
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

pub(super) async fn token(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let issued = issued(&ctx, &headers, &params);
    answered(&ctx, issued)
}

fn issued(ctx: &Ctx, headers: &HeaderMap, params: &Params) -> Result<Response, Refused> {
    let mut world = ctx.world();
    let jkt = proven(ctx, &mut world, "/oauth/token", headers)?;
    let client_id = params.present("client_id").unwrap_or_default();
    match params.present("grant_type").as_deref() {
        Some("authorization_code") => exchange(ctx, &mut world, params, &client_id, &jkt),
        Some("refresh_token") => renew(ctx, &mut world, params, &client_id, &jkt),
        _ => Err(Refused::new("unsupported_grant_type", "grant_type is not supported")),
    }
}

fn exchange(
    ctx: &Ctx,
    world: &mut World,
    params: &Params,
    client_id: &str,
    jkt: &str,
) -> Result<Response, Refused> {
    let invalid = |why: &str| Refused::new("invalid_grant", why);
    let code = params.present("code").unwrap_or_default();
    let asked: Asked = world.docs.get(NETWORK, "oauth_code", &code).ok_or_else(|| invalid("Invalid code"))?;
    world.keep(NETWORK, vec![Change::remove("oauth_code", code)])?;
    let verifier = params.text("code_verifier").unwrap_or_default();
    let fits = asked.client_id == client_id
        && params.text("redirect_uri").as_deref() == Some(asked.redirect_uri.as_str())
        && ctx.now_ms() < asked.expires_ms
        && crypto::pkce_s256(&verifier) == asked.challenge;
    if !fits {
        return Err(invalid("the code is another client's, has expired, or its verifier does not fit"));
    }
    if asked.jkt != jkt {
        return Err(Refused::new("invalid_dpop_proof", "DPoP proof does not match the expected key"));
    }
    let granted = Granted {
        did: asked.did.ok_or_else(|| invalid("nobody agreed"))?,
        client_id: asked.client_id,
        scope: asked.scope,
        jkt: asked.jkt,
        expires_ms: ctx.now_ms() + SESSION_MS,
    };
    let session = crypto::token::<12>();
    world.keep(NETWORK, vec![Change::put("oauth_session", &session, &granted)])?;
    hand_out(ctx, world, &session, &granted, Vec::new())
}

fn renew(
    ctx: &Ctx,
    world: &mut World,
    params: &Params,
    client_id: &str,
    jkt: &str,
) -> Result<Response, Refused> {
    let invalid = |why: &str| Refused::new("invalid_grant", why);
    let secret = params.present("refresh_token").unwrap_or_default();
    let renewal: Renewal =
        world.docs.get(NETWORK, "oauth_refresh", &secret).ok_or_else(|| invalid("Invalid refresh token"))?;
    let granted: Option<Granted> = world.docs.get(NETWORK, "oauth_session", &renewal.session);
    let granted = granted.filter(|granted| ctx.now_ms() < granted.expires_ms);
    let granted = granted.ok_or_else(|| invalid("Session expired"))?;
    if granted.client_id != client_id {
        return Err(invalid("Token was not issued to this client"));
    }
    if granted.jkt != jkt {
        return Err(Refused::new("invalid_dpop_proof", "DPoP proof does not match the expected key"));
    }
    if renewal.used {
        world.keep(NETWORK, vec![Change::remove("oauth_session", renewal.session)])?;
        return Err(invalid("Refresh token replayed"));
    }
    let spent = Renewal { used: true, ..renewal.clone() };
    let change = Change::put("oauth_refresh", &secret, &spent);
    let mut response = hand_out(ctx, world, &renewal.session, &granted, vec![change])?;
    response.extensions_mut().insert(Outcome::Rotated);
    Ok(response)
}

/// A new pair of a session.
fn hand_out(
    ctx: &Ctx,
    world: &mut World,
    session: &str,
    granted: &Granted,
    mut changes: Vec<Change>,
) -> Result<Response, Refused> {
    let now_ms = ctx.now_ms();
    let life_s = world.bluesky.actor(&granted.did).map_or(0, |account| account.access_s).min(3600);
    let life_s = i64::try_from(life_s).unwrap_or(3600);
    let access = Access {
        session: session.to_owned(),
        did: granted.did.clone(),
        scope: granted.scope.clone(),
        jkt: granted.jkt.clone(),
        serial: world.bluesky.next_serial(now_ms),
        expires_ms: now_ms + life_s * 1000,
    };
    let (token, refresh) =
        (format!("tok-{}", crypto::token::<32>()), format!("ref-{}", crypto::token::<32>()));
    let renewal = Renewal { session: session.to_owned(), used: false };
    changes.extend([
        Change::put("oauth_access", &token, &access),
        Change::put("oauth_refresh", &refresh, &renewal),
    ]);
    world.keep(NETWORK, changes)?;
    Ok(ok(&json!({"access_token": token, "token_type": "DPoP", "refresh_token": refresh,
        "scope": granted.scope, "expires_in": life_s, "sub": granted.did})))
}

pub(super) async fn revoke(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let ended = ended(&ctx, &headers, &params);
    answered(&ctx, ended)
}

/// A token that is not known is no error (RFC 7009).
fn ended(ctx: &Ctx, headers: &HeaderMap, params: &Params) -> Result<Response, Refused> {
    let mut world = ctx.world();
    proven(ctx, &mut world, "/oauth/revoke", headers)?;
    let secret = params.present("token").unwrap_or_default();
    let session = session_of(&world, &secret);
    if let Some(session) = session {
        world.keep(NETWORK, vec![Change::remove("oauth_session", session)])?;
    }
    Ok(ok(&json!({})))
}

fn session_of(world: &World, secret: &str) -> Option<String> {
    let access = world.docs.get::<Access>(NETWORK, "oauth_access", secret).map(|access| access.session);
    access.or_else(|| {
        world.docs.get::<Renewal>(NETWORK, "oauth_refresh", secret).map(|renewal| renewal.session)
    })
}

/// The handle that a token, a refresh token or a code speaks for.
pub(super) fn holder(world: &World, secret: &str) -> Option<String> {
    let session = session_of(world, secret);
    let granted = session.and_then(|id| world.docs.get::<Granted>(NETWORK, "oauth_session", &id));
    let did = granted.map(|granted| granted.did);
    let did = did.or_else(|| world.docs.get::<Asked>(NETWORK, "oauth_code", secret)?.did)?;
    world.bluesky.actor(&did).map(|account| account.handle.clone())
}

/// The sessions of one account, or of everybody, end.
pub(super) fn end_all(world: &mut World, did: Option<&str>) -> std::io::Result<()> {
    let sessions = world.docs.all::<Granted>(NETWORK, "oauth_session");
    let of = sessions.filter(|(_, granted)| did.is_none_or(|did| did == granted.did));
    let gone: Vec<Change> = of.map(|(key, _)| Change::remove("oauth_session", key)).collect();
    if gone.is_empty() { Ok(()) } else { world.keep(NETWORK, gone) }
}
