//! Lists that show the newest first, read back as far as an attempt, and the posts in them that may be its post.
//!
//! Invariant: an id that belongs to another delivery is never taken for this one's. The network's clock may be off, so
//! time alone does not tell a post from the one that was published right before it.

use http::Method;
use serde_json::Value;

use super::{Api, Fault, Session, address, id_of, time_of, wire};
use crate::domain::delivery::AttemptFacts;

/// Pages of a list read before giving up.
const PAGES: usize = 8;

/// What a list showed of the time since an attempt, the newest first.
#[derive(Debug)]
pub(in super::super) struct Listed {
    nodes: Vec<Value>,
    /// Whether there is nothing more of that time.
    pub(in super::super) is_whole: bool,
}

impl Api {
    /// Reads a list page by page back to the first attempt. `time` is the field that says when something was made, and
    /// `limit` how many a page holds at most.
    pub(in super::super) async fn since(
        &self,
        session: &Session,
        path: &str,
        query: &[(&str, &str)],
        (time, limit): (&str, usize),
        attempt: &AttemptFacts,
    ) -> Result<Listed, Fault> {
        let begin = attempt.looked_for_since();
        let size = limit.to_string();
        let (mut nodes, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let mut query = [query, &[("limit", size.as_str())]].concat();
            if !after.is_empty() {
                query.push(("after", after.as_str()));
            }
            let body = self.ask(self.call(session, Method::GET, path, &query)).await?;
            let page = body.get("data").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            let is_since = |node: &&Value| time_of(node, time).is_some_and(|at| at >= begin);
            nodes.extend(page.iter().filter(is_since).cloned());
            let is_past = page.last().is_some_and(|last| time_of(last, time).is_some_and(|at| at < begin));
            let next = body.pointer("/paging/cursors/after").and_then(Value::as_str).unwrap_or_default();
            let is_end = next.is_empty() || body.pointer("/paging/next").is_none();
            if is_past || is_end {
                // A full page that names no next one may have been cut.
                return Ok(Listed { nodes, is_whole: is_past || page.len() < limit });
            }
            next.clone_into(&mut after);
        }
        Ok(Listed { nodes, is_whole: false })
    }
}

impl Listed {
    /// What came after that node, which was there before the attempt was armed.
    pub(in super::super) fn after(mut self, id: &str) -> Self {
        if let Some(at) = self.nodes.iter().position(|node| id_of(node, "id") == id) {
            self.nodes.truncate(at);
            self.is_whole = true;
        }
        self
    }

    /// Id and address of those that fit and belong to no other delivery. `permalink` is the field that tells an address,
    /// below that site.
    pub(in super::super) fn fitting(
        &self,
        attempt: &AttemptFacts,
        (permalink, site): (&str, &str),
        fits: impl Fn(&Value) -> bool,
    ) -> Vec<(String, String)> {
        let is_free = |id: &String| {
            !id.is_empty()
                && !attempt.taken_native_ids.contains(id)
                && attempt.last_native_id.as_ref() != Some(id)
        };
        let named = |node: &Value| {
            let told = node.get(permalink).and_then(Value::as_str).unwrap_or_default();
            (id_of(node, "id"), address(told, site))
        };
        self.nodes.iter().filter(|node| fits(node)).map(named).filter(|(id, _)| is_free(id)).collect()
    }
}

/// The only one; how many there are instead.
pub(in super::super) fn one(found: Vec<(String, String)>) -> Result<(String, String), usize> {
    <[_; 1]>::try_from(found).map(|[one]| one).map_err(|found| found.len())
}
