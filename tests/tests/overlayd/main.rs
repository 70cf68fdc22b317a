//! Does overlayd carry real traffic between real stacks, and live through what happens on a host? Needs root.
//!
//! ```text
//!  h1                                               h2
//!  overlayd ── ul0 10.88.0.1 ─────── 10.88.0.2 ul0 ── the kernel's VXLAN, or overlayd
//!   │  fd00:88::1                       fd00:88::2     │
//!  t0 10.0.0.1  h1v77t1                               t0 10.0.0.2  h2v77t1        VNI 77: IPv4 underlay
//!  t0 10.0.0.1  h1v78t1                               t0 10.0.0.2  h2v78t1        VNI 78: the same tenants again
//! ```
//!
//! overlayd is in the namespace of its host and each VNIC in the namespace of its tenant; the calls come from the test's own.
#![forbid(unsafe_code)]

mod answerer;
mod curl;
mod daemon;
mod doctor;
mod encaps;
mod flow;
mod interop;
mod isolation;
mod leaks;
mod life;
mod live;
mod lookup;
mod lookup_faults;
mod mtu;
mod namespaces;
mod order;
mod ping;
mod rights;
mod switch;
mod traffic;

use overlay_tests::{is_root, skip};

/// Whether the test can run; if not, it is said and counted.
fn can_run(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(&format!("overlayd::{test}"), "not root");
    }
    root
}
