//! The OpenAPI document: what it lists, and that it hangs together.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::harness::world;

#[tokio::test]
async fn lists_every_route_of_the_contracts() {
    let world = world().await;
    let (status, document) = world.json(world.http.get(format!("{}/openapi.json", world.url))).await;
    assert_eq!((status, document["openapi"].as_str().unwrap()), (200, "3.1.0"));
    let paths = document["paths"].as_object().unwrap();
    let routes: Vec<String> = paths
        .iter()
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(move |verb| format!("{} {path}", verb.to_uppercase())))
        .collect();
    insta::assert_snapshot!(routes.join("\n"), @"");
}

#[tokio::test]
async fn describes_a_route_in_the_words_of_its_contract() {
    let world = world().await;
    let (_, document) = world.json(world.http.get(format!("{}/openapi.json", world.url))).await;
    insta::assert_json_snapshot!(document["paths"]["/v1/posts/{post_id}:cancel"], @"");
    insta::assert_json_snapshot!(document["paths"]["/v1/posts"]["get"]["parameters"], @"");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_nothing_internal_is_told() {
    let world = world().await;
    let (_, document) = world.json(world.http.get(format!("{}/openapi.json", world.url))).await;
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some_and(Json::is_object), "{reference}");
    }
    let text = document.to_string();
    for internal in ["BatchGetMedia", "WriteUpload", "ReceiveAuthorization", "TailEvents"] {
        assert!(!text.contains(internal), "{internal}");
    }
    let mut ids = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|verbs| verbs.as_object().unwrap().values()) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "operation ids are unique");
        assert!(!operation["summary"].as_str().unwrap().is_empty());
    }
}

fn collect(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::Object(object) => {
            if let Some(Json::String(reference)) = object.get("$ref") {
                found.insert(reference.clone());
            }
            object.values().for_each(|value| collect(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
