//! The record of a post, a pure function of the work, its plan and its handles: the same inputs make the same bytes,
//! so the server recognises a repetition. The plan fixes the key and the creation time before the first call.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{HandleMap, text, thread, validate::Check},
    Content, Limits, Violation, Work,
    facets::{Dids, facets},
    text_of,
};
use crate::domain::settings::{BlueskySettings, Settings};

/// The collection of posts.
pub(super) const COLLECTION: &str = "app.bsky.feed.post";

/// The alphabet of record keys (<https://atproto.com/specs/tid>).
const SORTABLE: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// Content warnings that an author may put on a post (com/atproto/label/defs.json).
const SELF_LABELS: [&str; 5] = ["porn", "sexual", "nudity", "graphic-media", "!no-unauthenticated"];

/// How many low bits of a TID's microseconds come from the idempotency key: 67 seconds.
const SPREAD: u32 = 26;

/// How many of those bits say which further part of a thread it is; a longer thread goes on in the minute after.
const PLACES: u32 = 8;

/// Record key and creation time. The key is a TID: the due time to about a minute, then 36 bits of the idempotency
/// key, so that 5,000 posts of one account due at one instant share a key once in 5,000 such bursts. (With the
/// microseconds of one millisecond alone it would be nearly every time; the record's order is its `createdAt`.)
/// The parts of a thread are due at one instant; a millisecond each keeps their order in profiles. Whoever reads the
/// repository reads it in the order of its keys, so a further part's key comes after those of the parts before it: in
/// the next minute or so, its place first, then the key's bits.
pub(super) fn plan(work: &Work) -> Value {
    let digest = Sha256::digest(work.key.as_bytes());
    let random = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
    let due = u64::try_from(work.due_at).unwrap_or(0) * 1000;
    let minute = due >> SPREAD;
    let drawn = random >> 10 & ((1 << SPREAD) - 1);
    let micros = match u64::try_from(work.position).unwrap_or(0).checked_sub(1) {
        None => minute << SPREAD | drawn,
        Some(further) => {
            let place = ((minute + 1) << PLACES) + further;
            place << (SPREAD - PLACES) | drawn >> PLACES
        }
    };
    json!({ "rkey": tid(micros, (random & 0x3ff) as u32), "created_at": timestamp(work.due_at + work.position) })
}

/// 53 bits of microseconds and 10 bits of clock id, 5 bits a letter, so that keys sort by time.
fn tid(micros: u64, clock_id: u32) -> String {
    let number = (micros & 0x001f_ffff_ffff_ffff) << 10 | u64::from(clock_id & 0x3ff);
    (0..13).rev().map(|letter| char::from(SORTABLE[(number >> (5 * letter) & 31) as usize])).collect()
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(ms: i64) -> String {
    let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The handle of picture `i`.
pub(super) fn blob_step(i: usize) -> String {
    format!("blob.{i}")
}

/// The handle of the processing of video `i`.
pub(super) fn job_step(i: usize) -> String {
    format!("job.{i}")
}

/// The step that fetches what a link leads to; `null` when there is nothing to show.
pub(super) const CARD: &str = "card";

/// The steps whose uploads a record names.
pub(super) fn uploads(work: &Work) -> Vec<String> {
    if work.content.media.is_empty() {
        return vec![CARD.to_owned()];
    }
    let steps =
        work.content.media.iter().enumerate().map(|(i, item)| {
            if item.is_video() { vec![blob_step(i), job_step(i)] } else { vec![blob_step(i)] }
        });
    steps.flatten().collect()
}

/// The step that resolves mentions.
pub(super) const MENTIONS: &str = "mentions";

/// The record.
pub(super) fn record(work: &Work, handles: &HandleMap) -> Value {
    let text = text_out(&work.content);
    let dids: Dids =
        handles.get(MENTIONS).and_then(|dids| serde_json::from_value(dids.clone()).ok()).unwrap_or_default();
    let mut record =
        json!({ "$type": COLLECTION, "text": text, "createdAt": text_of(&work.plan, "created_at") });
    let fields = record.as_object_mut().expect("the literal above is an object");
    if let Some(reply) = work.reply.as_ref().and_then(|_| handles.get(thread::REPLY)) {
        fields.insert("reply".into(), reply.clone());
    }
    let facets = facets(text, &dids);
    if !facets.is_empty() {
        fields.insert("facets".into(), json!(facets));
    }
    if let Some(embed) = embed(work, handles) {
        fields.insert("embed".into(), embed);
    }
    let settings = settings(&work.content);
    if !settings.languages.is_empty() {
        fields.insert("langs".into(), json!(settings.languages));
    }
    if !settings.self_labels.is_empty() {
        let values: Vec<_> = settings.self_labels.iter().map(|label| json!({ "val": label })).collect();
        fields.insert(
            "labels".into(),
            json!({ "$type": "com.atproto.label.defs#selfLabels", "values": values }),
        );
    }
    record
}

/// What a record carries beside its text: a video, pictures, or the card of a link.
fn embed(work: &Work, handles: &HandleMap) -> Option<Value> {
    let media = &work.content.media;
    if media.is_empty() {
        let card = handles.get(CARD).filter(|card| card.is_object())?;
        return Some(json!({ "$type": "app.bsky.embed.external", "external": card }));
    }
    if let Some(video) = media.iter().position(crate::domain::content::Media::is_video) {
        let mut embed = uploaded(handles, video, "video")?;
        embed["$type"] = "app.bsky.embed.video".into();
        if !media[video].alt_text.is_empty() {
            embed["alt"] = media[video].alt_text.as_str().into();
        }
        return Some(embed);
    }
    let image = |(i, item): (usize, &crate::domain::content::Media)| {
        let mut image = uploaded(handles, i, "image")?;
        image["alt"] = item.alt_text.as_str().into();
        Some(image)
    };
    let images: Vec<_> = media.iter().enumerate().filter_map(image).collect();
    (!images.is_empty()).then(|| json!({ "$type": "app.bsky.embed.images", "images": images }))
}

/// An upload under that name, with its proportions where they are known.
fn uploaded(handles: &HandleMap, i: usize, name: &str) -> Option<Value> {
    let stored = handles.get(&blob_step(i))?;
    let mut embed = json!({ name: stored.get("blob")? });
    let (width, height) = (stored.get("width")?.as_i64()?, stored.get("height")?.as_i64()?);
    if width > 0 && height > 0 {
        embed["aspectRatio"] = json!({ "width": width, "height": height });
    }
    Some(embed)
}

/// The body of `putRecord`; a null `swapRecord` forbids replacing another record.
pub(super) fn put_body(did: &str, work: &Work, handles: &HandleMap) -> String {
    let body = json!({
        "repo": did,
        "collection": COLLECTION,
        "rkey": text_of(&work.plan, "rkey"),
        "swapRecord": null,
        "record": record(work, handles),
    });
    body.to_string()
}

/// `at://did/collection/rkey` of a work.
pub(super) fn uri(did: &str, work: &Work) -> String {
    format!("at://{did}/{COLLECTION}/{}", text_of(&work.plan, "rkey"))
}

/// A post's page.
pub(super) fn page(did: &str, rkey: &str) -> String {
    format!("https://bsky.app/profile/{did}/post/{rkey}")
}

/// The post of an account at an address that `page` makes, by its DID or its handle.
pub(super) fn id_at(did: &str, url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let mut parts = url.path_segments()?;
    let (profile, actor, post, rkey) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_page = profile == "profile" && post == "post" && !rkey.is_empty() && parts.all(str::is_empty);
    let is_own = actor == did || !actor.starts_with("did:");
    (is_page && is_own).then(|| format!("at://{did}/{COLLECTION}/{rkey}"))
}

/// Collection and key in an AT URI.
pub(super) fn key_of(uri: &str) -> Option<(&str, &str)> {
    let mut parts = uri.strip_prefix("at://")?.split('/');
    let (_, collection, rkey) = (parts.next()?, parts.next()?, parts.next()?);
    (parts.next().is_none() && !rkey.is_empty()).then_some((collection, rkey))
}

/// The text as it goes out: the offsets of facets count from its first byte.
pub(super) fn text_out(content: &Content) -> &str {
    content.text.trim()
}

fn settings(content: &Content) -> BlueskySettings {
    match &content.settings {
        Settings::Bluesky(settings) => settings.clone(),
        _ => BlueskySettings::default(),
    }
}

/// Everything a server would refuse.
pub(super) fn validate(limits: &Limits, content: &Content) -> Vec<Violation> {
    let mut check = Check::new("Bluesky", limits);
    let text = text_out(content);
    let link = usize::try_from(limits.link_length).unwrap_or(0);
    check.text(content, text::length(text, link, false), text.len());
    check.media(content);
    check.settings(&content.settings, matches!(content.settings, Settings::Bluesky(_)));
    let settings = settings(content);
    if settings.languages.len() > 3 {
        let text = format!("{} languages are given, Bluesky accepts at most 3", settings.languages.len());
        check.add("settings.bluesky.languages", "TOO_MANY_LANGUAGES", text);
    }
    for (i, language) in settings.languages.iter().enumerate().filter(|(_, language)| !is_language(language))
    {
        let text = format!("`{language}` is not a language code of BCP 47, such as `en` or `pt-BR`");
        check.add(format!("settings.bluesky.languages[{i}]"), "LANGUAGE", text);
    }
    for (i, label) in
        settings.self_labels.iter().enumerate().filter(|(_, label)| !SELF_LABELS.contains(&label.as_str()))
    {
        let text = format!(
            "`{label}` is not a label that authors may set; Bluesky knows {}",
            SELF_LABELS.join(", ")
        );
        check.add(format!("settings.bluesky.self_labels[{i}]"), "SELF_LABEL", text);
    }
    check.into_violations()
}

fn is_language(code: &str) -> bool {
    let mut parts = code.split('-');
    let primary = parts.next().unwrap_or_default();
    let alphabetic = (2..=3).contains(&primary.len()) && primary.chars().all(|c| c.is_ascii_alphabetic());
    alphabetic
        && parts.all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{content::Media, delivery::Reply};

    fn work(text: &str) -> Work {
        let id = uuid::Uuid::nil();
        let mut work = Work {
            target_id: id,
            post_id: id,
            workspace_id: id,
            account_id: id,
            revision: 1,
            due_at: 1_767_323_045_678,
            key: "KEY".into(),
            content: Content { text: text.into(), ..Content::default() },
            plan: Value::Null,
            position: 0,
            reply: None,
        };
        work.plan = plan(&work);
        work
    }

    #[test]
    fn a_plan_is_decided_by_the_work_alone() {
        let work = work("hi");
        assert_eq!(plan(&work), work.plan);
        assert_eq!(work.plan["created_at"], "2026-01-02T03:04:05.678Z");
        let rkey = work.plan["rkey"].as_str().unwrap();
        assert!(rkey.len() == 13 && rkey.bytes().all(|c| SORTABLE.contains(&c)), "{rkey}");
        let other = Work { key: "OTHER".into(), ..work.clone() };
        assert_ne!(plan(&other)["rkey"], work.plan["rkey"]);
    }

    #[test]
    fn posts_due_at_one_instant_get_keys_of_their_own() {
        let keys: std::collections::HashSet<_> = (0..5_000)
            .map(|n| {
                plan(&Work { key: format!("KEY {n}"), ..work("hi") })["rkey"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(keys.len(), 5_000);
    }

    #[test]
    fn the_keys_of_a_thread_increase() {
        let key = |position, due_at| {
            let part = Work { key: format!("KEY {position}"), position, due_at, ..work("hi") };
            plan(&part)["rkey"].as_str().unwrap().to_owned()
        };
        for due_at in [1_767_323_045_678, 1_767_323_090_000] {
            let keys: Vec<_> = (0..600).map(|position| key(position, due_at)).collect();
            assert!(keys.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn known_tids_come_out_right() {
        assert_eq!(tid(0, 0), "2222222222222");
        // The example of https://atproto.com/specs/tid.
        assert_eq!(tid(1_688_137_381_887_007, 6), "3jzfcijpj2z2a");
    }

    #[test]
    fn builds_the_whole_record() {
        let mut work = work("see https://a.example @ana.test\n");
        work.content.media = vec![Media { alt_text: "a cat".into(), ..Media::default() }];
        work.content.settings = Settings::Bluesky(BlueskySettings {
            languages: vec!["en".into()],
            self_labels: vec!["nudity".into()],
        });
        let blob = json!({ "$type": "blob", "ref": { "$link": "bafk" }, "mimeType": "image/png", "size": 3 });
        let handles = HandleMap::from([
            (MENTIONS.to_owned(), json!({ "ana.test": "did:plc:ana" })),
            (blob_step(0), json!({ "blob": blob, "width": 4, "height": 3 })),
        ]);
        assert_eq!(
            record(&work, &handles),
            json!({
                "$type": "app.bsky.feed.post",
                "text": "see https://a.example @ana.test",
                "createdAt": "2026-01-02T03:04:05.678Z",
                "facets": [
                    { "index": { "byteStart": 4, "byteEnd": 21 },
                      "features": [{ "$type": "app.bsky.richtext.facet#link", "uri": "https://a.example" }] },
                    { "index": { "byteStart": 22, "byteEnd": 31 },
                      "features": [{ "$type": "app.bsky.richtext.facet#mention", "did": "did:plc:ana" }] },
                ],
                "embed": { "$type": "app.bsky.embed.images", "images": [
                    { "image": blob, "alt": "a cat", "aspectRatio": { "width": 4, "height": 3 } },
                ] },
                "langs": ["en"],
                "labels": { "$type": "com.atproto.label.defs#selfLabels", "values": [{ "val": "nudity" }] },
            })
        );
        let reply =
            json!({ "root": { "uri": "at://r", "cid": "b1" }, "parent": { "uri": "at://p", "cid": "b2" } });
        let mut replied = handles.clone();
        replied.insert(thread::REPLY.into(), reply.clone());
        assert_eq!(record(&work, &replied), record(&work, &handles), "a post of its own replies to nothing");
        let ids = Reply { parent_native_id: "at://p".into(), root_native_id: "at://r".into() };
        assert_eq!(record(&Work { reply: Some(ids), ..work.clone() }, &replied)["reply"], reply);
        let body = put_body("did:plc:me", &work, &handles);
        assert_eq!(body, put_body("did:plc:me", &work, &handles));
        assert!(body.contains(r#""swapRecord":null"#));
    }

    #[test]
    fn a_page_tells_its_post() {
        let at = |url: &str| id_at("did:plc:a", url);
        let id = Some("at://did:plc:a/app.bsky.feed.post/3k".to_owned());
        assert_eq!(at(&page("did:plc:a", "3k")), id);
        assert_eq!(at("https://bsky.app/profile/ana.test/post/3k/?ref=x"), id);
        for bad in
            ["", "3k", "https://bsky.app/profile/did:plc:b/post/3k", "https://bsky.app/profile/ana.test"]
        {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_keys_out_of_addresses() {
        assert_eq!(key_of("at://did:plc:a/app.bsky.feed.post/3k"), Some(("app.bsky.feed.post", "3k")));
        for bad in ["", "https://x", "at://did:plc:a", "at://did/a/", "at://did/a/b/c"] {
            assert_eq!(key_of(bad), None);
        }
    }

    #[test]
    fn names_everything_that_would_be_refused() {
        let check = |content: &Content| {
            validate(&super::super::limits(), content).into_iter().map(|v| v.reason).collect::<Vec<_>>()
        };
        let content = |text: &str| Content { text: text.into(), ..Content::default() };
        assert_eq!(check(&content(&"x".repeat(300))), [""; 0]);
        assert_eq!(check(&content(&"x".repeat(301))), ["TEXT_TOO_LONG"]);
        assert_eq!(check(&content(&"👩‍👩‍👧‍👦".repeat(121))), ["TEXT_TOO_LARGE"]);
        let mut all = content("");
        all.media =
            vec![Media { content_type: "image/bmp".into(), size_bytes: 3_000_000, ..Media::default() }; 5];
        all.settings = Settings::Bluesky(BlueskySettings {
            languages: vec!["en".into(), "de".into(), "x".into(), "fr".into()],
            self_labels: vec!["spam".into()],
        });
        let reasons = check(&all);
        for reason in [
            "TOO_MANY_IMAGES",
            "IMAGE_TYPE",
            "IMAGE_TOO_LARGE",
            "TOO_MANY_LANGUAGES",
            "LANGUAGE",
            "SELF_LABEL",
        ] {
            assert!(reasons.contains(&reason), "{reason} in {reasons:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_sort_by_time(a in 0_u64..1 << 52, b in 0_u64..1 << 52, clock in 0_u32..1024) {
            prop_assert_eq!(tid(a, clock).cmp(&tid(b, clock)), a.cmp(&b));
        }
    }
}
