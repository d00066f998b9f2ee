//! `postmesh chaos`: breaks this build on purpose and checks what the networks saw.
//!
//! Progress goes to stderr; the last line on stdout is one JSON object. Every failure names a seed, and
//! `postmesh chaos replay <seed>` repeats it.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use postmesh_chaos::{Kind, Options, Progress, Report, Span};
use postmesh_kit::lifecycle::signalled;

/// Violations shown in full; the folders hold all of them.
const SHOWN: usize = 20;

/// Break this build on purpose.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Do as much of a whole run as fits into this time
    #[arg(long, value_name = "N", conflicts_with = "hours", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Repeat whole runs with new seeds until this time is over
    #[arg(long, value_name = "N")]
    hours: Option<f64>,
    /// Where all randomness comes from; drawn when left out
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only these layers: model, simulation, failpoints, kills, nemeses, bugs
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = layer)]
    layer: Vec<Kind>,
    #[command(flatten)]
    output: Output,
}

/// Where the suite puts what it has to say.
#[derive(Debug, Args)]
struct Output {
    /// Print nothing but the last line
    #[arg(long, global = true)]
    json: bool,
    /// Where failing cases leave their history, ledger, rows and logs
    #[arg(long, global = true, value_name = "DIR", default_value = "chaos-kept")]
    keep: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Repeat the case, or the run, of a seed that a failure named
    Replay {
        /// The seed
        seed: u64,
    },
}

impl Chaos {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let span = match (self.seconds, self.hours) {
            (Some(seconds), _) => Span::Seconds(seconds),
            (None, Some(hours)) => {
                ensure!(hours.is_finite() && hours > 0.0, "--hours must be positive");
                Span::Hours(hours)
            }
            (None, None) => Span::Once,
        };
        let out = if self.output.json { Progress::quiet() } else { Progress::stderr() };
        let mut options = Options {
            // Below 2^48: a seed above names a single case.
            seed: self.seed.unwrap_or_else(|| rand::random::<u64>() >> 16),
            span,
            layers: if self.layer.is_empty() { Kind::ALL.to_vec() } else { self.layer },
            program: std::env::current_exe().context("the program's own file is not known")?,
            keep: self.output.keep,
        };
        let report = match self.verb {
            Some(Verb::Replay { seed }) => {
                options.seed = seed;
                postmesh_chaos::replay(&options, &out).await?
            }
            None => {
                ensure!(
                    Kind::of_case(options.seed).is_none(),
                    "--seed: {} is the seed of a single case; use `postmesh chaos replay {}`",
                    options.seed,
                    options.seed
                );
                out.say(&format!("seed {}", options.seed));
                // Whoever ends the suite ends what it has started.
                tokio::select! {
                    report = postmesh_chaos::run(&options, &out) => report?,
                    () = signalled() => bail!("ended before the run was over; nothing is said about what it found"),
                }
            }
        };
        if !self.output.json {
            tell(&report, &out);
        }
        println!("{}", report.json());
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn layer(name: &str) -> Result<Kind, String> {
    Kind::named(name).ok_or_else(|| {
        let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("one of {}", all.join(", "))
    })
}

/// What was found, in words, on stderr.
fn tell(report: &Report, out: &Progress) {
    let total = report.total();
    for violation in total.violations.iter().take(SHOWN) {
        let target = violation.target.as_deref().map(|id| format!(" target {id}")).unwrap_or_default();
        out.say(&format!("\n{}:{target} {}", violation.invariant, violation.what));
        if let Some(seed) = violation.case {
            out.say(&format!("  repeat: postmesh chaos replay {seed}"));
        }
        if let Some(folder) = &violation.kept {
            out.say(&format!("  kept:   {}", folder.display()));
        }
    }
    if total.violations.len() > SHOWN {
        out.say(&format!("… and {} more violations", total.violations.len() - SHOWN));
    }
    if total.ambiguous > 0 && total.counts.duplicates == 0 {
        out.say(&format!(
            "no duplicate among {} outcomes in doubt: the rate lies below {:.1e} (95 % confidence)",
            total.ambiguous,
            3.0 / total.ambiguous as f64
        ));
    }
}
