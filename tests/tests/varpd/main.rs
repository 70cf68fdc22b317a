//! Do overlays whose mapping is a file carry real traffic between real hosts, and live through what happens to varpd? Needs root.
//!
//! ```text
//!   h1                        h2                        h3                 one underlay: 10.88.0.N and fd00:88::N
//!   overlayd ◄─► varpd        overlayd ◄─► varpd        overlayd ◄─► varpd
//!    │  map.json               │  map.json               │  map.json
//!   h1v77t1  10.0.0.1         h2v77t1  10.0.0.2         h3v77t1  10.0.0.3   VNI 77, over IPv4
//!   h1v78t1  10.0.0.1         h2v78t1  10.0.0.2         h3v78t1  10.0.0.3   VNI 78, over IPv6: the same tenants again
//! ```
//!
//! Each host's daemons have directories of their own (`--root`). Nothing on the underlay is sent to more than one host.
#![forbid(unsafe_code)]

mod carry;
mod change;
mod control;
mod host;
mod loss;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../overlayd/traffic.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod traffic;

use overlay_tests::{is_root, skip};

/// Whether the test can run; if not, it is said and counted.
fn can_run(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(&format!("varpd::{test}"), "not root");
    }
    root
}
