//! What does a packet say, layer by layer? The tolerant walk.
//!
//! ```text
//!   bytes ──► link ──► ethertype ──► ip protocol ──► port ──► application
//!                │          ▲                          │
//!                │          └──────── tunnel ◄─────────┘     at most Config::max_tunnels times
//!                └─ every header: enough bytes? ─ no ─► Stop { truncated | malformed, layer, offset, need, have }
//! ```
//!
//! One loop and one cursor. The cursor has two ends: how far the bytes go that were **captured**, and how far the packet goes
//! by the lengths in the headers read so far (**claimed**). A header beyond the claimed end is the sender's fault
//! (*malformed*), one beyond the captured end is the capture's (*truncated*). Lengths that point beyond their enclosing header
//! are noted and the walk goes on with what is there. Nothing here allocates per packet, and every step consumes bytes, adds a
//! tunnel or ends the loop.

mod guess;
mod ip;
mod link;
mod message;
mod transport;
mod tunnel;
mod usual;

pub(crate) use usual::{Network, Start, Transport, Whole};

use crate::layer::{Body, Layer, LayerKind, number::port};
use crate::link::LinkType;
use crate::packet::{Gso, Packet};
use crate::stop::{Stop, StopKind};

/// Layers that a walk returns at most; reached only by hundreds of VLAN tags, MPLS labels or extension headers in one packet.
pub const MAX_LAYERS: usize = 160;

/// Headers that one step of the walk adds at most: IP, UDP and what its port says.
const STEP_LAYERS: usize = 3;

/// A frame longer than this cannot have been on a wire: jumbo frames end at 9,216 bytes plus header and tags.
const LONGEST_WIRE_FRAME: u32 = 9_216 + 14 + 8;

/// The encapsulations that a UDP port stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UdpTunnel {
    /// VXLAN, RFC 7348.
    Vxlan,
    /// VXLAN-GPE.
    VxlanGpe,
    /// Geneve, RFC 8926.
    Geneve,
}

impl UdpTunnel {
    /// Every encapsulation over UDP.
    pub const ALL: [Self; 3] = [Self::Vxlan, Self::VxlanGpe, Self::Geneve];

    /// The name that options and output use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.layer().name()
    }

    /// The layer that it decodes to.
    #[must_use]
    pub const fn layer(self) -> LayerKind {
        match self {
            Self::Vxlan => LayerKind::Vxlan,
            Self::VxlanGpe => LayerKind::VxlanGpe,
            Self::Geneve => LayerKind::Geneve,
        }
    }
}

/// What the walk should know beforehand.
#[derive(Clone, Debug)]
pub struct Config {
    /// UDP destination ports and what they carry; a later entry for a port replaces an earlier one.
    ports: Vec<(u16, UdpTunnel)>,
    /// Whether a tunnel on another port is looked for by strict checks of its header and of the packet inside.
    pub guess: bool,
    /// Tunnels that may nest before the walk stops with [`StopKind::Depth`].
    pub max_tunnels: u8,
}

impl Default for Config {
    fn default() -> Self {
        let ports = vec![
            (port::VXLAN, UdpTunnel::Vxlan),
            (port::VXLAN_LINUX, UdpTunnel::Vxlan),
            (port::VXLAN_GPE, UdpTunnel::VxlanGpe),
            (port::GENEVE, UdpTunnel::Geneve),
        ];
        Self { ports, guess: true, max_tunnels: 8 }
    }
}

impl Config {
    /// Decodes UDP datagrams to `port` as `tunnel` from now on.
    pub fn add_port(&mut self, port: u16, tunnel: UdpTunnel) {
        self.ports.retain(|known| known.0 != port);
        self.ports.push((port, tunnel));
    }

    /// The ports and what they carry.
    #[must_use]
    pub fn ports(&self) -> &[(u16, UdpTunnel)] {
        &self.ports
    }

    fn tunnel_at(&self, port: u16) -> Option<UdpTunnel> {
        self.ports.iter().find(|known| known.0 == port).map(|known| known.1)
    }
}

/// A walk that is used again for every packet; it owns the memory of the layers.
#[derive(Clone, Debug, Default)]
pub struct Walker {
    config: Config,
    layers: Vec<Layer>,
}

impl Walker {
    /// A walk with a configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, layers: Vec::with_capacity(32) }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Decodes one packet: `bytes` as captured, of `wire_len` bytes on the wire (taken as at least what was captured).
    #[inline]
    pub fn walk<'a>(&'a mut self, bytes: &'a [u8], wire_len: u32, link: LinkType) -> Packet<'a> {
        self.layers.clear();
        let end = bytes.len().max(wire_len as usize);
        let mut walk = Walk::new(&self.config, &mut self.layers, bytes, end);
        walk.run(link);
        let (stop, mut gso) = (walk.stop, walk.gso);
        if gso.is_none() && wire_len > LONGEST_WIRE_FRAME {
            gso = Some(Gso::SuperFrame);
        }
        Packet { bytes, wire_len: end as u32, link, layers: &self.layers, stop, gso, device_vni: None }
    }
}

/// What comes next in the packet.
#[derive(Clone, Copy, Debug)]
enum Next {
    Ethernet,
    EtherType(u16),
    Llc,
    Ip,
    Ipv4,
    Ipv6,
    IpProtocol(u8),
    Extension(u8),
    Gre,
    Erspan2,
    Erspan3,
    Mpls,
    Nsh,
    Vxlan(bool),
    VxlanGpe(bool),
    Geneve(bool),
    Payload,
    /// The rest is there, but the suite does not decode it; [`Walk::unknown`] noted why.
    Unknown,
    Done,
}

/// What a step says: what comes next, or that the walk ends here. Both fit a register; why it ends stands in [`Walk::stop`], because
/// a result with a [`Stop`] in it would be passed through memory by every step of every packet.
type Step = Result<Next, Halt>;

/// The walk ends here, and [`Walk::stop`] says why.
#[derive(Clone, Copy, Debug)]
struct Halt;

struct Walk<'w> {
    config: &'w Config,
    layers: &'w mut Vec<Layer>,
    /// The captured bytes from the next header on, as far as they belong to the packet.
    rest: &'w [u8],
    /// Offset of the next header.
    at: usize,
    /// Where the packet ends by the lengths read so far; never beyond the enclosing header's.
    end: usize,
    tunnels: u8,
    /// Whether the nearest IP header is a first fragment, whose upper lengths exceed it rightly.
    fragment: bool,
    /// In a GSO_PARTIAL frame: where the first segment ends by the nearest IP header that speaks of one.
    segment_end: Option<usize>,
    /// The layer of the nearest IPv6 header, whose upper protocol is known only behind its extension headers.
    ipv6: Option<usize>,
    /// Why the walk ended; before that, the first length that pointed beyond its enclosing header.
    stop: Option<Stop>,
    /// Why the rest is not decoded, and which number led there.
    reason: &'static str,
    number: Option<u32>,
    gso: Option<Gso>,
}

impl<'w> Walk<'w> {
    /// A walk at the start of a packet that is `end` bytes long on the wire.
    #[inline(always)]
    const fn new(config: &'w Config, layers: &'w mut Vec<Layer>, bytes: &'w [u8], end: usize) -> Self {
        Self {
            config,
            layers,
            rest: bytes,
            at: 0,
            end,
            tunnels: 0,
            fragment: false,
            segment_end: None,
            ipv6: None,
            stop: None,
            reason: "",
            number: None,
            gso: None,
        }
    }

    fn run(&mut self, link: LinkType) {
        let first = match self.usual_start(link) {
            Some(step) => step,
            None => self.link(link),
        };
        self.run_from(first);
    }

    /// Goes on from a step to the end.
    #[inline(always)]
    fn run_from(&mut self, mut step: Step) {
        loop {
            step = match step {
                Ok(Next::Done) => return,
                Ok(next) if self.layers.len() + STEP_LAYERS <= MAX_LAYERS => match next {
                    Next::Ethernet => self.ethernet(),
                    Next::EtherType(ethertype) => self.ethertype(ethertype),
                    Next::Llc => self.llc(),
                    Next::Ip => self.ip(),
                    Next::Ipv4 => self.ipv4(),
                    Next::Ipv6 => self.ipv6(),
                    Next::IpProtocol(protocol) => self.ip_protocol(protocol),
                    Next::Extension(header) => self.extension(header),
                    Next::Gre => self.gre(),
                    Next::Erspan2 => self.erspan2(),
                    Next::Erspan3 => self.erspan3(),
                    Next::Mpls => self.mpls(),
                    Next::Nsh => self.nsh(),
                    Next::Vxlan(guessed) => self.vxlan(guessed),
                    Next::VxlanGpe(guessed) => self.vxlan_gpe(guessed),
                    Next::Geneve(guessed) => self.geneve(guessed),
                    Next::Payload | Next::Done => return self.payload(),
                    Next::Unknown => {
                        let reason = Some(self.reason);
                        let stop = Stop::new(StopKind::Unsupported, LayerKind::Payload, self.at, 0, self.left(), reason);
                        Err(self.halt(Stop { number: self.number, ..stop }))
                    }
                },
                Ok(_) => {
                    let kind = self.layers.last().map_or(LayerKind::Payload, Layer::kind);
                    let reason = Some("more layers than are decoded");
                    Err(self.halt(Stop::new(StopKind::Depth, kind, self.at, 0, self.left(), reason)))
                }
                // Shows what lies behind the point where the walk stopped, so that no byte of the packet goes unnamed.
                Err(Halt) => {
                    return if self.layers.len() < MAX_LAYERS {
                        self.payload()
                    };
                }
            };
        }
    }

    /// Bytes left by the headers' lengths, captured or not.
    #[inline]
    const fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// The next `N` bytes, unless there are not so many.
    #[inline]
    fn need<const N: usize>(&mut self, kind: LayerKind) -> Result<&'w [u8; N], Halt> {
        match self.rest.first_chunk::<N>() {
            Some(bytes) => Ok(bytes),
            None => Err(self.lacking(kind, N)),
        }
    }

    /// The next `n` bytes, unless there are not so many.
    #[inline]
    fn need_slice(&mut self, kind: LayerKind, n: usize) -> Result<&'w [u8], Halt> {
        match self.rest.get(..n) {
            Some(bytes) => Ok(bytes),
            None => Err(self.lacking(kind, n)),
        }
    }

    /// Ends the walk; what is said of a header counts more than a length that was noted on the way.
    #[cold]
    fn halt(&mut self, stop: Stop) -> Halt {
        self.stop = Some(stop);
        Halt
    }

    #[cold]
    fn lacking(&mut self, kind: LayerKind, need: usize) -> Halt {
        let fault = if need > self.left() { StopKind::Malformed } else { StopKind::Truncated };
        let have = if fault == StopKind::Malformed { self.left() } else { self.rest.len() };
        self.halt(Stop::new(fault, kind, self.at, need, have, None))
    }

    #[cold]
    fn malformed(&mut self, kind: LayerKind, reason: &'static str) -> Halt {
        self.halt(Stop::new(StopKind::Malformed, kind, self.at, 0, self.left(), Some(reason)))
    }

    #[cold]
    fn unknown(&mut self, reason: &'static str) -> Next {
        self.reason = reason;
        Next::Unknown
    }

    #[cold]
    fn unknown_number(&mut self, reason: &'static str, number: u32) -> Next {
        self.number = Some(number);
        self.unknown(reason)
    }

    fn payload(&mut self) {
        if !self.rest.is_empty() {
            let wire_length = self.left() as u32;
            self.push(self.rest.len(), Body::Payload(crate::layer::Payload { wire_length }));
        }
    }

    /// Adds a header of `length` bytes at the cursor and moves behind it.
    #[inline]
    fn push(&mut self, length: usize, body: Body) {
        let offset = self.at;
        self.at += length;
        self.rest = self.rest.get(length..).unwrap_or(&[]);
        self.layers.push(Layer { offset: offset as u32, length: length as u32, claimed: self.left() as u32, body });
    }

    /// Lets the packet end where a header says, `length` bytes from the cursor; notes a length that goes beyond.
    #[inline]
    fn limit(&mut self, kind: LayerKind, length: usize, reason: &'static str) {
        if length <= self.left() {
            self.end = self.at + length;
            self.rest = self.rest.get(..length).unwrap_or(self.rest);
        } else if !self.fragment {
            self.note(Stop::new(StopKind::Malformed, kind, self.at, length, self.left(), Some(reason)));
        }
    }

    #[cold]
    fn note(&mut self, fault: Stop) {
        self.stop.get_or_insert(fault);
    }

    /// Counts a tunnel, or stops where it would be one too many.
    #[inline]
    fn enter(&mut self, kind: LayerKind) -> Result<(), Halt> {
        if self.tunnels >= self.config.max_tunnels {
            let stop = Stop::new(StopKind::Depth, kind, self.at, 0, self.left(), Some("more tunnels than are decoded"));
            return Err(self.halt(stop));
        }
        self.tunnels += 1;
        self.ipv6 = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
