//! JSON over HTTP: what gets through, and every way to be wrong.

use serde_json::{Value as Json, json};

use crate::harness::{World, world};

fn fields(error: &Json) -> Vec<&str> {
    let details = error["error"]["details"].as_array().unwrap();
    let bad = details
        .iter()
        .find(|d| d["@type"] == "type.googleapis.com/google.rpc.BadRequest")
        .expect("a BadRequest");
    let mut fields: Vec<_> =
        bad["fieldViolations"].as_array().unwrap().iter().map(|v| v["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    fields
}

async fn send(world: &World, verb: &str, path: &str, body: &str) -> (u16, Json) {
    world.json(world.ask(verb, path).body(body.to_owned())).await
}

#[tokio::test]
async fn a_route_of_the_contract_answers_json() {
    let world = world().await;
    let body = json!({ "text": "hi", "targets": [{ "account_id": "a" }], "scheduleTime": "2030-01-01T00:00:00Z", "requestId": "r-1" });
    let (status, answer) = world.json(world.ask("POST", "/v1/posts").json(&body)).await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(answer, @r##"
    {
      "post": {
        "createTime": "2030-03-17T17:46:40Z",
        "id": "r-1",
        "scheduleTime": "2030-01-01T00:00:00Z",
        "state": "POST_STATE_SCHEDULED",
        "text": "hi"
      }
    }
    "##);
}

#[tokio::test]
async fn names_come_as_the_contract_spells_them_when_asked_for() {
    let world = world().await;
    let (_, answer) =
        world.json(world.ask("GET", "/v1/posts/7").header("accept", "application/json; names=proto")).await;
    assert_eq!(answer["post"]["create_time"], "2030-03-17T17:46:40Z");
}

#[tokio::test]
async fn every_method_answers_at_its_grpc_path() {
    let world = world().await;
    let (status, answer) =
        send(&world, "POST", "/postmesh.scheduler.v1.PostService/GetPost", r#"{"postId":"7"}"#).await;
    assert_eq!((status, &answer["post"]["id"]), (200, &json!("7")));
}

#[tokio::test]
async fn path_and_query_fill_fields_after_percent_decoding() {
    let world = world().await;
    let (_, answer) = send(&world, "GET", "/v1/posts/a%2Fb%20%C3%BC", "").await;
    assert_eq!(answer["post"]["id"], "a/b ü");
    let (_, answer) =
        send(&world, "GET", "/v1/posts?pageSize=7&filter=state+%3D+%22A%26B%22&page_token=t%2B", "").await;
    assert_eq!(answer["posts"][0]["id"], "7");
    assert_eq!(answer["posts"][0]["text"], "state = \"A&B\"");
    assert_eq!(answer["nextPageToken"], "t+");
    let (status, answer) = send(&world, "POST", "/v1/posts/9:cancel", r#"{"etag":"e"}"#).await;
    assert_eq!((status, &answer["post"]["id"], &answer["post"]["text"]), (200, &json!("9"), &json!("e")));
    let (_, answer) =
        send(&world, "PATCH", "/v1/posts/9", r#"{"text":"x","updateMask":"text,targets"}"#).await;
    assert_eq!(answer["post"]["text"], "text,targets");
}

#[tokio::test]
async fn a_stream_is_one_object_per_line() {
    let world = world().await;
    let response = world
        .ask("GET", "/v1/posts:watch?postIds=a&post_ids=b&postIds=missing&untilFinal=true")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["post"]["id"], &lines[1]["post"]["id"]), (&json!("a"), &json!("b")));
    assert_eq!(
        (&lines[2]["error"]["code"], &lines[2]["error"]["status"]),
        (&json!(404), &json!("NOT_FOUND"))
    );
}

#[tokio::test]
async fn an_idempotency_key_fills_an_empty_request_id() {
    let world = world().await;
    let body = json!({ "text": "hi", "targets": [{}] });
    let (_, answer) =
        world.json(world.ask("POST", "/v1/posts").header("idempotency-key", "k-1").json(&body)).await;
    assert_eq!(answer["post"]["id"], "k-1");
    let body = json!({ "text": "hi", "targets": [{}], "requestId": "r-1" });
    let (_, answer) =
        world.json(world.ask("POST", "/v1/posts").header("idempotency-key", "k-1").json(&body)).await;
    assert_eq!(answer["post"]["id"], "r-1");
}

#[tokio::test]
async fn errors_of_services_keep_their_details() {
    let world = world().await;
    let (status, answer) = send(&world, "POST", "/v1/posts", "{}").await;
    assert_eq!(status, 400);
    insta::assert_json_snapshot!(answer, @r##"
    {
      "error": {
        "code": 400,
        "details": [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "domain": "postmesh.mesh",
            "reason": "INVALID_FIELDS"
          },
          {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [
              {
                "description": "is required",
                "field": "text"
              },
              {
                "description": "needs at least one",
                "field": "targets"
              }
            ]
          }
        ],
        "message": "text is required; targets needs at least one",
        "status": "INVALID_ARGUMENT"
      }
    }
    "##);

    let response = world.ask("GET", "/v1/posts/limited").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "2"));
    let (status, answer) = send(&world, "GET", "/v1/posts/missing", "").await;
    assert_eq!((status, &answer["error"]["status"]), (404, &json!("NOT_FOUND")));
    let (status, answer) = send(&world, "GET", "/v1/posts/sent", "").await;
    assert_eq!((status, &answer["error"]["status"]), (400, &json!("FAILED_PRECONDITION")));
    let (status, answer) = send(&world, "GET", "/v1/posts/broken", "").await;
    assert_eq!(status, 500);
    assert!(!answer.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_body_that_is_wrong_names_every_bad_field() {
    let world = world().await;
    let (status, answer) =
        send(&world, "POST", "/v1/posts", r#"{"text":5,"colour":"red","targets":[{"accountId":7}]}"#).await;
    assert_eq!((status, fields(&answer)), (400, vec!["colour", "targets[0].account_id", "text"]));
    let (status, answer) = send(&world, "POST", "/v1/posts", r#"{"text":"#).await;
    assert_eq!((status, fields(&answer)), (400, vec!["body"]));
    assert!(answer["error"]["message"].as_str().unwrap().contains("is not JSON"));
    let (status, answer) = send(&world, "POST", "/v1/posts", "[]").await;
    assert_eq!((status, fields(&answer)), (400, vec!["body"]));
    let (status, answer) = send(&world, "POST", "/v1/posts/9:cancel", r#"{"postId":"8"}"#).await;
    assert_eq!((status, fields(&answer)), (400, vec!["post_id"]));
    assert_eq!(world.seen.count(), 0);
}

#[tokio::test]
async fn a_query_that_is_wrong_names_every_bad_key() {
    let world = world().await;
    let (status, answer) =
        send(&world, "GET", "/v1/posts?pageSize=x&colour=red&size=2&filter=a&filter=b", "").await;
    assert_eq!((status, fields(&answer)), (400, vec!["colour", "filter", "page_size", "size"]));
    let (status, answer) = send(&world, "GET", "/v1/posts/7?post_id=8&x=1", "").await;
    assert_eq!((status, fields(&answer)), (400, vec!["post_id", "x"]));
    let (status, answer) = send(&world, "POST", "/v1/posts?text=hi", "{}").await;
    assert_eq!((status, fields(&answer)), (400, vec!["text"]));
    let (status, answer) = send(&world, "GET", "/v1/posts/%ff", "").await;
    assert_eq!((status, fields(&answer)), (400, vec!["post_id"]));
    let (status, answer) = send(&world, "GET", "/v1/posts", r#"{"pageSize":5}"#).await;
    assert_eq!((status, fields(&answer)), (400, vec!["body"]));
    assert_eq!(world.seen.count(), 0);
}

#[tokio::test]
async fn paths_and_verbs_that_are_wrong_say_what_is_right() {
    let world = world().await;
    let (status, answer) = send(&world, "GET", "/v1/post", "").await;
    assert_eq!(status, 404);
    assert!(answer["error"]["message"].as_str().unwrap().contains("/openapi.json"));
    for (verb, path, allowed) in [
        ("PUT", "/v1/posts", "GET, POST"),
        ("GET", "/v1/posts/9:cancel", "POST"),
        ("GET", "/postmesh.scheduler.v1.PostService/GetPost", "POST"),
        ("DELETE", "/openapi.json", "GET, HEAD"),
    ] {
        let response = world.ask(verb, path).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].to_str().unwrap()),
            (405, allowed),
            "{verb} {path}"
        );
    }
}

#[tokio::test]
async fn internal_rpcs_have_no_path() {
    let world = world().await;
    let internal = send(&world, "POST", "/postmesh.media.v1.MediaService/BatchGetMedia", "{}").await;
    let unknown = send(&world, "POST", "/postmesh.media.v1.MediaService/NoSuchMethod", "{}").await;
    assert_eq!((internal.0, unknown.0), (404, 404));
    assert_eq!(
        internal.1.to_string().replace("BatchGetMedia", "…"),
        unknown.1.to_string().replace("NoSuchMethod", "…")
    );
}

#[tokio::test]
async fn without_a_token_the_answer_says_which_kind_is_wanted() {
    let world = world().await;
    let response = world.http.get(format!("{}/v1/me", world.url)).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["www-authenticate"].to_str().unwrap()),
        (401, "Bearer")
    );
    assert_eq!(world.seen.count(), 0);
}
