//! What the networks of Meta's Graph API share (Facebook Pages, Instagram, Threads): how they are called, here, and in
//! the rooms below: `refusal` (the error envelope as one code text), `usage` (the usage headers as a time to wait),
//! `node` (ids, times, words and addresses of what is shown), `list` (reading back to an attempt), `container` (what
//! Instagram and Threads prepare unseen), `permalink` (the address of a post that is there), `login` (connecting).
//!
//! <https://developers.facebook.com/docs/graph-api/overview>. Invariant: everything here but a refusal of the visible
//! request speaks of calls that make nothing visible.

mod container;
mod list;
mod login;
mod node;
mod permalink;
mod refusal;
#[cfg(test)]
pub(super) mod stage;
mod usage;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response};
use postmesh_kit::{clock::Clock, http::GuardedClient};
use serde_json::{Value, json as object};

pub(super) use self::{
    container::{Containers, Kept, LATE_MS, NOT_FETCHED, Standing, all_steps, unreachable},
    list::one,
    login::{Login, renewed},
    node::{address, id_of, insight, made, segment, time_of, words},
    permalink::Spare,
    refusal::{
        FORBIDDEN, ROOT_GONE, THROTTLED, accepted, code_of, fault, is_missing, judge, look_failed, refusal,
        refused, seen, unnamed,
    },
};
use super::{
    HandleMap, Handles, RefreshFault, Secret, Session, Tokens, server, thread,
    wire::{self, Call, Rule, json, text_of},
};
use crate::domain::{delivery::Work, outcome::Fault};

/// Where the token of a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bearer {
    /// In `Authorization`.
    Header,
    /// Among the parameters, as `access_token`.
    Parameter,
}

/// One network's way through the Graph.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) http: GuardedClient,
    pub(super) clock: Arc<dyn Clock>,
    /// What every path begins with, such as `/v26.0`.
    pub(super) version: &'static str,
    pub(super) bearer: Bearer,
    /// What its refusals prove.
    pub(super) rules: &'static [Rule],
}

impl Api {
    /// The call of a node or an edge below the version.
    pub(super) fn call(&self, session: &Session, method: Method, path: &str, query: &[(&str, &str)]) -> Call {
        let path = format!("{}/{path}", self.version);
        let token = session.access_token.expose();
        match self.bearer {
            Bearer::Header => Call::new(method, server::address(&session.server, &path, query)).bearer(token),
            Bearer::Parameter => {
                let query = [query, &[("access_token", token)]].concat();
                Call::new(method, server::address(&session.server, &path, &query))
            }
        }
    }

    /// The call that reads fields of a node.
    pub(super) fn node(&self, session: &Session, id: &str, fields: &str) -> Call {
        self.call(session, Method::GET, &segment(id), &[("fields", fields)])
    }

    /// What a call answers that makes nothing visible; anything but a 2xx with JSON is a fault.
    pub(super) async fn ask(&self, call: Call) -> Result<Value, Fault> {
        let response = call.read(&self.http).await?;
        self.body(&response)
    }

    /// The same; `None` where the network does not show what was asked for.
    pub(super) async fn shown(&self, call: Call) -> Result<Option<Value>, Fault> {
        let response = call.read(&self.http).await?;
        if is_missing(&response) { Ok(None) } else { self.body(&response).map(Some) }
    }

    /// Fields of a node, or fewer of them where it does not have them all.
    pub(super) async fn fields(
        &self,
        session: &Session,
        id: &str,
        fields: &str,
        fewer: Option<&str>,
    ) -> Result<Option<Value>, Fault> {
        let response = self.node(session, id, fields).read(&self.http).await?;
        match fewer {
            _ if is_missing(&response) => Ok(None),
            Some(fewer) if code_of(&response).starts_with("100/") => {
                self.shown(self.node(session, id, fewer)).await
            }
            _ => self.body(&response).map(Some),
        }
    }

    /// The body of such an answer.
    pub(super) fn body(&self, response: &Response<Bytes>) -> Result<Value, Fault> {
        if !response.status().is_success() {
            return Err(self.fault(response));
        }
        json(response).ok_or_else(wire::unreadable)
    }

    /// What a refused answer to such a call means.
    pub(super) fn fault(&self, response: &Response<Bytes>) -> Fault {
        fault(self.rules, response, self.clock.now_ms())
    }

    /// Deletes a node; one that is not there is deleted.
    pub(super) async fn delete(&self, session: &Session, id: &str) -> Result<(), Fault> {
        let response = self.call(session, Method::DELETE, &segment(id), &[]).read(&self.http).await?;
        if response.status().is_success() || is_missing(&response) {
            Ok(())
        } else {
            Err(self.fault(&response))
        }
    }

    /// Looks for the post that is commented on, unless that is done: a post just made may not be readable yet.
    pub(super) async fn root_step(
        &self,
        session: &Session,
        work: &Work,
        handles: &mut dyn Handles,
    ) -> Result<(), Fault> {
        let Some(reply) = &work.reply else { return Ok(()) };
        if handles.stored().contains_key(thread::REPLY) {
            return Ok(());
        }
        let root = &reply.root_native_id;
        match self.shown(self.node(session, root, "id")).await? {
            Some(_) => handles.save(thread::REPLY, object!({ "parent": root })).await,
            None => Err(thread::missing(handles, self.clock.now_ms()).await),
        }
    }

    /// Insights of a post; `None` where it is not there.
    pub(super) async fn insights(
        &self,
        session: &Session,
        id: &str,
        names: &str,
    ) -> Result<Option<Value>, Fault> {
        let path = format!("{}/insights", segment(id));
        self.shown(self.call(session, Method::GET, &path, &[("metric", names)])).await
    }
}

/// Pauses between looks at what the network works on, longer each time, for a bounded while.
#[derive(Debug)]
pub(super) struct Patience {
    pause: Duration,
    waited: Duration,
}

impl Patience {
    /// How long one call of `prepare` waits in all.
    const MOST: Duration = Duration::from_secs(45);

    /// Pauses of a quarter of a second at first.
    pub(super) const fn new() -> Self {
        Self { pause: Duration::from_millis(250), waited: Duration::ZERO }
    }

    /// Sleeps until the next look; a fault that asks to be called again when the time is up.
    pub(super) async fn pause(&mut self) -> Result<(), Fault> {
        if self.waited >= Self::MOST {
            return Err(Fault::Transient {
                code: "MEDIA_PROCESSING".into(),
                message: "The network is still processing the media.".into(),
                retry_after: Some(Duration::from_secs(10)),
            });
        }
        tokio::time::sleep(self.pause).await;
        self.waited += self.pause;
        self.pause = (self.pause * 2).min(Duration::from_secs(5));
        Ok(())
    }
}
