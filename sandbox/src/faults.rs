//! The one layer before every route of every network: gives the request its id, buffers it, asks the script what
//! goes wrong, counts it against the limits, runs it, and logs how it ended.
//!
//! A request received whole is executed whole, even when its client has left meanwhile, as real networks do; only
//! `drop_before`, `status` and `throttle` keep it from running. Hence the task of its own.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{
    clock, crypto,
    limits::Bucket,
    networks::Network,
    refreshes::{self, Presentation},
    requests::{self, Logged},
    script::{Fault, Operation},
    server::{Connection, unless},
    web::{self, RequestId, lock},
    world::{Ctx, Event},
};

/// The largest request any stand-in takes, bytes.
const MAX_BODY: usize = 320 << 20;

/// Set on a response that repeats an earlier one: it is not charged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replayed;

/// Set on a response that tells the client to wait, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryAfter(pub(crate) i64);

/// One route of a network, as the layer needs to know it.
#[derive(Debug, Clone)]
struct Route {
    ctx: Ctx,
    network: Network,
    operation: Operation,
    buckets: &'static [Bucket],
}

/// Puts the layer before a route. An adapter names the operation and the limits, nothing else.
pub(crate) fn guard(
    ctx: &Ctx,
    network: Network,
    operation: Operation,
    buckets: &'static [Bucket],
    methods: MethodRouter<Ctx>,
) -> MethodRouter<Ctx> {
    let route = Arc::new(Route { ctx: ctx.clone(), network, operation, buckets });
    // A plain layer: a route for any method is all fallback.
    methods.layer(from_fn_with_state(route, pass))
}

/// How an exchange ends.
enum Ending {
    Answer(Response),
    Reset,
    Silence,
}

async fn pass(
    State(route): State<Arc<Route>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let id = uuid::Uuid::now_v7().to_string();
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or ended early").into_response();
    };
    let stand_in = route.network.stand_in();
    let account = stand_in.account_of(&route.ctx, &parts, &bytes);
    let operation = stand_in.operation(route.operation, &parts, &bytes);
    let units = stand_in.units(&parts, &bytes);
    let refresh_token = (operation == Operation::Refresh)
        .then(|| stand_in.refresh_token(&parts, &bytes).as_deref().map(refreshes::fingerprint))
        .flatten();
    let (fault, quirks, names) = route.ctx.script.take(route.network, operation, account.as_deref());
    let mut logged = Logged {
        at_ms: clock::true_now_ms(),
        network: route.network,
        operation,
        account,
        method: parts.method.to_string(),
        // The router took the prefix off.
        path: format!("/{}{}", route.network.name(), stand_in.logged_path(&parts.uri)),
        headers: requests::headers(&parts.headers),
        body_sha256: crypto::sha256_hex(&bytes),
        body: requests::body(&parts.headers, &bytes),
        status: None,
        retry_after_ms: None,
        fault: names,
        request_id: id.clone(),
    };
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(quirks);
    let closing = route.ctx.closing.clone();
    let tasks = route.ctx.tasks.clone();
    let exchange = tasks.spawn(async move {
        let run = Run {
            route: &route,
            account: logged.account.clone(),
            peer: connection.peer.ip().to_string(),
            units,
            presented: OnceLock::new(),
        };
        let ending = run.decide(fault, request, next).await;
        if let Some(token_sha256_16) = refresh_token {
            run.note_refresh(&logged, token_sha256_16);
        }
        if let Ending::Answer(response) = &ending {
            logged.status = Some(response.status().as_u16());
            logged.retry_after_ms = response.extensions().get::<RetryAfter>().map(|wait| wait.0);
        }
        lock(&route.ctx.requests).push(&logged);
        (ending, connection)
    });
    let (ending, connection) = match exchange.await {
        Ok(ended) => ended,
        Err(panicked) => {
            tracing::error!(error = %panicked, request.id = %id, "a stand-in failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    match ending {
        Ending::Answer(mut response) => {
            let value = HeaderValue::from_str(&id).expect("a UUID is printable ASCII");
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
            return response;
        }
        Ending::Reset => {}
        Ending::Silence => closing.cancelled().await,
    }
    connection.reset();
    StatusCode::IM_A_TEAPOT.into_response() // never written: the connection is cut
}

struct Run<'a> {
    route: &'a Route,
    account: Option<String>,
    peer: String,
    /// How many times an account pays for it.
    units: u64,
    /// What became of the refresh token, if one was presented and looked at.
    presented: OnceLock<refreshes::Outcome>,
}

impl Run<'_> {
    async fn decide(&self, fault: Option<Fault>, request: Request, next: Next) -> Ending {
        let ctx = &self.route.ctx;
        let Some(fault) = fault else { return Ending::Answer(self.execute(request, next).await) };
        match fault {
            Fault::Hold {} => {
                let Ok(released) = ctx.script.hold().await else { return Ending::Reset };
                let answer = self.execute(request, next).await;
                drop(released);
                Ending::Answer(answer)
            }
            Fault::AcceptThenHold {} => {
                let answer = self.execute(request, next).await;
                match ctx.script.hold().await {
                    Ok(_released) => Ending::Answer(answer),
                    Err(_) => Ending::Reset,
                }
            }
            Fault::DropBefore {} => Ending::Reset,
            Fault::AcceptThenTimeout {} => {
                self.execute(request, next).await;
                Ending::Silence
            }
            Fault::AcceptThenReset {} => {
                self.execute(request, next).await;
                Ending::Reset
            }
            Fault::AcceptThen500 {} => {
                self.execute(request, next).await;
                Ending::Answer(self.route.network.stand_in().server_error())
            }
            Fault::AcceptLate { ms } => {
                if unless(&ctx.closing, tokio::time::sleep(Duration::from_millis(ms))).await.is_some() {
                    self.execute(request, next).await;
                }
                Ending::Silence
            }
            Fault::Delay { ms } => {
                match unless(&ctx.closing, tokio::time::sleep(Duration::from_millis(ms))).await {
                    Some(()) => Ending::Answer(self.execute(request, next).await),
                    None => Ending::Reset,
                }
            }
            Fault::Status { code, body, headers } => Ending::Answer(scripted(code, body, &headers)),
            Fault::Throttle { retry_after_s } => {
                Ending::Answer(self.route.network.throttled(ctx.now_ms(), retry_after_s))
            }
            Fault::Garbage {} => {
                self.execute(request, next).await;
                Ending::Answer(web::with_type(
                    StatusCode::OK,
                    "application/json; charset=utf-8",
                    "{\"id\":\"\u{fffd}<html><body>ok",
                ))
            }
            // Three act when posted; the quirks travel with the request.
            Fault::ExpireTokens {}
            | Fault::RevokeTokens { .. }
            | Fault::TokenLifetime { .. }
            | Fault::IgnoreIdempotencyKey {}
            | Fault::Processing { .. }
            | Fault::StaleRead { .. } => Ending::Answer(self.execute(request, next).await),
        }
    }

    async fn execute(&self, request: Request, next: Next) -> Response {
        let Route { ctx, network, buckets, .. } = self.route;
        let account = self.account.as_deref();
        let now_ms = ctx.now_ms();
        let enforce = ctx.world().enforces_limits(*network);
        let verdict = lock(&ctx.limits).count(buckets, self.units, account, &self.peer, enforce, now_ms);
        if let Some(refused) = verdict.filter(|verdict| !verdict.allowed) {
            return network.refused(now_ms, refused);
        }
        let mut response = next.run(request).await;
        let presented = response.extensions().get::<refreshes::Outcome>().copied();
        self.presented.get_or_init(|| presented.unwrap_or(refreshes::Outcome::Refused));
        let replayed = response.extensions().get::<Replayed>().is_some();
        {
            let mut limits = lock(&ctx.limits);
            limits.executed(buckets, self.units, account, &self.peer, replayed, ctx.now_ms());
            if let Some(account) = account.filter(|_| replayed) {
                limits.refund(buckets, self.units, account);
            }
        }
        if let Some(verdict) = verdict {
            network.stand_in().limit_headers(response.headers_mut(), verdict);
        }
        response
    }

    /// Keeps that a refresh token was presented, before any answer leaves.
    fn note_refresh(&self, logged: &Logged, token_sha256_16: String) {
        let presentation = Presentation {
            at_ms: logged.at_ms,
            network: logged.network,
            account: logged.account.clone(),
            token_sha256_16,
            outcome: self.presented.get().copied().unwrap_or(refreshes::Outcome::NotExecuted),
            request_id: logged.request_id.clone(),
        };
        if let Err(problem) = self.route.ctx.world().commit(Event::Presented(presentation)) {
            tracing::error!(error = %problem, "the sandbox cannot keep what it was told");
        }
    }
}

fn scripted(
    code: u16,
    body: serde_json::Value,
    headers: &serde_json::Map<String, serde_json::Value>,
) -> Response {
    let status = StatusCode::from_u16(code).expect("checked when the rule was posted");
    let mut response = match body {
        serde_json::Value::Null => status.into_response(),
        serde_json::Value::String(text) => web::with_type(status, "text/html; charset=utf-8", text),
        value => web::json(status, &value),
    };
    for (name, value) in headers {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(text)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}
