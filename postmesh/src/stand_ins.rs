//! Which stand-in plays which network, for a mesh that runs beside the sandbox. A network for which an application is
//! configured stays the real one.

use postmesh_kit::{clock::SystemClock, http::GuardedClient};
use postmesh_publisher::{Config, apps::AppConfig, networks};

/// The stand-in that plays a network: some play several.
pub(crate) fn stand_in(network: &str) -> &str {
    match network {
        "linkedin_organization" => "linkedin",
        "instagram_facebook" => "instagram",
        other => other,
    }
}

/// Makes the stand-ins the default server of every network that has one server, and gives those that ask for an
/// application the one that the stand-in knows.
pub(crate) fn serve(config: &mut Config, sandbox: &str) {
    let clock: std::sync::Arc<dyn postmesh_kit::clock::Clock> = std::sync::Arc::new(SystemClock);
    let (networks, _) = networks::all(&GuardedClient::new(&config.outbound), &clock, None);
    for network in networks.iter() {
        let facts = network.facts();
        let is_real = config.apps.contains_key(facts.id) || config.servers.contains_key(facts.id);
        if facts.needs_server || is_real {
            continue;
        }
        let played = stand_in(facts.id);
        config.servers.insert(facts.id.to_owned(), format!("{sandbox}/{played}"));
        if facts.needs_app {
            let app = AppConfig {
                client_id: format!("sandbox-{played}"),
                client_secret: postmesh_kit::config::Secret::new(format!("sandbox-{played}-secret")),
            };
            config.apps.insert(facts.id.to_owned(), app);
        }
    }
}
