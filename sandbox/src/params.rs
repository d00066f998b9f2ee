//! Request parameters the way Rails reads them: query, JSON, form and multipart bodies all end as one JSON object;
//! `a[]` makes a list, `a[b]` an object. Files of a multipart body are kept apart.

use std::collections::HashMap;

use axum::{
    extract::{FromRequest, Multipart, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use serde_json::{Map, Value, json};

use crate::web;

#[derive(Debug, Default)]
pub(crate) struct Params {
    fields: Map<String, Value>,
    pub(crate) files: HashMap<String, Upload>,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) file_name: Option<String>,
    pub(crate) mime: Option<String>,
    pub(crate) bytes: Bytes,
}

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The text of a field; a number or a boolean counts as its text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(as_text)
    }

    /// Like [`Self::text`], absent when blank.
    pub(crate) fn present(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// A whole number, whether it came as a number or as its text.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// A field that is JSON, or the text of JSON as forms and queries carry it.
    pub(crate) fn json(&self, name: &str) -> Option<Value> {
        match self.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            value => Some(value.clone()),
        }
    }

    /// All fields but the files.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub(crate) fn truth(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.get(name).map(as_list).unwrap_or_default()
    }

    fn insert(&mut self, key: &str, value: Value) {
        let (first, rest) = key.split_once('[').unwrap_or((key, ""));
        let path: Vec<&str> = rest.split('[').map(|part| part.trim_end_matches(']')).collect();
        let path = if rest.is_empty() { &[][..] } else { &path[..] };
        place(self.fields.entry(first).or_insert(Value::Null), path, value);
    }

    fn pairs(&mut self, text: &[u8]) {
        for (key, value) in url::form_urlencoded::parse(text) {
            self.insert(&key, Value::String(value.into_owned()));
        }
    }
}

/// Puts a value where `a[b][]` says, making lists and objects on the way.
fn place(slot: &mut Value, path: &[&str], value: Value) {
    match path {
        [] => *slot = value,
        ["", rest @ ..] => {
            if !slot.is_array() {
                *slot = json!([]);
            }
            let mut item = Value::Null;
            place(&mut item, rest, value);
            slot.as_array_mut().expect("made an array above").push(item);
        }
        [key, rest @ ..] => {
            if !slot.is_object() {
                *slot = json!({});
            }
            let object = slot.as_object_mut().expect("made an object above");
            place(object.entry(*key).or_insert(Value::Null), rest, value);
        }
    }
}

pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => matches!(text.as_str(), "true" | "1" | "t" | "on"),
        Value::Number(number) => number.as_i64() == Some(1),
        _ => false,
    }
}

/// A list, an object with numbered keys, or a single value as a list of texts.
pub(crate) fn as_list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(as_text).collect(),
        Value::Object(items) => items.values().filter_map(as_text).collect(),
        single => as_text(single).into_iter().collect(),
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let mut params = Self::default();
        if let Some(query) = request.uri().query() {
            params.pairs(query.as_bytes());
        }
        let mime = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mime = mime.unwrap_or_default().to_ascii_lowercase();
        if mime.starts_with("multipart/form-data") {
            let mut form =
                Multipart::from_request(request, state).await.map_err(IntoResponse::into_response)?;
            while let Some(field) = form.next_field().await.map_err(IntoResponse::into_response)? {
                let name = field.name().unwrap_or_default().to_owned();
                let file_name = field.file_name().map(str::to_owned);
                let mime = field.content_type().map(str::to_owned);
                let bytes = field.bytes().await.map_err(IntoResponse::into_response)?;
                if file_name.is_some() {
                    params.files.insert(name, Upload { file_name, mime, bytes });
                } else {
                    params.insert(&name, Value::String(String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
            return Ok(params);
        }
        if !mime.is_empty() && !is_fields(&mime) {
            return Ok(params); // a file or another body without fields
        }
        let bytes = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        if mime.starts_with("application/json") {
            match serde_json::from_slice(&bytes) {
                Ok(Value::Object(object)) => params.fields.extend(object),
                Ok(_) | Err(_) if bytes.is_empty() => {}
                _ => {
                    let body = json!({"error": "There was a problem in the JSON you submitted"});
                    return Err(web::json(StatusCode::BAD_REQUEST, &body));
                }
            }
        } else {
            params.pairs(&bytes);
        }
        Ok(params)
    }
}

/// Whether a body of that type is fields.
fn is_fields(mime: &str) -> bool {
    mime.starts_with("application/json") || mime.starts_with("application/x-www-form-urlencoded")
}

/// One field of a request that is not yet read: of its query, or of a form or JSON body.
pub(crate) fn field(parts: &Parts, body: &[u8], name: &str) -> Option<String> {
    let of = |text: &[u8]| {
        url::form_urlencoded::parse(text).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let in_body = || {
        let mime = parts.headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
        match mime.as_str() {
            mime if mime.starts_with("application/json") => {
                serde_json::from_slice::<Value>(body).ok()?.get(name).and_then(as_text)
            }
            mime if is_fields(mime) => of(body),
            _ => None,
        }
    };
    parts.uri.query().and_then(|query| of(query.as_bytes())).or_else(in_body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Params, field};

    #[test]
    fn finds_a_field_before_the_request_is_read() {
        let find = |uri: &str, mime: &str, body: &str| {
            let request = http::Request::post(uri).header("content-type", mime).body(()).unwrap();
            field(&request.into_parts().0, body.as_bytes(), "code")
        };
        let form = "application/x-www-form-urlencoded";
        assert_eq!(find("/?code=a%20b", form, "code=c").as_deref(), Some("a b"));
        assert_eq!(find("/?x=1", form, "x=2&code=c").as_deref(), Some("c"));
        assert_eq!(find("/", "application/json; charset=utf-8", r#"{"code":7}"#).as_deref(), Some("7"));
        assert_eq!(find("/", "application/octet-stream", "code=c"), None);
    }

    #[test]
    fn numbers_and_json_come_as_themselves_or_as_text() {
        let mut params = Params::default();
        params.pairs(b"n=12&odd=1x&list=%5B1%2C2%5D&plain=hi");
        params.insert("m", json!(12));
        params.insert("object", json!({"a": 1}));
        assert_eq!(
            (params.number("n"), params.number("m"), params.number("odd")),
            (Some(12), Some(12), None)
        );
        assert_eq!(
            (params.json("list"), params.json("object")),
            (Some(json!([1, 2])), Some(json!({"a": 1})))
        );
        assert_eq!(params.json("plain"), None);
    }

    #[test]
    fn reads_brackets_as_rails_does() {
        let mut params = Params::default();
        params.pairs(
            b"status=hi&media_ids[]=1&media_ids[]=2&poll[options][]=a&poll[options][]=b&poll[expires_in]=300",
        );
        assert_eq!(params.list("media_ids"), ["1", "2"]);
        assert_eq!(params.get("poll").unwrap(), &json!({"options": ["a", "b"], "expires_in": "300"}));
        assert_eq!(params.text("status").unwrap(), "hi");
    }
}
