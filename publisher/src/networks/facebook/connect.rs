//! Bringing Pages in: the person agrees, the code becomes a token of the person that lives for two months, and that
//! token shows the Pages with a token of each, which has no end of its own.
//!
//! <https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow> ·
//! <https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived>. Invariant: only Pages on
//! which the person may create content come in, each with its own token; the person's token is kept sealed beside it, to
//! ask for another one and to end the authorization.

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json as object};

use super::{
    super::connect::{Began, Begin, Connect, ConnectFault, Connected, Finish},
    Call, DEFAULT_SERVER, Facebook, Fault, NAME, RefreshFault, SITE, Secret, Session, Tokens, VERSION,
    graph::{self, Api, Login},
    json, limits, server, text_of,
};

/// What publishing, commenting, reading back and counting need.
pub(super) const SCOPES: [&str; 5] = [
    "pages_show_list",
    "pages_manage_posts",
    "pages_read_engagement",
    "pages_manage_engagement",
    "read_insights",
];

/// Pages of 100 entries read at most.
const PAGES: usize = 20;

/// A login at Facebook, which this network and Instagram share.
impl Login<'_> {
    /// Where a person agrees.
    pub(in super::super) fn dialog(&self, ask: &Begin<'_>, scopes: &[&str]) -> Result<Began, ConnectFault> {
        let site = server::sibling(ask.server, DEFAULT_SERVER, SITE);
        let path = format!("{VERSION}/dialog/oauth");
        // Asks again for what the person declined before.
        self.page((site, &path), ask, scopes, &[("auth_type", "rerequest")])
    }

    /// The person's long-lived token for a code, provided that every scope was granted.
    pub(in super::super) async fn finish(
        &self,
        ask: &Finish<'_>,
        scopes: &[&str],
    ) -> Result<String, ConnectFault> {
        let app = self.app(ask.app)?;
        let path = format!("{VERSION}/oauth/access_token");
        let ours = [("client_id", app.client_id.as_str()), ("client_secret", app.client_secret.expose())];
        let code = [("redirect_uri", ask.redirect_uri), ("code", ask.code)];
        let short = self.token(Call::get(self.server, &path, &[ours, code].concat()), true).await?;
        let trade = [("grant_type", "fb_exchange_token"), ("fb_exchange_token", short.as_str())];
        let long = self.token(Call::get(self.server, &path, &[ours, trade].concat()), false).await?;
        let path = format!("{VERSION}/me/permissions");
        let body = self.read(Call::get(self.server, &path, &[]).bearer(&long)).await?;
        let granted: Vec<&str> = entries(&body)
            .iter()
            .filter(|entry| text_of(entry, "status") == "granted")
            .map(|entry| text_of(entry, "permission"))
            .collect();
        let missing: Vec<_> = scopes.iter().filter(|scope| !granted.contains(scope)).copied().collect();
        if missing.is_empty() { Ok(long) } else { Err(self.scopes_missing(&missing)) }
    }

    async fn token(&self, call: Call, is_code: bool) -> Result<String, ConnectFault> {
        let response = self.call(call).await?;
        let refusal = graph::refusal(&response);
        if let Some(refusal) = refusal.filter(|refusal| is_code && refusal.code.starts_with("100/")) {
            Err(self.code_refused(&refusal.message))
        } else {
            let body = self.body(&response)?;
            let token = text_of(&body, "access_token").to_owned();
            if token.is_empty() { Err(self.wrong_kind()) } else { Ok(token) }
        }
    }

    /// Everything the person's token shows on an edge of `me`, page after page. The next page is asked for by its
    /// cursor: the address that the network answers holds the token.
    pub(in super::super) async fn accounts(
        &self,
        token: &str,
        fields: &str,
    ) -> Result<Vec<Value>, ConnectFault> {
        let path = format!("{VERSION}/me/accounts");
        let (mut after, mut found) = (String::new(), Vec::new());
        for _ in 0..PAGES {
            let mut query = vec![("fields", fields), ("limit", "100")];
            if !after.is_empty() {
                query.push(("after", after.as_str()));
            }
            let body = self.read(Call::get(self.server, &path, &query).bearer(token)).await?;
            found.extend(entries(&body).iter().cloned());
            let next = body.pointer("/paging/cursors/after").and_then(Value::as_str).unwrap_or_default();
            if body.pointer("/paging/next").is_none() || next.is_empty() {
                break;
            }
            next.clone_into(&mut after);
        }
        Ok(found)
    }
}

fn entries(body: &Value) -> &[Value] {
    body.get("data").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is kept beside a Page's token: the Page's id and the person's token.
pub(in super::super) fn extra(page_id: &str, person_token: &str) -> Secret {
    Secret::new(object!({ "page_id": page_id, "person_token": person_token }).to_string())
}

/// The Page of an account, and the person's token; both empty when nothing was kept.
fn kept(session: &Session) -> (String, Secret) {
    let extra: Value = serde_json::from_str(session.extra.expose()).unwrap_or_default();
    (text_of(&extra, "page_id").to_owned(), Secret::new(text_of(&extra, "person_token")))
}

/// A Page's session with the token of the person behind it, which uploads of files of the application ask for; `None`
/// when none was kept.
pub(super) fn as_person(session: &Session) -> Option<Session> {
    let (_, person) = kept(session);
    (!person.is_empty()).then(|| Session { access_token: person, ..session.clone() })
}

/// Whether a Page lets the person create content.
pub(in super::super) fn is_writable(page: &Value) -> bool {
    let tasks = page.get("tasks").and_then(Value::as_array);
    let writes = tasks.is_some_and(|tasks| tasks.iter().any(|task| task == "CREATE_CONTENT"));
    writes && !text_of(page, "access_token").is_empty()
}

#[async_trait]
impl Connect for Facebook {
    fn default_server(&self) -> &'static str {
        DEFAULT_SERVER
    }

    async fn begin(&self, ask: Begin<'_>) -> Result<Began, ConnectFault> {
        self.api.login(ask.server, NAME).dialog(&ask, &SCOPES)
    }

    async fn finish(&self, ask: Finish<'_>) -> Result<Vec<Connected>, ConnectFault> {
        let login = self.api.login(ask.server, NAME);
        let token = login.finish(&ask, &SCOPES).await?;
        let fields = "id,name,username,access_token,tasks,picture.type(large)";
        let pages = login.accounts(&token, fields).await?;
        let connected: Vec<_> = pages
            .iter()
            .filter(|page| is_writable(page))
            .map(|page| page_of(ask.server, page, &token))
            .collect();
        if connected.is_empty() {
            let missing = "no Page on which you may create content";
            return Err(ConnectFault::NothingToConnect { server: server::host(ask.server), missing });
        }
        Ok(connected)
    }
}

/// A Page with everything that is kept about it.
fn page_of(server: &str, page: &Value, person_token: &str) -> Connected {
    let native_id = graph::id_of(page, "id");
    let (name, username) = (text_of(page, "name"), text_of(page, "username"));
    let picture = page.pointer("/picture/data/url").and_then(Value::as_str).unwrap_or_default();
    let extra = extra(&native_id, person_token);
    Connected {
        server: server.to_owned(),
        handle: if username.is_empty() { name.to_owned() } else { format!("@{username}") },
        display_name: name.to_owned(),
        avatar_url: picture.to_owned(),
        profile_url: format!("{SITE}/{native_id}"),
        native_id,
        limits: limits(),
        access_token: Secret::new(text_of(page, "access_token")),
        refresh_token: None,
        access_expires_at: None,
        extra,
    }
}

/// Asks for the Page's token with the person's. Repeating it does no harm: no token ends by it.
pub(in super::super) async fn another_page_token(
    api: &Api,
    session: &Session,
) -> Result<Tokens, RefreshFault> {
    let revoked =
        || RefreshFault::Revoked("Facebook ended the authorization; connect the account again".into());
    let (page_id, person) = kept(session);
    if person.is_empty() {
        return Err(revoked());
    }
    let path = format!("{VERSION}/{}", graph::segment(&page_id));
    let call = Call::get(&session.server, &path, &[("fields", "access_token")]).bearer(person.expose());
    let later = |why: String, retry_after| RefreshFault::NotExecuted { why, retry_after };
    let response = call.ask(&api.http).await.map_err(|error| later(error.to_string(), None))?;
    if response.status().is_success() {
        let token = text_of(&json(&response).unwrap_or_default(), "access_token").to_owned();
        // Shown without a token: the person has lost the role on the Page.
        let access_token = Some(token).filter(|token| !token.is_empty()).ok_or_else(revoked)?;
        let access_token = Secret::new(access_token);
        return Ok(Tokens { access_token, refresh_token: None, access_expires_at: None });
    }
    match api.fault(&response) {
        Fault::TokenExpired | Fault::Reconnect { .. } => Err(revoked()),
        _ if graph::is_missing(&response) => Err(revoked()),
        fault => Err(later(fault.to_string(), fault.throttled())),
    }
}

/// Ends the person's authorization, provided that it shows no other Page: it is one for all of them.
pub(in super::super) async fn end_authorization(api: &Api, session: &Session) -> Result<(), Fault> {
    let (_, person) = kept(session);
    if person.is_empty() {
        return Ok(());
    }
    let login = api.login(&session.server, NAME);
    // A token that shows nothing any more has ended already.
    match login.accounts(person.expose(), "id,tasks,access_token").await {
        Ok(pages) if pages.iter().filter(|page| is_writable(page)).count() <= 1 => {}
        Ok(_) | Err(ConnectFault::Refused { .. }) => return Ok(()),
        Err(fault) => {
            let (code, message) = ("SERVER_UNREACHABLE".into(), fault.to_string());
            return Err(Fault::Transient { code, message, retry_after: None });
        }
    }
    let address = server::address(&session.server, &format!("{VERSION}/me/permissions"), &[]);
    let call = Call::new(Method::DELETE, address).bearer(person.expose());
    let response = call.read(&api.http).await?;
    let fault = api.fault(&response);
    if response.status().is_success() || matches!(fault, Fault::TokenExpired | Fault::Reconnect { .. }) {
        Ok(())
    } else {
        Err(fault)
    }
}
