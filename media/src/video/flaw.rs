//! Why a file that begins like a video is not accepted, in words that name what is wrong and what would be right.

use super::Container;
use crate::picture::Rejection;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It ends before its headers say it does, or has no header at all (a recording that was broken off).
    CutOff,
    /// It breaks the rules of its format.
    Malformed,
    /// It is made to cost more than a video may: too many boxes, or a header that is too large.
    Costly,
    /// It is made of fragments, as for streaming.
    Fragmented,
    /// Some of it lies in other files.
    Elsewhere,
    /// There is no picture in it.
    Blind,
    /// The picture is coded in another way.
    Picture(String),
    /// The sound is coded in another way.
    Sound(String),
    /// No frame, or no time in which to show one.
    Empty,
}

impl Flaw {
    pub(super) fn of(self, container: Container) -> Rejection {
        let name = container.name();
        let (reason, sentence) = match self {
            Self::CutOff => {
                ("CUT_OFF", format!("holds an {name} video that is cut off; send the whole file"))
            }
            Self::Malformed => {
                ("BROKEN_VIDEO", format!("begins like an {name} video, but is not one; save it again"))
            }
            Self::Costly => {
                let sentence = format!("holds an {name} video made of too many parts; save it again as MP4");
                ("TOO_COMPLEX", sentence)
            }
            Self::Fragmented => (
                "FRAGMENTED",
                format!("holds an {name} video in fragments, made for streaming; save it as a plain MP4"),
            ),
            Self::Elsewhere => (
                "NOT_SELF_CONTAINED",
                format!("holds an {name} video that refers to other files; save it as one file"),
            ),
            Self::Blind => ("NO_PICTURE", format!("holds an {name} file without a picture; send a video")),
            Self::Picture(codec) => (
                "CODEC",
                format!(
                    "holds an {name} video whose picture is coded as {codec}; accepted are H.264 and HEVC (H.265)"
                ),
            ),
            Self::Sound(codec) => (
                "CODEC",
                format!(
                    "holds an {name} video whose sound is coded as {codec}; accepted is AAC, or no sound"
                ),
            ),
            Self::Empty => ("EMPTY_VIDEO", format!("holds an {name} video without a single frame")),
        };
        Rejection { reason, sentence: sentence.replace("an QuickTime", "a QuickTime") }
    }
}
