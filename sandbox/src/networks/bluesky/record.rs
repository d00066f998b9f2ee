//! What a post record may look like: the limits of `app.bsky.feed.post` and the embeds, in the words of the
//! reference lexicon checker. Facet offsets must also lie inside the text, on character boundaries: the reference
//! server lets wrong ones pass, and then the link is in the wrong place for ever.

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    state::{POSTS, split},
    tid,
};

/// One blob a record refers to, and what its place in the record demands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BlobRef {
    pub(crate) cid: String,
    pub(crate) mime: String,
    pub(crate) size: Option<u64>,
    /// A MIME type, or a family such as `image/*`; empty for any.
    pub(crate) accept: &'static str,
    /// Bytes.
    pub(crate) max_size: u64,
}

type Checked = Result<(), String>;

/// Whether this collection's records are checked.
pub(crate) fn is_known(collection: &str) -> bool {
    collection == POSTS
}

/// Checks the key; posts take a TID.
pub(crate) fn check_key(collection: &str, rkey: &str) -> Checked {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_~.:-".contains(&b);
    let is_key = (1..=512).contains(&rkey.len()) && rkey.bytes().all(plain) && rkey != "." && rkey != "..";
    let needs_tid = matches!(
        collection,
        POSTS
            | "app.bsky.feed.threadgate"
            | "app.bsky.feed.postgate"
            | "app.bsky.feed.like"
            | "app.bsky.feed.repost"
    );
    if is_key && (!needs_tid || tid::is_valid(rkey)) {
        return Ok(());
    }
    let what = if needs_tid { "Invalid TID" } else { "record key syntax is invalid" };
    Err(format!("Invalid record key for {collection}: {what}: {rkey}"))
}

/// Checks a post record; the message completes `Invalid app.bsky.feed.post record: …`.
pub(crate) fn check_post(record: &Value) -> Checked {
    let text = string(record, "Record", "text")?;
    if text.len() > 3000 {
        return Err("Record/text must not be longer than 3000 characters".to_owned());
    }
    if text.graphemes(true).count() > 300 {
        return Err("Record/text must not be longer than 300 graphemes".to_owned());
    }
    let created = string(record, "Record", "createdAt")?;
    if !is_datetime(created) {
        return Err(
            "Record/createdAt must be an valid atproto datetime (both RFC-3339 and ISO-8601)".to_owned()
        );
    }
    for language in strings(record, "langs", 3)? {
        let plausible = (2..=35).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && language.as_bytes()[0].is_ascii_alphabetic();
        if !plausible {
            return Err("Record/langs/0 must be a well-formed BCP 47 language tag".to_owned());
        }
    }
    for tag in strings(record, "tags", 8)? {
        if tag.len() > 640 || tag.graphemes(true).count() > 64 {
            return Err("Record/tags/0 must not be longer than 64 graphemes".to_owned());
        }
    }
    if let Some(facets) = record.get("facets") {
        for (index, facet) in array(facets, "Record/facets")?.iter().enumerate() {
            check_facet(facet, text, &format!("Record/facets/{index}"))?;
        }
    }
    if let Some(reply) = record.get("reply") {
        for end in ["root", "parent"] {
            strong_ref(reply.get(end), &format!("Record/reply/{end}"))?;
        }
    }
    record.get("embed").map_or(Ok(()), |embed| check_embed(embed, "Record/embed"))
}

/// Every blob in a record, wherever it is.
pub(crate) fn blobs(record: &Value) -> Result<Vec<BlobRef>, String> {
    let mut found = Vec::new();
    walk(record, "", "", &mut found)?;
    Ok(found)
}

fn walk(value: &Value, key: &str, kind: &str, found: &mut Vec<BlobRef>) -> Checked {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, key, kind, found)),
        Value::Object(fields) if fields.get("$type").is_some_and(|kind| kind == "blob") => {
            let cid = value.pointer("/ref/$link").and_then(Value::as_str);
            let cid = cid.ok_or_else(|| format!("{key} should be a blob ref"))?.to_owned();
            let mime = string(value, key, "mimeType")?.to_owned();
            let size = fields.get("size").and_then(Value::as_u64);
            let (accept, max_size) = match (kind, key) {
                ("app.bsky.embed.external", _) => ("image/*", 1_000_000),
                ("app.bsky.embed.video", "file") => ("text/vtt", 20_000),
                ("app.bsky.embed.video", _) => ("video/mp4", 300_000_000),
                ("app.bsky.embed.images" | "app.bsky.embed.gallery" | "app.bsky.embed.gallery#image", _) => {
                    ("image/*", 2_000_000)
                }
                _ => ("", u64::MAX),
            };
            found.push(BlobRef { cid, mime, size, accept, max_size });
            Ok(())
        }
        Value::Object(fields) => {
            let kind = fields.get("$type").and_then(Value::as_str).unwrap_or(kind);
            fields.iter().try_for_each(|(key, value)| walk(value, key, kind, found))
        }
        _ => Ok(()),
    }
}

fn check_facet(facet: &Value, text: &str, path: &str) -> Checked {
    let index = facet.get("index").ok_or_else(|| missing(path, "index"))?;
    let offset = |name: &str| {
        let value = index.get(name).ok_or_else(|| missing(&format!("{path}/index"), name))?;
        let value =
            value.as_u64().ok_or_else(|| format!("{path}/index/{name} must be an integer of 0 or more"))?;
        let inside = usize::try_from(value).ok().filter(|at| text.is_char_boundary(*at));
        inside.ok_or_else(|| format!("{path}/index/{name} must lie inside the text, between two characters"))
    };
    if offset("byteStart")? >= offset("byteEnd")? {
        return Err(format!("{path}/index/byteEnd must be greater than byteStart"));
    }
    let features = facet.get("features").ok_or_else(|| missing(path, "features"))?;
    for (index, feature) in array(features, &format!("{path}/features"))?.iter().enumerate() {
        let path = format!("{path}/features/{index}");
        match string(feature, &path, "$type")? {
            "app.bsky.richtext.facet#link" => {
                let uri = string(feature, &path, "uri")?;
                url::Url::parse(uri).map_err(|_| format!("{path}/uri must be a uri"))?;
            }
            "app.bsky.richtext.facet#mention" => {
                let did = string(feature, &path, "did")?;
                did.strip_prefix("did:").ok_or_else(|| format!("{path}/did must be a valid did"))?;
            }
            "app.bsky.richtext.facet#tag" => {
                let tag = string(feature, &path, "tag")?;
                if tag.len() > 640 || tag.graphemes(true).count() > 64 {
                    return Err(format!("{path}/tag must not be longer than 64 graphemes"));
                }
            }
            _ => {} // an open union: what is not known passes
        }
    }
    Ok(())
}

fn check_embed(embed: &Value, path: &str) -> Checked {
    match string(embed, path, "$type")? {
        "app.bsky.embed.images" => {
            let images = array(
                embed.get("images").ok_or_else(|| missing(path, "images"))?,
                &format!("{path}/images"),
            )?;
            at_most(images, 4, &format!("{path}/images"))?;
            for (index, image) in images.iter().enumerate() {
                check_image(image, &format!("{path}/images/{index}"), false)?;
            }
        }
        "app.bsky.embed.gallery" => {
            let items =
                array(embed.get("items").ok_or_else(|| missing(path, "items"))?, &format!("{path}/items"))?;
            at_most(items, 20, &format!("{path}/items"))?;
            for (index, image) in items.iter().enumerate() {
                check_image(image, &format!("{path}/items/{index}"), true)?;
            }
        }
        "app.bsky.embed.video" => {
            blob(embed.get("video"), path, "video")?;
            if let Some(captions) = embed.get("captions") {
                at_most(array(captions, &format!("{path}/captions"))?, 20, &format!("{path}/captions"))?;
            }
            aspect_ratio(embed, path)?;
        }
        "app.bsky.embed.external" => {
            let external = embed.get("external").ok_or_else(|| missing(path, "external"))?;
            let path = format!("{path}/external");
            let uri = string(external, &path, "uri")?;
            url::Url::parse(uri).map_err(|_| format!("{path}/uri must be a uri"))?;
            string(external, &path, "title")?;
            string(external, &path, "description")?;
            if let Some(thumb) = external.get("thumb") {
                blob(Some(thumb), &path, "thumb")?;
            }
        }
        "app.bsky.embed.record" => strong_ref(embed.get("record"), &format!("{path}/record"))?,
        "app.bsky.embed.recordWithMedia" => {
            strong_ref(embed.pointer("/record/record"), &format!("{path}/record/record"))?;
            let media = embed.get("media").ok_or_else(|| missing(path, "media"))?;
            check_embed(media, &format!("{path}/media"))?;
        }
        _ => {}
    }
    Ok(())
}

fn check_image(image: &Value, path: &str, needs_ratio: bool) -> Checked {
    blob(image.get("image"), path, "image")?;
    string(image, path, "alt")?;
    if needs_ratio && image.get("aspectRatio").is_none() {
        return Err(missing(path, "aspectRatio"));
    }
    aspect_ratio(image, path)
}

fn aspect_ratio(holder: &Value, path: &str) -> Checked {
    let Some(ratio) = holder.get("aspectRatio") else { return Ok(()) };
    for side in ["width", "height"] {
        if ratio.get(side).and_then(Value::as_u64).is_none_or(|pixels| pixels < 1) {
            return Err(format!("{path}/aspectRatio/{side} can not be less than 1"));
        }
    }
    Ok(())
}

fn strong_ref(value: Option<&Value>, path: &str) -> Checked {
    let value = value.ok_or_else(|| format!("{path} must be an object"))?;
    if split(string(value, path, "uri")?).is_none() {
        return Err(format!("{path}/uri must be a valid at-uri"));
    }
    super::cid::is_valid(string(value, path, "cid")?)
        .then_some(())
        .ok_or_else(|| format!("{path}/cid must be a cid string"))
}

fn blob(value: Option<&Value>, path: &str, name: &str) -> Checked {
    let value = value.ok_or_else(|| missing(path, name))?;
    let is_blob =
        value.get("$type").is_some_and(|kind| kind == "blob") && value.pointer("/ref/$link").is_some();
    if is_blob { Ok(()) } else { Err(format!("{path}/{name} should be a blob ref")) }
}

fn string<'v>(value: &'v Value, path: &str, name: &str) -> Result<&'v str, String> {
    let found = value.get(name).ok_or_else(|| missing(path, name))?;
    found.as_str().ok_or_else(|| format!("{path}/{name} must be a string"))
}

fn strings<'v>(record: &'v Value, name: &str, max: usize) -> Result<Vec<&'v str>, String> {
    let Some(value) = record.get(name) else { return Ok(Vec::new()) };
    let path = format!("Record/{name}");
    let items = array(value, &path)?;
    at_most(items, max, &path)?;
    items.iter().map(|item| item.as_str().ok_or_else(|| format!("{path}/0 must be a string"))).collect()
}

fn array<'v>(value: &'v Value, path: &str) -> Result<&'v Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{path} must be an array"))
}

fn at_most(items: &[Value], max: usize, path: &str) -> Checked {
    if items.len() > max { Err(format!("{path} must not have more than {max} elements")) } else { Ok(()) }
}

fn missing(path: &str, name: &str) -> String {
    format!("{path} must have the property \"{name}\"")
}

/// RFC 3339 with a capital T and a zone.
fn is_datetime(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T')
        && text.parse::<jiff::Timestamp>().is_ok()
        && !text.ends_with("-00:00")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{blobs, check_key, check_post};

    fn post(extra: Value) -> Value {
        let mut post =
            json!({"$type": "app.bsky.feed.post", "text": "héllo", "createdAt": "2026-01-02T03:04:05.678Z"});
        if let (Some(post), Value::Object(extra)) = (post.as_object_mut(), extra) {
            post.extend(extra);
        }
        post
    }

    fn image(alt: Option<&str>) -> Value {
        let blob = json!({"$type": "blob", "ref": {"$link": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
            "mimeType": "image/png", "size": 3});
        alt.map_or_else(|| json!({"image": blob}), |alt| json!({"image": blob, "alt": alt}))
    }

    #[test]
    fn holds_posts_to_the_lexicon() {
        let facet = |start: u64, end: u64| {
            json!({"facets": [{"index": {"byteStart": start, "byteEnd": end},
                "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://a.org"}]}]})
        };
        let images = |n: usize| json!({"embed": {"$type": "app.bsky.embed.images", "images": vec![image(Some("")); n]}});
        for good in [
            json!({}),
            facet(0, 6),
            facet(1, 3),
            images(4),
            json!({"langs": ["en", "pt-BR"]}),
            json!({"text": "👩‍👩‍👧‍👦".repeat(100)}),
            json!({"text": "x".repeat(300)}),
        ] {
            check_post(&post(good)).unwrap();
        }
        for (bad, expected) in [
            (json!({"text": null}), "Record/text must be a string"),
            (json!({"text": "x".repeat(301)}), "Record/text must not be longer than 300 graphemes"),
            (json!({"text": "👩‍👩‍👧‍👦".repeat(121)}), "Record/text must not be longer than 3000 characters"),
            (
                json!({"createdAt": "yesterday"}),
                "Record/createdAt must be an valid atproto datetime (both RFC-3339 and ISO-8601)",
            ),
            (json!({"langs": ["a1", "bb", "cc", "dd"]}), "Record/langs must not have more than 3 elements"),
            (facet(0, 7), "Record/facets/0/index/byteEnd must lie inside the text, between two characters"),
            (facet(2, 6), "Record/facets/0/index/byteStart must lie inside the text, between two characters"),
            (facet(3, 3), "Record/facets/0/index/byteEnd must be greater than byteStart"),
            (images(5), "Record/embed/images must not have more than 4 elements"),
            (
                json!({"embed": {"$type": "app.bsky.embed.images", "images": [image(None)]}}),
                "Record/embed/images/0 must have the property \"alt\"",
            ),
        ] {
            assert_eq!(check_post(&post(bad)).unwrap_err(), expected);
        }
    }

    #[test]
    fn finds_blobs_and_what_their_place_demands() {
        let found =
            blobs(&post(json!({"embed": {"$type": "app.bsky.embed.images", "images": [image(Some(""))]}})));
        let found = found.unwrap();
        assert_eq!((found.len(), found[0].accept, found[0].max_size), (1, "image/*", 2_000_000));
    }

    #[test]
    fn wants_a_tid_for_posts() {
        check_key("app.bsky.feed.post", "3lxy2abcde22k").unwrap();
        check_key("app.bsky.actor.profile", "self").unwrap();
        assert!(
            check_key("app.bsky.feed.post", "hello")
                .unwrap_err()
                .starts_with("Invalid record key for app.bsky.feed.post: ")
        );
        assert!(check_key("app.bsky.actor.profile", "a/b").is_err());
    }
}
