//! Which link types do snoop files know? RFC 1761 section 3, table of datalink types, against the `LINKTYPE_` numbers.

use overlay_decoder::LinkType;

/// `LINKTYPE_IEEE802_5`.
const TOKEN_RING: LinkType = LinkType(6);

/// The types below, in words.
pub(crate) const KNOWN: &str = "0 (802.3), 2 (token ring) and 4 (ethernet)";

/// The link type of datalink type `number`. The others of RFC 1761 have no fixed `LINKTYPE_` layout, or swap address bits (FDDI).
pub(crate) const fn from_datalink(number: u32) -> Option<LinkType> {
    match number {
        0 | 4 => Some(LinkType::ETHERNET),
        2 => Some(TOKEN_RING),
        _ => None,
    }
}

/// The datalink type for `link`, if snoop has one.
pub(crate) fn to_datalink(link: LinkType) -> Option<u32> {
    match link {
        LinkType::ETHERNET => Some(4),
        TOKEN_RING => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_is_read_as_the_same_link() {
        for link in (0..=u16::MAX).map(LinkType) {
            if let Some(datalink) = to_datalink(link) {
                assert_eq!(from_datalink(datalink), Some(link));
            }
        }
        assert_eq!(to_datalink(LinkType::RAW), None);
    }
}
