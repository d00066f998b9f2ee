//! The service's settings.

use serde::{Deserialize, Serialize};
use url::Url;

/// What a bucket takes in one piece.
const MOST_VIDEO: i64 = 5 << 30;

/// Settings of the media service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where browsers and scripts reach the gateway (`public.url`); upload addresses begin with it.
    #[serde(skip)]
    pub public_url: String,
    /// With an S3 blob store: let clients send bytes straight to it, not through the gateway. Off by default, because
    /// the bucket must then be reachable for them, and allow `PUT` from the web page's origin (CORS).
    pub direct_uploads: bool,
    /// Largest video, bytes. Pictures may have 50 MiB.
    pub max_video_bytes: i64,
    /// Pictures checked or shrunk at the same time, and beside them as many videos. Each picture may take 400 MiB of
    /// memory and a processor for a moment, each video 200 MiB.
    pub workers: usize,
    /// Seconds between two rounds of removing what nobody needs.
    pub sweep_interval_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".into(),
            direct_uploads: false,
            max_video_bytes: 1 << 30,
            workers: 2,
            sweep_interval_seconds: 300,
        }
    }
}

impl Config {
    /// Everything that is wrong with the settings, in sentences.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !Url::parse(&self.public_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            problems.push("media.public_url must be an http:// or https:// address".into());
        }
        if !(1 << 20..=MOST_VIDEO).contains(&self.max_video_bytes) {
            problems.push("media.max_video_bytes must be 1048576 (1 MiB) to 5368709120 (5 GiB)".into());
        }
        if !(1..=64).contains(&self.workers) {
            problems.push("media.workers must be 1 to 64".into());
        }
        if self.sweep_interval_seconds == 0 {
            problems.push("media.sweep_interval_seconds must be at least 1".into());
        }
        problems
    }
}
