//! The adapter against Pages over a real socket: what a login yields and how it ends (`login`), what is prepared unseen
//! and what becomes of it (`posts`), what each lost answer proves (`doubt`) and each refusal says (`refusals`). The
//! stand-in's ledger of what became visible is the judge.

mod doubt;
mod login;
mod posts;
mod refusals;

use serde_json::json as object;

use super::{
    graph::stage::{self, film},
    *,
};
use crate::{
    domain::settings::{FacebookKind, FacebookSettings, Settings},
    testing::{Bench, Kept, PNG, attempt, work},
};

type Stage = stage::Stage<Facebook>;

fn adapter(bench: &Bench) -> Facebook {
    Facebook::new(bench.http.clone(), bench.clock.clone())
}

async fn stage() -> Stage {
    Stage::of(adapter, "demo").await
}

impl Stage {
    /// A post in the feed with so many photos.
    fn work(&self, text: &str, photos: usize) -> Work {
        work(&self.network, text, photos)
    }

    /// A film of that kind.
    fn film(&self, kind: FacebookKind) -> Work {
        let text = if kind == FacebookKind::Story { "" } else { "a film" };
        let mut work = of_kind(kind, self.work(text, 0));
        work.content.media = vec![film(5_000)];
        work
    }

    async fn post(&self, text: &str) -> String {
        self.publish(&self.work(text, 0)).await.0
    }
}

fn of_kind(kind: FacebookKind, mut work: Work) -> Work {
    work.content.settings = Settings::Facebook(FacebookSettings { kind, ..FacebookSettings::default() });
    work
}
