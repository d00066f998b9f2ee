//! The pages a person sees: a profile, a status, and the one where access is granted.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::state::Account;
use crate::{
    networks::Network,
    pages,
    web::{escape, html},
    world::Ctx,
};

/// `/@name` shows what the account posted.
pub(crate) async fn profile(State(ctx): State<Ctx>, Path(name): Path<String>) -> Response {
    let found = {
        let world = ctx.world();
        let account = name.strip_prefix('@').and_then(|handle| world.mastodon.account_named(handle));
        account.map(|account| (account.handle.clone(), account.display_name.clone()))
    };
    match found {
        Some((handle, name)) => html(StatusCode::OK, pages::profile(&ctx, Network::Mastodon, &handle, &name)),
        None => html(StatusCode::NOT_FOUND, pages::missing("There is no such account here.")),
    }
}

/// `/@name/id` shows one status.
pub(crate) async fn status(State(ctx): State<Ctx>, Path((name, id)): Path<(String, String)>) -> Response {
    let handle = name.trim_start_matches('@');
    match pages::post(&ctx, Network::Mastodon, &id, handle) {
        Some(page) => html(StatusCode::OK, page),
        None => {
            html(StatusCode::NOT_FOUND, pages::missing("This post is not here. It may have been deleted."))
        }
    }
}

pub(crate) fn problem(text: &str) -> String {
    pages::shell(
        "Mastodon",
        &format!("<main class=\"card narrow\"><h1>Sorry</h1><p>{}</p></main>", escape(text)),
    )
}

/// What the out-of-band redirect shows instead of going anywhere.
pub(crate) fn code(app: &str, label: &str, value: &str) -> String {
    let (app, label, value) = (escape(app), escape(label), escape(value));
    pages::shell(
        "Mastodon",
        &format!(
            "<main class=\"card narrow\"><h1>Back to {app}</h1><p>Copy this {label} into it:</p><p><code>{value}</code></p></main>"
        ),
    )
}

pub(crate) fn consent(
    action: &str,
    app: &str,
    scopes: &[String],
    accounts: &[Account],
    fields: &[(&str, String)],
) -> String {
    let hidden = fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)));
    let hidden = hidden.collect::<Vec<_>>().concat();
    let choices = accounts.iter().enumerate().map(|(index, account)| {
        let (handle, name) = (escape(&account.handle), escape(&account.display_name));
        let checked = if index == 0 { " checked" } else { "" };
        format!(
            "<label class=\"choice\"><input type=\"radio\" name=\"account\" value=\"{handle}\"{checked}> <b>{name}</b> \
             <span class=\"dim\">@{handle}</span></label>"
        )
    });
    let choices = choices.collect::<Vec<_>>().concat();
    let wanted = scopes.iter().map(|scope| format!("<li><code>{}</code></li>", escape(scope)));
    let wanted = wanted.collect::<Vec<_>>().concat();
    let (action, app) = (escape(action), escape(app));
    pages::shell(
        "Authorize",
        &format!(
            "<main class=\"card narrow\"><p class=\"badge mastodon\">Mastodon stand-in</p>\
             <h1>Let {app} use your account?</h1><p>It asks for:</p><ul>{wanted}</ul>\
             <form method=\"post\" action=\"{action}\">{hidden}<p class=\"dim\">Choose the account:</p>{choices}\
             <p class=\"buttons\"><button name=\"decision\" value=\"authorize\" class=\"primary\">Authorize</button>\
             <button name=\"decision\" value=\"deny\">Deny</button></p></form></main>"
        ),
    )
}
