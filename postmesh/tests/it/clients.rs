//! The same story through clients that are not ours: Connect for TypeScript over gRPC-web, grpcio for Python, and
//! curl with JSON.

use std::path::Path;

use tokio::process::Command;

use crate::harness::{Mesh, Sandbox};

async fn tells_the_story(program: &str, args: &[&str]) {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .env("POSTMESH_URL", &mesh.url)
        .env("POSTMESH_SANDBOX_URL", sandbox.url())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}; `make test` installs it"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}\n{}", mesh.output());
    assert_eq!(sandbox.ledger().await.len(), 1, "exactly one post went out");
}

#[tokio::test]
async fn typescript_over_grpc_web() {
    tells_the_story("node_modules/.bin/tsx", &["clients/typescript/test/story.ts"]).await;
}

#[tokio::test]
async fn python_over_grpc() {
    tells_the_story(".venv/bin/python", &["clients/python/test/story.py"]).await;
}

#[tokio::test]
async fn curl_with_json() {
    tells_the_story("bash", &["clients/curl/story.sh"]).await;
}
