//! `FitContent`: one content as each account would take it. Pure but for the look at the accounts' limits.

use postmesh_kit::{
    ids,
    status::{Violations, to_status},
};
use postmesh_proto::publisher::v1 as proto;
use tonic::Status;
use uuid::Uuid;

use crate::{
    error::Error,
    networks::{
        Networks,
        count::{count, shorten, split},
        limits::Limits,
    },
    store::Store,
};

/// Most accounts of one request.
const ACCOUNTS: usize = 100;

/// Most media of one request.
const MEDIA: usize = 50;

/// Answers for every account, or names each that is not there.
pub(super) async fn fit(
    store: &Store,
    networks: &Networks,
    workspace_id: Uuid,
    ask: proto::FitContentRequest,
) -> Result<proto::FitContentResponse, Status> {
    let mut violations = Violations::default();
    violations.require(ask.account_ids.len() <= ACCOUNTS, "account_ids", "TOO_MANY", "must be at most 100");
    violations.require(ask.media_types.len() <= MEDIA, "media_types", "TOO_MANY", "must be at most 50");
    let parse = |(at, id): (usize, &String)| (at, ids::parse(&format!("account_ids[{at}]"), id));
    let wanted: Vec<_> = ask.account_ids.iter().take(ACCOUNTS).enumerate().map(parse).collect();
    let mut accounts = Vec::with_capacity(wanted.len());
    for (at, id) in wanted {
        let Some(id) = violations.take(id) else { continue };
        match store.account(workspace_id, id).await.map_err(to_status)? {
            Some(account) => accounts.push(account),
            None => violations.add(format!("account_ids[{at}]"), "NOT_FOUND", "the account does not exist"),
        }
    }
    violations.into_result().map_err(|wrong| to_status(Error::Invalid(wrong)))?;
    let contents = accounts.iter().map(|account| {
        let has_replies = networks.get(&account.network).is_some_and(|network| {
            let can = network.facts().capabilities;
            can.threads || can.comments
        });
        let media = if ask.fit_media {
            takes(&account.limits, &ask.media_types)
        } else {
            (0..ask.media_types.len()).collect()
        };
        let parts = parts(&account.limits, &ask.text, ask.text_fit(), has_replies, !media.is_empty());
        proto::FittedContent {
            account_id: account.id.to_string(),
            lengths: parts.iter().map(|part| count(&account.limits, part) as i32).collect(),
            parts,
            media: media.into_iter().map(|at| at as i32).collect(),
        }
    });
    Ok(proto::FitContentResponse { contents: contents.collect() })
}

/// The text as the account takes it. Where a further part has no place, a thread is cut instead.
fn parts(
    limits: &Limits,
    text: &str,
    fit: proto::TextFit,
    has_replies: bool,
    with_media: bool,
) -> Vec<String> {
    // Media stand in the first part alone.
    let most =
        |position| usize::try_from(limits.length_at(position, with_media && position == 0)).unwrap_or(0);
    match fit {
        proto::TextFit::Unspecified => vec![text.to_owned()],
        proto::TextFit::Thread if has_replies => {
            let parts = split(limits, text, most(0), most(1));
            if parts.is_empty() { vec![String::new()] } else { parts }
        }
        proto::TextFit::Shorten | proto::TextFit::Thread => vec![shorten(limits, text, most(0))],
    }
}

/// The places of the media that the account takes: pictures and videos together where it mixes them, else pictures where
/// it takes some of those that are there, else videos; the first ones when there are too many.
fn takes(limits: &Limits, types: &[String]) -> Vec<usize> {
    let is_video = |at: &usize| types[*at].starts_with("video/");
    let all: Vec<usize> = (0..types.len()).collect();
    let most = |limit: i32| usize::try_from(limit).unwrap_or(0);
    let (videos, images): (Vec<usize>, Vec<usize>) = all.iter().copied().partition(is_video);
    if limits.mixed_media > 0 {
        all.into_iter().take(most(limits.mixed_media)).collect()
    } else if limits.images > 0 && !images.is_empty() {
        images.into_iter().take(most(limits.images)).collect()
    } else {
        videos.into_iter().take(most(limits.videos)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_gets_the_media_it_takes() {
        let types = ["image/png", "video/mp4", "image/jpeg"].map(String::from);
        let of = |images, videos, mixed_media| {
            takes(&Limits { images, videos, mixed_media, ..Limits::default() }, &types)
        };
        assert_eq!(of(4, 1, 0), [0, 2]);
        assert_eq!(of(1, 1, 0), [0]);
        assert_eq!(of(0, 1, 0), [1]);
        assert_eq!(of(10, 10, 2), [0, 1]);
        assert_eq!(of(0, 0, 0), [0; 0]);
    }

    #[test]
    fn a_thread_is_cut_where_nothing_can_follow() {
        let limits = Limits { text_length: 8, comment_length: 4, caption_length: 5, ..Limits::default() };
        let text = "one two three";
        let shortened = parts(&limits, text, proto::TextFit::Shorten, true, true);
        assert_eq!(shortened, ["one…"], "beside a picture");
        let parts = |fit, replies| parts(&limits, text, fit, replies, false);
        assert_eq!(parts(proto::TextFit::Thread, true), ["one two", "thre", "e"]);
        assert_eq!(parts(proto::TextFit::Thread, false), ["one two…"]);
        assert_eq!(parts(proto::TextFit::Shorten, true), ["one two…"]);
        assert_eq!(parts(proto::TextFit::Unspecified, true), [text]);
    }
}
