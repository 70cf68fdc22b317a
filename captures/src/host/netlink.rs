//! What does a netlink message look like? The one place that knows; everything above it sees attributes.
//!
//! ```text
//! datagram = message, message, ...           each padded to 4 bytes
//! message  = length(4) type(2) flags(2) sequence(4) port(4) | fixed header of its type | attribute, attribute, ...
//! attribute = length(2) type(2) | value      each padded to 4 bytes; a value may itself be a list of attributes
//! ```
//!
//! Sources: netlink(7), linux/netlink.h. Numbers are in the byte order of the machine unless a field's description says otherwise.
//! Our own walker and not netlink-packet-route, because that knows no VNI filter, changes its VXLAN attributes in each release, allocates
//! for every attribute (a forwarding database may have a million entries) and refuses a whole message for one attribute that it did not
//! expect. Reading here is tolerant: a list ends where a length cannot be true, and an attribute of an unexpected size is absent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay_decoder::Mac;

/// Length of the header of a message, in bytes (`struct nlmsghdr`).
pub const MESSAGE_HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// NLA_F_NESTED and NLA_F_NET_BYTEORDER are marks beside the type.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;

/// The messages of one datagram, up to the first whose length cannot be true.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// The messages of `datagram`.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    /// Bytes that no message has been read from: after the last message 0 in a sound datagram.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }
}

/// One netlink message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `nlmsg_type`, for example 16 for RTM_NEWLINK.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request that it answers.
    pub sequence: u32,
    /// What follows the header: the fixed header of the type, and attributes.
    pub body: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let body = self.0.get(MESSAGE_HEADER_BYTES..length)?;
        let message = Message { kind: u16_at(self.0, 4)?, flags: u16_at(self.0, 6)?, sequence: u32_at(self.0, 8)?, body };
        self.0 = self.0.get(padded(length)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes of a message or of a nested attribute, up to the first whose length cannot be true.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The attributes behind a fixed header of `header` bytes; none where the message is shorter than that.
    #[must_use]
    pub fn after(header: usize, body: &'a [u8]) -> Self {
        Self(body.get(padded(header)..).unwrap_or_default())
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its type, without the marks for "nested" and "network byte order".
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(u16_at(self.0, 0)?);
        let value = self.0.get(ATTRIBUTE_HEADER_BYTES..length)?;
        let attribute = Attribute { kind: u16_at(self.0, 2)? & ATTRIBUTE_TYPE_MASK, value };
        self.0 = self.0.get(padded(length)..).unwrap_or_default();
        Some(attribute)
    }
}

impl<'a> Attribute<'a> {
    /// A number of one byte.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        <[u8; 1]>::try_from(self.value).ok().map(|[byte]| byte)
    }

    /// A number of two bytes in the machine's order.
    #[must_use]
    pub fn u16(&self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_ne_bytes)
    }

    /// A number of two bytes in network order, such as a port.
    #[must_use]
    pub fn u16_be(&self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_be_bytes)
    }

    /// A number of four bytes in the machine's order.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_ne_bytes)
    }

    /// A number of four bytes in network order, such as a GRE key.
    #[must_use]
    pub fn u32_be(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// A signed number of four bytes in the machine's order.
    #[must_use]
    pub fn i32(&self) -> Option<i32> {
        self.value.try_into().ok().map(i32::from_ne_bytes)
    }

    /// A number of eight bytes in the machine's order.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        self.value.try_into().ok().map(u64::from_ne_bytes)
    }

    /// An IPv4 or IPv6 address, by its length.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let v4 = <[u8; 4]>::try_from(self.value).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        v4.or_else(|| <[u8; 16]>::try_from(self.value).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))))
    }

    /// A MAC address; absent for link addresses of another length, such as the IPv4 address of an ipip device.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.value.try_into().ok().map(Mac)
    }

    /// Text up to its NUL; bytes that are not UTF-8 are shown as the replacement character.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.value.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// A switch: on where it is present without a value (NLA_FLAG) or with one that is not 0.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.value.first().is_none_or(|&byte| byte != 0)
    }

    /// The attributes that are its value.
    #[must_use]
    pub const fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// A message under construction: requests to the kernel, and the hand-built answers of tests.
#[derive(Clone, Debug)]
pub struct MessageBuilder(Vec<u8>);

impl MessageBuilder {
    /// A message of type `kind` that starts with the fixed header `header`.
    #[must_use]
    pub fn new(kind: u16, flags: u16, sequence: u32, header: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]); // Port 0: from us the kernel fills it in, from the kernel it is 0.
        bytes.extend_from_slice(header);
        pad(&mut bytes);
        Self(bytes)
    }

    /// Appends an attribute.
    ///
    /// # Panics
    /// When `value` does not fit the 16-bit length of an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        append_attribute(&mut self.0, kind, value);
        self
    }

    /// The message with its length filled in.
    ///
    /// # Panics
    /// When it is longer than 4 GiB.
    #[must_use]
    pub fn bytes(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("a message is shorter than 4 GiB");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Appends one attribute with its padding.
///
/// # Panics
/// When `value` does not fit the 16-bit length of an attribute.
pub fn append_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).expect("an attribute is shorter than 64 KiB");
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(padded(bytes.len()), 0);
}

/// `length` rounded up to NLMSG_ALIGNTO and NLA_ALIGNTO.
const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Two bytes of a fixed header in the machine's order.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// Four bytes of a fixed header in the machine's order.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Eight bytes of a structure in the machine's order, which netlink does not align.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let first = MessageBuilder::new(16, 2, 7, &[1; 5]).attribute(3, b"eth0\0").attribute(4, &1500_u32.to_ne_bytes()).bytes();
        let second = MessageBuilder::new(3, 2, 7, &0_i32.to_ne_bytes()).bytes();
        let datagram = [first, second].concat();
        let mut messages = Messages::new(&datagram);
        let message = messages.next().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (16, 2, 7));
        let attributes: Vec<_> = Attributes::after(5, message.body).collect();
        assert_eq!((attributes[0].kind, attributes[0].text().as_str()), (3, "eth0"));
        assert_eq!((attributes[1].kind, attributes[1].u32()), (4, Some(1500)));
        assert_eq!(attributes.len(), 2);
        assert_eq!(messages.next().unwrap().kind, 3);
        assert!(messages.next().is_none());
        assert_eq!(messages.left(), 0);
    }

    #[test]
    fn lengths_that_cannot_be_true_end_the_list() {
        let sound = MessageBuilder::new(16, 0, 0, &[]).attribute(1, &[1, 2, 3]).bytes();
        for length in [0_u32, 15, 25, u32::MAX] {
            let mut bytes = sound.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let mut messages = Messages::new(&bytes);
            assert!(messages.next().is_none(), "length {length} of a message of {} bytes", bytes.len());
            assert_eq!(messages.left(), bytes.len());
        }
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = sound[16..].to_vec();
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert!(Attributes::new(&bytes).next().is_none(), "length {length} of an attribute of 8 bytes");
        }
    }

    #[test]
    fn a_value_of_another_size_is_absent_and_marks_are_not_part_of_a_type() {
        let mut bytes = Vec::new();
        append_attribute(&mut bytes, 0x8000 | 2, &[1, 2, 3]);
        let attribute = Attributes::new(&bytes).next().unwrap();
        assert_eq!(attribute.kind, 2);
        assert_eq!((attribute.u8(), attribute.u16(), attribute.u16_be()), (None, None, None));
        assert_eq!((attribute.u32(), attribute.u32_be(), attribute.i32(), attribute.u64()), (None, None, None, None));
        assert_eq!((attribute.ip(), attribute.mac()), (None, None));
    }

    #[test]
    fn a_switch_is_on_without_a_value_and_off_with_zero() {
        let switch = |value| Attribute { kind: 1, value }.is_on();
        assert!(switch(&[]) && switch(&[1]) && !switch(&[0]));
    }
}
