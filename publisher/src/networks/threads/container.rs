//! What a container of Threads is made of, and what becomes of one; the rest is the same for every network of the Graph
//! that has them.

use async_trait::async_trait;
use serde_json::{Map, Value, json as object};

use super::{
    super::thread,
    AttemptFacts, Call, Containers, Fault, Handles, Session, Threads, Work, errors,
    graph::{self, Api, Standing},
    publish::settings,
    text_of,
};
use crate::{
    domain::{content::Media, settings::ThreadsReplyControl},
    media::Room,
};

#[async_trait]
impl Containers for Threads {
    fn api(&self) -> &Api {
        &self.api
    }

    fn room(&self, session: &Session) -> Room {
        Room::of(&session.limits)
    }

    fn fields(&self, work: &Work) -> Value {
        let mut fields = match work.content.media.as_slice() {
            [] => object!({ "media_type": "TEXT" }),
            [one] => file(one),
            _ => object!({ "media_type": "CAROUSEL" }),
        };
        for (name, text) in post_fields(work) {
            fields[name] = object!(text);
        }
        fields
    }

    fn child_fields(&self, item: &Media) -> Value {
        let mut fields = file(item);
        fields["is_carousel_item"] = object!("true");
        fields
    }

    async fn create(
        &self,
        session: &Session,
        body: &Value,
        handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let fields = body.as_object().into_iter().flat_map(Map::iter);
        let mut form: Vec<_> =
            fields.map(|(name, text)| (&**name, text.as_str().unwrap_or_default())).collect();
        form.push(("access_token", session.access_token.expose()));
        let call = Call::post(&session.server, "/v1.0/me/threads").form(&form);
        let response = call.read(&self.api.http).await?;
        if body.get("reply_to_id").is_some() && graph::code_of(&response) == errors::NOT_THERE {
            return Err(thread::missing(handles, self.api.clock.now_ms()).await);
        }
        graph::made(&self.api.body(&response)?)
    }

    async fn standing(&self, session: &Session, id: &str) -> Result<Standing, Fault> {
        let told = self.api.shown(self.api.node(session, id, "id,status,error_message")).await?;
        let standing = |body: Value| Standing::of(text_of(&body, "status"), text_of(&body, "error_message"));
        Ok(told.map_or(Standing::Missing, standing))
    }

    fn final_for(&self, why: &str) -> Option<Fault> {
        let may_pass = matches!(why, "" | "EXPIRED") || why.starts_with("FAILED_DOWNLOADING");
        (!may_pass).then(|| refused_media(why))
    }

    fn given_up(&self, _why: &str) -> Fault {
        graph::unreachable()
    }

    async fn posts(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault> {
        self.among_posts(session, work, attempt).await
    }
}

/// What is said about a file beside its address.
fn file(item: &Media) -> Value {
    let mut fields = object!({ "media_type": if item.is_video() { "VIDEO" } else { "IMAGE" } });
    if !item.alt_text.is_empty() {
        fields["alt_text"] = object!(item.alt_text);
    }
    fields
}

/// The fields that belong to the post as a whole.
fn post_fields(work: &Work) -> Vec<(&'static str, String)> {
    let settings = settings(&work.content);
    let control = settings.reply_control.map(|control| match control {
        ThreadsReplyControl::AccountsYouFollow => "accounts_you_follow",
        ThreadsReplyControl::MentionedOnly => "mentioned_only",
        ThreadsReplyControl::FollowersOnly => "followers_only",
    });
    let fields = [
        ("text", work.content.text.trim().to_owned()),
        ("reply_to_id", work.reply.as_ref().map(|reply| reply.parent_native_id.clone()).unwrap_or_default()),
        ("reply_control", control.unwrap_or_default().to_owned()),
        ("topic_tag", settings.topic_tag),
        ("link_attachment", settings.link_attachment),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// The words of `error_message`, for people.
fn refused_media(why: &str) -> Fault {
    let what = match why {
        "INVALID_ASPEC_RATIO" | "INVALID_ASPECT_RATIO" => "is too wide or too high",
        "INVALID_DURATION" => "is too long or too short",
        "INVALID_BIT_RATE" | "INVALID_FRAME_RATE" => "has too many bits or pictures in a second",
        "INVALID_AUDIO_CHANNELS" | "INVALID_AUDIO_CHANNEL_LAYOUT" | "FAILED_PROCESSING_AUDIO" => {
            "has sound that the network cannot use"
        }
        _ => "cannot be processed",
    };
    Fault::Rejected {
        code: "MEDIA_REFUSED".into(),
        message: format!("The network says that the picture or video {what}. Use another one."),
    }
}
