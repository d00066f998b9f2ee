//! `NetworkService`: the table of facts and limits, as the composer, the validator and scripts read it.

use std::collections::BTreeMap;

use postmesh_proto::publisher::v1 as proto;
use proto::network_service_server::NetworkService;
use tonic::{Request, Response, Status};

use crate::{
    domain::outcome::DeliveryClass,
    networks::{ConnectMethod, Network, Networks as Registry, connect::Connectors, limits::Limits},
};

/// The service.
#[derive(Debug, Clone)]
pub struct Networks {
    registry: Registry,
    connectors: Connectors,
    servers: BTreeMap<String, String>,
}

impl Networks {
    /// Answers with these networks; `servers` overrides the adapters' own default servers.
    pub fn new(registry: Registry, connectors: Connectors, servers: BTreeMap<String, String>) -> Self {
        Self { registry, connectors, servers }
    }

    fn describe(&self, network: &dyn Network) -> proto::Network {
        let facts = network.facts();
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
            }),
            delivery_class: delivery_class(facts.class).into(),
        }
    }
}

#[tonic::async_trait]
impl NetworkService for Networks {
    async fn list_networks(
        &self,
        _request: Request<proto::ListNetworksRequest>,
    ) -> Result<Response<proto::ListNetworksResponse>, Status> {
        let networks = self.registry.iter().map(|network| self.describe(network.as_ref())).collect();
        Ok(Response::new(proto::ListNetworksResponse { networks }))
    }
}

/// Limits as the contract shows them.
pub(crate) fn limits(limits: &Limits) -> proto::Limits {
    proto::Limits {
        text_length: limits.text_length,
        text_counting: proto::TextCounting::Graphemes.into(),
        text_bytes: limits.text_bytes,
        link_length: limits.link_length,
        images: limits.images,
        image_bytes: limits.image_bytes,
        image_pixels: limits.image_pixels,
        image_types: limits.image_types.clone(),
        alt_text_length: limits.alt_text_length,
    }
}

fn connect_method(method: ConnectMethod) -> proto::ConnectMethod {
    match method {
        ConnectMethod::OAuth => proto::ConnectMethod::Oauth,
        ConnectMethod::AppPassword => proto::ConnectMethod::AppPassword,
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
