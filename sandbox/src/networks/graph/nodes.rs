//! What is shown of things: `fields` of nested names, lists by cursor, insights, times and ids in Graph's shape.

use serde_json::{Map, Value, json};

use super::{Answer, Network, Refusal, ok};
use crate::{params::Params, world::Ctx};

/// The names of `fields`, without what stands in braces or behind a point; `none` where the request names none.
pub(super) fn fields(params: &Params, none: &str) -> Vec<String> {
    let text = params.present("fields").unwrap_or_else(|| none.to_owned());
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    for c in text.chars().chain([',']) {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            c if depth == 0 => name.push(c),
            _ => {}
        }
    }
    let bare = |name: String| name.split('.').next().unwrap_or_default().trim().to_owned();
    names.into_iter().map(bare).filter(|name| !name.is_empty()).collect()
}

/// A node with the fields asked for. A field that is null is left out, one that the node does not have is refused.
pub(super) fn project(node: &Value, fields: &[String], kind: &str) -> Result<Value, Refusal> {
    let mut shown = Map::new();
    for name in fields {
        match node.get(name) {
            Some(Value::Null) => {}
            Some(value) => {
                shown.insert(name.clone(), value.clone());
            }
            None => return Err(Refusal::no_field(name, kind)),
        }
    }
    if let Some(id) = node.get("id") {
        shown.insert("id".to_owned(), id.clone());
    }
    Ok(Value::Object(shown))
}

/// One page of a list: at most `most` of the nodes, whatever is asked for. The address of the next page holds the token
/// of this one, as the real API answers it.
pub(super) fn page(nodes: &[Value], params: &Params, most: usize, address: &str, secret: &str) -> Value {
    let asked = params.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(25);
    let size = asked.clamp(1, most);
    let begin =
        params.present("after").and_then(|cursor| cursor.strip_prefix("at-")?.parse().ok()).unwrap_or(0);
    let shown: Vec<&Value> = nodes.iter().skip(begin).take(size).collect();
    let end = begin + shown.len();
    let mut body = json!({ "data": shown });
    if !shown.is_empty() {
        body["paging"] =
            json!({ "cursors": { "before": format!("at-{begin}"), "after": format!("at-{end}") } });
        if end < nodes.len() {
            body["paging"]["next"] =
                json!(format!("{address}?access_token={secret}&limit={size}&after=at-{end}"));
        }
    }
    body
}

/// The insights that the parameter `metric` names; one that does not fit fails the whole call.
pub(crate) fn insights(id: &str, params: &Params, value: impl Fn(&str) -> Result<Value, Refusal>) -> Answer {
    let metrics = params.present("metric").unwrap_or_default();
    let insight = |name: &str| {
        Ok(json!({
            "name": name, "period": "lifetime", "values": [{ "value": value(name)? }], "title": name,
            "description": "", "id": format!("{id}/insights/{name}/lifetime"),
        }))
    };
    let data: Vec<Value> = metrics.split(',').map(str::trim).map(insight).collect::<Result<_, Refusal>>()?;
    Ok(ok(&json!({ "data": data })))
}

/// A time as Graph writes it.
pub(crate) fn time(ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// The page of a post, which the sandbox shows.
pub(crate) fn permalink(ctx: &Ctx, network: Network, id: &str) -> String {
    format!("{}/_posts/{}/{id}", ctx.public_url, network.name())
}

/// An id in Graph's shape, at most 17 digits, as one that grows.
pub(crate) fn short(id: u64) -> u64 {
    id % 100_000_000_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_lose_what_stands_inside() {
        let text =
            "id,message,attachments{media_type,subattachments{target}},comments.summary(true).limit(0), from";
        let names = fields(&Params::default(), text);
        assert_eq!(names, ["id", "message", "attachments", "comments", "from"]);
    }

    #[test]
    fn a_field_that_is_not_there_is_refused_and_one_without_a_value_left_out() {
        let node = json!({ "id": "1", "message": "m", "link": null });
        let names = |text: &str| fields(&Params::default(), text);
        assert_eq!(
            project(&node, &names("message,link"), "Post").unwrap(),
            json!({ "id": "1", "message": "m" })
        );
        assert!(project(&node, &names("status"), "Post").is_err());
        assert_eq!(time(1_767_323_045_678), "2026-01-02T03:04:05+0000");
    }
}
