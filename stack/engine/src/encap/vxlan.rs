//! How is a frame put into VXLAN? RFC 7348 5.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|R|R|R|I|R|R|R|            Reserved                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                VXLAN Network Identifier (VNI) |   Reserved    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Frames with an inner VLAN tag are carried and taken: RFC 7348 6.1 would strip and refuse them "unless configured otherwise", and a
//! tenant who sends tags means them.

use super::admission::{Admission, RESERVED_BITS};
use super::{Carrier, Codec, Decap, Encapsulation};
use crate::settings::Settings;
use overlay_api::{Access, DropReason, Kind, Properties, PropertyError, PropertySpec};
use overlay_decoder::Vni;
use overlay_decoder::layer::{self, Ethernet};
use std::borrow::Cow;
use std::net::IpAddr;

const NAME: &str = "vxlan";

/// Bytes of the header.
const LENGTH: usize = layer::Vxlan::LENGTH;

static PROPERTIES: [PropertySpec; 4] = [
    PropertySpec::new(
        "vxlan/listen_ip",
        Kind::Ip,
        Access::Live,
        None,
        "The underlay address that encapsulated packets are sent from and received on: a unicast address of this host, or 0.0.0.0 or :: \
         for all of them. It may come to exist later than the overlay.",
    )
    .required(),
    PropertySpec::new(
        "vxlan/listen_port",
        Kind::Uint { min: 1, max: 65535 },
        Access::Live,
        Some("4789"),
        "The UDP port that encapsulated packets are received on. Overlays with the same address and port share it and are told apart by \
         their VNI.",
    ),
    PropertySpec::new(
        "vxlan/reserved_bits",
        Kind::Choice(Cow::Borrowed(RESERVED_BITS)),
        Access::Live,
        Some("lenient"),
        "Whether a packet with a reserved bit set in its VXLAN header is taken (lenient, as RFC 7348 5 says) or dropped (strict). Strict \
         also refuses the headers of Group Policy and GPE, which give those bits a meaning.",
    ),
    PropertySpec::new(
        "vxlan/allowed_sources",
        Kind::Prefixes,
        Access::Live,
        Some(""),
        "The underlay addresses that packets are taken from; empty means any. Without it, whoever can reach the port can put frames into \
         the virtual network.",
    ),
];

/// VXLAN over UDP (RFC 7348).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vxlan;

impl Encapsulation for Vxlan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn carrier(&self) -> Carrier {
        Carrier::Udp
    }

    /// All 24 bits are free (RFC 7348 5).
    fn check_vni(&self, _: Vni) -> Result<(), String> {
        Ok(())
    }

    fn properties(&self) -> &[PropertySpec] {
        &PROPERTIES
    }

    fn compile(&self, vni: Vni, properties: &Properties) -> Result<Box<dyn Codec>, PropertyError> {
        let settings = Settings::new(&PROPERTIES, properties);
        settings.uint::<u16>("vxlan/listen_port")?;
        let admission = Admission::compile(NAME, &settings)?;
        let header = layer::Vxlan { flags: layer::Vxlan::FLAG_VNI, policy_flags: 0, group: 0, id: vni, reserved: 0, guessed: false }.emit();
        Ok(Box::new(Device { header, admission }))
    }

    fn decap(&self, datagram: &[u8]) -> Result<Decap, DropReason> {
        let header = layer::Vxlan::parse(datagram.first_chunk().ok_or(DropReason::DatagramTooShort)?);
        let vni = header.vni().ok_or(DropReason::HeaderInvalid)?;
        if datagram.len() < LENGTH + Ethernet::LENGTH {
            return Err(DropReason::DatagramTooShort);
        }
        Ok(Decap { vni, header_len: LENGTH })
    }
}

/// What a device has of VXLAN.
#[derive(Clone, Debug)]
struct Device {
    header: [u8; LENGTH],
    admission: Admission,
}

impl Codec for Device {
    fn header_len(&self) -> usize {
        LENGTH
    }

    fn write(&self, header: &mut [u8], _: u32) {
        if let Some(place) = header.first_chunk_mut() {
            *place = self.header;
        }
    }

    fn check(&self, header: &[u8], source: IpAddr) -> Result<(), DropReason> {
        // Everything but the I bit and the VNI.
        const RESERVED: u64 = 0xf7ff_ffff_0000_00ff;
        self.admission.check(source, || header.first_chunk().is_none_or(|bytes| u64::from_be_bytes(*bytes) & RESERVED != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANYONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn codec(vni: u32, set: &[(&str, &str)]) -> Result<Box<dyn Codec>, PropertyError> {
        let mut properties = Properties::new();
        for (name, text) in set {
            properties.set(Vxlan.properties(), name, text)?;
        }
        Vxlan.compile(Vni::new(vni).unwrap(), &properties)
    }

    fn header(vni: u32) -> [u8; 8] {
        let codec = codec(vni, &[("vxlan/listen_ip", "::")]).unwrap();
        let mut header = [0xff; 8];
        codec.write(&mut header[..codec.header_len()], 12345);
        header
    }

    fn datagram(header: [u8; 8]) -> Vec<u8> {
        [&header[..], &[0; 14]].concat()
    }

    #[test]
    fn the_header_is_that_of_the_rfc() {
        // RFC 7348 5: flags with the I bit, 24 reserved bits, 24 bits of VNI, 8 reserved bits.
        assert_eq!(header(0x0012_3456), [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_eq!(header(16_777_215), [0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
        assert_eq!(header(0), [0x08, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_datagram_says_which_network_it_belongs_to_or_what_it_lacks() {
        let good = datagram(header(77));
        assert_eq!(Vxlan.decap(&good), Ok(Decap { vni: Vni::new(77).unwrap(), header_len: 8 }));
        for len in 0..good.len() {
            assert_eq!(Vxlan.decap(&good[..len]), Err(DropReason::DatagramTooShort), "{len} bytes");
        }
        for flags in 0..=u8::MAX {
            let has_vni = flags & 0x08 != 0;
            assert_eq!(Vxlan.decap(&datagram([flags, 0, 0, 0, 0, 0, 77, 0])).is_ok(), has_vni, "flags {flags:#x}");
        }
        assert_eq!(Vxlan.decap(&datagram([0xf7, 0, 0, 0, 0, 0, 77, 0])), Err(DropReason::HeaderInvalid));
    }

    #[test]
    fn strict_minds_every_reserved_bit_and_lenient_none() {
        let strict = codec(77, &[("vxlan/listen_ip", "10.0.0.1"), ("vxlan/reserved_bits", "strict")]).unwrap();
        let lenient = codec(77, &[("vxlan/listen_ip", "10.0.0.1")]).unwrap();
        let sound = header(77);
        assert_eq!(strict.check(&sound, ANYONE), Ok(()));
        for bit in 0..64 {
            let bytes = (u64::from_be_bytes(sound) ^ 1 << bit).to_be_bytes();
            // The I bit is the first of the second half-byte; the VNI stands above the last byte.
            let reserved = bit != 59 && !(8..32).contains(&bit);
            assert_eq!(strict.check(&bytes, ANYONE), if reserved { Err(DropReason::ReservedBits) } else { Ok(()) }, "bit {bit}");
            assert_eq!(lenient.check(&bytes, ANYONE), Ok(()), "bit {bit}");
        }
    }

    #[test]
    fn only_allowed_sources_are_heard() {
        let codec = codec(77, &[("vxlan/listen_ip", "::"), ("vxlan/allowed_sources", "10.0.0.0/24,fd00::/64")]).unwrap();
        assert_eq!(codec.check(&header(77), ANYONE), Err(DropReason::SourceNotAllowed));
        assert_eq!(codec.check(&header(77), "10.0.0.9".parse().unwrap()), Ok(()));
        assert_eq!(codec.check(&header(77), "fd00::9".parse().unwrap()), Ok(()));
    }

    #[test]
    fn a_property_that_does_not_fit_is_named() {
        let said = |set: &[(&str, &str)]| codec(1, set).unwrap_err().to_string();
        assert_eq!(said(&[]), "property vxlan/listen_ip: is required and not set; an IP address is allowed");
        assert!(said(&[("vxlan/listen_ip", "239.0.0.1")]).starts_with("property vxlan/listen_ip: 239.0.0.1 is a multicast address;"));
        assert_eq!(said(&[("vxlan/listen_port", "0")]), "property vxlan/listen_port: \"0\" is not allowed; 1-65535 is");
        assert_eq!(said(&[("vxlan/reserved_bits", "no")]), "property vxlan/reserved_bits: \"no\" is not allowed; lenient,strict is");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(vni in 0..=Vni::MAX.get()) {
            prop_assert_eq!(Vxlan.decap(&datagram(header(vni))).map(|decap| decap.vni.get()), Ok(vni));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Vxlan.decap(&bytes);
            let codec = codec(1, &[("vxlan/listen_ip", "::"), ("vxlan/reserved_bits", "strict")]).unwrap();
            let _ = codec.check(&bytes, ANYONE);
            codec.write(&mut bytes.clone(), 0);
        }
    }
}
