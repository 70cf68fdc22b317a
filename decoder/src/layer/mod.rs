//! What is a packet made of? One file per header, always in the same order: diagram, repr, parse and emit, fields, summary, tests.
//!
//! A header is a small `Copy` struct of plain values; what has no fixed size (options, TLVs, names) stays in the packet and is
//! read from its bytes when somebody asks ([`View`]). `parse` takes exactly the fixed part as an array, so that it cannot fail;
//! lengths are the walk's business, and the walk alone decides what is truncated and what is malformed.

use crate::fields::Fields;
use crate::text::Text;

/// What a header sees of its packet when it is rendered. All slices hold captured bytes only, and may be shorter than the
/// header says.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The bytes of the header itself, options included.
    pub header: &'a [u8],
    /// The captured bytes behind it that belong to it.
    pub payload: &'a [u8],
    /// Bytes behind the header that belong to it by the lengths in the headers, captured or not.
    pub claimed: u32,
}

/// What every header offers to the renderings.
pub(crate) trait Header {
    /// Names every field once, in wire order.
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F);
    /// The header in a few words, without its name, for `-V` and for the end of the summary line.
    fn summary(&self, view: View<'_>, out: &mut Text);
    /// The first fault of what has no fixed size in it: options, records, names. Only the kinds that the walk asks have any.
    fn fault(&self, _: View<'_>) -> Option<Fault> {
        None
    }
}

macro_rules! layers {
    ($($variant:ident in $module:ident is $name:literal;)*) => {
        $(mod $module; pub use $module::$variant;)*

        /// The kind of a layer; its [`name`](LayerKind::name) is the one of JSON, tree, filters and errors.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum LayerKind { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl LayerKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the kind.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// `{"layer":"name","offset":` for the JSON writer.
            pub(crate) const fn json_opening(self) -> &'static str {
                match self { $(Self::$variant => concat!("{\"layer\":\"", $name, "\",\"offset\":"),)* }
            }
        }

        /// A decoded header.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Body { $(#[doc = concat!("`", $name, "`")] $variant($variant),)* }

        impl Body {
            /// The kind of the header.
            #[must_use]
            pub const fn kind(&self) -> LayerKind {
                match self { $(Self::$variant(_) => LayerKind::$variant,)* }
            }

            #[inline]
            pub(crate) fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
                match self { $(Self::$variant(header) => header.fields(view, out),)* }
            }

            pub(crate) fn summary(&self, view: View<'_>, out: &mut Text) {
                match self { $(Self::$variant(header) => header.summary(view, out),)* }
            }

            #[inline]
            pub(crate) fn fault(&self, view: View<'_>) -> Option<Fault> {
                match self { $(Self::$variant(header) => header.fault(view),)* }
            }
        }
    };
}

layers! {
    Ethernet in ethernet is "ethernet";
    Vlan in vlan is "vlan";
    Arp in arp is "arp";
    Ipv4 in ipv4 is "ipv4";
    Ipv6 in ipv6 is "ipv6";
    Ipv6Ext in ipv6_ext is "ipv6_ext";
    Tcp in tcp is "tcp";
    Udp in udp is "udp";
    Sctp in sctp is "sctp";
    Icmp in icmp is "icmp";
    Icmpv6 in icmpv6 is "icmpv6";
    Igmp in igmp is "igmp";
    Vxlan in vxlan is "vxlan";
    VxlanGpe in vxlan_gpe is "vxlan-gpe";
    Nsh in nsh is "nsh";
    Geneve in geneve is "geneve";
    Nvgre in nvgre is "nvgre";
    Gre in gre is "gre";
    Erspan in erspan is "erspan";
    Mpls in mpls is "mpls";
    Ipip in ipip is "ipip";
    Esp in esp is "esp";
    Ah in ah is "ah";
    Dhcp in dhcp is "dhcp";
    Dhcpv6 in dhcpv6 is "dhcpv6";
    Dns in dns is "dns";
    Svp in svp is "svp";
    Llc in llc is "llc";
    Stp in stp is "stp";
    Lldp in lldp is "lldp";
    Sll in sll is "sll";
    Sll2 in sll2 is "sll2";
    Null in null is "null";
    Raw in raw is "raw";
    Payload in payload is "payload";
}

mod fault;
pub mod number;
#[cfg(test)]
mod recorder;

pub use geneve::{GeneveMeaning, GeneveOption, GeneveOptions};
pub use ipv6_ext::Fragment;
pub use llc::Snap;

impl LayerKind {
    /// Whether the headers behind this one are those of another packet: the inner one.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Vxlan | Self::VxlanGpe | Self::Geneve | Self::Nvgre | Self::Gre | Self::Erspan | Self::Ipip)
    }
}

impl Body {
    /// The virtual network that the header names: VNI, or the VSID of NVGRE.
    #[must_use]
    pub const fn vni(&self) -> Option<crate::Vni> {
        match self {
            Self::Vxlan(h) => h.vni(),
            Self::VxlanGpe(h) => h.vni(),
            Self::Geneve(h) => Some(h.vni),
            Self::Nvgre(h) => Some(h.vsid),
            _ => None,
        }
    }
}

/// A decoded header and where it stands in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Offset of its first byte in the packet.
    pub offset: u32,
    /// Its length in bytes, options included.
    pub length: u32,
    /// Bytes behind it that belong to it by the lengths in the headers, captured or not.
    pub claimed: u32,
    /// The header.
    pub body: Body,
}

impl Layer {
    /// The kind of the header.
    #[must_use]
    pub const fn kind(&self) -> LayerKind {
        self.body.kind()
    }

    /// Offset of the first byte behind the header.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.offset as usize + self.length as usize
    }
}

pub(crate) use fault::Fault;

pub(crate) use ethernet::{FIRST_ETHERTYPE, ethertype as ethertype_name};
