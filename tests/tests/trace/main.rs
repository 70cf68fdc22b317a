//! Do the probes of the real daemons say what happens, all of it and nothing else? Real daemons in namespaces, watched by real bpftrace. Needs root.
//!
//! ```text
//!    h1: watched                                      h2
//!    overlayd ◄─── bpftrace -p    ul0 10.88.0.1 ──── 10.88.0.2    overlayd ── varpd
//!    varpd    ◄─── bpftrace -p                                     │
//!     │  t0 10.0.0.1 (1), 10.0.0.2 (2)                            t0 10.0.0.3, 10.0.0.4        VNI 77
//! ```
//!
//! Programs for bpftrace are made from the catalogue, so that a new probe is watched from the day on which it is declared; the scripts that
//! ask the questions are run by overlay-trace.
#![forbid(unsafe_code)]

mod dtrace;
mod joins;
mod kernel;
mod language;
mod provider;
mod scripts;
mod secure;
mod stack;
mod trace;
mod watch;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../varpd/host.rs"]
#[allow(dead_code, reason = "shared with the tests of varpd, which use all of it")]
mod host;
#[path = "../overlayd/traffic.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod traffic;
