//! What a container of Instagram is made of, and what becomes of one; the rest is the same for every network of the
//! Graph that has them.

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json as object};

use super::{
    AttemptFacts, Containers, Fault, Handles, Instagram, Session, Work, errors,
    graph::{self, Api, Standing},
    publish::{self, Shape},
    text_of, wire,
};
use crate::{
    domain::content::Media,
    media::Room,
    networks::wire::{Proof, judge},
};

#[async_trait]
impl Containers for Instagram {
    fn api(&self) -> &Api {
        &self.api
    }

    /// As JPEG.
    fn room(&self, _session: &Session) -> Room {
        Room::of(&super::limits()).jpeg()
    }

    fn fields(&self, work: &Work) -> Value {
        publish::fields(work, Shape::of(work))
    }

    /// Captions belong to the carousel.
    fn child_fields(&self, item: &Media) -> Value {
        let mut fields = object!({ "is_carousel_item": true });
        if item.is_video() {
            fields["media_type"] = object!("VIDEO");
        } else if !item.alt_text.is_empty() {
            fields["alt_text"] = object!(item.alt_text);
        }
        fields
    }

    async fn create(
        &self,
        session: &Session,
        body: &Value,
        _handles: &mut dyn Handles,
    ) -> Result<String, Fault> {
        let path = format!("{}/media", graph::segment(&session.native_id));
        let call = self.api.call(session, Method::POST, &path, &[]).json(body);
        let response = call.read(&self.api.http).await?;
        if graph::judge(errors::CONTAINER, &response).is_some() {
            return Err(graph::fault(errors::CONTAINER, &response, self.api.clock.now_ms()));
        }
        graph::made(&self.api.body(&response)?)
    }

    async fn standing(&self, session: &Session, id: &str) -> Result<Standing, Fault> {
        let told = self.api.shown(self.api.node(session, id, "status_code,status")).await?;
        let standing = |body: Value| Standing::of(text_of(&body, "status_code"), text_of(&body, "status"));
        Ok(told.map_or(Standing::Missing, standing))
    }

    fn final_for(&self, why: &str) -> Option<Fault> {
        final_for(why)
    }

    fn given_up(&self, why: &str) -> Fault {
        let message = format!("Instagram could not take the media: {}", wire::short(why));
        Fault::Rejected { code: "MEDIA_REFUSED".into(), message }
    }

    async fn posts(
        &self,
        session: &Session,
        work: &Work,
        attempt: &AttemptFacts,
    ) -> Result<Vec<(String, String)>, Fault> {
        self.among_media(session, work, attempt).await
    }
}

/// The subcode in the words of a container that failed: `-2/2207003`, or prose that ends with one.
fn subcode(status: &str) -> Option<String> {
    let mut numbers = status.split(|c: char| !c.is_ascii_digit()).filter(|number| number.starts_with("2207"));
    numbers.next_back().map(|number| format!("/{number}"))
}

fn final_for(status: &str) -> Option<Fault> {
    match judge(errors::RULES, http::StatusCode::BAD_REQUEST, &subcode(status)?)? {
        proof @ Proof::Rejected(..) => Some(wire::fault(proof, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_why_a_container_failed() {
        for (status, code) in [
            ("352/2207026", Some("VIDEO_REFUSED")),
            ("Error: Media upload has failed with error code 2207026", Some("VIDEO_REFUSED")),
            ("36003/2207009", Some("IMAGE_ASPECT")),
            ("-2/2207003", None),
            ("EXPIRED", None),
            ("", None),
        ] {
            let found = final_for(status);
            let found = found.as_ref().map(|fault| match fault {
                Fault::Rejected { code, .. } => code.as_str(),
                _ => "another",
            });
            assert_eq!(found, code, "{status}");
        }
    }
}
