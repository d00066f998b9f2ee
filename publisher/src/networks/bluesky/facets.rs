//! Facets: where links, mentions and tags stand in a text, in UTF-8 bytes, end exclusive. Nothing is linked without
//! one (app/bsky/richtext/facet.json).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::text;

/// Handles by the DID they resolved to; one that did not resolve stays plain text.
pub(super) type Dids = BTreeMap<String, Option<String>>;

/// The handles a text mentions, lower case, each once.
pub(super) fn mentioned(text: &str) -> Vec<String> {
    let mut handles: Vec<_> =
        text::handles(text).into_iter().map(|at| text[at][1..].to_ascii_lowercase()).collect();
    handles.sort();
    handles.dedup();
    handles
}

/// The facets of a text, in order, none overlapping.
pub(super) fn facets(text: &str, dids: &Dids) -> Vec<Value> {
    let links = text::links(text).into_iter().map(|at| {
        let uri = &text[at.clone()];
        (at, json!({ "$type": "app.bsky.richtext.facet#link", "uri": uri }))
    });
    let mentions = text::handles(text).into_iter().filter_map(|at| {
        let did = dids.get(&text[at.clone()][1..].to_ascii_lowercase())?.as_ref()?;
        Some((at, json!({ "$type": "app.bsky.richtext.facet#mention", "did": did })))
    });
    let tags = text::tags(text).into_iter().map(|at| {
        let tag = &text[at.start + 1..at.end];
        (at, json!({ "$type": "app.bsky.richtext.facet#tag", "tag": tag }))
    });
    let mut found: Vec<_> = links.chain(mentions).chain(tags).collect();
    found.sort_by_key(|(at, _)| at.start);
    let mut end = 0;
    found.retain(|(at, _)| {
        let apart = at.start >= end;
        end = if apart { at.end } else { end };
        apart
    });
    let facet = |(at, feature): (std::ops::Range<usize>, Value)| json!({ "index": { "byteStart": at.start, "byteEnd": at.end }, "features": [feature] });
    found.into_iter().map(facet).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> Dids {
        Dids::from([("ana.test".into(), Some("did:plc:ana".into())), ("gone.test".into(), None)])
    }

    #[test]
    fn counts_in_bytes() {
        let text = "héllo @Ana.test 👋 https://ü.example/#x #großer, @gone.test";
        let found = facets(text, &known());
        let slices: Vec<_> = found
            .iter()
            .map(|facet| {
                let at = |name: &str| facet["index"][name].as_u64().unwrap() as usize;
                &text[at("byteStart")..at("byteEnd")]
            })
            .collect();
        assert_eq!(slices, ["@Ana.test", "https://ü.example/#x", "#großer"]);
        assert_eq!(found[0]["features"][0]["did"], "did:plc:ana");
        assert_eq!(found[1]["features"][0]["uri"], "https://ü.example/#x");
        assert_eq!(found[2]["features"][0]["tag"], "großer");
        assert_eq!(mentioned(text), ["ana.test", "gone.test"]);
    }

    proptest! {
        #[test]
        fn facets_never_overlap_nor_cut_a_character(text in "(\\PC|https://a.example/#t|@ana.test|#tag| |\\n){0,30}") {
            let mut end = 0;
            for facet in facets(&text, &known()) {
                let at = |name: &str| facet["index"][name].as_u64().unwrap() as usize;
                prop_assert!(at("byteStart") >= end && text.get(at("byteStart")..at("byteEnd")).is_some());
                end = at("byteEnd");
            }
        }
    }
}
