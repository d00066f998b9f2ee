//! What the networks' own tests share: contents of what the library holds, logins in the browser, and what a line of an
//! error table must come to.

use super::{
    super::{
        App,
        connect::{Begin, Connect, ConnectFault, Connected, Finish},
        wire::Proof,
    },
    Bench, Case, Content, Outcome, Way, stand_in,
};
use crate::{
    domain::content::Media,
    testing::{CLIP, PICTURE_JPEG, PICTURE_PNG, clip},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where the tests' own gateway takes callbacks.
pub(crate) const REDIRECT: &str = "https://mesh.example/oauth/callback";

/// A picture of one dot.
pub(crate) fn png() -> Media {
    let content_type = "image/png".into();
    Media { media_id: PICTURE_PNG, content_type, size_bytes: 68, width: 1, height: 1, ..Media::default() }
}

/// A small photo.
pub(crate) fn jpeg() -> Media {
    Media { media_id: PICTURE_JPEG, content_type: "image/jpeg".into(), width: 32, height: 24, ..png() }
}

/// The library's video as it is.
pub(crate) fn film() -> Media {
    Media {
        media_id: CLIP,
        content_type: "video/mp4".into(),
        size_bytes: i64::try_from(clip().len()).expect("it is small"),
        width: 64,
        height: 64,
        duration_ms: 1000,
        ..Media::default()
    }
}

/// A text with these media.
pub(crate) fn with(text: &str, media: Vec<Media>) -> Content {
    Content { text: text.into(), media, ..Content::default() }
}

/// Makes a content with a text in it.
type Make = fn(&str) -> Content;

/// Makes contents, each with the reason of its violation.
type Over = fn() -> Vec<(Content, &'static str)>;

impl Case {
    /// Makes the cases of a network whose visible request is its stand-in's `publish`, each of a kind, a content at its
    /// limits, those over them, and the recorded shape.
    pub(crate) fn of(
        network: &'static str,
        way: Way,
        refreshes: bool,
    ) -> impl Fn(&'static str, Make, Over, &'static str) -> Self {
        move |kind, content, over, shape| Self {
            network,
            kind,
            way,
            content,
            over,
            shape,
            refreshes,
            visible: "publish",
        }
    }
}

/// Connects the stand-in's demo account in the browser, at the address that `change` makes of the authorization's.
pub(crate) async fn login(
    bench: &Bench,
    connector: &dyn Connect,
    app: Option<&App>,
    change: impl Fn(&str) -> String,
) -> Result<Vec<Connected>, ConnectFault> {
    let server = bench.server(stand_in(connector.id()));
    let ask = Begin {
        server: &server,
        redirect_uri: REDIRECT,
        state: "s",
        challenge: CHALLENGE,
        registration: None,
        app,
    };
    let began = connector.begin(ask).await?;
    let back = bench.press(&change(&began.authorization_url), "authorize").await;
    assert_eq!(back["state"], "s");
    let ask = Finish {
        server: &server,
        redirect_uri: REDIRECT,
        registration: began.registration.expose(),
        code: &back["code"],
        verifier: VERIFIER,
        app,
    };
    connector.finish(ask).await
}

/// Whether an outcome is what a line of an error table says.
pub(in super::super) fn proves(proof: Proof, outcome: &Outcome) -> bool {
    match (proof, outcome) {
        (Proof::Rejected(expected, _), Outcome::Rejected { code, .. })
        | (Proof::Transient(expected, _), Outcome::Transient { code, .. })
        | (Proof::Stale(expected, _), Outcome::Stale { code, .. }) => expected == code,
        (Proof::TokenExpired, Outcome::TokenExpired) | (Proof::Reconnect(_), Outcome::Reconnect { .. }) => {
            true
        }
        _ => false,
    }
}
