//! Between the contract's network settings and the domain's. An unspecified enum value is the network's own default.

use postmesh_kit::{ids, status::Violations};
use postmesh_proto::publisher::v1::{self as proto, network_settings::Network};

use crate::domain::{
    content::Media,
    settings::{
        BlueskySettings, DiscordSettings, FacebookKind, FacebookSettings, InstagramKind, InstagramSettings,
        LinkedinArticle, LinkedinSettings, LinkedinVisibility, MastodonSettings, PinterestSettings,
        RedditSettings, Settings, SlackSettings, TelegramSettings, ThreadsReplyControl, ThreadsSettings,
        TiktokPrivacy, TiktokSettings, Visibility, XReplySettings, XSettings, YoutubePrivacy,
        YoutubeSettings,
    },
};

/// Reads the settings of a content; `field` is where they stand in the request.
pub(super) fn settings(
    violations: &mut Violations,
    field: &str,
    settings: Option<proto::NetworkSettings>,
) -> Settings {
    match settings.and_then(|settings| settings.network) {
        None => Settings::None,
        Some(Network::Mastodon(settings)) => Settings::Mastodon(MastodonSettings {
            visibility: visibility(settings.visibility()),
            spoiler_text: settings.spoiler_text,
            sensitive: settings.sensitive,
            language: settings.language,
        }),
        Some(Network::Bluesky(settings)) => Settings::Bluesky(BlueskySettings {
            languages: settings.languages,
            self_labels: settings.self_labels,
        }),
        Some(Network::X(settings)) => Settings::X(XSettings {
            reply_settings: match settings.reply_settings() {
                proto::XReplySettings::Unspecified => None,
                proto::XReplySettings::Following => Some(XReplySettings::Following),
                proto::XReplySettings::MentionedUsers => Some(XReplySettings::MentionedUsers),
                proto::XReplySettings::Subscribers => Some(XReplySettings::Subscribers),
                proto::XReplySettings::Verified => Some(XReplySettings::Verified),
            },
            made_with_ai: settings.made_with_ai,
            paid_partnership: settings.paid_partnership,
        }),
        Some(Network::Linkedin(settings)) => Settings::Linkedin(linkedin(settings)),
        Some(Network::Facebook(settings)) => Settings::Facebook(FacebookSettings {
            kind: match settings.kind() {
                proto::FacebookKind::Unspecified | proto::FacebookKind::Feed => FacebookKind::Feed,
                proto::FacebookKind::Reel => FacebookKind::Reel,
                proto::FacebookKind::Story => FacebookKind::Story,
            },
            link: settings.link,
            title: settings.title,
        }),
        Some(Network::Instagram(settings)) => Settings::Instagram(InstagramSettings {
            kind: match settings.kind() {
                proto::InstagramKind::Unspecified => None,
                proto::InstagramKind::Feed => Some(InstagramKind::Feed),
                proto::InstagramKind::Reel => Some(InstagramKind::Reel),
                proto::InstagramKind::Story => Some(InstagramKind::Story),
            },
            share_to_feed: settings.share_to_feed,
            cover_offset_ms: settings.cover_offset_ms,
            collaborators: settings.collaborators,
        }),
        Some(Network::Threads(settings)) => Settings::Threads(ThreadsSettings {
            reply_control: match settings.reply_control() {
                proto::ThreadsReplyControl::Unspecified => None,
                proto::ThreadsReplyControl::AccountsYouFollow => Some(ThreadsReplyControl::AccountsYouFollow),
                proto::ThreadsReplyControl::MentionedOnly => Some(ThreadsReplyControl::MentionedOnly),
                proto::ThreadsReplyControl::FollowersOnly => Some(ThreadsReplyControl::FollowersOnly),
            },
            topic_tag: settings.topic_tag,
            link_attachment: settings.link_attachment,
        }),
        Some(Network::Youtube(settings)) => Settings::Youtube(youtube(violations, field, settings)),
        Some(Network::Tiktok(settings)) => Settings::Tiktok(tiktok(settings)),
        Some(Network::Pinterest(settings)) => Settings::Pinterest(PinterestSettings {
            title: settings.title,
            link: settings.link,
            board_id: settings.board_id,
            board_section_id: settings.board_section_id,
            cover_offset_ms: settings.cover_offset_ms,
        }),
        Some(Network::Reddit(settings)) => Settings::Reddit(RedditSettings {
            subreddit: settings.subreddit,
            title: settings.title,
            link: settings.link,
            flair_id: settings.flair_id,
            flair_text: settings.flair_text,
            nsfw: settings.nsfw,
            spoiler: settings.spoiler,
            replies_muted: settings.replies_muted,
        }),
        Some(Network::Discord(settings)) => Settings::Discord(DiscordSettings {
            username: settings.username,
            mentions_notify: settings.mentions_notify,
            suppress_embeds: settings.suppress_embeds,
        }),
        Some(Network::Telegram(settings)) => Settings::Telegram(TelegramSettings {
            silent: settings.silent,
            preview_disabled: settings.preview_disabled,
            protect_content: settings.protect_content,
        }),
        Some(Network::Slack(settings)) => {
            Settings::Slack(SlackSettings { unfurl_disabled: settings.unfurl_disabled })
        }
    }
}

/// Adds what is known of the media that settings name.
pub(super) fn describe(settings: &mut Settings, known: &[Media]) {
    let Settings::Youtube(settings) = settings else { return };
    let Some(thumbnail) = &mut settings.thumbnail else { return };
    if let Some(item) = known.iter().find(|item| item.media_id == thumbnail.media_id) {
        thumbnail.clone_from(item);
    }
}

fn visibility(visibility: proto::MastodonVisibility) -> Option<Visibility> {
    match visibility {
        proto::MastodonVisibility::Unspecified => None,
        proto::MastodonVisibility::Public => Some(Visibility::Public),
        proto::MastodonVisibility::Unlisted => Some(Visibility::Unlisted),
        proto::MastodonVisibility::Private => Some(Visibility::Private),
        proto::MastodonVisibility::Direct => Some(Visibility::Direct),
    }
}

fn linkedin(settings: proto::LinkedinSettings) -> LinkedinSettings {
    let visibility = match settings.visibility() {
        proto::LinkedinVisibility::Unspecified | proto::LinkedinVisibility::Public => {
            LinkedinVisibility::Public
        }
        proto::LinkedinVisibility::Connections => LinkedinVisibility::Connections,
        proto::LinkedinVisibility::LoggedIn => LinkedinVisibility::LoggedIn,
    };
    let article = settings.article.map(|article| LinkedinArticle {
        source: article.source,
        title: article.title,
        description: article.description,
    });
    LinkedinSettings {
        visibility,
        article,
        media_title: settings.media_title,
        reshare_disabled: settings.reshare_disabled,
    }
}

fn youtube(violations: &mut Violations, field: &str, settings: proto::YoutubeSettings) -> YoutubeSettings {
    let privacy = match settings.privacy() {
        proto::YoutubePrivacy::Unspecified | proto::YoutubePrivacy::Public => YoutubePrivacy::Public,
        proto::YoutubePrivacy::Unlisted => YoutubePrivacy::Unlisted,
        proto::YoutubePrivacy::Private => YoutubePrivacy::Private,
    };
    let named = &settings.thumbnail_media_id;
    let thumbnail = violations
        .take(ids::parse_optional(&format!("{field}.youtube.thumbnail_media_id"), named))
        .flatten()
        .map(|media_id| Media { media_id, ..Media::default() });
    YoutubeSettings {
        title: settings.title,
        privacy,
        tags: settings.tags,
        category_id: settings.category_id,
        made_for_kids: settings.made_for_kids,
        synthetic_media: settings.synthetic_media,
        skip_notification: settings.skip_notification,
        thumbnail,
    }
}

fn tiktok(settings: proto::TiktokSettings) -> TiktokSettings {
    let privacy = match settings.privacy() {
        proto::TiktokPrivacy::Unspecified => None,
        proto::TiktokPrivacy::PublicToEveryone => Some(TiktokPrivacy::PublicToEveryone),
        proto::TiktokPrivacy::MutualFollowFriends => Some(TiktokPrivacy::MutualFollowFriends),
        proto::TiktokPrivacy::FollowerOfCreator => Some(TiktokPrivacy::FollowerOfCreator),
        proto::TiktokPrivacy::SelfOnly => Some(TiktokPrivacy::SelfOnly),
    };
    TiktokSettings {
        privacy,
        to_inbox: settings.to_inbox,
        title: settings.title,
        comments_disabled: settings.comments_disabled,
        duet_disabled: settings.duet_disabled,
        stitch_disabled: settings.stitch_disabled,
        brand_content: settings.brand_content,
        brand_organic: settings.brand_organic,
        made_with_ai: settings.made_with_ai,
        auto_add_music: settings.auto_add_music,
    }
}
