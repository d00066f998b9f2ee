//! What only one network understands about a post, network by network. The contract's comments say what each field
//! means; zero values are the network's own defaults.

use serde::{Deserialize, Serialize};

use super::content::Media;

/// Settings of one target, for its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "network", rename_all = "snake_case")]
pub enum Settings {
    /// The network's own defaults.
    #[default]
    None,
    /// Mastodon and its relatives.
    Mastodon(MastodonSettings),
    /// Bluesky.
    Bluesky(BlueskySettings),
    /// X.
    X(XSettings),
    /// LinkedIn, members and organizations.
    Linkedin(LinkedinSettings),
    /// Facebook Pages.
    Facebook(FacebookSettings),
    /// Instagram, whichever way it was connected.
    Instagram(InstagramSettings),
    /// Threads.
    Threads(ThreadsSettings),
    /// YouTube.
    Youtube(YoutubeSettings),
    /// TikTok.
    Tiktok(TiktokSettings),
    /// Pinterest.
    Pinterest(PinterestSettings),
    /// Reddit.
    Reddit(RedditSettings),
    /// Discord.
    Discord(DiscordSettings),
    /// Telegram.
    Telegram(TelegramSettings),
    /// Slack.
    Slack(SlackSettings),
}

impl Settings {
    /// Whether nothing was set.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The network they are for, as people call it; empty for none.
    pub fn network(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Mastodon(_) => "Mastodon",
            Self::Bluesky(_) => "Bluesky",
            Self::X(_) => "X",
            Self::Linkedin(_) => "LinkedIn",
            Self::Facebook(_) => "Facebook",
            Self::Instagram(_) => "Instagram",
            Self::Threads(_) => "Threads",
            Self::Youtube(_) => "YouTube",
            Self::Tiktok(_) => "TikTok",
            Self::Pinterest(_) => "Pinterest",
            Self::Reddit(_) => "Reddit",
            Self::Discord(_) => "Discord",
            Self::Telegram(_) => "Telegram",
            Self::Slack(_) => "Slack",
        }
    }
}

/// Settings on Mastodon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MastodonSettings {
    /// Who sees the post; the account's own default when `None`.
    pub visibility: Option<Visibility>,
    /// Shown in place of the post until it is opened; empty for none.
    pub spoiler_text: String,
    /// Hides the media until they are opened.
    pub sensitive: bool,
    /// ISO 639-1 language of the text; guessed by the server when empty.
    pub language: String,
}

/// Who sees a post on Mastodon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Everyone, not in public timelines.
    Unlisted,
    /// Followers.
    Private,
    /// The people mentioned.
    Direct,
}

/// Settings on Bluesky.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlueskySettings {
    /// Languages of the text (BCP 47), at most 3.
    pub languages: Vec<String>,
    /// Content warnings the author puts on the post.
    pub self_labels: Vec<String>,
}

/// Settings on X.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct XSettings {
    /// Who may reply; everyone when `None`.
    pub reply_settings: Option<XReplySettings>,
    /// Made with the help of artificial intelligence.
    pub made_with_ai: bool,
    /// A paid partnership.
    pub paid_partnership: bool,
}

/// Who may reply to a post on X.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XReplySettings {
    /// Accounts that the author follows.
    Following,
    /// Accounts that the post mentions.
    MentionedUsers,
    /// The author's subscribers.
    Subscribers,
    /// Verified accounts.
    Verified,
}

/// Settings on LinkedIn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkedinSettings {
    /// Who sees the post.
    pub visibility: LinkedinVisibility,
    /// A link card under the text.
    pub article: Option<LinkedinArticle>,
    /// The title of a video.
    pub media_title: String,
    /// Nobody can repost it.
    pub reshare_disabled: bool,
}

/// A link card on LinkedIn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkedinArticle {
    /// Where it leads.
    pub source: String,
    /// Its title.
    pub title: String,
    /// Its description; may be empty.
    pub description: String,
}

/// Who sees a post on LinkedIn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkedinVisibility {
    /// Everyone.
    #[default]
    Public,
    /// The member's connections.
    Connections,
    /// Everyone who is signed in.
    LoggedIn,
}

/// Settings on Facebook Pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FacebookSettings {
    /// What it becomes.
    pub kind: FacebookKind,
    /// A link shown as a card; empty for none.
    pub link: String,
    /// The title of a video or reel.
    pub title: String,
}

/// What a post on a Facebook Page becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FacebookKind {
    /// A post in the feed.
    #[default]
    Feed,
    /// A reel.
    Reel,
    /// A story.
    Story,
}

/// Settings on Instagram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstagramSettings {
    /// What it becomes; by its media when `None`.
    pub kind: Option<InstagramKind>,
    /// Whether a reel is shown in the feed as well; `None` for yes.
    pub share_to_feed: Option<bool>,
    /// The moment of a reel that becomes its cover, milliseconds.
    pub cover_offset_ms: i64,
    /// User names of co-authors.
    pub collaborators: Vec<String>,
}

/// What a post on Instagram becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstagramKind {
    /// An image or a carousel in the feed.
    Feed,
    /// A reel.
    Reel,
    /// A story.
    Story,
}

/// Settings on Threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadsSettings {
    /// Who may reply; everyone when `None`.
    pub reply_control: Option<ThreadsReplyControl>,
    /// The post's one topic; empty for none.
    pub topic_tag: String,
    /// A link shown as a card; empty for the first link of the text.
    pub link_attachment: String,
}

/// Who may reply to a post on Threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadsReplyControl {
    /// Accounts that the author follows.
    AccountsYouFollow,
    /// Accounts that the post mentions.
    MentionedOnly,
    /// The author's followers.
    FollowersOnly,
}

/// Settings on YouTube.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct YoutubeSettings {
    /// The video's title; the first line of the text when empty.
    pub title: String,
    /// Who sees it.
    pub privacy: YoutubePrivacy,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Number of the category; 22 when empty.
    pub category_id: String,
    /// It was made for children.
    pub made_for_kids: bool,
    /// It holds realistic altered or synthetic content.
    pub synthetic_media: bool,
    /// Subscribers are not notified.
    pub skip_notification: bool,
    /// The picture shown before it plays; YouTube's choice when `None`. What it is is known where contents are checked, and
    /// not where they are delivered: its type is empty there.
    pub thumbnail: Option<Media>,
}

/// Who sees a video on YouTube.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YoutubePrivacy {
    /// Everyone.
    #[default]
    Public,
    /// Everyone who has the address.
    Unlisted,
    /// The owner.
    Private,
}

/// Settings on TikTok.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TiktokSettings {
    /// Who sees it; the most open choice the creator has when `None`.
    pub privacy: Option<TiktokPrivacy>,
    /// Sends it to the creator's inbox.
    pub to_inbox: bool,
    /// The title of a photo post.
    pub title: String,
    /// Nobody may comment.
    pub comments_disabled: bool,
    /// Nobody may make a duet of the video.
    pub duet_disabled: bool,
    /// Nobody may use a part of the video.
    pub stitch_disabled: bool,
    /// It promotes somebody else's brand.
    pub brand_content: bool,
    /// It promotes the creator's own business.
    pub brand_organic: bool,
    /// Made with artificial intelligence.
    pub made_with_ai: bool,
    /// Adds music to a photo post.
    pub auto_add_music: bool,
}

/// Who sees a post on TikTok; the network's words in upper snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TiktokPrivacy {
    /// Everyone.
    PublicToEveryone,
    /// People who follow each other with the creator.
    MutualFollowFriends,
    /// The creator's followers.
    FollowerOfCreator,
    /// The creator.
    SelfOnly,
}

/// Settings on Pinterest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PinterestSettings {
    /// The pin's title.
    pub title: String,
    /// Where the pin leads.
    pub link: String,
    /// Id of the board it goes to; the account's own choice when empty.
    pub board_id: String,
    /// Section of the board.
    pub board_section_id: String,
    /// The moment of a video that becomes its cover, milliseconds.
    pub cover_offset_ms: i64,
}

/// Settings on Reddit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedditSettings {
    /// Where it goes, without `r/`; the account's own profile when empty.
    pub subreddit: String,
    /// The post's title; the first line of the text when empty.
    pub title: String,
    /// Makes a link post of it.
    pub link: String,
    /// Id of the flair.
    pub flair_id: String,
    /// Text of the flair.
    pub flair_text: String,
    /// Not safe for work.
    pub nsfw: bool,
    /// Hides the content until it is opened.
    pub spoiler: bool,
    /// The author gets no notes about replies.
    pub replies_muted: bool,
}

/// Settings on Discord.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscordSettings {
    /// The name shown instead of the webhook's own.
    pub username: String,
    /// Mentions of roles and everyone notify people.
    pub mentions_notify: bool,
    /// Links get no cards.
    pub suppress_embeds: bool,
}

/// Settings on Telegram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelegramSettings {
    /// Sent without a sound.
    pub silent: bool,
    /// Links get no preview.
    pub preview_disabled: bool,
    /// Nobody can forward or save it.
    pub protect_content: bool,
}

/// Settings on Slack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlackSettings {
    /// Links get no preview.
    pub unfurl_disabled: bool,
}
