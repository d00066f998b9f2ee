//! The Bot API as a bot meets it: tokens in paths, rights that are missing, and messages that are made twice.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Bench, Got, MP4, PNG, got};

struct Bot<'b> {
    bench: &'b Bench,
    account: Value,
}

impl<'b> Bot<'b> {
    async fn new(bench: &'b Bench) -> Self {
        let accounts = got(bench.get("/_sandbox/accounts")).await.body;
        let demo = accounts.as_array().unwrap().iter().find(|account| account["network"] == "telegram");
        Self { bench, account: demo.unwrap().clone() }
    }

    fn path(&self, method: &str) -> String {
        format!("/telegram/bot{}/{method}", self.account["bot_token"].as_str().unwrap())
    }

    async fn call(&self, method: &str, body: Value) -> Got {
        got(self.bench.post(&self.path(method), &body)).await
    }

    async fn send(&self, method: &str, form: Form) -> Got {
        got(self.bench.http.post(self.bench.url(&self.path(method))).multipart(form)).await
    }
}

fn refusal(got: &Got) -> (u16, String) {
    assert_eq!((&got.body["ok"], &got.body["error_code"]), (&json!(false), &json!(got.status)));
    (got.status, got.str("/description"))
}

fn file(bytes: &'static [u8], mime: &str) -> Part {
    Part::bytes(bytes).file_name("f").mime_str(mime).unwrap()
}

#[tokio::test]
async fn a_bot_is_known_by_its_token_and_may_not_post_everywhere() {
    let bench = Bench::new().await;
    let bot = Bot::new(&bench).await;
    let me = bot.call("getMe", json!({})).await;
    assert_eq!(me.body["result"]["is_bot"], true);
    let chat = bot.call("getChat", json!({"chat_id": "@DEMO"})).await;
    assert_eq!(chat.body["result"]["id"], bot.account["chat_id"]);
    let member = json!({"chat_id": "@demo", "user_id": me.body["result"]["id"]});
    let member = bot.call("getChatMember", member).await;
    assert_eq!(member.body["result"]["can_post_messages"], true);
    for (chat, status, text) in [
        (json!("@demo_readers"), 400, "Bad Request: need administrator rights in the channel chat"),
        (json!("@demo_kicked"), 403, "Forbidden: bot was kicked from the channel chat"),
        (json!("@demo_outside"), 403, "Forbidden: bot is not a member of the channel chat"),
        (json!("@nowhere"), 400, "Bad Request: chat not found"),
        (
            bot.account["old_group_id"].clone(),
            400,
            "Bad Request: group chat was upgraded to a supergroup chat",
        ),
    ] {
        let refused = bot.call("sendMessage", json!({"chat_id": chat, "text": "hi"})).await;
        assert_eq!(refusal(&refused), (status, text.to_owned()));
    }
    let unknown = got(bench.get("/telegram/bot1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/getMe")).await;
    assert_eq!(refusal(&unknown), (401, "Unauthorized".to_owned()));
    assert_eq!(refusal(&got(bench.get("/telegram/botx/getMe")).await), (404, "Not Found".to_owned()));
    assert_eq!(refusal(&bot.call("getNothing", json!({})).await), (404, "Not Found".to_owned()));
    bench.script(json!({"network": "telegram", "fault": {"kind": "revoke_tokens"}})).await;
    assert_eq!(refusal(&bot.call("getMe", json!({})).await), (401, "Unauthorized".to_owned()));
    assert_eq!(bench.ledger().await.len(), 0);
}

#[tokio::test]
async fn the_same_request_twice_is_two_messages() {
    let bench = Bench::new().await;
    let bot = Bot::new(&bench).await;
    let body = json!({"chat_id": "@demo", "text": " hi "});
    let first = bot.call("sendMessage", body.clone()).await;
    let second =
        got(bench.get(&bot.path("sendMessage")).query(&[("chat_id", "@demo"), ("text", "hi")])).await;
    let id = first.body["result"]["message_id"].as_i64().unwrap();
    assert_eq!(second.body["result"]["message_id"], id + 1);
    assert_eq!(first.body["result"]["chat"]["username"], "demo");
    let page = got(bench.get(&format!("/telegram/demo/{id}"))).await;
    assert_eq!(page.status, 200);
    let reply = json!({"chat_id": "@demo", "text": "re", "reply_parameters": {"message_id": id}});
    assert_eq!(
        bot.call("sendMessage", reply.clone()).await.body["result"]["reply_to_message"]["message_id"],
        id
    );
    let gone = json!({"chat_id": "@demo", "message_id": id});
    assert_eq!(bot.call("deleteMessage", gone.clone()).await.body["result"], true);
    assert_eq!(refusal(&bot.call("deleteMessage", gone).await).1, "Bad Request: message to delete not found");
    assert_eq!(
        refusal(&bot.call("sendMessage", reply).await).1,
        "Bad Request: message to be replied not found"
    );
    let ledger = bench.ledger().await;
    assert_eq!((ledger.len(), &ledger[0]["text"]), (3, &json!("hi")));
    let logged = &bench.requests().await[0]["path"];
    assert!(logged.as_str().unwrap().starts_with("/telegram/botsha256:"), "{logged}");
}

#[tokio::test]
async fn lengths_are_utf16_units_and_markup_is_strict() {
    let bench = Bench::new().await;
    let bot = Bot::new(&bench).await;
    let send = async |text: String, mode: &str| {
        bot.call("sendMessage", json!({"chat_id": "@demo", "text": text, "parse_mode": mode})).await
    };
    assert_eq!(send("👋".repeat(2048), "").await.status, 200);
    assert_eq!(refusal(&send("👋".repeat(2049), "").await).1, "Bad Request: message is too long");
    assert_eq!(refusal(&send("\n ".into(), "").await).1, "Bad Request: message text is empty");
    assert!(refusal(&send("end.".into(), "MarkdownV2").await).1.contains("can't parse entities"));
    assert_eq!(send("end\\.".into(), "MarkdownV2").await.status, 200);
    let caption = Form::new().text("chat_id", "@demo").text("caption", "x".repeat(1025));
    let refused = bot.send("sendPhoto", caption.part("photo", file(PNG, "image/png"))).await;
    assert_eq!(refusal(&refused).1, "Bad Request: message caption is too long");
}

#[tokio::test]
async fn albums_are_several_messages_with_one_caption() {
    let bench = Bench::new().await;
    let bot = Bot::new(&bench).await;
    let media = json!([
        {"type": "photo", "media": "attach://a", "caption": "both"}, {"type": "video", "media": "attach://b"},
    ]);
    let form = |media: &Value| {
        let form = Form::new().text("chat_id", "@demo").text("media", media.to_string());
        form.part("a", file(PNG, "image/png")).part("b", file(MP4, "video/mp4"))
    };
    let album = bot.send("sendMediaGroup", form(&media)).await;
    let messages = album.body["result"].as_array().unwrap().clone();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["media_group_id"], messages[1]["media_group_id"]);
    assert_eq!((&messages[0]["caption"], messages[1].get("caption")), (&json!("both"), None));
    let missing = json!([{"type": "photo", "media": "attach://a"}, {"type": "photo", "media": "attach://c"}]);
    assert_eq!(
        refusal(&bot.send("sendMediaGroup", form(&missing)).await).1,
        "Bad Request: wrong file identifier/HTTP URL specified"
    );
    let alone = json!([{"type": "photo", "media": "attach://a"}]);
    assert_eq!(bot.send("sendMediaGroup", form(&alone)).await.status, 400);
    let ids: Vec<_> = messages.iter().map(|message| message["message_id"].clone()).collect();
    let ledger = bench.ledger().await;
    assert_eq!(ledger.len(), 1);
    let shown = format!("{}/{},{}", bot.account["chat_id"], ids[0], ids[1]);
    assert_eq!((&ledger[0]["native_id"], ledger[0]["media"].as_array().unwrap().len()), (&json!(shown), 2));
    let gone = json!({"chat_id": "@demo", "message_ids": [ids[0], ids[1], 999]});
    assert_eq!(bot.call("deleteMessages", gone).await.body["result"], true);
    assert_eq!(got(bench.get(&format!("/telegram/demo/{}", ids[0]))).await.status, 404);
}

#[tokio::test]
async fn a_busy_chat_is_told_to_wait_in_the_body() {
    let bench = Bench::new().await;
    let bot = Bot::new(&bench).await;
    bench.script(json!({"network": "telegram", "operation": "publish", "fault": {"kind": "throttle", "retry_after_s": 35}})).await;
    let busy = bot.call("sendMessage", json!({"chat_id": "@demo", "text": "hi"})).await;
    assert_eq!(refusal(&busy), (429, "Too Many Requests: retry after 35".to_owned()));
    assert_eq!((&busy.body["parameters"]["retry_after"], busy.header("retry-after")), (&json!(35), ""));
    bench
        .script(json!({"network": "telegram", "operation": "publish", "fault": {"kind": "accept_then_500"}}))
        .await;
    let broken = bot.call("sendMessage", json!({"chat_id": "@demo", "text": "hi"})).await;
    assert_eq!((broken.status, broken.body), (502, Value::Null));
    assert_eq!(bench.ledger().await.len(), 1);
}
