//! How does a packet get into a tunnel, and out of it?
//!
//! ```text
//!   Ethernet capture:   [frame]         ◄──►  [new Ethernet] IP UDP tunnel [frame]
//!   any other:          link [packet]   ◄──►  link IP UDP geneve [packet]          the link header stays, and says what follows
//! ```
//!
//! Putting in and taking out are each other's inverse, to the byte, for everything that can be put in.

use super::frame::{Frame, Layers, Refusal, array, put};
use overlay_decoder::layer::number::ethertype;
use overlay_decoder::layer::{Body, Ethernet, Geneve, LayerKind, Null, Nvgre, Sll, Udp, Vxlan};
use overlay_decoder::{LinkType, Mac, Ul3, Vni, Walker};
use overlay_engine::encap::Carrier;
use overlay_engine::inner::Inner;
use overlay_engine::outer::{Outer, Stations, emit, emit_frame};
use std::borrow::Cow;
use std::net::IpAddr;

/// An encapsulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Encapsulation {
    /// RFC 7348
    Vxlan,
    /// RFC 8926
    Geneve,
    /// RFC 7637
    Nvgre,
}

impl Encapsulation {
    /// The port that it has unless somebody says otherwise (registry of IANA); NVGRE has none.
    pub(crate) const fn port(self) -> Option<u16> {
        match self {
            Self::Vxlan => Some(4789),
            Self::Geneve => Some(6081),
            Self::Nvgre => None,
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Nvgre => "nvgre",
        }
    }
}

/// A tunnel that packets are put into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tunnel {
    /// How.
    pub(crate) encapsulation: Encapsulation,
    /// The virtual network.
    pub(crate) vni: Vni,
    /// Where it begins.
    pub(crate) from: IpAddr,
    /// Where it ends.
    pub(crate) to: Ul3,
    /// The outer stations, where there are any.
    pub(crate) stations: Stations,
    /// Hops that outer packets may take.
    pub(crate) ttl: u8,
}

/// Ports of the flow: 49152 to 65535 (RFC 7348 5).
const FIRST_PORT: u16 = 49_152;
/// Bytes of an IP packet at most, without jumbograms (RFC 791 3.1: total length has 16 bits).
const IP_MAX_BYTES: u32 = 65_535;

impl Tunnel {
    /// An Ethernet frame in the tunnel.
    pub(crate) fn wrap(&self, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut frame = Frame { bytes: bytes.to_vec(), len, link: LinkType::ETHERNET };
        self.encapsulate(&mut frame)?;
        Ok(frame.bytes)
    }

    /// Puts a packet in.
    pub(crate) fn encapsulate(&self, frame: &mut Frame) -> Result<(), Refusal> {
        // Said before room is made for what the capture cut off: a damaged record may say any length.
        if frame.len > IP_MAX_BYTES {
            let why = format!("outer packet: {} bytes go into it, an IP packet holds {IP_MAX_BYTES}", frame.len);
            return Err(Refusal(Cow::Owned(why)));
        }
        let (head, protocol) = self.inside(frame)?;
        let inner = frame.bytes.get(head..).unwrap_or_default();
        let hash = match protocol {
            // Seed 0: equal flows of all captures have equal ports.
            ethertype::TEB => Inner::parse(inner).map_or(0, |parsed| parsed.flow_hash(inner, 0)),
            _ => 0,
        };
        let mut payload = match self.encapsulation {
            Encapsulation::Vxlan => {
                Vxlan { flags: Vxlan::FLAG_VNI, policy_flags: 0, group: 0, id: self.vni, reserved: 0, guessed: false }.emit().to_vec()
            }
            Encapsulation::Geneve => Geneve {
                version: 0,
                options_length: 0,
                oam: false,
                critical: false,
                reserved: 0,
                protocol,
                vni: self.vni,
                reserved2: 0,
                guessed: false,
            }
            .emit()
            .to_vec(),
            Encapsulation::Nvgre => Nvgre { vsid: self.vni, flow_id: (hash >> 24) as u8 }.emit().to_vec(),
        };
        payload.extend_from_slice(inner);
        let missing = frame.len as usize - frame.bytes.len();
        // As if the bytes were there that the capture cut off: every length speaks of them.
        payload.resize(payload.len() + missing, 0);
        let source = self.encapsulation.port().map(|_| FIRST_PORT | (hash as u16 & 0x3fff));
        let outer = Outer {
            source: Ul3 { ip: self.from, port: source },
            destination: self.to,
            tos: 0,
            ttl: self.ttl,
            dont_fragment: false,
            identification: 0,
            flow_label: 0,
            carrier: if source.is_some() { Carrier::Udp } else { Carrier::Ip(47) },
        };
        let mut bytes = Vec::with_capacity(payload.len() + 62);
        let emitted = match frame.link {
            LinkType::ETHERNET => emit_frame(&mut bytes, self.stations, &outer, &payload),
            _ => {
                bytes.extend_from_slice(frame.bytes.get(..head).unwrap_or_default());
                let ethertype = if self.from.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 };
                announce(&mut bytes, frame.link, ethertype)?;
                emit(&mut bytes, &outer, &payload)
            }
        };
        emitted.map_err(|error| Refusal(Cow::Owned(error.to_string())))?;
        frame.len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if missing > 0 {
            bytes.truncate(bytes.len() - missing);
            // Nobody knows the sum of bytes that are not here, and tunnels may do without (RFC 7348 5, RFC 8926 3.3, RFC 6935).
            if source.is_some() {
                let ip = bytes.len() - (payload.len() - missing) - Udp::LENGTH;
                put(&mut bytes, ip + 6, &[0, 0]);
            }
        }
        frame.bytes = bytes;
        Ok(())
    }

    /// Where what goes inside begins, and what it is.
    fn inside(&self, frame: &Frame) -> Result<(usize, u16), Refusal> {
        if frame.link == LinkType::ETHERNET {
            return Ok((0, ethertype::TEB));
        }
        let head = head_length(frame.link)
            .ok_or_else(|| Refusal(Cow::Owned(format!("{}: neither Ethernet frames nor IP packets", frame.link))))?;
        let bytes = frame.bytes.get(head..).unwrap_or_default();
        let protocol = match (protocol_of(frame), bytes.first().map(|byte| byte >> 4)) {
            (None | Some(ethertype::IPV4), Some(4)) => ethertype::IPV4,
            (None | Some(ethertype::IPV6), Some(6)) => ethertype::IPV6,
            _ => return Err(Refusal::of("not an IP packet, and no Ethernet frame either")),
        };
        if self.encapsulation != Encapsulation::Geneve {
            let why = format!("{} carries Ethernet frames, this is a bare IP packet; geneve carries it", self.encapsulation.name());
            return Err(Refusal(Cow::Owned(why)));
        }
        Ok((head, protocol))
    }
}

/// Bytes in front of the IP packet, of link types that have one.
const fn head_length(link: LinkType) -> Option<usize> {
    Some(match link {
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => 0,
        LinkType::NULL | LinkType::LOOP => 4,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        _ => return None,
    })
}

/// What the link header says that follows; none where it says nothing.
fn protocol_of(frame: &Frame) -> Option<u16> {
    match frame.link {
        LinkType::LINUX_SLL => array(&frame.bytes, 14).map(u16::from_be_bytes),
        LinkType::LINUX_SLL2 => array(&frame.bytes, 0).map(u16::from_be_bytes),
        LinkType::IPV4 => Some(ethertype::IPV4),
        LinkType::IPV6 => Some(ethertype::IPV6),
        LinkType::NULL | LinkType::LOOP => array(&frame.bytes, 0).map(|bytes| Null::parse(&bytes).ethertype().unwrap_or(0)),
        _ => None,
    }
}

/// Makes the link header say what follows it.
fn announce(bytes: &mut [u8], link: LinkType, ethertype: u16) -> Result<(), Refusal> {
    let field = ethertype.to_be_bytes();
    let written = match link {
        LinkType::LINUX_SLL => put(bytes, Sll::LENGTH - 2, &field),
        LinkType::LINUX_SLL2 => put(bytes, 0, &field),
        LinkType::NULL | LinkType::LOOP => {
            let Some(head) = array(bytes, 0) else { return Err(Refusal::of("the capture cut off the link header")) };
            let header = Null::parse(&head);
            if header.ethertype() != Some(ethertype) {
                // The number of IPv6 is another one on every system, and the header does not tell which system it was.
                return Err(Refusal::of("its link header cannot say that another IP version follows"));
            }
            true
        }
        LinkType::IPV4 => ethertype == ethertype::IPV4,
        LinkType::IPV6 => ethertype == ethertype::IPV6,
        _ => true,
    };
    if written { Ok(()) } else { Err(Refusal::of("its link type cannot say that another IP version follows")) }
}

/// Takes the outermost tunnel off. Whether there was one.
pub(crate) fn decapsulate(frame: &mut Frame, walker: &mut Walker) -> Result<bool, Refusal> {
    let layers = frame.layers(walker);
    let Some(index) = layers.first_tunnel() else { return Ok(false) };
    let fragment = layers.all[..index].iter().any(|layer| match layer.body {
        Body::Ipv4(header) => header.is_fragment(),
        Body::Ipv6Ext(header) => header.fragment.is_some_and(|part| part.more || part.offset > 0),
        _ => false,
    });
    if fragment {
        return Err(Refusal::of("only a fragment of what is in the tunnel is here"));
    }
    let tunnel = &layers.all[index];
    let (start, protocol) = inside(&layers, index)?;
    let wire_end = tunnel.end() + tunnel.claimed as usize;
    let bytes = frame.bytes.get(start..wire_end.min(frame.bytes.len())).unwrap_or_default().to_vec();
    let len = wire_end.saturating_sub(start);
    let mut head = match (frame.link, protocol) {
        // A frame of its own.
        (LinkType::ETHERNET, None) => Vec::new(),
        // A packet gets the stations of the outer one.
        (LinkType::ETHERNET, Some(protocol)) => {
            let mut head = frame.bytes.get(..Ethernet::LENGTH).unwrap_or_default().to_vec();
            put(&mut head, Ethernet::LENGTH - 2, &protocol.to_be_bytes());
            head
        }
        (link, None) if head_length(link).is_some() => {
            frame.link = LinkType::ETHERNET;
            Vec::new()
        }
        (link, Some(protocol)) => {
            let length = head_length(link).ok_or(Refusal::of("its link type has no place for what is in the tunnel"))?;
            let mut head = frame.bytes.get(..length).unwrap_or_default().to_vec();
            announce(&mut head, link, protocol)?;
            head
        }
        _ => return Err(Refusal::of("its link type has no place for what is in the tunnel")),
    };
    let len = head.len() + len;
    head.extend_from_slice(&bytes);
    frame.bytes = head;
    frame.len = u32::try_from(len).unwrap_or(u32::MAX);
    Ok(true)
}

/// Where what a tunnel carries begins, and its EtherType if it is no Ethernet frame.
fn inside(layers: &Layers, tunnel: usize) -> Result<(usize, Option<u16>), Refusal> {
    let header = &layers.all[tunnel];
    let ethertype = match header.body {
        // Whatever is there, and however little of it.
        Body::Vxlan(_) | Body::Nvgre(_) => Some(ethertype::TEB),
        Body::Geneve(geneve) => Some(geneve.protocol),
        Body::Gre(gre) => Some(gre.protocol),
        _ => None,
    };
    match ethertype {
        Some(ethertype::TEB) => return Ok((header.end(), None)),
        Some(protocol @ (ethertype::IPV4 | ethertype::IPV6 | ethertype::ARP)) => return Ok((header.end(), Some(protocol))),
        _ => {}
    }
    // Between the two may be headers of the tunnel's own.
    let mut behind = layers.all[tunnel + 1..].iter();
    let first = behind.find(|layer| !matches!(layer.kind(), LayerKind::Nsh | LayerKind::Mpls | LayerKind::Erspan));
    match first.map(|layer| (layer.kind(), layer.offset as usize)) {
        Some((LayerKind::Ethernet, start)) => Ok((start, None)),
        Some((LayerKind::Ipv4, start)) => Ok((start, Some(ethertype::IPV4))),
        Some((LayerKind::Ipv6, start)) => Ok((start, Some(ethertype::IPV6))),
        _ => Err(Refusal::of("neither an Ethernet frame nor an IP packet is in the tunnel")),
    }
}

/// The stations that outer frames get where nobody says which: addresses with the local bit (IEEE 802-2014 8.2).
pub(crate) const STATIONS: Stations = Stations { source: Mac([2, 0, 0, 0, 0, 1]), destination: Mac([2, 0, 0, 0, 0, 2]) };
