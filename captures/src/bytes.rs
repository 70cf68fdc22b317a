//! How is a number stored? The two byte orders of pcap and pcapng; snoop is always big-endian.

/// Byte order of a file (pcap) or of a section (pcapng), found from its magic number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    /// The number that the first two bytes of `bytes` hold; 0 where there are fewer.
    #[inline]
    pub(crate) fn u16(self, bytes: &[u8]) -> u16 {
        let raw = bytes.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(raw),
            Self::Big => u16::from_be_bytes(raw),
        }
    }

    /// The number that the first four bytes of `bytes` hold; 0 where there are fewer.
    #[inline]
    pub(crate) fn u32(self, bytes: &[u8]) -> u32 {
        let raw = bytes.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(raw),
            Self::Big => u32::from_be_bytes(raw),
        }
    }

    /// The number that the first eight bytes of `bytes` hold; 0 where there are fewer.
    #[inline]
    pub(crate) fn u64(self, bytes: &[u8]) -> u64 {
        let raw = bytes.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Little => u64::from_le_bytes(raw),
            Self::Big => u64::from_be_bytes(raw),
        }
    }
}

/// `length` rounded up to the 32-bit boundary that pcapng and snoop pad to.
#[inline]
pub(crate) const fn padded(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_read_the_same_bytes_differently_and_short_input_is_zero() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!((Order::Little.u16(&bytes), Order::Big.u16(&bytes)), (0x0201, 0x0102));
        assert_eq!((Order::Little.u32(&bytes), Order::Big.u32(&bytes)), (0x0403_0201, 0x0102_0304));
        assert_eq!((Order::Little.u64(&bytes), Order::Big.u64(&bytes)), (0x0807_0605_0403_0201, 0x0102_0304_0506_0708));
        assert_eq!(Order::Big.u32(&bytes[..3]), 0);
    }

    #[test]
    fn padding_goes_to_the_next_multiple_of_four() {
        assert_eq!([0, 1, 3, 4, 5].map(padded), [0, 4, 4, 4, 8]);
    }
}
