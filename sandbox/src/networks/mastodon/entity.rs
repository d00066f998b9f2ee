//! The JSON entities of the API, built from the state.

use serde_json::{Value, json};

use super::{
    state::{Account, Media, Progress, State, Status},
    text,
};
use crate::clock::iso_ms;

/// What the entities need besides the state: the URL prefix of the instance and the time.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) base: String,
    pub(crate) now_ms: i64,
    /// The moment a read knows of; later ones have not happened yet to it.
    pub(crate) as_of: i64,
}

impl View {
    pub(crate) fn account(&self, state: &State, account: &Account) -> Value {
        let ids = state.ids_of(account.id);
        let last = ids.and_then(|ids| ids.last()).and_then(|id| state.status(*id));
        json!({
            "id": account.id.to_string(),
            "username": account.handle,
            "acct": account.handle,
            "display_name": account.display_name,
            "locked": false,
            "bot": false,
            "discoverable": true,
            "indexable": false,
            "group": false,
            "created_at": iso_ms(account.created_ms),
            "note": "",
            "url": format!("{}/@{}", self.base, account.handle),
            "uri": format!("{}/users/{}", self.base, account.handle),
            "avatar": format!("{}/media/avatar.svg", self.base),
            "avatar_static": format!("{}/media/avatar.svg", self.base),
            "header": format!("{}/media/header.svg", self.base),
            "header_static": format!("{}/media/header.svg", self.base),
            "followers_count": 0,
            "following_count": 0,
            "statuses_count": ids.map_or(0, std::collections::BTreeSet::len),
            "last_status_at": last.map(|status| iso_ms(status.created_ms)[..10].to_owned()),
            "hide_collections": null,
            "emojis": [],
            "fields": [],
        })
    }

    pub(crate) fn media(&self, media: &Media) -> Value {
        let ready = media.progress(self.now_ms) == Progress::Ready;
        let url = ready.then(|| format!("{}/media/{}", self.base, media.sha256));
        let meta = media.dimensions.map_or_else(
            || json!({}),
            |(width, height)| {
                let size = json!({
                    "width": width,
                    "height": height,
                    "size": format!("{width}x{height}"),
                    "aspect": f64::from(width) / f64::from(height.max(1)),
                });
                let mut meta = json!({"original": size, "small": size});
                if let Some((x, y)) = media.focus {
                    meta["focus"] = json!({"x": x, "y": y});
                }
                meta
            },
        );
        json!({
            "id": media.id.to_string(),
            "type": media.kind(),
            "url": url,
            "preview_url": url,
            "remote_url": null,
            "preview_remote_url": null,
            "text_url": null,
            "meta": meta,
            "description": media.description,
            "blurhash": (ready && media.is_image()).then_some("UBL_:rOpGG-oBUNG,qRj2so|=eE1w^n4S5NH"),
        })
    }

    pub(crate) fn status(&self, state: &State, status: &Status) -> Value {
        let account =
            state.account(status.account).expect("a status belongs to an account, and none is ever removed");
        let media: Vec<Value> = state.media_of(status).map(|media| self.media(media)).collect();
        let parent = status.in_reply_to.and_then(|id| state.status_at(id, self.as_of)); // none once it is deleted
        let tags: Vec<Value> = text::tags(&status.text)
            .iter()
            .map(|tag| json!({"name": tag, "url": format!("{}/tags/{tag}", self.base)}))
            .collect();
        json!({
            "id": status.id.to_string(),
            "created_at": iso_ms(status.created_ms),
            "in_reply_to_id": parent.map(|parent| parent.id.to_string()),
            "in_reply_to_account_id": parent.map(|parent| parent.account.to_string()),
            "sensitive": status.sensitive,
            "spoiler_text": status.spoiler,
            "visibility": status.visibility,
            "language": status.language,
            "uri": format!("{}/users/{}/statuses/{}", self.base, account.handle, status.id),
            "url": format!("{}/@{}/{}", self.base, account.handle, status.id),
            "replies_count": status.counts.replies,
            "reblogs_count": status.counts.reposts,
            "favourites_count": status.counts.likes,
            "quotes_count": 0,
            "edited_at": null,
            "favourited": false,
            "reblogged": false,
            "muted": false,
            "bookmarked": false,
            "pinned": false,
            "content": text::html(&status.text, &self.base),
            "filtered": [],
            "reblog": null,
            "quote": null,
            "application": status.app.as_ref().map(|(name, website)| json!({"name": name, "website": website})),
            "account": self.account(state, account),
            "media_attachments": media,
            "mentions": [],
            "tags": tags,
            "emojis": [],
            "card": null,
            "poll": self.poll(status),
        })
    }

    fn poll(&self, status: &Status) -> Value {
        let Some(poll) = &status.poll else { return Value::Null };
        let expired = poll.expires_ms <= self.now_ms;
        let votes = (expired || !poll.hide_totals).then_some(0);
        let options: Vec<Value> =
            poll.options.iter().map(|title| json!({"title": title, "votes_count": votes})).collect();
        json!({
            "id": poll.id.to_string(),
            "expires_at": iso_ms(poll.expires_ms),
            "expired": expired,
            "multiple": poll.multiple,
            "votes_count": 0,
            "voters_count": 0,
            "voted": true,
            "own_votes": [],
            "options": options,
            "emojis": [],
        })
    }
}
