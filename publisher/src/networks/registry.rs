//! Every network there is an adapter for, found by its id.

use std::{collections::BTreeMap, fmt, sync::Arc};

use postmesh_kit::{clock::Clock, http::GuardedClient};

use super::{
    Network, bluesky, connect, discord, facebook, instagram, linkedin, mastodon, pinterest, reddit, slack,
    telegram, threads, tiktok, x, youtube,
};
use crate::media::MediaSource;

/// Every network that has an adapter, for publishing and for connecting. What is added to a post after it was accepted
/// comes from `media`; without it nothing is.
pub fn all(
    http: &GuardedClient,
    clock: &Arc<dyn Clock>,
    media: Option<&MediaSource>,
) -> (Networks, connect::Connectors) {
    let mastodon = mastodon::Mastodon::new(http.clone(), clock.clone());
    let bluesky = bluesky::Bluesky::new(http.clone(), clock.clone());
    let telegram = telegram::Telegram::new(http.clone(), clock.clone());
    let threads = threads::Threads::new(http.clone(), clock.clone());
    let youtube = youtube::Youtube::new(http.clone(), clock.clone()).reading(media.cloned());
    let x = x::X::new(http.clone(), clock.clone());
    let pinterest = pinterest::Pinterest::new(http.clone(), clock.clone());
    let linkedin = linkedin::Linkedin::member(http.clone(), clock.clone());
    let linkedin_organization = linkedin::Linkedin::organization(http.clone(), clock.clone());
    let discord = discord::Discord::new(http.clone(), clock.clone());
    let facebook = facebook::Facebook::new(http.clone(), clock.clone());
    let slack = slack::Slack::new(http.clone(), clock.clone());
    let reddit = reddit::Reddit::new(http.clone(), clock.clone());
    let instagram = instagram::Instagram::new(http.clone(), clock.clone());
    let tiktok = tiktok::Tiktok::new(http.clone(), clock.clone());
    let connectors = connect::Connectors::default()
        .with(pinterest.clone())
        .with(instagram.clone())
        .with(instagram.by_facebook())
        .with(facebook.clone())
        .with(linkedin.clone())
        .with(linkedin_organization.clone())
        .with(x.clone())
        .with(youtube.clone())
        .with(mastodon.clone())
        .with(mastodon.pixelfed())
        .with(mastodon.gotosocial())
        .with(mastodon.pleroma())
        .with(bluesky.clone())
        .with(telegram.clone())
        .with(threads.clone())
        .with(discord.clone())
        .with(slack.clone())
        .with(reddit.clone())
        .with(tiktok.clone());
    (
        Networks::default()
            .with(pinterest)
            .with(instagram.by_facebook())
            .with(instagram)
            .with(facebook)
            .with(linkedin)
            .with(linkedin_organization)
            .with(x)
            .with(youtube)
            .with(mastodon.pixelfed())
            .with(mastodon.gotosocial())
            .with(mastodon.pleroma())
            .with(mastodon)
            .with(bluesky)
            .with(telegram)
            .with(threads)
            .with(discord)
            .with(slack)
            .with(reddit)
            .with(tiktok),
        connectors,
    )
}

/// The networks by id.
#[derive(Clone, Default)]
pub struct Networks {
    by_id: BTreeMap<&'static str, Arc<dyn Network>>,
}

impl Networks {
    /// Adds an adapter under its id.
    #[must_use]
    pub fn with(mut self, network: impl Network) -> Self {
        self.by_id.insert(network.facts().id, Arc::new(network));
        self
    }

    /// The adapter with that id.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Network>> {
        self.by_id.get(id)
    }

    /// All adapters, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Network>> {
        self.by_id.values()
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}
