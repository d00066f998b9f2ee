//! A request to a node or an edge, as every handler reads it: who asks, of what, with which parameters, and what a read
//! that lags sees.

use axum::{
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    response::Response,
};
use http::{HeaderMap, header, request::Parts};
use serde_json::Value;

use super::{Answer, Network, Refusal, nodes, ok};
use crate::{
    docs::View,
    oauth::{self, Token},
    params::{Params, field},
    script::Quirks,
    web::{self, RequestId},
    world::{Ctx, World},
};

/// One request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) ctx: Ctx,
    /// The node that the address names; empty where it names none.
    pub(crate) id: String,
    /// The address below the network's.
    path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    pub(crate) quirks: Quirks,
    /// The sandbox's own id of the request.
    pub(crate) request: String,
}

impl FromRequest<Ctx> for Ask {
    type Rejection = Response;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let names = RawPathParams::from_request_parts(&mut parts, ctx).await;
        let id = names.ok().and_then(|names| {
            names.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned())
        });
        let (path, headers) = (parts.uri.path().to_owned(), parts.headers.clone());
        let quirks = parts.extensions.get().copied().unwrap_or_default();
        let request = parts.extensions.get().map(|RequestId(id)| id.clone()).unwrap_or_default();
        let params = Params::from_request(Request::from_parts(parts, body), ctx).await?;
        Ok(Self { ctx: ctx.clone(), id: id.unwrap_or_default(), path, headers, params, quirks, request })
    }
}

impl Ask {
    pub(crate) fn now_ms(&self) -> i64 {
        self.ctx.now_ms()
    }

    /// The token of the request, provided it lives.
    pub(crate) fn token(&self, world: &World, network: Network) -> Result<Token, Refusal> {
        holder(&self.ctx, world, network, &self.headers, &self.params)
    }

    /// What this read sees.
    pub(crate) fn docs<'w>(&self, world: &'w World) -> View<'w> {
        world.docs.at(self.quirks.as_of(self.now_ms()))
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, Refusal> {
        let missing = || Refusal::parameter(format!("The parameter {name} is required."));
        self.params.present(name).ok_or_else(missing)
    }

    /// Whether `fields` names that field.
    pub(crate) fn wants(&self, field: &str) -> bool {
        nodes::fields(&self.params, "").iter().any(|name| name == field)
    }

    /// A node with the fields asked for, else with those.
    pub(crate) fn node(&self, node: &Value, untold: &str, kind: &str) -> Answer {
        Ok(ok(&nodes::project(node, &nodes::fields(&self.params, untold), kind)?))
    }

    /// One page of a list of nodes with the fields asked for, else with those.
    pub(crate) fn list(
        &self,
        (token, network): (&Token, Network),
        list: impl Iterator<Item = Value>,
        (untold, kind): (&str, &str),
        most: usize,
    ) -> Answer {
        let fields = nodes::fields(&self.params, untold);
        let list: Vec<Value> =
            list.map(|node| nodes::project(&node, &fields, kind)).collect::<Result<_, _>>()?;
        let address = format!("{}{}", self.ctx.base(network), self.path);
        Ok(ok(&nodes::page(&list, &self.params, most, &address, &token.secret)))
    }
}

/// The token of a request, provided it lives: `Bearer`, `OAuth`, or `access_token` among the parameters.
pub(crate) fn holder(
    ctx: &Ctx,
    world: &World,
    network: Network,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Token, Refusal> {
    let missing = || {
        let text = "An active access token must be used to query information about the current user.";
        Refusal::new(2500, 0, text)
    };
    let secret = in_header(headers).map(str::to_owned).or_else(|| params.present("access_token"));
    Ok(oauth::live(world, network, &secret.ok_or_else(missing)?, ctx.now_ms())?)
}

fn in_header(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    web::bearer(headers).or_else(|| value.strip_prefix("OAuth ").map(str::trim))
}

/// The account behind the tokens and codes a request may carry.
pub(crate) fn account_of(ctx: &Ctx, network: Network, parts: &Parts, body: &[u8]) -> Option<String> {
    let exchanged = || field(parts, body, "fb_exchange_token");
    let secret = in_header(&parts.headers).map(str::to_owned).or_else(exchanged);
    let named = |secret: String| {
        let world = ctx.world();
        world.docs.value(network, "token", &secret)?.get("account")?.as_str().map(str::to_owned)
    };
    secret.and_then(named).or_else(|| oauth::account_of(ctx, network, parts, body))
}
