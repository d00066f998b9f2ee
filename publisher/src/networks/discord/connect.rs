//! Bringing a channel in: the address of its webhook is all there is to know, and it is a secret as a whole.

use async_trait::async_trait;
use http::Method;
use serde_json::json as object;
use url::Url;

use super::{
    super::{
        connect::{Connect, ConnectFault, Connected},
        server::{self, same_origin},
    },
    Discord, SERVER, Secret, Session, call, errors, json, limits, text_of, webhook,
};

/// Hosts under which Discord shows webhook addresses.
const HOSTS: [&str; 4] = [
    "https://discord.com",
    "https://ptb.discord.com",
    "https://canary.discord.com",
    "https://discordapp.com",
];

#[async_trait]
impl Connect for Discord {
    fn default_server(&self) -> &'static str {
        SERVER
    }

    /// The address is taken as the password; the identifier is not looked at.
    async fn login(
        &self,
        server: &str,
        _identifier: &str,
        password: &str,
    ) -> Result<Connected, ConnectFault> {
        let (id, token) = webhook_in(server, &server::cleaned(password)).ok_or_else(|| {
            let why = "that is no webhook's address; copy it from the channel's settings, such as \
                       https://discord.com/api/webhooks/…";
            ConnectFault::Refused { server: server::host(server), why: why.to_owned() }
        })?;
        let call = call(Method::GET, server, &webhook(&id, &token), &[]);
        let response = call.ask(&self.http).await.map_err(|error| ConnectFault::from_http(server, &error))?;
        let body = json(&response).filter(|body| response.status().is_success() && text_of(body, "id") == id);
        let body = body.ok_or_else(|| errors::connect(server, &response, self.clock.now_ms()))?;
        let (channel, guild) = (text_of(&body, "channel_id"), text_of(&body, "guild_id"));
        let name = Some(text_of(&body, "name")).filter(|name| !name.is_empty()).unwrap_or("webhook");
        let avatar = text_of(&body, "avatar");
        let cdn = server::sibling(server, SERVER, "https://cdn.discordapp.com");
        Ok(Connected {
            server: server.to_owned(),
            handle: name.to_owned(),
            display_name: name.to_owned(),
            avatar_url: if avatar.is_empty() {
                String::new()
            } else {
                format!("{cdn}/avatars/{id}/{avatar}.png")
            },
            profile_url: format!("{server}/channels/{guild}/{channel}"),
            native_id: id,
            limits: limits(),
            access_token: Secret::new(token),
            refresh_token: None,
            access_expires_at: None,
            extra: Secret::new(object!({ "guild": guild }).to_string()),
        })
    }
}

/// The server (as Discord calls it) that the webhook's channel belongs to; needed for addresses of messages.
pub(super) fn guild(session: &Session) -> String {
    let extra: serde_json::Value = serde_json::from_str(session.extra.expose()).unwrap_or_default();
    text_of(&extra, "guild").to_owned()
}

/// Id and token in a webhook's address. It must lie on Discord, or on the server that stands in for it; an address without
/// a host lies there too. Neither part can change the meaning of a path.
fn webhook_in(server: &str, address: &str) -> Option<(String, String)> {
    let path = if address.contains("://") {
        let ours = HOSTS.iter().any(|host| server == SERVER && same_origin(host, address));
        let url = Url::parse(address).ok().filter(|_| ours || same_origin(server, address))?;
        url.path().to_owned()
    } else {
        address.to_owned()
    };
    let rest = path.split_once("/webhooks/")?.1.trim_end_matches('/');
    let (id, token) = rest.split_once('/')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    let id_fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    (id_fits && token.len() >= 20 && token.bytes().all(plain)).then(|| (id.to_owned(), token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_discord_are_webhooks() {
        let token = "AbC_def-0123456789xyz";
        let stand_in = "http://127.0.0.1:9/discord";
        for (server, address, is_one) in [
            (SERVER, format!("https://discord.com/api/webhooks/12/{token}"), true),
            (SERVER, format!("https://canary.discord.com/api/v10/webhooks/12/{token}/"), true),
            (SERVER, format!("https://discordapp.com/api/webhooks/12/{token}?wait=true"), true),
            (SERVER, format!("/api/webhooks/12/{token}"), true),
            (stand_in, format!("{stand_in}/api/webhooks/12/{token}"), true),
            (stand_in, format!("https://discord.com/api/webhooks/12/{token}"), false),
            (SERVER, format!("https://discord.com.evil.example/api/webhooks/12/{token}"), false),
            (SERVER, format!("http://discord.com/api/webhooks/12/{token}"), false),
            (SERVER, format!("https://discord.com/api/webhooks/x/{token}"), false),
            (SERVER, "https://discord.com/api/webhooks/12/short".to_owned(), false),
            (SERVER, format!("https://discord.com/api/webhooks/12/{token}/slack"), false),
            (SERVER, String::new(), false),
        ] {
            assert_eq!(webhook_in(server, &address).is_some(), is_one, "{address} at {server}");
        }
    }
}
