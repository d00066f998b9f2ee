//! Looking back: whether a pin whose answer was lost is on its board, and what became of pins. Changes nothing.

use http::StatusCode;
use serde_json::Value;

use super::{
    AttemptFacts, Call, Fault, HandleMap, Pinterest, PostMetrics, Session, Work, board, errors, is_id,
    publish,
};
use crate::networks::wire::{self, json, text_of};

/// Pins asked for at once.
const PAGE: &str = "50";

/// Pages that are read even when they seem old: no order is promised.
const LEAST: usize = 2;

/// Pages read before giving up.
const PAGES: usize = 5;

/// The names of a pin's texts.
const TEXTS: [&str; 4] = ["title", "description", "link", "alt_text"];

/// One of the board's pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    /// Unix milliseconds.
    pub(super) created_at: i64,
    board: String,
    texts: [String; 4],
    media_type: String,
}

impl Seen {
    fn read(pin: &Value) -> Option<Self> {
        let id = text_of(pin, "id");
        let media_type = pin.pointer("/media/media_type").and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            id: is_id(id).then(|| id.to_owned())?,
            created_at: moment(text_of(pin, "created_at"))?,
            board: text_of(pin, "board_id").to_owned(),
            texts: TEXTS.map(|name| squeeze(text_of(pin, name))),
            media_type: media_type.to_owned(),
        })
    }
}

/// A moment without a zone, which is UTC, or with one.
fn moment(text: &str) -> Option<i64> {
    let with_zone = || text.parse::<jiff::Timestamp>().ok();
    let without = || {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    with_zone().or_else(without).map(jiff::Timestamp::as_millisecond)
}

/// Whether a pin shows what the work says.
fn fits(work: &Work, on: &str, seen: &Seen) -> bool {
    let written = publish::texts(&work.content);
    let of = |name: &str| written.iter().find(|(written, _)| *written == name).map(|(_, text)| squeeze(text));
    let same = TEXTS.iter().zip(&seen.texts).all(|(name, shown)| of(name).unwrap_or_default() == *shown);
    let is_video = work.content.media.first().is_some_and(crate::domain::content::Media::is_video);
    let kind = seen.media_type.is_empty() || seen.media_type.contains("video") == is_video;
    same && kind && (seen.board.is_empty() || seen.board == on)
}

impl Pinterest {
    /// The board's pins, back to shortly before the first attempt, that show the same.
    pub(super) async fn matches(
        &self,
        session: &Session,
        work: &Work,
        handles: &HandleMap,
        attempt: &AttemptFacts,
    ) -> Result<Vec<Seen>, Fault> {
        let since = attempt.looked_for_since();
        let on = board(session, &work.content, handles);
        let section = publish::settings(&work.content).board_section_id;
        let path = if section.is_empty() {
            format!("/v5/boards/{on}/pins")
        } else {
            format!("/v5/boards/{on}/sections/{section}/pins")
        };
        let mut found: Vec<Seen> = Vec::new();
        let mut bookmark = String::new();
        for page in 1..=PAGES {
            let mut query = vec![("page_size", PAGE)];
            query.extend((!bookmark.is_empty()).then_some(("bookmark", bookmark.as_str())));
            let call = Call::get(&session.server, &path, &query).bearer(session.access_token.expose());
            let body = json(&self.ask(call).await?).unwrap_or_default();
            let items = body.get("items").and_then(Value::as_array).ok_or_else(wire::unreadable)?;
            let pins: Vec<_> = items.iter().filter_map(Seen::read).collect();
            let recent: Vec<_> = pins.iter().filter(|seen| seen.created_at >= since).collect();
            for seen in recent.iter().filter(|seen| fits(work, &on, seen)) {
                let known = attempt.taken_native_ids.contains(&seen.id) || found.contains(seen);
                found.extend((!known).then(|| (*seen).clone()));
            }
            text_of(&body, "bookmark").clone_into(&mut bookmark);
            if bookmark.is_empty() || (page >= LEAST && recent.is_empty()) {
                return Ok(found);
            }
        }
        let message = "The board has too many new pins to tell.".into();
        Err(Fault::Transient { code: "TOO_MANY_POSTS".into(), message, retry_after: None })
    }

    /// Counts of one pin: its whole life where that is told, else ninety days.
    pub(super) async fn counts(&self, session: &Session, native_id: &str) -> Result<PostMetrics, Fault> {
        let gone = PostMetrics { native_id: native_id.to_owned(), ..PostMetrics::default() };
        if !is_id(native_id) {
            return Ok(gone);
        }
        let path = format!("/v5/pins/{native_id}");
        let call = Call::get(&session.server, &path, &[("pin_metrics", "true")])
            .bearer(session.access_token.expose());
        let response = call.read(&self.http).await?;
        let body = match (response.status(), json(&response)) {
            (StatusCode::OK, Some(body)) if !text_of(&body, "id").is_empty() => body,
            (StatusCode::NOT_FOUND | StatusCode::GONE, Some(_)) => return Ok(gone),
            (status, _) if status.is_success() => return Err(wire::unreadable()),
            _ => return Err(errors::fault(&response)),
        };
        let number = |name: &str| {
            let of = |span: &str| body.pointer(&format!("/pin_metrics/{span}/{name}"))?.as_i64();
            of("lifetime_metrics").or_else(|| of("90d")).unwrap_or(0)
        };
        Ok(PostMetrics {
            found: true,
            likes: number("reaction"),
            reposts: number("save"),
            replies: number("comment"),
            views: number("impression"),
            ..gone
        })
    }
}

/// The id in the address of a pin, with or without words before it.
pub(super) fn id_at(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<_> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let [.., "pin", name] = parts.as_slice() else { return None };
    let id = name.rsplit("--").next().unwrap_or(name);
    is_id(id).then(|| id.to_owned())
}

/// One space for every run of white space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_a_zone_is_universal() {
        assert_eq!(moment("2022-10-13T01:40:29"), Some(1_665_625_229_000));
        assert_eq!(moment("2022-10-13T01:40:29Z"), Some(1_665_625_229_000));
        assert_eq!(moment("2022-10-13T03:40:29+02:00"), Some(1_665_625_229_000));
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn an_address_tells_its_pin() {
        for (url, id) in [
            ("https://www.pinterest.com/pin/999658448514149467/", Some("999658448514149467")),
            ("https://de.pinterest.com/pin/some-soup--99965844/?x=1", Some("99965844")),
            ("https://www.pinterest.com/demo/recipes/", None),
            ("99965844", None),
        ] {
            assert_eq!(id_at(url).as_deref(), id, "{url}");
        }
    }
}
