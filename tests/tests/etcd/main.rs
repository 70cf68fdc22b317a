//! Do overlays whose mapping is in etcd carry real traffic between real hosts, and live through what happens to the store? Needs root.
//!
//! ```text
//!   h1                        h2                        h3                 one underlay: 10.88.0.N
//!   overlayd ◄─► varpd        overlayd ◄─► varpd        overlayd ◄─► varpd ─┐
//!    │             └─────────────│────────────┴─────────── etcd 10.88.0.3 ◄─┘
//!   h1v77t1  10.0.0.1         h2v77t1  10.0.0.2         h3v77t1  10.0.0.3   VNI 77
//! ```
//!
//! The store is a real etcd, as a process of the third host.
#![forbid(unsafe_code)]

mod cluster;
mod loss;
mod mapping;
mod probes;
mod refusal;
mod register;
mod store;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../varpd/host.rs"]
#[allow(dead_code, reason = "shared with the tests of varpd, which use all of it")]
mod host;
#[path = "../overlayd/traffic.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod traffic;

use overlay_tests::{Peer, is_root, skip};

/// Whether the test can run; if not, it is said and counted.
fn can_run(test: &str) -> bool {
    let test = format!("etcd::{test}");
    if !is_root() {
        skip(&test, "not root");
        return false;
    }
    Peer::find(&test, "etcd").is_some()
}
