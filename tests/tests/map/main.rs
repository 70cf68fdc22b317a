//! Does `overlayadm map` do with a real etcd what it says, and do hosts register themselves there?
#![forbid(unsafe_code)]

mod commands;
mod etcd;
mod register;

#[path = "../overlayd/daemon.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod daemon;
#[path = "../varpd/host.rs"]
#[allow(dead_code, reason = "shared with the tests of varpd, which use all of it")]
mod host;
#[path = "../overlayd/traffic.rs"]
#[allow(dead_code, reason = "shared with the tests of overlayd, which use all of it")]
mod traffic;
