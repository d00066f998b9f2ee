//! A trial with two publishers on one PostgreSQL.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    Run,
    scene::{Scene, seeded},
};
use crate::{
    Violation,
    rig::{
        Mesh, Sandbox,
        backends::Servers,
        faketime,
        process::{Start, free_port},
    },
};

/// How much the clock of the first publisher is fast, seconds: more than a trial takes, less than services forgive.
const FAST_S: i64 = 25;
/// A post due in this time is handed over at once, milliseconds.
const SOON_MS: i64 = 1_900;

/// A publisher whose clock is fast holds an account's lease and dies; another one, whose clock is true, takes the
/// account after the lease that the database counts.
pub(super) async fn fast_clock(run: Run) -> anyhow::Result<Vec<Violation>> {
    let servers = Servers::find().await?;
    let backends = servers.fresh().await?;
    let sandbox = Sandbox::start().await?;
    let mut mesh = Mesh::six(&run.plan.program, &run.folder, &sandbox, &backends, &seeded(&run)).await?;
    let first = mesh.number_of("publisher");
    let truth = mesh.starts[first].clone();
    mesh.starts[first].env.extend(faketime::ahead(FAST_S)?);
    mesh.start_all().await?;
    let mut scene = Scene::new(run, sandbox, mesh, "bluesky").await?;
    scene.post(0).await?;
    scene.visible(1).await?;
    // Now that the first publisher holds the account.
    let second = scene.mesh.add(twin(&truth)?);
    scene.mesh.start(second)?;
    scene.mesh.wait_ready(second).await?;
    let post = scene.post(SOON_MS).await?;
    scene.reaches(&post, "handed_over").await?;
    scene.kill(first).await?;
    // It comes back with a true clock and another name.
    scene.mesh.starts[first] = truth;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = scene.judge().await;
    servers.remove(&backends).await?;
    found
}

/// A second process of a service that nobody calls: it finds its work in the database.
fn twin(of: &Start) -> anyhow::Result<Start> {
    let bind: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
    let admin: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
    let mut start = of.clone();
    start.name = format!("{}-2", of.name);
    start.ready_url = format!("http://{admin}/readyz");
    start.env.push(("POSTMESH_MESH__BIND".to_owned(), bind.to_string()));
    start.env.push(("POSTMESH_ADMIN__BIND".to_owned(), admin.to_string()));
    Ok(start)
}
