//! What does a Geneve option say? The TLVs (RFC 8926 3.5) and those whose makers published their meaning.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Option Class         |C|    Type     |R|R|R| Length  |
//! |              Data, `Length` words of 4 bytes ...              |
//! ```

use crate::fields::{Fields, Key, key};
use crate::text::Text;

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeneveOption<'a> {
    /// The namespace of the type, by IANA.
    pub class: u16,
    /// The type, its critical bit included.
    pub kind: u8,
    /// The three reserved bits.
    pub reserved: u8,
    /// The value, a multiple of four bytes.
    pub data: &'a [u8],
}

impl<'a> GeneveOption<'a> {
    /// Whether a receiver that does not know the type must drop the packet.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.kind & 0x80 != 0
    }

    /// What the option means, where its maker published that and the length is right.
    #[must_use]
    pub fn meaning(&self) -> Option<GeneveMeaning<'a>> {
        let word = || Some(u32::from_be_bytes(self.data.try_into().ok()?));
        let long = || Some(u64::from_be_bytes(self.data.try_into().ok()?));
        Some(match (self.class, self.kind) {
            // ovn-architecture(7): one reserved bit, 15 bits, 16 bits.
            (0x0102, 0x80) => word().map(|w| GeneveMeaning::OvnPorts { ingress: (w >> 16 & 0x7fff) as u16, egress: w as u16 })?,
            // AWS Gateway Load Balancer, guide for appliance vendors.
            (0x0108, 1) => GeneveMeaning::AwsEndpoint(long()?),
            (0x0108, 2) => GeneveMeaning::AwsAttachment(long()?),
            (0x0108, 3) => GeneveMeaning::AwsFlowCookie(word()?),
            // Oxide's OPTE. The types are told apart without the critical bit.
            (0x0129, 0 | 0x80) if self.data.is_empty() => GeneveMeaning::OxideExternal,
            (0x0129, 1 | 0x81) => GeneveMeaning::OxideMulticast(word()?),
            (0x0129, 2 | 0x82) => GeneveMeaning::OxideMss(word()?),
            // Google Cloud packet intercept: 28 bits of network, three reserved, one of direction.
            (0x0132, 1) => word().map(|w| GeneveMeaning::GcpNetwork { id: w >> 4, egress: w & 1 == 1 })?,
            (0x0132, 2) => GeneveMeaning::GcpEndpoint(self.data),
            (0x0132, 3) => GeneveMeaning::GcpProfile(long()?),
            _ => return None,
        })
    }
}

/// What an option of a known maker means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeneveMeaning<'a> {
    /// OVN: logical ports, 15 and 16 bits.
    OvnPorts {
        /// Port that the packet entered the logical switch by.
        ingress: u16,
        /// Port, or multicast group, that it leaves by.
        egress: u16,
    },
    /// AWS Gateway Load Balancer: the endpoint.
    AwsEndpoint(u64),
    /// AWS Gateway Load Balancer: the attachment.
    AwsAttachment(u64),
    /// AWS Gateway Load Balancer: the flow; a reply must carry the same.
    AwsFlowCookie(u32),
    /// Oxide: the packet came from outside the rack.
    OxideExternal,
    /// Oxide: how far a multicast packet was replicated.
    OxideMulticast(u32),
    /// Oxide: segment size of the inner TCP flow in bytes.
    OxideMss(u32),
    /// Google Cloud: network and direction.
    GcpNetwork {
        /// The virtual network, 28 bits.
        id: u32,
        /// Egress, else ingress.
        egress: bool,
    },
    /// Google Cloud: the endpoint.
    GcpEndpoint(&'a [u8]),
    /// Google Cloud: the security profile.
    GcpProfile(u64),
}

impl GeneveMeaning<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::OvnPorts { .. } => "ovn ports",
            Self::AwsEndpoint(_) => "gwlb endpoint",
            Self::AwsAttachment(_) => "gwlb attachment",
            Self::AwsFlowCookie(_) => "gwlb flow cookie",
            Self::OxideExternal => "oxide external",
            Self::OxideMulticast(_) => "oxide multicast",
            Self::OxideMss(_) => "oxide mss",
            Self::GcpNetwork { .. } => "gcp network",
            Self::GcpEndpoint(_) => "gcp endpoint",
            Self::GcpProfile(_) => "gcp profile",
        }
    }

    fn fields<F: Fields>(&self, out: &mut F) {
        out.text(key!("name"), self.name().as_bytes());
        match *self {
            Self::OvnPorts { ingress, egress } => {
                out.num(key!("ingress_port"), ingress.into());
                out.num(key!("egress_port"), egress.into());
            }
            Self::AwsEndpoint(id) => long(key!("endpoint"), id, out),
            Self::AwsAttachment(id) => long(key!("attachment"), id, out),
            Self::AwsFlowCookie(cookie) => out.hex(key!("flow_cookie"), cookie.into(), 8),
            Self::OxideExternal | Self::GcpEndpoint(_) => {}
            Self::OxideMulticast(info) => out.hex(key!("replication"), info.into(), 8),
            Self::OxideMss(mss) => out.num(key!("mss"), mss.into()),
            Self::GcpNetwork { id, egress } => {
                out.num(key!("network"), id.into());
                out.flag(key!("egress"), egress);
            }
            Self::GcpProfile(profile) => long(key!("profile"), profile, out),
        }
    }

    fn write(&self, out: &mut Text) {
        out.text(self.name());
        match *self {
            Self::OvnPorts { ingress, egress } => {
                out.byte(b' ');
                out.num(ingress.into());
                out.text(" > ");
                out.num(egress.into());
            }
            Self::AwsEndpoint(id) | Self::AwsAttachment(id) => {
                out.byte(b' ');
                out.hex(id, 16);
            }
            Self::AwsFlowCookie(cookie) => {
                out.byte(b' ');
                out.hex(cookie.into(), 8);
            }
            Self::OxideMss(mss) => {
                out.byte(b' ');
                out.num(mss.into());
            }
            Self::GcpNetwork { id, egress } => {
                out.byte(b' ');
                out.num(id.into());
                out.text(if egress { " egress" } else { " ingress" });
            }
            Self::OxideExternal | Self::OxideMulticast(_) | Self::GcpEndpoint(_) | Self::GcpProfile(_) => {}
        }
    }
}

/// A number of 64 bits, as text in hexadecimal: JSON readers round numbers beyond 2^53.
fn long<F: Fields>(key: Key, value: u64, out: &mut F) {
    let mut text = Text::new();
    text.hex(value, 16);
    out.text(key, text.as_bytes());
}

/// Who owns an option class (registry of IANA, "Geneve Option Class").
const fn class_name(class: u16) -> Option<&'static str> {
    Some(match class {
        0x0000..=0x00ff => "standard",
        0x0100 => "linux",
        0x0101 => "open-vswitch",
        0x0102 => "ovn",
        0x0103 => "in-band-telemetry",
        0x0104 => "vmware",
        0x0105 | 0x0108..=0x0110 => "amazon",
        0x0106 | 0x0130..=0x0131 => "cisco",
        0x0107 => "oracle",
        0x0111..=0x0118 => "ibm",
        0x0119..=0x0128 => "ericsson",
        0x0129 => "oxide",
        0x0132..=0x0135 => "google",
        0xfff0..=0xffff => "experimental",
        _ => return None,
    })
}

/// The options of a header, in order. At most 63 fit the option area.
#[derive(Clone, Copy, Debug)]
pub struct GeneveOptions<'a> {
    bytes: &'a [u8],
}

impl<'a> GeneveOptions<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not read yet; at the end, those of an option that is not all there.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for GeneveOptions<'a> {
    type Item = GeneveOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<GeneveOption<'a>> {
        let (&[c, d, kind, length], rest) = self.bytes.split_first_chunk::<4>()?;
        let (data, rest) = rest.split_at_checked(usize::from(length & 0x1f) * 4)?;
        self.bytes = rest;
        Some(GeneveOption { class: u16::from_be_bytes([c, d]), kind, reserved: length >> 5, data })
    }
}

pub(super) fn fields<F: Fields>(bytes: &[u8], out: &mut F) {
    out.open_list(key!("options"));
    for option in GeneveOptions::new(bytes) {
        out.open_item();
        out.hex_named(key!("class"), option.class.into(), 4, class_name(option.class));
        out.hex(key!("type"), option.kind.into(), 2);
        out.flag(key!("critical"), option.is_critical());
        out.num(key!("length"), option.data.len() as u64);
        out.bytes(key!("data"), option.data);
        if option.reserved != 0 {
            out.flag(key!("reserved_bits_set"), true);
        }
        if let Some(meaning) = option.meaning() {
            meaning.fields(out);
        }
        out.close_item();
    }
    out.close_list();
}

/// More options than this are not told one by one in a summary.
const SUMMARY_MAX: usize = 4;

pub(super) fn summary(bytes: &[u8], out: &mut Text) {
    for (index, option) in GeneveOptions::new(bytes).enumerate() {
        out.text(if index == 0 { " [" } else { ", " });
        if index == SUMMARY_MAX {
            out.text("...");
            break;
        }
        match option.meaning() {
            Some(meaning) => meaning.write(out),
            None => {
                match class_name(option.class) {
                    Some(name) => out.text(name),
                    None => out.hex(option.class.into(), 4),
                }
                out.text(" type ");
                out.hex(option.kind.into(), 2);
            }
        }
    }
    if GeneveOptions::new(bytes).next().is_some() {
        out.byte(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meaning(class: u16, kind: u8, data: &[u8]) -> Option<GeneveMeaning<'_>> {
        GeneveOption { class, kind, reserved: 0, data }.meaning()
    }

    #[test]
    fn options_of_known_makers_are_understood() {
        assert_eq!(meaning(0x0102, 0x80, &[0x80, 3, 0x80, 2]), Some(GeneveMeaning::OvnPorts { ingress: 3, egress: 0x8002 }));
        assert_eq!(meaning(0x0108, 3, &[0, 0, 1, 2]), Some(GeneveMeaning::AwsFlowCookie(0x102)));
        assert_eq!(meaning(0x0132, 1, &[0, 0, 0x12, 0x31]), Some(GeneveMeaning::GcpNetwork { id: 0x123, egress: true }));
        assert_eq!(meaning(0x0129, 0, &[]), Some(GeneveMeaning::OxideExternal));
        assert_eq!(meaning(0x0102, 0x80, &[0; 8]), None, "a length that the maker did not publish is left alone");
    }

    #[test]
    fn numbers_of_64_bits_survive_readers_of_json() {
        let header = crate::layer::Geneve::parse(&[3, 0, 8, 0, 0, 0, 1, 0]);
        let bytes = [3, 0, 8, 0, 0, 0, 1, 0, 1, 8, 1, 2, 0x80, 0, 0, 0, 0, 0, 0, 1];
        let fields = crate::layer::recorder::lines(&header, &bytes, crate::layer::recorder::Extent::Short);
        assert!(fields.contains(&"options[0].endpoint=0x8000000000000001".into()), "{fields:?}");
    }

    #[test]
    fn a_summary_tells_four_options_and_stops() {
        let mut text = Text::new();
        summary(&[1, 2, 0x80, 1, 0, 3, 0, 2, 0xff, 0xff, 7, 0, 1, 0x29, 0, 0, 0x7f, 0, 1, 0, 0, 0, 0, 0], &mut text);
        let expected = " [ovn ports 3 > 2, experimental type 0x07, oxide external, 0x7f00 type 0x01, ...]";
        assert_eq!(String::from_utf8_lossy(text.as_bytes()), expected);
    }

    proptest! {
        #[test]
        fn options_of_any_bytes_end_and_leave_the_fault(bytes: Vec<u8>) {
            let mut options = GeneveOptions::new(&bytes);
            let read: usize = options.by_ref().map(|option| 4 + option.data.len()).sum();
            prop_assert_eq!(read + options.rest().len(), bytes.len());
            let mut text = Text::new();
            summary(&bytes, &mut text);
            prop_assert!(text.len() < 400);
        }
    }
}
