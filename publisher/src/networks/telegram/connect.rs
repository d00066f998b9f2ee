//! Bringing a channel or a group in: the bot's token is tried, the chat is looked up, and the bot must be allowed to post.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json as object};

use super::{
    super::{
        connect::{Connect, ConnectFault, Connected},
        server,
    },
    PAGES, SERVER, Secret, Telegram, errors, json, limits, method, text_of,
};

#[async_trait]
impl Connect for Telegram {
    fn default_server(&self) -> &'static str {
        SERVER
    }

    async fn login(&self, server: &str, identifier: &str, password: &str) -> Result<Connected, ConnectFault> {
        let token = server::cleaned(password);
        if !is_token(&token) {
            let why = "that is no bot token; copy the one that @BotFather shows, such as 123456:ABC…";
            return Err(refused(server, why));
        }
        let chat = chat_named(identifier)
            .ok_or_else(|| refused(server, "name the channel as @channel, or by its numeric id"))?;
        let me = self.call(server, &token, "getMe", &object!({})).await?;
        let chat = self.call(server, &token, "getChat", &object!({ "chat_id": chat })).await?;
        let id = chat.get("id").and_then(Value::as_i64).ok_or_else(|| wrong_kind(server))?;
        let kind = text_of(&chat, "type");
        if !matches!(kind, "channel" | "supergroup" | "group") {
            return Err(refused(server, "posts go to channels and groups; name one"));
        }
        let asked = object!({ "chat_id": id, "user_id": me["id"] });
        let member = self.call(server, &token, "getChatMember", &asked).await?;
        if !may_post(kind, &member) {
            let why = "the bot may not post there; make it an administrator that may post messages";
            return Err(refused(server, why));
        }
        let (title, username) = (text_of(&chat, "title"), text_of(&chat, "username"));
        let site = server::sibling(server, SERVER, PAGES);
        let named = !username.is_empty();
        Ok(Connected {
            server: server.to_owned(),
            native_id: id.to_string(),
            handle: if named { format!("@{username}") } else { title.to_owned() },
            display_name: title.to_owned(),
            avatar_url: String::new(),
            profile_url: if named { format!("{site}/{username}") } else { String::new() },
            limits: limits(),
            access_token: Secret::new(token),
            refresh_token: None,
            access_expires_at: None,
            extra: Secret::default(),
        })
    }
}

impl Telegram {
    /// A method's result.
    async fn call(&self, server: &str, token: &str, name: &str, body: &Value) -> Result<Value, ConnectFault> {
        let call = method(server, token, name).json(body);
        let response = call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))?;
        let body = json(&response).unwrap_or_default();
        if response.status().is_success() && body["ok"] == true {
            return Ok(body["result"].clone());
        }
        Err(self.refusal(server, &response, &body))
    }

    fn refusal(&self, server: &str, response: &Response<Bytes>, body: &Value) -> ConnectFault {
        let description = errors::description(body);
        match (response.status().as_u16(), description) {
            (401 | 404, "Unauthorized" | "Not Found") => {
                refused(server, "it does not know this bot token; copy it again from @BotFather")
            }
            (400, "Bad Request: chat not found") => {
                refused(server, "there is no such channel, or the bot is not in it; add the bot first")
            }
            (400 | 403, _) if description.contains("member list") || description.contains("bot ") => {
                refused(server, "the bot is not in that channel; add it as an administrator first")
            }
            (429, _) => ConnectFault::RateLimited {
                server: server::host(server),
                retry_after: errors::retry_after(body),
            },
            _ => ConnectFault::from_answer(server, "Telegram", response, description, self.clock.now_ms()),
        }
    }
}

/// In a channel only administrators with that right post; in a group every member does.
fn may_post(kind: &str, member: &Value) -> bool {
    match text_of(member, "status") {
        "creator" => true,
        "administrator" => kind != "channel" || member["can_post_messages"] == true,
        "member" => kind != "channel",
        "restricted" => member["can_send_messages"] == true,
        _ => false,
    }
}

/// Digits, a colon, and letters that cannot change the meaning of a path.
fn is_token(token: &str) -> bool {
    let secret = |secret: &str| {
        secret.len() >= 30 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    token
        .split_once(':')
        .is_some_and(|(id, rest)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && secret(rest))
}

/// `@channel`, `channel`, `https://t.me/channel` or `-1001234567890`, as the API takes it.
fn chat_named(identifier: &str) -> Option<String> {
    let named = server::cleaned(identifier);
    let named = named.strip_prefix("https://").unwrap_or(&named);
    let named = named.strip_prefix("t.me/").unwrap_or(named).trim_end_matches('/');
    if named.parse::<i64>().is_ok() {
        return Some(named.to_owned());
    }
    let name = named.strip_prefix('@').unwrap_or(named);
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| format!("@{name}"))
}

fn refused(server: &str, why: &str) -> ConnectFault {
    ConnectFault::Refused { server: server::host(server), why: why.to_owned() }
}

fn wrong_kind(server: &str) -> ConnectFault {
    ConnectFault::WrongKind { server: server::host(server), network: "Telegram" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_how_people_name_a_channel() {
        for (written, taken) in [
            ("@news", Some("@news")),
            (" news ", Some("@news")),
            ("https://t.me/news/", Some("@news")),
            ("-1001234567890", Some("-1001234567890")),
            ("", None),
            ("two words", None),
        ] {
            assert_eq!(chat_named(written).as_deref(), taken, "{written}");
        }
        assert!(is_token("123456:ABCDEFGHIJKLMNOPQRSTUVWXYZ_abc-def"));
        for wrong in [
            "",
            "123456",
            "123456:short",
            "x:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef",
            "1:../../../../../../../../../../x?y",
        ] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }
}
