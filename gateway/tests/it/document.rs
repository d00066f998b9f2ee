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
        .flat_map(|(path, verbs)| {
            verbs.as_object().unwrap().keys().map(move |verb| format!("{} {path}", verb.to_uppercase()))
        })
        .collect();
    insta::assert_snapshot!(routes.join("\n"), @r##"
    GET /v1/accounts
    GET /v1/accounts/{account_id}
    POST /v1/accounts/{account_id}:disconnect
    POST /v1/accounts:beginConnect
    POST /v1/accounts:completeConnect
    POST /v1/accounts:connectWithPassword
    POST /v1/accounts:fitContent
    GET /v1/apps
    DELETE /v1/apps/{network}
    GET /v1/auth/keys
    POST /v1/auth:login
    POST /v1/auth:logout
    POST /v1/auth:refresh
    POST /v1/auth:register
    GET /v1/me
    GET /v1/media
    DELETE /v1/media/{media_id}
    GET /v1/media/{media_id}
    GET /v1/networks
    POST /v1/networks/{network}:setApp
    GET /v1/posts
    POST /v1/posts
    DELETE /v1/posts/{post_id}
    GET /v1/posts/{post_id}
    PATCH /v1/posts/{post_id}
    GET /v1/posts/{post_id}/targets/{target_id}/events
    POST /v1/posts/{post_id}/targets/{target_id}:confirm
    POST /v1/posts/{post_id}/targets/{target_id}:retry
    POST /v1/posts/{post_id}:cancel
    POST /v1/posts/{post_id}:schedule
    GET /v1/posts:watch
    POST /v1/uploads
    PUT /v1/uploads/{upload_id}/content
    POST /v1/uploads/{upload_id}:complete
    "##);
}

#[tokio::test]
async fn describes_a_route_in_the_words_of_its_contract() {
    let world = world().await;
    let (_, document) = world.json(world.http.get(format!("{}/openapi.json", world.url))).await;
    insta::assert_json_snapshot!(document["paths"]["/v1/posts/{post_id}:cancel"], @r##"
    {
      "post": {
        "description": "Withdraws every target that has not been sent. FAILED_PRECONDITION when none could be withdrawn.\n\nNeeds the permission `posts.publish`.",
        "operationId": "PostService_CancelPost",
        "parameters": [
          {
            "description": "UUID.",
            "in": "path",
            "name": "post_id",
            "required": true,
            "schema": {
              "type": "string"
            }
          }
        ],
        "requestBody": {
          "content": {
            "application/json": {
              "schema": {
                "additionalProperties": false,
                "description": "Input of CancelPost.",
                "properties": {
                  "etag": {
                    "description": "From the post; empty for whatever is there.",
                    "type": "string"
                  },
                  "requestId": {
                    "description": "Repeating a request with the same id (a UUID) answers the first result.",
                    "type": "string"
                  }
                },
                "type": "object"
              }
            }
          },
          "required": true
        },
        "responses": {
          "200": {
            "content": {
              "application/json": {
                "schema": {
                  "$ref": "#/components/schemas/postmesh.scheduler.v1.CancelPostResponse"
                }
              }
            },
            "description": "Success."
          },
          "default": {
            "content": {
              "application/json": {
                "schema": {
                  "$ref": "#/components/schemas/Error"
                }
              }
            },
            "description": "An error."
          }
        },
        "security": [
          {
            "bearer": []
          }
        ],
        "summary": "Withdraws every target that has not been sent",
        "tags": [
          "PostService"
        ]
      }
    }
    "##);
    insta::assert_json_snapshot!(document["paths"]["/v1/posts"]["get"]["parameters"], @r##"
    [
      {
        "description": "At most this many; 50 when 0, at most 200.",
        "in": "query",
        "name": "pageSize",
        "required": false,
        "schema": {
          "format": "int32",
          "type": "integer"
        }
      },
      {
        "description": "From the answer before.",
        "in": "query",
        "name": "pageToken",
        "required": false,
        "schema": {
          "type": "string"
        }
      },
      {
        "description": "`state = SCHEDULED`, `account_id = \"…\"`, joined by AND; empty for all.",
        "in": "query",
        "name": "filter",
        "required": false,
        "schema": {
          "type": "string"
        }
      },
      {
        "description": "`create_time desc` (the default), `create_time`, `schedule_time` or `schedule_time desc`.",
        "in": "query",
        "name": "orderBy",
        "required": false,
        "schema": {
          "type": "string"
        }
      }
    ]
    "##);
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
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|verbs| verbs.as_object().unwrap().values())
    {
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

#[tokio::test]
async fn says_what_it_is_to_servers_that_ask_for_a_document() {
    let world = world().await;
    let url = format!("{}/oauth/bluesky/client-metadata.json", world.url);
    let (status, document) = world.json(world.http.get(&url)).await;
    assert_eq!((status, document["dpop_bound_access_tokens"].as_bool()), (200, Some(true)));
    assert!(document["client_id"].as_str().unwrap().ends_with("/oauth/bluesky/client-metadata.json"));
}
