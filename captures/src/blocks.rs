//! What do the reader and the writer of pcapng agree on? Block types, and how a simple packet is cut.
//!
//! Source: draft-ietf-opsawg-pcapng, section 11.1 (standardized block types) and 4.4.

pub(crate) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// First field of a section header, in the section's byte order.
pub(crate) const ORDER_MAGIC: u32 = 0x1a2b_3c4d;
pub(crate) const INTERFACE: u32 = 1;
pub(crate) const OBSOLETE_PACKET: u32 = 2;
pub(crate) const SIMPLE_PACKET: u32 = 3;
pub(crate) const STATISTICS: u32 = 5;
pub(crate) const ENHANCED_PACKET: u32 = 6;

/// Does a block of this type hold a packet?
pub(crate) const fn is_packet(kind: u32) -> bool {
    matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET)
}

/// Does a block of this type say something that the reader keeps?
pub(crate) const fn is_kept(kind: u32) -> bool {
    is_packet(kind) || matches!(kind, SECTION_HEADER | INTERFACE | STATISTICS)
}

/// Captured bytes of a simple packet, which does not store them: as many as the interface's snaplen (0: no limit) allowed.
pub(crate) const fn simple_caplen(len: u32, snaplen: u32) -> u32 {
    if snaplen == 0 || len < snaplen { len } else { snaplen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_packet_is_cut_at_the_snaplen_and_nowhere_without_one() {
        assert_eq!(simple_caplen(100, 0), 100);
        assert_eq!(simple_caplen(100, 64), 64);
        assert_eq!(simple_caplen(64, 64), 64);
        assert_eq!(simple_caplen(60, 64), 60);
    }

    #[test]
    fn name_resolution_and_custom_blocks_are_skipped() {
        assert!(is_kept(ENHANCED_PACKET) && is_kept(INTERFACE) && !is_packet(INTERFACE));
        for kind in [4, 0xa, 0xbad, 0x4000_0bad] {
            assert!(!is_kept(kind) && !is_packet(kind));
        }
    }
}
