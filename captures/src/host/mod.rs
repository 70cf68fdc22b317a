//! What does this host know of overlay networks? Its namespaces, and the kernel's own tunnel devices with their tables.
//!
//! ```text
//! Namespace::all --> Survey::of --> tunnels()      which devices, which VNI, where do their outer packets go
//!                        |     \--> known_ports()  what to tell the decoder
//!                        v
//!                  Kernel::open  --> links, addresses, fdb, vni_filter: one namespace's tables, to be asked again and again
//! Namespace::run  --> anything else inside a namespace, such as opening a capture handle
//! ```
//!
//! Nothing here changes anything: every request is an RTM_GET. Looking into namespaces needs CAP_SYS_ADMIN; without it everything works
//! for the current one, and what was left out is said ([`Survey::skipped`]). The answers are read tolerantly ([`netlink`]): newer kernels
//! have more attributes, older ones fewer, and neither is a fault.

mod address;
mod error;
mod fdb;
mod kernel;
mod link;
mod namespace;
pub mod netlink;
mod survey;
mod tunnel;
mod vni_filter;

pub use address::Address;
pub use error::{HostError, HostErrorKind};
pub use fdb::{Age, Ages, FdbEntry, FdbFlags, FdbState};
pub use kernel::Kernel;
pub use link::{Counters, Hardware, Link};
pub use namespace::{Namespace, Namespaces};
pub use survey::{Survey, Surveyed, TunnelDevice, known_ports};
pub use tunnel::{OuterField, Tunnel, TunnelKind};
pub use vni_filter::{VniCounters, VniFilterEntry};
