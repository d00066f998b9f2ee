//! A workspace as an app meets it: refusals with status 200, channels it is not in, and files that tell later where they are.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, Got, PNG, REDIRECT, got, query};

const SCOPES: &str = "chat:write,channels:read,groups:read,channels:join,channels:history,groups:history,files:read,files:write";

struct App<'b> {
    bench: &'b Bench,
    token: String,
}

async fn code(bench: &Bench, scopes: &str) -> String {
    let form = [
        ("client_id", "sandbox-slack"),
        ("redirect_uri", REDIRECT),
        ("scope", scopes),
        ("state", "s"),
        ("account", "demo"),
        ("decision", "authorize"),
    ];
    let back = got(bench.http.post(bench.url("/slack/oauth/v2/authorize")).form(&form)).await;
    query(back.header("location"), "code").unwrap()
}

async fn access(bench: &Bench, secret: &str, code: &str) -> Got {
    let form = [
        ("client_id", "sandbox-slack"),
        ("client_secret", secret),
        ("code", code),
        ("redirect_uri", REDIRECT),
    ];
    got(bench.http.post(bench.url("/slack/api/oauth.v2.access")).form(&form)).await
}

impl<'b> App<'b> {
    async fn new(bench: &'b Bench, scopes: &str) -> Self {
        let code = code(bench, scopes).await;
        let token = access(bench, "sandbox-slack-secret", &code).await.str("/access_token");
        Self { bench, token }
    }

    fn form(&self, method: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let url = self.bench.url(&format!("/slack/api/{method}"));
        self.bench.http.post(url).bearer_auth(&self.token).form(fields)
    }

    async fn call(&self, method: &str, fields: &[(&str, &str)]) -> Got {
        got(self.form(method, fields)).await
    }

    async fn json(&self, method: &str, body: Value) -> Got {
        got(self.bench.post(&format!("/slack/api/{method}"), &body).bearer_auth(&self.token)).await
    }

    async fn channel(&self, name: &str) -> String {
        let accounts = got(self.bench.get("/_sandbox/accounts")).await.body;
        let demo = accounts.as_array().unwrap().iter().find(|account| account["network"] == "slack").unwrap();
        demo["channels"][name].as_str().unwrap().to_owned()
    }
}

/// The error of a refusal, which comes with status 200.
fn refusal(got: &Got) -> String {
    assert_eq!((got.status, &got.body["ok"]), (200, &json!(false)), "{}", got.text);
    got.str("/error")
}

#[tokio::test]
async fn an_app_is_installed_with_a_code_that_works_once() {
    let bench = Bench::new().await;
    let code = code(&bench, SCOPES).await;
    assert_eq!(refusal(&access(&bench, "wrong", &code).await), "bad_client_secret");
    let granted = access(&bench, "sandbox-slack-secret", &code).await;
    assert!(granted.str("/access_token").starts_with("xoxb-"));
    assert_eq!((granted.str("/scope"), granted.body.get("refresh_token")), (SCOPES.to_owned(), None));
    assert_eq!(refusal(&access(&bench, "sandbox-slack-secret", &code).await), "invalid_code");
    let app = App { bench: &bench, token: granted.str("/access_token") };
    let me = app.call("auth.test", &[]).await;
    assert_eq!(me.body["team_id"], granted.body["team"]["id"]);
    assert_eq!(me.str("/url"), format!("{}/", bench.url("/slack")));
    assert_eq!(refusal(&got(bench.get("/slack/api/auth.test")).await), "not_authed");
    assert_eq!(refusal(&got(bench.get("/slack/api/auth.test").bearer_auth("x")).await), "invalid_auth");
    assert_eq!(app.call("auth.revoke", &[]).await.body["revoked"], true);
    assert_eq!(refusal(&app.call("auth.test", &[]).await), "token_revoked");
    assert_eq!(refusal(&app.call("no.such", &[]).await), "unknown_method");
}

#[tokio::test]
async fn channels_are_listed_by_type_and_joined() {
    let bench = Bench::new().await;
    let app = App::new(&bench, SCOPES).await;
    let names = |got: &Got| {
        let channels = got.body["channels"].as_array().unwrap().clone();
        channels.iter().map(|channel| channel["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&app.call("conversations.list", &[]).await),
        ["general", "random", "old", "announcements"]
    );
    let types = [("types", "public_channel,private_channel"), ("exclude_archived", "true"), ("limit", "3")];
    let first = app.call("conversations.list", &types).await;
    assert_eq!(names(&first), ["general", "random", "plans"]);
    let next = first.str("/response_metadata/next_cursor");
    let rest = app.call("conversations.list", &[types[0], types[1], types[2], ("cursor", &next)]).await;
    assert_eq!(
        (names(&rest), rest.str("/response_metadata/next_cursor")),
        (vec!["announcements".to_owned()], String::new())
    );
    let post = async |channel: &str, text: &str| {
        app.json("chat.postMessage", json!({"channel": channel, "text": text})).await
    };
    let random = app.channel("random").await;
    assert_eq!(refusal(&post(&random, "hi").await), "not_in_channel");
    assert_eq!(refusal(&app.call("conversations.history", &[("channel", &random)]).await), "not_in_channel");
    assert_eq!(
        app.call("conversations.join", &[("channel", &random)]).await.body["channel"]["is_member"],
        true
    );
    assert_eq!(
        app.call("conversations.join", &[("channel", &random)]).await.str("/warning"),
        "already_in_channel"
    );
    assert_eq!(post(&random, "hi").await.body["ok"], true);
    for (name, error) in
        [("secret", "channel_not_found"), ("old", "is_archived"), ("announcements", "restricted_action")]
    {
        assert_eq!(refusal(&post(&app.channel(name).await, "hi").await), error);
    }
    assert_eq!(refusal(&post(&random, " ").await), "no_text");
    let small = App::new(&bench, "channels:read").await;
    let refused = small.json("chat.postMessage", json!({"channel": random, "text": "hi"})).await;
    assert_eq!(
        (refusal(&refused), refused.str("/needed")),
        ("missing_scope".to_owned(), "chat:write".to_owned())
    );
}

#[tokio::test]
async fn only_metadata_tell_equal_messages_apart() {
    let bench = Bench::new().await;
    let app = App::new(&bench, SCOPES).await;
    let channel = app.channel("general").await;
    let body = |key: &str| {
        json!({"channel": channel, "text": "a &amp; b",
            "metadata": {"event_type": "t", "event_payload": {"key": key}}})
    };
    let first = app.json("chat.postMessage", body("1")).await.str("/ts");
    let second = app.json("chat.postMessage", body("2")).await.str("/ts");
    assert!(first < second && first.split_once('.').unwrap().1.len() == 6);
    let plain = app.call("conversations.history", &[("channel", &channel), ("oldest", &first)]).await;
    assert_eq!(
        (plain.body["messages"].as_array().unwrap().len(), plain.str("/messages/0/ts")),
        (1, second.clone())
    );
    assert_eq!(plain.body["messages"][0].get("metadata"), None);
    let fields = [("channel", channel.as_str()), ("include_all_metadata", "true")];
    let told = app.call("conversations.history", &fields).await;
    assert_eq!(told.str("/messages/0/metadata/event_payload/key"), "2");
    assert_eq!(
        refusal(&app.json("conversations.history", json!({"channel": channel})).await),
        "invalid_arguments"
    );
    let reply = json!({"channel": channel, "text": "re", "thread_ts": first});
    let reply = app.json("chat.postMessage", reply).await.str("/ts");
    let thread = app.call("conversations.replies", &[("channel", &channel), ("ts", &first)]).await;
    assert_eq!((thread.str("/messages/0/ts"), thread.str("/messages/1/ts")), (first.clone(), reply));
    assert_eq!(thread.body["messages"][0]["reply_count"], 1);
    let history = app.call("conversations.history", &[("channel", &channel)]).await;
    assert_eq!(history.body["messages"].as_array().unwrap().len(), 2, "replies are not in the history");
    let link = app
        .call("chat.getPermalink", &[("channel", &channel), ("message_ts", &first)])
        .await
        .str("/permalink");
    let path = link.strip_prefix(&bench.url("")).unwrap();
    assert_eq!(got(bench.get(path)).await.status, 200);
    let gone = json!({"channel": channel, "ts": first});
    assert_eq!(app.json("chat.delete", gone.clone()).await.body["ok"], true);
    assert_eq!(refusal(&app.json("chat.delete", gone).await), "message_not_found");
    assert_eq!(
        refusal(&app.call("conversations.replies", &[("channel", &channel), ("ts", &first)]).await),
        "thread_not_found"
    );
    assert_eq!(bench.ledger().await[0]["text"], "a & b");
    for _ in 0..20 {
        app.json("chat.postMessage", body("n")).await;
    }
    let page = app.call("conversations.history", &[("channel", &channel), ("limit", "100")]).await;
    assert_eq!((page.body["messages"].as_array().unwrap().len(), &page.body["has_more"]), (15, &json!(true)));
}

#[tokio::test]
async fn files_are_seen_when_completed_and_tell_their_message_later() {
    let bench = Bench::new().await;
    let app = App::new(&bench, SCOPES).await;
    let channel = app.channel("plans").await;
    let length = PNG.len().to_string();
    let asked = app
        .call(
            "files.getUploadURLExternal",
            &[("filename", "a.png"), ("length", &length), ("alt_txt", "a dot")],
        )
        .await;
    let (id, url) = (asked.str("/file_id"), asked.str("/upload_url"));
    assert_eq!(
        refusal(&app.json("files.getUploadURLExternal", json!({"filename": "a", "length": 1})).await),
        "invalid_arguments"
    );
    let complete = json!({"files": [{"id": id}], "channel_id": channel, "initial_comment": "look"});
    assert_eq!(refusal(&app.json("files.completeUploadExternal", complete.clone()).await), "file_not_found");
    assert_eq!(got(bench.http.post(&url).body("short")).await.status, 400);
    let uploaded = got(bench.http.post(&url).header("content-type", "image/png").body(PNG)).await;
    assert_eq!((uploaded.status, uploaded.text), (200, format!("OK - {length}")));
    assert_eq!(refusal(&app.call("files.info", &[("file", &id)]).await), "file_not_found");
    assert_eq!(bench.ledger().await.len(), 0);
    let done = app.json("files.completeUploadExternal", complete).await;
    assert_eq!((done.str("/files/0/id"), done.body.get("ts")), (id.clone(), None));
    assert_eq!(app.call("files.info", &[("file", &id)]).await.body["file"]["shares"], json!({}));
    bench.advance(1000).await;
    let told = app.call("files.info", &[("file", &id)]).await;
    let ts = told.str(&format!("/file/shares/private/{channel}/0/ts"));
    let ledger = bench.ledger().await;
    assert_eq!(
        (&ledger[0]["native_id"], &ledger[0]["text"]),
        (&json!(format!("{channel}/{ts}")), &json!("look"))
    );
    assert_eq!(ledger[0]["media"][0]["alt"], "a dot");
}

#[tokio::test]
async fn a_failure_may_have_done_its_part() {
    let bench = Bench::new().await;
    let app = App::new(&bench, SCOPES).await;
    let channel = app.channel("general").await;
    bench
        .script(json!({"network": "slack", "operation": "publish", "fault": {"kind": "accept_then_500"}}))
        .await;
    let body = json!({"channel": channel, "text": "x".repeat(40_001)});
    assert_eq!(refusal(&app.json("chat.postMessage", body).await), "fatal_error");
    assert_eq!(bench.ledger().await[0]["text"].as_str().unwrap().len(), 40_000, "longer texts are cut");
    bench.control("limits", json!({"network": "slack", "enforce": true})).await;
    app.call("conversations.history", &[("channel", &channel)]).await;
    let busy = app.call("conversations.history", &[("channel", &channel)]).await;
    assert_eq!((busy.status, busy.str("/error")), (429, "ratelimited".to_owned()));
    assert!(busy.header("retry-after").parse::<u64>().unwrap() <= 60);
}
