//! How is a frame put on the wire? The trait that an encapsulation implements, and the three that are built in.
//!
//! A fourth encapsulation is one file that implements [`Encapsulation`] and [`Codec`], and its registration
//! ([`Registry::register`]); `tests/fourth_encapsulation.rs` is such a file.
//!
//! ```text
//!             Registry ── by name ──► Encapsulation              one per module: names, properties, decap
//!                                          │ compile(vni, properties)
//!                                          ▼
//!             Device ────────────────► Codec                     one per device: writes headers, checks those that arrive
//! ```

mod admission;
mod geneve;
mod nvgre;
mod vxlan;

pub use geneve::Geneve;
pub use nvgre::Nvgre;
pub use vxlan::Vxlan;

use overlay_api::{DropReason, Properties, PropertyError, PropertySpec};
use overlay_decoder::Vni;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Largest header of an encapsulation in bytes: Geneve's 8 and 252 of options (RFC 8926 3.1), rounded up. Buffers keep this much
/// room in front of a frame.
pub const HEADROOM: usize = 320;

/// What carries the encapsulation, and so what an underlay address must have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// UDP: destinations are an IP and a port.
    Udp,
    /// An IP protocol of its own: destinations are an IP alone.
    Ip(u8),
}

/// What the header of a datagram says, before the device is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decap {
    /// The virtual network.
    pub vni: Vni,
    /// Bytes of the encapsulation's header: behind them the inner Ethernet frame begins.
    pub header_len: usize,
}

/// One encapsulation: the "how".
pub trait Encapsulation: fmt::Debug + Send + Sync {
    /// Its name on command lines, and the module of its properties.
    fn name(&self) -> &'static str;

    /// What carries it.
    fn carrier(&self) -> Carrier;

    /// Checks a virtual network identifier.
    ///
    /// # Errors
    /// A sentence, for identifiers that the encapsulation reserves.
    fn check_vni(&self, vni: Vni) -> Result<(), String>;

    /// The properties that it declares, all named `NAME/...`. Those that make up the underlay must be among them:
    /// `NAME/listen_ip` and, carried by UDP, `NAME/listen_port`.
    fn properties(&self) -> &[PropertySpec];

    /// Prepares what a device needs: everything that can be computed once is computed here.
    ///
    /// # Errors
    /// Properties that do not fit each other, by name.
    fn compile(&self, vni: Vni, properties: &Properties) -> Result<Box<dyn Codec>, PropertyError>;

    /// Finds the virtual network of a datagram and where its inner frame begins. Without knowledge of a device: what only some
    /// devices refuse is checked by [`Codec::check`].
    ///
    /// # Errors
    /// [`DropReason::DatagramTooShort`], [`DropReason::HeaderInvalid`].
    fn decap(&self, datagram: &[u8]) -> Result<Decap, DropReason>;
}

/// An encapsulation with a device's identifier and properties: what the data path calls.
pub trait Codec: fmt::Debug + Send + Sync {
    /// Bytes that [`Codec::write`] writes; the same for every frame, at most [`HEADROOM`].
    fn header_len(&self) -> usize;

    /// Writes the header in front of an inner frame. `header` has [`Codec::header_len`] bytes of any content; `flow` is the hash of
    /// the inner flow.
    fn write(&self, header: &mut [u8], flow: u32);

    /// Whether inner frames may have a VLAN tag. Those that have one are dropped otherwise, on both ways.
    fn carries_tags(&self) -> bool {
        true
    }

    /// Decides whether this device takes a datagram with that header from that source.
    ///
    /// # Errors
    /// [`DropReason::ReservedBits`], [`DropReason::CriticalOption`], [`DropReason::SourceNotAllowed`].
    fn check(&self, header: &[u8], source: IpAddr) -> Result<(), DropReason>;
}

/// The encapsulations that devices can have.
#[derive(Clone, Debug)]
pub struct Registry {
    modules: Vec<Arc<dyn Encapsulation>>,
}

impl Default for Registry {
    /// `vxlan`, `geneve`, `nvgre`.
    fn default() -> Self {
        Self { modules: vec![Arc::new(Vxlan), Arc::new(Geneve), Arc::new(Nvgre)] }
    }
}

impl Registry {
    /// Adds an encapsulation, or replaces the one of the same name.
    pub fn register(&mut self, encapsulation: Arc<dyn Encapsulation>) {
        self.modules.retain(|module| module.name() != encapsulation.name());
        self.modules.push(encapsulation);
    }

    /// The encapsulation of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Encapsulation>> {
        self.modules.iter().find(|module| module.name() == name)
    }

    /// All names, in the order of registration.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.modules.iter().map(|module| module.name())
    }
}
