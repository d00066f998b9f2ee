//! What is kept of a case that went wrong: the history, what the networks saw, what the processes printed, the data.

use std::path::{Path, PathBuf};

use super::{History, Mesh, Sandbox};
use crate::{
    invariants,
    plan::Plan,
    report::{Layer, Violation},
};

/// Judges what came of a case. When something does not hold, or the case could not be carried out, its remains are
/// kept in a folder that every violation names.
pub async fn judged(
    plan: &Plan,
    layer: &str,
    case: u64,
    sandbox: &Sandbox,
    mesh: &Mesh,
    outcome: anyhow::Result<History>,
) -> Layer {
    let (mut layer, history) = match outcome {
        Ok(history) => (invariants::judge(layer, &history), Some(history)),
        Err(error) => {
            let mut layer = Layer::named(layer);
            layer.violations.push(Violation::of("run", format!("{error:#}")));
            (layer, None)
        }
    };
    if layer.violations.is_empty() {
        return layer;
    }
    let folder = plan.folder(case).join(mesh.folder.file_name().unwrap_or_default());
    let kept = keep(&folder, sandbox, mesh, history.as_ref(), &layer.violations).await;
    let kept = kept.inspect_err(|error| tracing::warn!(%error, "the remains could not be kept")).ok();
    for violation in &mut layer.violations {
        *violation = violation.clone().in_case(case, kept.clone());
    }
    layer
}

/// Writes everything into a folder; answers its whole path.
pub async fn keep(
    folder: &Path,
    sandbox: &Sandbox,
    mesh: &Mesh,
    history: Option<&History>,
    violations: &[Violation],
) -> anyhow::Result<PathBuf> {
    let folder = super::process::folder(folder)?;
    if let Some(history) = history {
        tokio::fs::write(folder.join("history.json"), serde_json::to_vec_pretty(history)?).await?;
    }
    tokio::fs::write(folder.join("violations.json"), serde_json::to_vec_pretty(violations)?).await?;
    sandbox.keep(&folder).await?;
    mesh.keep_logs(&folder)?;
    let data = mesh.folder.join("data");
    if data.is_dir() {
        for file in std::fs::read_dir(&data)? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            // The rows; never the key file.
            if file.file_type()?.is_file() && name.contains(".db") {
                std::fs::copy(file.path(), folder.join(name))?;
            }
        }
    }
    Ok(folder)
}
