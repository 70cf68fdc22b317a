//! Where do two hosts, an underlay and their tenants come from, on one machine, and how do they go away again?
//!
//! A lab is a set of network namespaces. Tests, the demo and the benchmarks build one, talk in it and drop it:
//!
//! ```no_run
//! use overlay_lab::{Lab, Overlay};
//! # fn main() -> Result<(), overlay_lab::LabError> {
//! let lab = Lab::builder("two_tenants").overlay(Overlay::vxlan(100)).overlay(Overlay::vxlan(200)).build()?;
//! let peer = lab.tenant(2, 100, 1);
//! assert!(lab.tenant(1, 100, 1).ping(peer.ipv4().into())?.all_answered());
//! # Ok(()) }
//! ```
//!
//! ```text
//!  h1                          (sw)                           h2              a namespace per host; `sw` only with Join::Switch
//!  ul0 10.88.0.1 fd00:88::1 ---veth, or a bridge in sw--- ul0 10.88.0.2 fd00:88::2
//!   |                                                         |
//!  vx100 (VXLAN 100) in br100    vx200 in br200              vx100 ..        Attach::Bridge; with Attach::Device the vxlan
//!   |           |                 |                           |               device itself is moved and becomes t0
//!  t100.1      t100.2            t200.1                      t100.1
//!   |           |                 |                           |
//!  t0 10.0.0.1 t0 10.0.0.2       t0 10.0.0.1 (again)         t0 10.0.0.3     a namespace per tenant: equal MACs and
//!  h1v100t1    h1v100t2          h1v200t1                    h2v100t1        addresses in different VNIs do not meet
//! ```
//!
//! - *Names.* A namespace is called `ovlab-OWNER-LAB-ROLE`. The owner is `PID.COUNT` for a lab that belongs to a process and is
//!   removed by [`Lab`]'s `Drop`, `up` for one that stays until `overlay-lab down`. [`clean`] removes labs whose owner is gone, and
//!   nothing else. Interfaces live in namespaces of their own, so their names need not be unique; all fit in 15 characters.
//! - *The host's own namespace* never gets an interface: both ends of a veth pair are made where they belong.
//! - *A program under test instead of a kernel tunnel*: [`Overlay::no_tunnel_on`] leaves a host's tenants without `t0`; the
//!   program puts its interface into [`Lab::tenant`]'s namespace and [`Node::configure`] gives it the tenant's addresses.
//!   [`Namespace::folder`] is a place for the files of such a program, removed with the lab.
//! - *Tools*: iproute2, util-linux (nsenter); for wire-like links ethtool; for [`Namespace::ping`] iputils-ping.
#![forbid(unsafe_code)]

mod describe;
mod error;
mod flood;
mod frames;
mod lab;
mod names;
mod namespace;
mod plan;
mod process;
mod state;
mod steps;
mod sweep;
mod traffic;

pub use error::{LabError, need_root, wait_until};
pub use flood::{FloodReport, VxlanFlood};
pub use frames::{Frames, send_frame};
pub use lab::{Builder, Lab, Node};
pub use names::{LabId, Owner};
pub use namespace::Namespace;
pub use plan::{Addresses, Attach, Extension, Family, Join, Offloads, Overlay, Plan, PlanError, Targets};
pub use process::Running;
pub use rustix::process::Signal;
pub use state::{StateFolder, Stored, clean, stored};
pub use traffic::{Answers, Ping, PingReport, UdpEcho, UdpLoad, UdpReport};
