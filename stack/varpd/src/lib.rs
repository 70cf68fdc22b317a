//! Where do frames go? The library of varpd, the daemon that answers overlayd's lookups: it may be slow, wrong or gone, and overlayd
//! treats it as IP treats ARP.
//!
//! ```text
//!   lookup ──► instances ──► plugin ───────────────────────────► Reply: one answer, whatever happens
//!               one per       │  a mapping (files, etcd) or
//!               overlay       │  a program of somebody else
//!                             └─► knowledge: which question is this frame?
//!                                   ARP, NDP, DHCP ──► proxy ──► a frame in its place
//!                                   anything else  ──► table ──► destinations, or drop
//! ```
//!
//! A **plugin** ([`plugin`]) makes **instances**, one for each overlay that names it; an instance is asked, and says what it likes
//! unasked. What plugins with a table have in common, the order in which a frame is looked at, is in [`knowledge`]. The library has no
//! sockets, files, clock or threads: the daemon brings them, and overlay-replay and tests do without.
//!
//! Exactly one answer per lookup is a matter of types: a [`Reply`](plugin::Reply) is used up by its answer, and one that is lost
//! answers drop and is counted.

pub mod abi;
pub mod instances;
pub mod knowledge;
pub mod plugin;
pub mod proxy;
