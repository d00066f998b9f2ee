//! How far each layer is, on stderr: a bar per layer at a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Away from a terminal a layer says at most this often how far it is.
const SAID_EVERY: Duration = Duration::from_secs(15);

/// Where progress is shown. Clones show on the same place.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    plain: bool,
}

impl Progress {
    /// Bars at a terminal, lines elsewhere; both on stderr.
    pub fn stderr() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bars = MultiProgress::with_draw_target(if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        Self { bars, plain }
    }

    /// Shows nothing.
    pub fn quiet() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), plain: false }
    }

    /// Begins to show something that has that many steps (0: not known).
    pub fn begin(&self, what: &str, steps: u64) -> Bar {
        let style = ProgressStyle::with_template("{prefix:>22} {bar:24} {pos}/{len} {elapsed} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(steps).with_style(style).with_prefix(what.to_owned()));
        if self.plain {
            line(&format!("{what}: begun"));
        }
        Bar { shown: bar, plain: self.plain, said: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Says one thing that stays readable.
    pub fn say(&self, words: &str) {
        if self.plain || self.bars.println(words).is_err() {
            line(words);
        }
    }
}

/// One thing under way. Clones advance the same one.
#[derive(Debug, Clone)]
pub struct Bar {
    shown: ProgressBar,
    plain: bool,
    said: Arc<Mutex<Instant>>,
}

impl Bar {
    /// So many more steps are done.
    pub fn advance(&self, steps: u64) {
        self.shown.inc(steps);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.plain && said.elapsed() >= SAID_EVERY {
            *said = Instant::now();
            line(&self.standing());
        }
    }

    /// What is happening now.
    pub fn note(&self, words: impl Into<String>) {
        self.shown.set_message(words.into());
    }

    /// Done; says how long it took.
    pub fn end(&self) {
        if self.plain {
            line(&format!("{}: done after {:.1} s", self.standing(), self.shown.elapsed().as_secs_f64()));
        }
        self.shown.finish();
    }

    fn standing(&self) -> String {
        let of = self.shown.length().unwrap_or_default();
        format!("{}: {}/{of} {}", self.shown.prefix(), self.shown.position(), self.shown.message())
    }
}

#[expect(clippy::print_stderr, reason = "progress is what this file is for")]
fn line(words: &str) {
    eprintln!("{}", words.trim_end());
}
