//! Which decisions does the suite let one watch? The USDT providers, one function per probe; `docs/probes.md` lists them.
//!
//! ```text
//!   engine:  overlay_probes::drop(frame, 0, vni, len, reason, vl2)
//!                │ inlined: one load, one compare
//!                ▼
//!   nobody watches ──► nothing: no text is formatted, nothing is allocated
//!   somebody does  ──► texts are formatted, the probe fires: bpftrace, DTrace, perf, SystemTap
//! ```
//!
//! Integers come first, then texts; at most six arguments, because that is what USDT carries in registers. A text is anything that
//! can be displayed, and is displayed only while somebody watches: pass the address, not its string, and `format_args!` where a text
//! has to be put together.
//!
//! Names, and order and meaning of arguments, are a contract with scripts: what means something else gets a new name.
//!
//! [`CATALOGUE`] is made by the same macro as the functions, from one declaration per provider (`overlay.rs`, `varpd.rs`), so that neither can
//! say what the other does not. The suite's end-to-end tests compare it with the notes in a built program and fire every probe.
//!
//! With the feature `off` every function is empty; it exists to measure what the probes cost.

mod catalogue;
mod frame;
#[macro_use]
mod provider;
mod overlay;
pub mod varpd;

pub use catalogue::{Argument, CATALOGUE, Kind, Probe};
pub use frame::{FRAME_BYTES, FRAME_PART_BYTES, frame_parts};
pub use overlay::*;

/// The VNI of a frame whose virtual network is not known.
pub const VNI_UNKNOWN: u32 = u32::MAX;

/// Makes the probes of this program known to the system: the first call in `main`.
///
/// Linux reads them from the program's file and needs no call; illumos and macOS do.
///
/// # Errors
/// When the system refuses them; a program runs on without.
pub fn register() -> Result<(), usdt::Error> {
    if cfg!(feature = "off") { Ok(()) } else { usdt::register_probes() }
}
