//! Bringing accounts in, by either login. Instagram's own gives the account's token, which lives sixty days and renews
//! itself; Facebook's shows the Pages that are linked to accounts, with a token of each that has no end of its own.
//!
//! <https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login> ·
//! <https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started>.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    super::connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
    Call, Door, Instagram, SITE, Secret, Tokens,
    facebook::{self, connect as login},
    graph, limits, server, text_of,
};

/// What is asked for with Instagram's own login.
pub(super) const OWN_SCOPES: [&str; 4] = [
    "instagram_business_basic",
    "instagram_business_content_publish",
    "instagram_business_manage_comments",
    "instagram_business_manage_insights",
];

/// What is asked for with Facebook's login.
pub(super) const FACEBOOK_SCOPES: [&str; 6] = [
    "instagram_basic",
    "instagram_content_publish",
    "instagram_manage_comments",
    "instagram_manage_insights",
    "pages_show_list",
    "pages_read_engagement",
];

const OWN_SERVER: &str = "https://graph.instagram.com";
const CODES: &str = "https://api.instagram.com";

pub(super) const NAME: &str = "Instagram";

#[async_trait]
impl Connect for Instagram {
    fn default_server(&self) -> &'static str {
        match self.door {
            Door::Own => OWN_SERVER,
            Door::Facebook => facebook::DEFAULT_SERVER,
        }
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        let login = self.api.login(ask.server, NAME);
        match self.door {
            Door::Own => {
                let site = server::sibling(ask.server, OWN_SERVER, SITE);
                login.page((site, "/oauth/authorize"), &ask, &OWN_SCOPES, &[])
            }
            Door::Facebook => login.dialog(&ask, &FACEBOOK_SCOPES),
        }
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        match self.door {
            Door::Own => Ok(vec![self.finish_own(&ask).await?]),
            Door::Facebook => self.finish_facebook(&ask).await,
        }
    }
}

impl Instagram {
    async fn finish_own(&self, ask: &Finish<'_>) -> Result<Connected, ConnectFault> {
        let login = self.api.login(ask.server, NAME);
        let app = login.app(ask.app)?;
        let codes = server::sibling(ask.server, OWN_SERVER, CODES);
        let body = login.trade(codes, ask, app).await?;
        // Documented in a list of one, and met without it.
        let granted = body.pointer("/data/0").unwrap_or(&body);
        let scopes = words(granted.get("permissions"));
        let missing: Vec<_> =
            OWN_SCOPES.into_iter().filter(|scope| !scopes.iter().any(|word| word == scope)).collect();
        if !scopes.is_empty() && !missing.is_empty() {
            return Err(login.scopes_missing(&missing));
        }
        let tokens = login.lengthen("ig_exchange_token", app, text_of(granted, "access_token")).await?;
        let query = [("fields", "user_id,username,name,account_type,profile_picture_url")];
        let call = Call::get(ask.server, &format!("{}/me", facebook::VERSION), &query);
        let me = login.read(call.bearer(tokens.access_token.expose())).await?;
        // `id` is another one for each application.
        let connected = account_of(ask.server, &me, &graph::id_of(&me, "user_id"), tokens, Secret::default());
        connected.ok_or_else(|| login.wrong_kind())
    }

    async fn finish_facebook(&self, ask: &Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let facebook = self.api.login(ask.server, NAME);
        let person = facebook.finish(ask, &FACEBOOK_SCOPES).await?;
        let fields = "id,name,tasks,access_token,\
                      instagram_business_account{id,username,name,profile_picture_url}";
        let pages = facebook.accounts(&person, fields).await?;
        let connected: Vec<_> = pages
            .iter()
            .filter(|page| login::is_writable(page))
            .filter_map(|page| {
                let account = page.get("instagram_business_account")?;
                let access_token = Secret::new(text_of(page, "access_token"));
                let tokens = Tokens { access_token, refresh_token: None, access_expires_at: None };
                let extra = login::extra(&graph::id_of(page, "id"), &person);
                account_of(ask.server, account, &graph::id_of(account, "id"), tokens, extra)
            })
            .collect();
        if connected.is_empty() {
            let missing =
                "no professional Instagram account linked to a Page on which you may create content";
            return Err(ConnectFault::NothingToConnect { server: server::host(ask.server), missing });
        }
        Ok(connected)
    }
}

/// An account with everything that is kept about it.
fn account_of(
    server: &str,
    account: &Value,
    native_id: &str,
    tokens: Tokens,
    extra: Secret,
) -> Option<Connected> {
    let username = text_of(account, "username");
    (!native_id.is_empty() && !username.is_empty()).then(|| Connected {
        server: server.to_owned(),
        native_id: native_id.to_owned(),
        handle: format!("@{username}"),
        display_name: text_of(account, "name").to_owned(),
        avatar_url: text_of(account, "profile_picture_url").to_owned(),
        profile_url: format!("{SITE}/{username}/"),
        limits: limits(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        access_expires_at: tokens.access_expires_at,
        extra,
    })
}

/// Scopes as a list, or as a text with commas.
fn words(scopes: Option<&Value>) -> Vec<String> {
    match scopes {
        Some(Value::String(text)) => {
            text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as object;

    use super::*;

    #[test]
    fn reads_permissions_as_a_text_or_a_list() {
        assert_eq!(words(Some(&object!("a,b"))), ["a", "b"]);
        assert_eq!(words(Some(&object!(["a", "b"]))), ["a", "b"]);
        assert_eq!(words(None), [""; 0]);
    }
}
