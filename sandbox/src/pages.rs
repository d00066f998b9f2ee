//! What a person sees: the timeline of everything posted, an account, one post. Rendered here, no scripts from
//! elsewhere, every text escaped. The timeline asks for itself again every two seconds and keeps the scroll.

use std::{fmt::Write, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use http::StatusCode;

use crate::{
    clock::{iso_ms, true_now_ms},
    ledger::Entry,
    networks::{ALL, Network},
    web::{self, escape},
    world::{Counts, Ctx},
};

const SHOWN: usize = 100;
const STYLE: &str = include_str!("pages.css");
const REFRESH: &str = "<script>setInterval(async()=>{try{const r=await fetch(location.href);\
if(!r.ok)return;const d=new DOMParser().parseFromString(await r.text(),'text/html'),n=d.querySelector('main'),\
o=document.querySelector('main');if(n&&o&&n.dataset.version!==o.dataset.version){const y=scrollY;o.replaceWith(n);\
document.title=d.title;scrollTo(0,y)}else if(n&&o){d.querySelectorAll('time').forEach((t,i)=>{\
const e=o.querySelectorAll('time')[i];if(e)e.textContent=t.textContent})}}catch{}},2000)</script>";

pub(crate) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/", get(timeline))
        .route("/_posts/{network}/{*native_id}", get(any_post))
        .route("/healthz", get(async || "ok"))
}

async fn timeline(State(ctx): State<Ctx>) -> Response {
    let (entries, total) = {
        let world = ctx.world();
        let live = world.ledger.newest().filter(|entry| world.is_live(entry.network, &entry.native_id));
        (live.take(SHOWN).cloned().collect::<Vec<_>>(), world.ledger.len())
    };
    let mut list = String::new();
    for entry in &entries {
        list.push_str(&card(&ctx, entry, true));
    }
    if entries.is_empty() {
        list = empty(&ctx);
    }
    let count = match total {
        0 => "nothing yet".to_owned(),
        1 => "1 post".to_owned(),
        n if n > SHOWN => format!("{n} posts, the newest {SHOWN} shown"),
        n => format!("{n} posts"),
    };
    let newest = entries.first().map_or("", |entry| entry.native_id.as_str());
    let body = format!(
        "<header><h1>Sandbox</h1><p class=\"dim\">Stand-in networks. Nothing here leaves this machine.</p></header>\
         <main data-version=\"{total} {} {}\"><p class=\"dim count\">{count}</p>{list}</main>{REFRESH}",
        entries.len(),
        escape(newest),
    );
    web::html(StatusCode::OK, shell(&format!("Sandbox · {count}"), &body))
}

fn empty(ctx: &Ctx) -> String {
    let url = escape(&ctx.public_url);
    let mut networks = String::new();
    for stand_in in ALL {
        let (name, base) = (stand_in.network().name(), ctx.base(stand_in.network()));
        let (title, shown, hint) = (stand_in.title(), escape(&base), stand_in.hint(&base));
        let line = format!(
            "<dt><span class=\"badge {name}\">{title}</span></dt><dd>server <code>{shown}</code>, {hint}</dd>"
        );
        networks.push_str(&line);
    }
    format!(
        "<article class=\"card empty\"><h2>No posts yet</h2>\
         <p>Connect an account, publish something, and it appears here.</p><dl>{networks}</dl>\
         <p>More accounts:</p><pre>curl -X POST {url}/_sandbox/accounts \\\n  \
         -H 'content-type: application/json' \\\n  -d '{{\"network\":\"mastodon\",\"handle\":\"ada\"}}'</pre></article>"
    )
}

/// The page of one post of any network; `native_id` may hold slashes.
async fn any_post(State(ctx): State<Ctx>, Path((network, native_id)): Path<(Network, String)>) -> Response {
    let account = ctx.world().ledger.find(network, &native_id).map(|entry| entry.account.clone());
    if let Some(page) = account.and_then(|account| post(&ctx, network, &native_id, &account)) {
        web::html(StatusCode::OK, page)
    } else {
        let text = "This post is not here. It may have been deleted.";
        web::html(StatusCode::NOT_FOUND, missing(text))
    }
}

/// The page of one post, if it is still there and belongs to that account.
pub(crate) fn post(ctx: &Ctx, network: Network, native_id: &str, handle: &str) -> Option<String> {
    let (entry, counts) = {
        let world = ctx.world();
        let counts = world.counts(network, native_id)?;
        let entry = world.ledger.find(network, native_id).filter(|entry| entry.account == handle)?.clone();
        (entry, counts)
    };
    let Counts { likes, reposts, replies } = counts;
    let body = format!(
        "<main>{}<p class=\"dim count\">{likes} likes · {reposts} reposts · {replies} replies</p>\
         <p><a href=\"{}/\">All posts</a></p></main>",
        card(ctx, &entry, false),
        escape(&ctx.public_url),
    );
    Some(shell(&format!("{handle} on {}", title(network)), &body))
}

/// The page of an account: its newest posts.
pub(crate) fn profile(ctx: &Ctx, network: Network, handle: &str, display_name: &str) -> String {
    let entries: Vec<Arc<Entry>> = {
        let world = ctx.world();
        let own = world.ledger.newest().filter(|entry| entry.network == network && entry.account == handle);
        own.filter(|entry| world.is_live(network, &entry.native_id)).take(SHOWN).cloned().collect()
    };
    let mut list = String::new();
    for entry in &entries {
        list.push_str(&card(ctx, entry, true));
    }
    if list.is_empty() {
        list.push_str("<p class=\"card dim\">Nothing posted yet.</p>");
    }
    let (name, shown) = (escape(display_name), escape(handle));
    let body = format!(
        "<header><p class=\"badge {}\">{}</p><h1>{name}</h1><p class=\"dim\">@{shown}</p></header><main>{list}</main>",
        network.name(),
        title(network)
    );
    shell(&format!("{display_name} on {}", title(network)), &body)
}

pub(crate) fn missing(text: &str) -> String {
    shell("Not found", &format!("<main class=\"card narrow\"><h1>Sorry</h1><p>{}</p></main>", escape(text)))
}

/// A whole page around a body that is already safe HTML.
pub(crate) fn shell(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        escape(title)
    )
}

fn title(network: Network) -> &'static str {
    network.stand_in().title()
}

/// The page of a post at its network.
fn link(ctx: &Ctx, entry: &Entry) -> String {
    entry.network.stand_in().link(ctx, entry)
}

fn card(ctx: &Ctx, entry: &Entry, linked: bool) -> String {
    let network = entry.network;
    let initial = entry.account.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let (account, initial, text) = (escape(&entry.account), escape(&initial), escape(&entry.text));
    let (exact, ago) = (iso_ms(entry.visible_at_ms), ago(true_now_ms() - entry.visible_at_ms));
    let time = format!("<time datetime=\"{exact}\" title=\"{exact}\">{ago}</time>");
    let time = if linked { format!("<a href=\"{}\">{time}</a>", escape(&link(ctx, entry))) } else { time };
    let mut media = String::new();
    for file in &entry.media {
        let url = escape(&format!("{}/_sandbox/media/{}", ctx.public_url, file.sha256));
        let alt = escape(&file.alt);
        let written = match file.mime.split('/').next() {
            Some("image") => {
                write!(media, "<img src=\"{url}\" alt=\"{alt}\" title=\"{alt}\" loading=\"lazy\">")
            }
            Some("video") => {
                write!(media, "<video src=\"{url}\" controls preload=\"metadata\" title=\"{alt}\"></video>")
            }
            Some("audio") => {
                write!(media, "<audio src=\"{url}\" controls preload=\"none\" title=\"{alt}\"></audio>")
            }
            _ => write!(media, "<a href=\"{url}\">{}</a>", escape(&file.mime)),
        };
        written.expect("writing to a string never fails");
    }
    let reply = if entry.in_reply_to.is_some() { "<p class=\"dim\">↳ continues a thread</p>" } else { "" };
    let kind = match entry.kind.as_str() {
        "post" => String::new(),
        kind => format!("<span class=\"dim\">{}</span>", escape(kind)),
    };
    let count = entry.media.len();
    let media =
        if count == 0 { media } else { format!("<div class=\"media n{}\">{media}</div>", count.min(4)) };
    format!(
        "<article class=\"card post\"><div class=\"who\"><span class=\"face {0}\">{initial}</span>\
         <b>@{account}</b><span class=\"badge {0}\">{1}</span>{kind}<span class=\"when dim\">{time}</span></div>\
         {reply}<p class=\"text\">{text}</p>{media}</article>",
        network.name(),
        title(network),
    )
}

fn ago(ms: i64) -> String {
    match ms / 1000 {
        s if s < 5 => "just now".to_owned(),
        s if s < 60 => format!("{s} s ago"),
        s if s < 3600 => format!("{} min ago", s / 60),
        s if s < 86_400 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86_400),
    }
}
