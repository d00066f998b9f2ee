//! `NetworkService`: the table of facts and limits, as the composer, the validator and scripts read it.

use std::collections::BTreeMap;

use postmesh_kit::{identity::Identity, status::to_status, time};
use postmesh_proto::publisher::v1 as proto;
use proto::network_service_server::NetworkService;
use tonic::{Request, Response, Status};

use crate::{
    apps::Apps,
    domain::outcome::DeliveryClass,
    error::Error,
    networks::{
        ConnectMethod, Kind, Network, Networks as Registry,
        connect::Connectors,
        limits::{Counting, Limits},
    },
};

/// The service.
#[derive(Debug, Clone)]
pub struct Networks {
    registry: Registry,
    connectors: Connectors,
    servers: BTreeMap<String, String>,
    apps: Apps,
}

impl Networks {
    /// Answers with these networks; `servers` overrides the adapters' own default servers.
    pub fn new(
        registry: Registry,
        connectors: Connectors,
        servers: BTreeMap<String, String>,
        apps: Apps,
    ) -> Self {
        Self { registry, connectors, servers, apps }
    }

    fn describe(&self, network: &dyn Network, has_app: bool) -> proto::Network {
        let facts = network.facts();
        let missing = if facts.needs_app && !has_app {
            vec![Error::AppMissing(facts.id.to_owned()).to_string()]
        } else {
            Vec::new()
        };
        let own = || self.connectors.get(facts.id).map_or("", |connector| connector.default_server());
        let default_server = self.servers.get(facts.id).map_or_else(own, String::as_str);
        let can = facts.capabilities;
        proto::Network {
            id: facts.id.to_owned(),
            display_name: facts.display_name.to_owned(),
            connect_methods: facts.connect.iter().map(|method| connect_method(*method).into()).collect(),
            needs_server: facts.needs_server,
            default_server: default_server.to_owned(),
            limits: Some(limits(&network.limits())),
            capabilities: Some(proto::Capabilities {
                text_only: can.text_only,
                alt_text: can.alt_text,
                threads: can.threads,
                metrics: can.metrics,
                delete: can.delete,
                video: can.video,
                comments: can.comments,
            }),
            delivery_class: delivery_class(facts.class).into(),
            post_kinds: facts.kinds.iter().map(|kind| post_kind(*kind).into()).collect(),
            available: missing.is_empty(),
            missing,
            scopes: facts.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        }
    }
}

#[tonic::async_trait]
impl NetworkService for Networks {
    async fn list_networks(
        &self,
        request: Request<proto::ListNetworksRequest>,
    ) -> Result<Response<proto::ListNetworksResponse>, Status> {
        let me = Identity::of(&request)?;
        let mut networks = Vec::new();
        for network in self.registry.iter() {
            let app = self.apps.of(me.workspace_id, network.facts().id).await.map_err(to_status)?;
            networks.push(self.describe(network.as_ref(), app.is_some()));
        }
        Ok(Response::new(proto::ListNetworksResponse { networks }))
    }
}

/// Limits as the contract shows them.
pub(crate) fn limits(limits: &Limits) -> proto::Limits {
    proto::Limits {
        text_length: limits.text_length,
        text_counting: text_counting(limits.text_counting).into(),
        text_bytes: limits.text_bytes,
        link_length: limits.link_length,
        images: limits.images,
        image_bytes: limits.image_bytes,
        image_pixels: limits.image_pixels,
        image_types: limits.image_types.clone(),
        alt_text_length: limits.alt_text_length,
        media_required: limits.media_required,
        videos: limits.videos,
        video_bytes: limits.video_bytes,
        video_types: limits.video_types.clone(),
        video_min_duration: (limits.video_min_ms > 0).then(|| time::duration_to_proto(limits.video_min_ms)),
        video_max_duration: (limits.video_max_ms > 0).then(|| time::duration_to_proto(limits.video_max_ms)),
        mixed_media: limits.mixed_media,
        title_length: limits.title_length,
        hashtags: limits.hashtags,
        mentions: limits.mentions,
        comment_length: limits.comment_length,
        caption_length: limits.caption_length,
    }
}

fn text_counting(counting: Counting) -> proto::TextCounting {
    match counting {
        Counting::Graphemes => proto::TextCounting::Graphemes,
        Counting::Weighted => proto::TextCounting::Weighted,
        Counting::Utf16 => proto::TextCounting::Utf16,
        Counting::Scalars => proto::TextCounting::Scalars,
        Counting::EmojiBytes => proto::TextCounting::EmojiBytes,
    }
}

fn post_kind(kind: Kind) -> proto::PostKind {
    match kind {
        Kind::Text => proto::PostKind::Text,
        Kind::Link => proto::PostKind::Link,
        Kind::Image => proto::PostKind::Image,
        Kind::Carousel => proto::PostKind::Carousel,
        Kind::Video => proto::PostKind::Video,
        Kind::Reel => proto::PostKind::Reel,
        Kind::Story => proto::PostKind::Story,
        Kind::Reply => proto::PostKind::Reply,
        Kind::Comment => proto::PostKind::Comment,
    }
}

fn connect_method(method: ConnectMethod) -> proto::ConnectMethod {
    match method {
        ConnectMethod::OAuth => proto::ConnectMethod::Oauth,
        ConnectMethod::AppPassword => proto::ConnectMethod::AppPassword,
        ConnectMethod::Token => proto::ConnectMethod::Token,
    }
}

fn delivery_class(class: DeliveryClass) -> proto::DeliveryClass {
    match class {
        DeliveryClass::NaturalKey => proto::DeliveryClass::NaturalKey,
        DeliveryClass::Handle => proto::DeliveryClass::Handle,
        DeliveryClass::IdempotencyKey => proto::DeliveryClass::IdempotencyKey,
        DeliveryClass::ReadBack => proto::DeliveryClass::ReadBack,
        DeliveryClass::Nothing => proto::DeliveryClass::None,
    }
}
