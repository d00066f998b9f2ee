//! A post as a video: its checks, its title and description, and the metadata of its upload.

use serde_json::{Value, json as object};

use super::{
    super::{
        count::{count, shorten},
        validate::Check,
    },
    Content, Limits, Violation, thumbnail,
};
use crate::domain::settings::{Settings, YoutubePrivacy, YoutubeSettings};

/// Characters of all tags together (<https://developers.google.com/youtube/v3/docs/videos>, `snippet.tags[]`).
const TAGS_LENGTH: usize = 500;

/// Everything that YouTube would refuse.
pub(super) fn validate(limits: &Limits, content: &Content) -> Vec<Violation> {
    let mut check = Check::new("YouTube", limits);
    check.content(content, 0);
    check.settings(&content.settings, matches!(content.settings, Settings::Youtube(_)));
    let settings = settings(content);
    if !settings.title.trim().is_empty() {
        check.title("settings.youtube.title", settings.title.trim());
    }
    if title(limits, content).is_empty() {
        let text = "YouTube takes no video without a title: set one, or write a text whose first line is it";
        check.add("settings.youtube.title", "TITLE_REQUIRED", text.to_owned());
    }
    let angled = |text: &str| text.contains(['<', '>']);
    for (field, text) in [("text", content.text.as_str()), ("settings.youtube.title", &settings.title)] {
        if angled(text) {
            let text = "YouTube takes neither < nor > in titles and descriptions: remove them";
            check.add(field, "CHARACTER_REFUSED", text.to_owned());
        }
    }
    let length = tags_length(limits, &settings.tags);
    if length > TAGS_LENGTH {
        let text =
            format!("the tags have {length} characters together, YouTube accepts at most {TAGS_LENGTH}");
        check.add("settings.youtube.tags", "TAGS_TOO_LONG", text);
    }
    if settings.tags.iter().any(|tag| angled(tag) || tag.trim().is_empty()) {
        let text = "YouTube takes no empty tag and neither < nor > in one";
        check.add("settings.youtube.tags", "CHARACTER_REFUSED", text.to_owned());
    }
    if !settings.category_id.chars().all(|c| c.is_ascii_digit()) {
        let text = format!("`{}` is not the number of a category, such as 22", settings.category_id);
        check.add("settings.youtube.category_id", "CATEGORY", text);
    }
    if let Some(picture) = &settings.thumbnail {
        thumbnail::validate(&mut check, picture);
    }
    check.into_violations()
}

/// Commas between tags count, and so do the quotes around a tag with a blank in it.
fn tags_length(limits: &Limits, tags: &[String]) -> usize {
    let length = |tag: &String| count(limits, tag) + if tag.contains(' ') { 2 } else { 0 };
    tags.iter().map(length).sum::<usize>() + tags.len().saturating_sub(1)
}

pub(super) fn settings(content: &Content) -> YoutubeSettings {
    match &content.settings {
        Settings::Youtube(settings) => settings.clone(),
        _ => YoutubeSettings::default(),
    }
}

/// The title that was set, else the first line of the text, cut to what fits.
pub(super) fn title(limits: &Limits, content: &Content) -> String {
    let set = settings(content).title.trim().to_owned();
    if !set.is_empty() {
        return set;
    }
    let first = content.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    shorten(limits, first, usize::try_from(limits.title_length).unwrap_or(0))
}

/// What the session is opened with.
pub(super) fn metadata(limits: &Limits, content: &Content) -> Value {
    let settings = settings(content);
    let category = Some(settings.category_id.as_str()).filter(|id| !id.is_empty()).unwrap_or("22");
    let privacy = match settings.privacy {
        YoutubePrivacy::Public => "public",
        YoutubePrivacy::Unlisted => "unlisted",
        YoutubePrivacy::Private => "private",
    };
    let mut body = object!({
        "snippet": {
            "title": title(limits, content),
            "description": content.text.trim(),
            "categoryId": category,
        },
        "status": {
            "privacyStatus": privacy,
            "selfDeclaredMadeForKids": settings.made_for_kids,
        },
    });
    if !settings.tags.is_empty() {
        body["snippet"]["tags"] = object!(settings.tags);
    }
    if settings.synthetic_media {
        body["status"]["containsSyntheticMedia"] = object!(true);
    }
    body
}
