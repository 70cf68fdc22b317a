//! Are plugins of others, shared objects in C and in Rust, loaded, asked and survived? No rights are needed but for the last two rooms.
//!
//! ```text
//!  this test, as overlayd would ask ── lookup.sock ──► varpd ──► files
//!                                                       ├──► varpd --host fixed.so       the example in C
//!                                                       ├──► varpd --host responder.so   the example in Rust
//!                                                       └──► varpd --host badly.so       crashes, hangs, answers twice, late, never
//! ```
//!
//! `lab` has overlayd itself, and a tenant who pings; `probes` has bpftrace.
#![forbid(unsafe_code)]

mod asker;
mod bad;
mod conformance;
mod lab;
mod life;
mod loading;
mod objects;
mod paper;
mod probes;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../map/etcd.rs"]
#[allow(dead_code, reason = "shared with the tests of `overlayadm map`, which use all of it")]
mod etcd;
#[path = "../overlayd/traffic.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod traffic;
