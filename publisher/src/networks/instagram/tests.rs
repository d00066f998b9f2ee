//! The adapter against Instagram over a real socket, with either login: accounts and tokens (`login`), what is prepared
//! unseen and what each lost answer proves (`containers`), further parts of a thread (`comments`), refusals
//! (`refusals`). The stand-in's ledger of what became visible is the judge.

mod comments;
mod containers;
mod login;
mod refusals;

use serde_json::json as object;

use super::{
    graph::stage::{self, film},
    proof::picture,
    *,
};
use crate::{
    domain::{
        content::Media,
        settings::{InstagramKind, InstagramSettings, Settings},
    },
    testing::{Bench, Kept, PICTURE_JPEG, PICTURE_PNG, attempt, work},
};

type Stage = stage::Stage<Instagram>;

fn adapter(bench: &Bench, door: Door) -> Instagram {
    Instagram { door, ..Instagram::new(bench.http.clone(), bench.clock.clone()) }
}

async fn stage(door: Door) -> Stage {
    Stage::of(|bench| adapter(bench, door), "demo").await
}

impl Stage {
    fn work(&self, text: &str, media: Vec<Media>, kind: Option<InstagramKind>) -> Work {
        let mut work = work(&self.network, text, 0);
        work.content.media = media;
        if kind.is_some() {
            let settings = InstagramSettings { kind, ..InstagramSettings::default() };
            work.content.settings = Settings::Instagram(settings);
        }
        work
    }

    fn image(&self, text: &str) -> Work {
        self.work(text, vec![picture(PICTURE_JPEG)], None)
    }

    fn story(&self, item: Media) -> Work {
        self.work("", vec![item], Some(InstagramKind::Story))
    }

    async fn advance(&self, ms: u64) {
        self.bench.control("clock", &object!({ "advance_ms": ms })).await;
    }
}
