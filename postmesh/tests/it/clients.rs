//! The same story through clients that are not ours: Connect for TypeScript over gRPC-web, grpcio for Python, and
//! curl with JSON.

use std::path::Path;

use tokio::process::Command;

use crate::harness::{Mesh, Sandbox};

async fn tells_the_story(client: &str) {
    let sandbox = Sandbox::start().await;
    let mesh = Mesh::embedded(&sandbox).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("bash")
        .args(["clients/story.sh", client])
        .current_dir(root)
        .env("POSTMESH_URL", &mesh.url)
        .env("POSTMESH_SANDBOX_URL", sandbox.url())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}\n{}", mesh.output());
    let published = usize::from(client != "openapi");
    assert_eq!(sandbox.ledger().await.len(), published, "exactly one post goes out in a story");
}

#[tokio::test]
async fn typescript_over_grpc_web() {
    tells_the_story("typescript").await;
}

#[tokio::test]
async fn python_over_grpc() {
    tells_the_story("python").await;
}

#[tokio::test]
async fn curl_with_json() {
    tells_the_story("curl").await;
}

#[tokio::test]
async fn the_openapi_document_satisfies_a_validator() {
    tells_the_story("openapi").await;
}
