//! What the gateway answers over gRPC by itself: its health, and reflection of what is public.

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::{contracts::Contracts, error::Error};

/// Health always, reflection when asked for. The reporter turns the health when the gateway stops.
pub(crate) async fn routes(
    contracts: &Contracts,
    reflection: bool,
) -> Result<(Routes, HealthReporter), Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut services: Vec<_> =
        contracts.all().iter().map(|rpc| rpc.method.parent_service().full_name().to_owned()).collect();
    services.dedup();
    for service in services {
        reporter.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let mut routes = Routes::new(health);
    if reflection {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(public_part(contracts)?)
            .build_v1()
            .map_err(|cause| Error::Contracts(cause.to_string()))?;
        routes = routes.add_service(reflection);
    }
    Ok((routes, reporter))
}

/// The descriptors without the internal methods, and without services that have no other.
fn public_part(contracts: &Contracts) -> Result<FileDescriptorSet, Error> {
    let broken = |cause: prost::DecodeError| Error::Contracts(cause.to_string());
    let mut set = FileDescriptorSet::decode(postmesh_proto::DESCRIPTORS).map_err(broken)?;
    for FileDescriptorProto { package, service, source_code_info, .. } in &mut set.file {
        *source_code_info = None;
        for service in service.iter_mut() {
            let path = format!("/{}.{}/", package.as_deref().unwrap_or_default(), service.name());
            service.method.retain(|method| contracts.get(&format!("{path}{}", method.name())).is_some());
        }
        service.retain(|service| !service.method.is_empty());
    }
    Ok(set)
}
