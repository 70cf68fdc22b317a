//! How is a frame put into NVGRE? GRE with a key, around Ethernet, straight on IP (RFC 7637 3.2; GRE: RFC 2784, key: RFC 2890).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0| |1|0|   Reserved0     | Ver |   Protocol Type 0x6558        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Virtual Subnet ID (VSID)        |    FlowID     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! There is no port, and so no entropy but the FlowID, which underlay switches seldom hash.
//!
//! **A departure from RFC 7637:** its section 3.3 forbids an inner VLAN tag: a sender removes it, a receiver drops the frame. Here a tag is
//! carried and taken as in the other encapsulations, unless `nvgre/inner_vlan` says otherwise; then tagged frames are dropped and counted on
//! both ways. A tag is never removed: behind it is another network of the tenant, which must not leak into the untagged one.

use super::admission::{Admission, RESERVED_BITS};
use super::{Carrier, Codec, Decap, Encapsulation};
use crate::settings::Settings;
use overlay_api::{Access, DropReason, Kind, Properties, PropertyError, PropertySpec};
use overlay_decoder::Vni;
use overlay_decoder::layer::number::{ethertype, ip};
use overlay_decoder::layer::{self, Ethernet, Gre};
use std::borrow::Cow;
use std::net::IpAddr;

const NAME: &str = "nvgre";

/// Bytes of the header.
const LENGTH: usize = layer::Nvgre::LENGTH;

/// The first VSID that may be used; those below are reserved (RFC 7637 3.2).
const VSID_FIRST: u32 = 0x00_1000;
/// The last VSID that may be used; the one above is for messages between vendors' endpoints (RFC 7637 3.2).
const VSID_LAST: u32 = 0xff_fffe;

/// Flags of GRE that must be as they are here: a checksum, a source route or a sequence number would make the header longer, and a
/// receiver that does not implement RFC 1701 must discard what has bits 4 or 5 set (RFC 2784 2.3). Also the version.
const FLAGS_FIXED: u16 = Gre::CHECKSUM | Gre::ROUTING | Gre::KEY | Gre::SEQUENCE | 0x0c00 | Gre::VERSION;
/// The rest of Reserved0, ignored on receipt (RFC 2784 2.3).
const FLAGS_RESERVED: u16 = !FLAGS_FIXED;

static PROPERTIES: [PropertySpec; 4] = [
    PropertySpec::new(
        "nvgre/listen_ip",
        Kind::Ip,
        Access::Live,
        None,
        "The underlay address that encapsulated packets are sent from and received on: a unicast address of this host, or 0.0.0.0 or :: \
         for all of them. NVGRE is IP protocol 47 and has no port.",
    )
    .required(),
    PropertySpec::new(
        "nvgre/reserved_bits",
        Kind::Choice(Cow::Borrowed(RESERVED_BITS)),
        Access::Live,
        Some("lenient"),
        "Whether a packet with a reserved bit set in its GRE header is taken (lenient, as RFC 2784 2.3 says) or dropped (strict).",
    ),
    PropertySpec::new(
        "nvgre/allowed_sources",
        Kind::Prefixes,
        Access::Live,
        Some(""),
        "The underlay addresses that packets are taken from; empty means any. Without it, whoever can send GRE to this host can put \
         frames into the virtual network.",
    ),
    PropertySpec::new(
        "nvgre/inner_vlan",
        Kind::Choice(Cow::Borrowed(&[Cow::Borrowed("carry"), Cow::Borrowed("drop")])),
        Access::Live,
        Some("carry"),
        "What becomes of tenants' frames with a VLAN tag: carried and taken like others, or dropped on both ways, for peers that keep to \
         RFC 7637 3.3, which lets no tag into NVGRE.",
    ),
];

/// NVGRE over IP (RFC 7637).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nvgre;

impl Encapsulation for Nvgre {
    fn name(&self) -> &'static str {
        NAME
    }

    fn carrier(&self) -> Carrier {
        Carrier::Ip(ip::GRE)
    }

    fn check_vni(&self, vni: Vni) -> Result<(), String> {
        if (VSID_FIRST..=VSID_LAST).contains(&vni.get()) {
            return Ok(());
        }
        Err(format!("vni {vni}: NVGRE reserves it (RFC 7637 3.2); {VSID_FIRST} to {VSID_LAST} is allowed"))
    }

    fn properties(&self) -> &[PropertySpec] {
        &PROPERTIES
    }

    fn compile(&self, vni: Vni, properties: &Properties) -> Result<Box<dyn Codec>, PropertyError> {
        let settings = Settings::new(&PROPERTIES, properties);
        let carries_tags = settings.text("nvgre/inner_vlan")? == "carry";
        Ok(Box::new(Device { vsid: vni, admission: Admission::compile(NAME, &settings)?, carries_tags }))
    }

    fn decap(&self, datagram: &[u8]) -> Result<Decap, DropReason> {
        let bytes: &[u8; LENGTH] = datagram.first_chunk().ok_or(DropReason::DatagramTooShort)?;
        let (flags, protocol) = (u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]]));
        if flags & FLAGS_FIXED != Gre::KEY || protocol != ethertype::TEB {
            return Err(DropReason::HeaderInvalid);
        }
        if datagram.len() < LENGTH + Ethernet::LENGTH {
            return Err(DropReason::DatagramTooShort);
        }
        Ok(Decap { vni: layer::Nvgre::parse(bytes).vsid, header_len: LENGTH })
    }
}

/// What a device has of NVGRE.
#[derive(Clone, Debug)]
struct Device {
    vsid: Vni,
    admission: Admission,
    carries_tags: bool,
}

impl Codec for Device {
    fn header_len(&self) -> usize {
        LENGTH
    }

    fn carries_tags(&self) -> bool {
        self.carries_tags
    }

    fn write(&self, header: &mut [u8], flow: u32) {
        if let Some(place) = header.first_chunk_mut() {
            // All of the hash is good; the FlowID has room for eight bits.
            *place = layer::Nvgre { vsid: self.vsid, flow_id: flow as u8 }.emit();
        }
    }

    fn check(&self, header: &[u8], source: IpAddr) -> Result<(), DropReason> {
        let reserved = || header.first_chunk().is_none_or(|flags| u16::from_be_bytes(*flags) & FLAGS_RESERVED != 0);
        self.admission.check(source, reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANYONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn codec(vni: u32, set: &[(&str, &str)]) -> Box<dyn Codec> {
        let mut properties = Properties::new();
        for (name, text) in [("nvgre/listen_ip", "10.0.0.1")].iter().chain(set) {
            properties.set(Nvgre.properties(), name, text).unwrap();
        }
        Nvgre.compile(Vni::new(vni).unwrap(), &properties).unwrap()
    }

    fn header(vni: u32, flow: u32) -> [u8; 8] {
        let mut header = [0xff; 8];
        codec(vni, &[]).write(&mut header, flow);
        header
    }

    fn datagram(header: [u8; 8]) -> Vec<u8> {
        [&header[..], &[0; 14]].concat()
    }

    #[test]
    fn the_header_is_that_of_the_rfc() {
        // RFC 7637 3.2: K set, C and S clear, version 0, 0x6558, 24 bits of VSID, 8 bits of FlowID.
        assert_eq!(header(0x12_3456, 0xaabb_ccdd), [0x20, 0x00, 0x65, 0x58, 0x12, 0x34, 0x56, 0xdd]);
    }

    #[test]
    fn the_reserved_subnets_are_refused() {
        let check = |vsid: u32| Nvgre.check_vni(Vni::new(vsid).unwrap());
        for (vsid, allowed) in [(0, false), (0xfff, false), (0x1000, true), (0xff_fffe, true), (0xff_ffff, false)] {
            assert_eq!(check(vsid).is_ok(), allowed, "{vsid:#x}");
        }
        assert_eq!(check(100).unwrap_err(), "vni 100: NVGRE reserves it (RFC 7637 3.2); 4096 to 16777214 is allowed");
    }

    #[test]
    fn a_datagram_says_which_subnet_it_belongs_to_or_what_is_wrong() {
        let good = datagram(header(5000, 9));
        assert_eq!(Nvgre.decap(&good), Ok(Decap { vni: Vni::new(5000).unwrap(), header_len: 8 }));
        for len in 0..good.len() {
            assert_eq!(Nvgre.decap(&good[..len]), Err(DropReason::DatagramTooShort), "{len} bytes");
        }
        let with = |change: fn(&mut [u8; 8])| {
            let mut header = header(5000, 9);
            change(&mut header);
            Nvgre.decap(&datagram(header))
        };
        let wrong = Err(DropReason::HeaderInvalid);
        assert_eq!(with(|h| h[0] |= 0x80), wrong, "a checksum");
        assert_eq!(with(|h| h[0] |= 0x40), wrong, "a source route");
        assert_eq!(with(|h| h[0] &= !0x20), wrong, "no key");
        assert_eq!(with(|h| h[0] |= 0x10), wrong, "a sequence number");
        assert_eq!(with(|h| h[0] |= 0x04), wrong, "bit 5");
        assert_eq!(with(|h| h[1] |= 0x01), wrong, "version 1");
        assert_eq!(with(|h| h[3] = 0x59), wrong, "another protocol");
        assert!(with(|h| h[1] |= 0xf8).is_ok(), "reserved bits are another matter");
    }

    #[test]
    fn strict_minds_the_reserved_bits() {
        let (strict, lenient) = (codec(5000, &[("nvgre/reserved_bits", "strict")]), codec(5000, &[]));
        assert_eq!(strict.check(&header(5000, 9), ANYONE), Ok(()));
        for bits in [0x0200u16, 0x0100, 0x80, 0x40, 0x20, 0x10, 0x08] {
            let mut header = header(5000, 9);
            let flags = u16::from_be_bytes([header[0], header[1]]) | bits;
            header[..2].copy_from_slice(&flags.to_be_bytes());
            assert_eq!(strict.check(&header, ANYONE), Err(DropReason::ReservedBits), "{bits:#x}");
            assert_eq!((lenient.check(&header, ANYONE), Nvgre.decap(&datagram(header)).is_ok()), (Ok(()), true), "{bits:#x}");
        }
    }

    #[test]
    fn only_allowed_sources_are_heard() {
        let codec = codec(5000, &[("nvgre/allowed_sources", "10.0.0.0/24")]);
        assert_eq!(codec.check(&header(5000, 0), ANYONE), Err(DropReason::SourceNotAllowed));
        assert_eq!(codec.check(&header(5000, 0), "10.0.0.9".parse().unwrap()), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(vsid in VSID_FIRST..=VSID_LAST, flow: u32) {
            prop_assert_eq!(Nvgre.decap(&datagram(header(vsid, flow))).map(|decap| decap.vni.get()), Ok(vsid));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Nvgre.decap(&bytes);
            let codec = codec(5000, &[("nvgre/reserved_bits", "strict")]);
            let _ = codec.check(&bytes, ANYONE);
            codec.write(&mut bytes.clone(), 0);
        }
    }
}
