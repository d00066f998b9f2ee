//! Compiles the contracts with a Rust protobuf compiler, so nobody installs `protoc`, and refuses an rpc that states
//! no authorization rule.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, Value};

const FILES: &[&str] = &[
    "postmesh/options/v1/options.proto",
    "postmesh/common/v1/target.proto",
    "postmesh/auth/v1/auth.proto",
    "postmesh/media/v1/media.proto",
    "postmesh/publisher/v1/network.proto",
    "postmesh/publisher/v1/settings.proto",
    "postmesh/publisher/v1/account.proto",
    "postmesh/publisher/v1/app.proto",
    "postmesh/publisher/v1/delivery.proto",
    "postmesh/scheduler/v1/post.proto",
    "postmesh/analytics/v1/analytics.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to write through its environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=postmesh");
    println!("cargo:rerun-if-changed=google");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    let encoded = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    every_rpc_states_its_rule(&pool)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), &encoded)?;

    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".postmesh.media.v1")
        .compile_fds(prost_types_set(&encoded)?)?;
    Ok(())
}

fn prost_types_set(encoded: &[u8]) -> Result<prost_types::FileDescriptorSet, prost::DecodeError> {
    prost_types::FileDescriptorSet::decode(encoded)
}

/// Fails the build for an rpc without a rule, with an incomplete one, or without a route although it is public.
fn every_rpc_states_its_rule(pool: &DescriptorPool) -> Result<(), String> {
    let authorization = pool
        .get_extension_by_name("postmesh.options.v1.authorization")
        .ok_or("postmesh/options/v1/options.proto must define the authorization option")?;
    let http = pool
        .get_extension_by_name("google.api.http")
        .ok_or("google/api/annotations.proto must define http")?;
    let mut wrong = Vec::new();
    for method in pool
        .services()
        .filter(|s| s.full_name().starts_with("postmesh."))
        .flat_map(|s| s.methods().collect::<Vec<_>>())
    {
        let options = method.options();
        let rule = options.get_extension(&authorization);
        let Some(rule) = rule.as_message().filter(|_| options.has_extension(&authorization)) else {
            wrong.push(format!("{} states no authorization rule", method.full_name()));
            continue;
        };
        let field = |name: &str| rule.get_field_by_name(name).map(|v| v.into_owned());
        let access = field("access").and_then(|v| v.as_enum_number()).unwrap_or_default();
        let permission = field("permission").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let callers = field("callers").map_or(0, |v| match v {
            Value::List(l) => l.len(),
            _ => 0,
        });
        let complete = match access {
            1 | 2 => permission.is_empty() && callers == 0,
            3 => !permission.is_empty() && callers == 0,
            4 => permission.is_empty() && callers > 0,
            _ => false,
        };
        if !complete {
            wrong.push(format!(
                "{}: the authorization rule is incomplete or contradicts itself",
                method.full_name()
            ));
        }
        if (access == 4) == options.has_extension(&http) {
            wrong.push(format!(
                "{}: an rpc has an HTTP route exactly when it is not internal",
                method.full_name()
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
