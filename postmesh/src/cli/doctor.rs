//! `postmesh doctor`: checks the settings and everything postmesh depends on, and says what to do.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Args;
use postmesh_kit::{blob::Blob, cache::Cache, keys::KeyRing};
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};

use super::Settings;
use crate::{config::Config, mesh::Service};

/// A dependency that takes longer counts as down.
const PATIENCE: Duration = Duration::from_secs(5);

/// Check settings and everything postmesh depends on.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    #[expect(clippy::needless_pass_by_value, reason = "reads as a statement about what was just tried")]
    fn note<E: std::fmt::Display>(&mut self, what: impl Into<String>, outcome: Result<(), E>, next: &str) {
        let advice = outcome.as_ref().err().map_or_else(String::new, |error| format!("{error:#}; {next}"));
        self.0.push(Finding { what: what.into(), ok: outcome.is_ok(), advice });
    }
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut findings = Findings::default();
        match self.settings.load() {
            Ok(config) => {
                findings.note("settings", Ok::<_, String>(()), "");
                examine(&config, &mut findings).await;
            }
            Err(error) => findings.note("settings", Err(format!("{error:#}")), "mend them and ask again"),
        }
        let healthy = findings.0.iter().all(|finding| finding.ok);
        if self.json {
            println!("{}", serde_json::json!({"ok": healthy, "findings": findings.0}));
        } else {
            for finding in &findings.0 {
                let mark = if finding.ok { "ok  " } else { "FAIL" };
                println!("{mark} {}", finding.what);
                if !finding.ok {
                    println!("     {}", finding.advice);
                }
            }
        }
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn examine(config: &Config, findings: &mut Findings) {
    let embedded = config.database.url.expose().is_empty();
    if embedded {
        let probe = config.data.dir.join(".doctor");
        let written = std::fs::create_dir_all(&config.data.dir)
            .and_then(|()| std::fs::write(&probe, b"probe"))
            .and_then(|()| std::fs::remove_file(&probe));
        findings.note(
            format!("data folder {}", config.data.dir.display()),
            written,
            "make it writable, or choose another with --data or data.dir",
        );
    }
    if config.keys.file.exists() {
        let opened = KeyRing::open_or_create(&config.keys.file).map(|_| ());
        findings.note(format!("key file {}", config.keys.file.display()), opened, "see keys.file");
    }
    if embedded {
        findings.note("database: SQLite in the data folder", Ok::<_, String>(()), "");
    } else {
        for service in Service::ALL {
            let outcome = timeout(PATIENCE, tables(config, service))
                .await
                .unwrap_or_else(|_| Err("no answer".to_owned()));
            findings.note(format!("database of {}", service.name()), outcome, "see database.url");
        }
    }
    if !config.cache.url.expose().is_empty() {
        let outcome = match Cache::connect(&config.cache) {
            Ok(cache) if cache.is_reachable().await => Ok(()),
            Ok(_) => Err("it does not answer".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        findings.note("cache", outcome, "see cache.url; without it limits are counted per process");
    }
    let blobs = async {
        let blob = Blob::connect(&config.blob, &config.data.dir).await.map_err(|error| error.to_string())?;
        blob.check().await.map_err(|error| error.to_string())
    };
    let outcome = timeout(PATIENCE, blobs).await.unwrap_or_else(|_| Err("no answer".to_owned()));
    findings.note("blob store", outcome, "see the section blob");
    port("gateway port", config.gateway.bind, "gateway.bind", findings).await;
    port("admin port", config.admin.bind, "admin.bind", findings).await;
}

async fn tables(config: &Config, service: Service) -> Result<(), String> {
    let db = service.database(config).await.map_err(|error| format!("{error:#}"))?;
    let pending = db.pending(&service.migrations()).await.map_err(|error| error.to_string())?;
    if pending.is_empty() {
        Ok(())
    } else {
        Err("tables are not up to date: run `postmesh migrate`".to_owned())
    }
}

/// A port is well when it is free or when postmesh itself answers on it.
async fn port(what: &str, addr: SocketAddr, setting: &str, findings: &mut Findings) {
    let outcome = match TcpListener::bind(addr).await {
        Ok(_) => Ok(()),
        Err(error) => match crate::client::http().get(format!("http://{addr}/healthz")).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            _ => Err(error),
        },
    };
    findings.note(
        format!("{what} {addr}"),
        outcome,
        &format!("stop the program that holds it, or choose another with {setting}"),
    );
}
