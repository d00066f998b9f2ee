//! The authorization server as an app and a browser meet it: the pages and the token route over a socket, behind the
//! fault layer; the rules of lifetimes and reuse directly.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{FromRequest, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    App, Dialect, Grant, Issued, Offline, Pkce, Problem, Refresh, Reuse, account_of, app, client, exchange,
    holder, issue, live, page, refresh, renew, revoke,
};
use crate::{
    crypto,
    docs::Change,
    faults::guard,
    networks::Network,
    params::Params,
    script::{Fault, Operation},
    server, web,
    world::{Ctx, World},
};

const NET: Network = Network::X;
const BACK: &str = "http://127.0.0.1:9/back?tenant=a";
const DAY_MS: i64 = 86_400_000;

static ROTATING: Dialect = Dialect {
    authorize_path: "/authorize",
    pkce: Pkce::Required,
    access_ms: Some(7_200_000),
    refresh: Refresh::Rotating { ms: Some(30 * DAY_MS), reuse: Reuse::Refuse },
    offline: Offline::Scope("offline.access"),
    scopes: &["read", "offline.access"],
    access_prefix: "at-",
    echo_scope: Some("scope"),
    suffix: "#_",
    ..Dialect::of(NET)
};
static FAMILY: Dialect =
    Dialect { refresh: Refresh::Rotating { ms: None, reuse: Reuse::RevokeFamily }, ..Dialect::of(NET) };
static REPEAT: Dialect =
    Dialect { refresh: Refresh::Rotating { ms: None, reuse: Reuse::Repeat }, ..Dialect::of(NET) };
static FIXED: Dialect = Dialect { refresh: Refresh::Fixed { ms: Some(DAY_MS) }, ..Dialect::of(NET) };
static NONE: Dialect = Dialect { offline: Offline::Field("access_type", "offline"), ..Dialect::of(NET) };

fn sandbox() -> Ctx {
    Ctx::open(None, "http://sandbox.test".to_owned(), CancellationToken::new()).unwrap()
}

fn default_app(ctx: &Ctx) -> App {
    app(&ctx.world(), NET, "sandbox-x").unwrap()
}

fn granted(ctx: &Ctx, dialect: &'static Dialect) -> Issued {
    let grant = Grant::new("demo", "sandbox-x", vec!["read".to_owned(), "offline.access".to_owned()]);
    issue(ctx, &mut ctx.world(), dialect, grant).unwrap()
}

fn again(ctx: &Ctx, dialect: &'static Dialect, token: &str) -> Result<Issued, Problem> {
    let app = default_app(ctx);
    refresh(ctx, &mut ctx.world(), dialect, &app, token)
}

fn works(ctx: &Ctx, token: &str) -> Result<(), &'static str> {
    match live(&ctx.world(), NET, token, ctx.now_ms()) {
        Ok(_) => Ok(()),
        Err(Problem::ExpiredToken) => Err("expired"),
        Err(Problem::RevokedToken) => Err("revoked"),
        Err(_) => Err("unknown"),
    }
}

async fn form(pairs: &[(&str, &str)]) -> Params {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = http::Request::post("/").body(axum::body::Body::from(body)).unwrap();
    Params::from_request(request, &()).await.unwrap()
}

async fn token(State(ctx): State<Ctx>, headers: HeaderMap, params: Params) -> Response {
    let mut world = ctx.world();
    let answer =
        client(&world, &ROTATING, &headers, &params).and_then(|app| match params.present("refresh_token") {
            Some(token) => refresh(&ctx, &mut world, &ROTATING, &app, &token),
            None => exchange(&ctx, &mut world, &ROTATING, &app, &params),
        });
    match answer {
        Ok(issued) => {
            let body = json!({"access_token": issued.access_token, "refresh_token": issued.refresh_token,
                "expires_in": issued.expires_in, "scope": issued.scope(&ROTATING)});
            let mut response = web::json(StatusCode::OK, &body).into_response();
            issued.mark(&mut response);
            response
        }
        Err(problem) => web::json(StatusCode::BAD_REQUEST, &json!({"error": problem.error()})),
    }
}

/// The page and the token route on a socket of their own.
async fn served(ctx: &Ctx) -> String {
    let router = Router::new()
        .route("/authorize", page(&ROTATING))
        .route("/token", guard(ctx, NET, Operation::Token, &[], post(token)))
        .with_state(ctx.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    ctx.tasks.spawn(server::serve(listener, router, ctx.closing.clone()));
    base
}

#[expect(clippy::disallowed_methods, reason = "the tests' own plain client, for loopback")]
fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn pressed(base: &str, changed: &[(&str, &str)]) -> (u16, String, HashMap<String, String>) {
    let challenge = crypto::pkce_s256("verifier");
    let mut fields = HashMap::from([
        ("client_id", "sandbox-x"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "read offline.access"),
        ("state", "s&1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("account", "demo"),
        ("decision", "authorize"),
    ]);
    fields.extend(changed.iter().copied());
    let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let answer = browser().post(format!("{base}/authorize")).form(&fields).send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    let location = location.unwrap_or_default();
    let query = url::Url::parse(&location).map(|url| url.query_pairs().into_owned().collect());
    (answer.status().as_u16(), location, query.unwrap_or_default())
}

#[tokio::test]
async fn a_person_agrees_and_the_app_gets_tokens_once() {
    let ctx = sandbox();
    let base = served(&ctx).await;
    let query = "client_id=sandbox-x&response_type=code&scope=read&state=%22%3E&code_challenge=c\
                 &code_challenge_method=S256&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fback";
    let shown = browser().get(format!("{base}/authorize?{query}")).send().await.unwrap();
    assert_eq!(shown.status().as_u16(), 200);
    let shown = shown.text().await.unwrap();
    assert!(
        shown.contains("value=\"&quot;&gt;\"")
            && shown.contains("action=\"http://sandbox.test/x/authorize\"")
    );
    assert!(shown.contains("name=\"account\" value=\"demo\""));

    let (status, location, back) = pressed(&base, &[]).await;
    assert_eq!((status, back["state"].as_str(), back["tenant"].as_str()), (302, "s&1", "a"));
    assert!(location.ends_with("#_"), "{location}");
    assert_eq!(back["scope"], "read offline.access");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", back["code"].as_str()),
        ("redirect_uri", BACK),
        ("code_verifier", "verifier"),
    ];
    let exchanged = async |fields: &[(&str, &str)], secret: &str| -> Value {
        let call = browser().post(format!("{base}/token")).basic_auth("sandbox-x", Some(secret));
        serde_json::from_str(&call.form(fields).send().await.unwrap().text().await.unwrap()).unwrap()
    };
    let good = "sandbox-x-secret";
    assert_eq!(exchanged(&fields, "wrong").await["error"], "invalid_client");
    let mut other = fields;
    other[3].1 = "another";
    assert_eq!(exchanged(&other, good).await["error"], "invalid_grant");
    other = fields;
    other[2].1 = "http://127.0.0.1:9/back";
    assert_eq!(exchanged(&other, good).await["error"], "invalid_grant");
    let answer = exchanged(&fields, good).await;
    assert_eq!((&answer["expires_in"], &answer["scope"]), (&json!(7200), &json!("read offline.access")));
    let access = answer["access_token"].as_str().unwrap();
    assert!(access.starts_with("at-"));
    let headers = HeaderMap::from_iter([(
        http::header::AUTHORIZATION,
        http::HeaderValue::from_str(&format!("Bearer {access}")).unwrap(),
    )]);
    let token = holder(&ctx.world(), NET, &headers, ctx.now_ms()).unwrap();
    assert_eq!((token.account.as_str(), token.covers("read"), token.covers("write")), ("demo", true, false));
    assert_eq!(exchanged(&fields, good).await["error"], "invalid_grant", "a code works once");

    let first = answer["refresh_token"].as_str().unwrap();
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", first)];
    assert!(exchanged(&renewal, good).await["access_token"].is_string());
    assert_eq!(exchanged(&renewal, good).await["error"], "invalid_grant");
    let presented = serde_json::to_value(&ctx.world().refreshes).unwrap();
    let told = |at: usize| (presented[at]["outcome"].clone(), presented[at]["account"].clone());
    assert_eq!(presented.as_array().unwrap().len(), 2, "exchanges present no refresh token");
    assert_eq!((told(0), told(1)), ((json!("rotated"), json!("demo")), (json!("refused"), json!("demo"))));
    assert!(!presented.to_string().contains(first));
    ctx.closing.cancel();
}

#[tokio::test]
async fn the_page_tells_the_person_or_the_app_what_is_wrong() {
    let ctx = sandbox();
    let base = served(&ctx).await;
    for (changed, error) in [
        (("decision", "deny"), "access_denied"),
        (("scope", "read fly"), "invalid_scope"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
    ] {
        let (status, _, back) = pressed(&base, &[changed]).await;
        assert_eq!((status, back["error"].as_str(), back["state"].as_str()), (302, error, "s&1"));
        assert!(!back.contains_key("code"));
    }
    for changed in [("client_id", "nobody"), ("redirect_uri", "ftp://a/b"), ("account", "nobody")] {
        assert_eq!(pressed(&base, &[changed]).await.0, 400, "{changed:?}");
    }
    let own = App { redirect_uris: vec!["https://own.test/".to_owned()], ..default_app(&ctx) };
    let own = App { client_id: "own".to_owned(), ..own };
    ctx.world().keep(NET, vec![Change::put("app", "own", &own)]).unwrap();
    assert_eq!(pressed(&base, &[("client_id", "own")]).await.0, 400);
    assert_eq!(pressed(&base, &[("client_id", "own"), ("redirect_uri", "https://own.test/")]).await.0, 302);
    ctx.closing.cancel();
}

#[tokio::test]
async fn a_code_runs_out_and_belongs_to_one_app() {
    let ctx = sandbox();
    let base = served(&ctx).await;
    let (_, _, back) = pressed(&base, &[]).await;
    let params =
        form(&[("code", back["code"].as_str()), ("redirect_uri", BACK), ("code_verifier", "verifier")]).await;
    let foreign = App { client_id: "other".to_owned(), ..default_app(&ctx) };
    let tried = |app: &App| exchange(&ctx, &mut ctx.world(), &ROTATING, app, &params);
    assert!(matches!(tried(&foreign), Err(Problem::OtherClient)));
    let (parts, ()) = http::Request::get(format!("/?code={}", back["code"])).body(()).unwrap().into_parts();
    assert_eq!(account_of(&ctx, NET, &parts, b"").as_deref(), Some("demo"));
    ctx.clock.set_ahead(ROTATING.code_ms);
    assert!(matches!(tried(&default_app(&ctx)), Err(Problem::ExpiredCode)));
    let empty = form(&[]).await;
    let app = default_app(&ctx);
    let none = exchange(&ctx, &mut ctx.world(), &ROTATING, &app, &empty);
    assert!(matches!(none, Err(Problem::MissingCode)));
    ctx.closing.cancel();
}

#[test]
fn a_spent_refresh_token_does_what_the_dialect_says() {
    let ctx = sandbox();
    let first = granted(&ctx, &ROTATING);
    let spent = first.refresh_token.unwrap();
    let second = again(&ctx, &ROTATING, &spent).unwrap();
    assert!(matches!(again(&ctx, &ROTATING, &spent), Err(Problem::UsedRefresh)));
    assert_eq!(works(&ctx, &first.access_token), Ok(()), "an access token outlives its refresh token");
    assert!(again(&ctx, &ROTATING, &second.refresh_token.unwrap()).is_ok(), "the grant goes on");

    let spent = granted(&ctx, &FAMILY).refresh_token.unwrap();
    let second = again(&ctx, &FAMILY, &spent).unwrap();
    assert!(matches!(again(&ctx, &FAMILY, &spent), Err(Problem::UsedRefresh)));
    assert_eq!(works(&ctx, &second.access_token), Err("revoked"));
    let next = again(&ctx, &FAMILY, &second.refresh_token.unwrap());
    assert!(matches!(next, Err(Problem::RevokedRefresh)));

    let spent = granted(&ctx, &REPEAT).refresh_token.unwrap();
    let pairs = [again(&ctx, &REPEAT, &spent).unwrap(), again(&ctx, &REPEAT, &spent).unwrap()];
    assert_ne!(pairs[0].refresh_token, pairs[1].refresh_token);

    let fixed = granted(&ctx, &FIXED);
    ctx.clock.set_ahead(DAY_MS / 2);
    let later = again(&ctx, &FIXED, fixed.refresh_token.as_deref().unwrap()).unwrap();
    assert_eq!(later.refresh_token, fixed.refresh_token);
    assert!(later.refresh_expires_in.unwrap() <= DAY_MS / 2000, "its life runs from the consent");
    ctx.clock.set_ahead(DAY_MS);
    let over = again(&ctx, &FIXED, fixed.refresh_token.as_deref().unwrap());
    assert!(matches!(over, Err(Problem::ExpiredRefresh)));
    assert!(matches!(again(&ctx, &FIXED, "unknown"), Err(Problem::UnknownRefresh)));
}

#[test]
fn refresh_tokens_are_given_to_those_who_asked_for_them() {
    let ctx = sandbox();
    let plain = Grant::new("demo", "sandbox-x", vec!["read".to_owned()]);
    let given = |dialect, grant| issue(&ctx, &mut ctx.world(), dialect, grant).unwrap().refresh_token;
    assert!(given(&ROTATING, plain.clone()).is_none());
    assert!(given(&FIXED, plain.clone()).is_some());
    assert!(given(&NONE, plain).is_none());
}

#[test]
fn a_token_renews_itself_once_it_is_old_enough() {
    let ctx = sandbox();
    let short = granted(&ctx, &NONE);
    assert!(short.refresh_token.is_none());
    let renewed = |token: &str, age| {
        let world = &mut ctx.world();
        renew(&ctx, world, &NONE, token, age, Some(60 * DAY_MS))
    };
    let long = renewed(&short.access_token, 0).unwrap();
    assert_eq!(long.expires_in, Some(60 * 86_400));
    assert!(matches!(renewed(&long.access_token, DAY_MS), Err(Problem::TooYoung)));
    ctx.clock.set_ahead(DAY_MS);
    assert!(renewed(&long.access_token, DAY_MS).is_ok());
    assert!(matches!(renewed(&short.access_token, 0), Err(Problem::ExpiredToken)));
    ctx.clock.set_ahead(61 * DAY_MS);
    assert_eq!(works(&ctx, &long.access_token), Err("expired"));
}

#[test]
fn faults_end_what_was_handed_out_and_nothing_later() {
    let ctx = sandbox();
    let acts = |account: Option<&str>, fault: &Value| {
        let fault: Fault = serde_json::from_value(fault.clone()).unwrap();
        NET.stand_in().act(&ctx, account, &fault)
    };
    let old = granted(&ctx, &ROTATING);
    acts(None, &json!({"kind": "expire_tokens"})).unwrap();
    assert_eq!(works(&ctx, &old.access_token), Err("expired"));
    let new = again(&ctx, &ROTATING, old.refresh_token.as_deref().unwrap()).unwrap();
    assert_eq!(works(&ctx, &new.access_token), Ok(()), "expired tokens are refreshed");

    acts(Some("demo"), &json!({"kind": "revoke_tokens"})).unwrap();
    assert_eq!(works(&ctx, &new.access_token), Err("revoked"));
    let dead = again(&ctx, &ROTATING, new.refresh_token.as_deref().unwrap());
    assert!(matches!(dead, Err(Problem::RevokedRefresh)));
    assert!(acts(Some("nobody"), &json!({"kind": "revoke_tokens"})).is_err());

    acts(Some("demo"), &json!({"kind": "token_lifetime", "access_s": 5})).unwrap();
    let short = granted(&ctx, &ROTATING);
    assert_eq!((short.expires_in, works(&ctx, &short.access_token)), (Some(5), Ok(())));
    ctx.clock.set_ahead(5_000);
    assert_eq!(works(&ctx, &short.access_token), Err("expired"));
}

#[test]
fn revoking_either_token_ends_the_grant() {
    let ctx = sandbox();
    let ended = |world: &mut World, token: &str| revoke(world, NET, token).unwrap();
    for by_refresh in [false, true] {
        let pair = granted(&ctx, &ROTATING);
        let refresh_token = pair.refresh_token.unwrap();
        let token = if by_refresh { &refresh_token } else { &pair.access_token };
        assert!(ended(&mut ctx.world(), token));
        assert_eq!(works(&ctx, &pair.access_token), Err("revoked"));
        assert!(matches!(again(&ctx, &ROTATING, &refresh_token), Err(Problem::RevokedRefresh)));
    }
    assert!(!ended(&mut ctx.world(), "unknown"));
    ctx.world().keep(NET, vec![super::fixed(NET, "demo", "bot-token", &["read"])]).unwrap();
    assert_eq!(works(&ctx, "bot-token"), Ok(()));
    assert!(ended(&mut ctx.world(), "bot-token"));
    assert_eq!(works(&ctx, "bot-token"), Err("unknown"));
}
