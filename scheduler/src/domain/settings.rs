//! A network's settings are opaque here, but for one thing: which media of the library they name. Those are looked up,
//! and kept as long as they are needed, like the media of the post.
//!
//! **Invariant:** a network whose settings name media demands media on the post itself, so a post with such a target is a
//! post with media wherever only its own are looked at.

use postmesh_proto::publisher::v1::{NetworkSettings, network_settings::Network};
use prost::Message;
use uuid::Uuid;

/// One media item that settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Where, below the target.
    pub field: &'static str,
    /// The library's id as the user wrote it.
    pub id: String,
}

/// The media that encoded settings name; none for settings that cannot be read.
pub fn named(settings: &[u8]) -> Vec<Named> {
    let settings = if settings.is_empty() { None } else { NetworkSettings::decode(settings).ok() };
    match settings.and_then(|settings| settings.network) {
        Some(Network::Youtube(youtube)) if !youtube.thumbnail_media_id.is_empty() => {
            vec![Named { field: "settings.youtube.thumbnail_media_id", id: youtube.thumbnail_media_id }]
        }
        _ => Vec::new(),
    }
}

/// Their ids, as far as they are ids.
pub fn media_ids(settings: &[u8]) -> impl Iterator<Item = Uuid> {
    named(settings).into_iter().filter_map(|named| Uuid::try_parse(&named.id).ok())
}

#[cfg(test)]
mod tests {
    use postmesh_proto::publisher::v1::{MastodonSettings, YoutubeSettings};

    use super::*;

    #[test]
    fn only_what_is_named_is_seen() {
        let encode = |network| NetworkSettings { network: Some(network) }.encode_to_vec();
        let youtube = |id: &str| {
            encode(Network::Youtube(YoutubeSettings {
                thumbnail_media_id: id.into(),
                ..YoutubeSettings::default()
            }))
        };
        let id = Uuid::from_u128(7);
        let found = named(&youtube(&id.to_string()));
        assert_eq!((found.len(), found[0].field), (1, "settings.youtube.thumbnail_media_id"));
        assert_eq!(media_ids(&youtube(&id.to_string())).collect::<Vec<_>>(), [id]);
        assert_eq!(media_ids(&youtube("nope")).count(), 0);
        for none in
            [youtube(""), encode(Network::Mastodon(MastodonSettings::default())), Vec::new(), vec![0xFF]]
        {
            assert_eq!(named(&none), []);
        }
    }
}
