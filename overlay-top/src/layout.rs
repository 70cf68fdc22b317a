//! How many lines has each part of the terminal? State needs it to know what is visible, view to draw it there.
//!
//! ```text
//!  1 Overlays  2 Targets  3 VNICs ..          tabs
//!  overlayd  3 overlays  12 targets  08:12:01 status
//!  ov77 is degraded for 12s: varpd is away    diagnosis (two lines from 30 lines on)
//!  OVERLAY      VNI STATE ..                  heads
//!  ..                                         lines
//!  ── ov77 ──                                 detail, if it is open
//!  ? help  / filter ..                        footer
//! ```

use crate::state::State;

/// The smallest terminal with more than a sentence.
pub(crate) const MIN: (u16, u16) = (40, 10);
const DETAIL_MAX: u16 = 12;

/// Lines of each part; a part of 0 is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) diagnoses: u16,
    /// Lines of the table, below its heads.
    pub(crate) lines: usize,
    pub(crate) detail: u16,
}

impl Layout {
    pub(crate) fn of(state: &State) -> Self {
        let height = state.size.1.max(MIN.1);
        let diagnoses = if height >= 30 { 2 } else { 1 };
        // Tabs, status, heads, footer.
        let body = height - 4 - diagnoses;
        let detail = match state.detail {
            false => 0,
            // In a low terminal, the chosen line and what is known of it.
            true if body < 12 => body - 1,
            true => (body / 2).min(DETAIL_MAX),
        };
        Self { diagnoses, lines: (body - detail).into(), detail }
    }
}
