//! Which bridge is the root? Spanning tree BPDUs: STP, RSTP and MSTP (IEEE 802.1D-2004 9.3, 802.1Q-2014 14.4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Protocol (0)          |    Version    |     Type      |
//! |     Flags     |  Root identifier (8 bytes) ...                |
//! |  ...          |  Root path cost (4 bytes) ...                 |
//! |  ...          |  Bridge identifier (8 bytes) ...              |
//! |  ...          |        Port identifier        |  Message age  |
//! |  ...          |            Max age            |  Hello time   |
//! |  ...          |         Forward delay         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! A topology change notification (type 0x80) ends after the type. RSTP adds one zero byte, MSTP its regions behind that.

use super::{Header, View};
use crate::addr::Mac;
use crate::fields::{Fields, key};
use crate::text::Text;

/// A spanning tree message. In a topology change notification everything behind the type is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stp {
    /// The protocol; 0 is spanning tree.
    pub protocol: u16,
    /// 0 STP, 2 RSTP, 3 MSTP, 4 SPT.
    pub version: u8,
    /// 0 configuration, 2 rapid, 0x80 topology change notification.
    pub kind: u8,
    /// Topology change (0x01), proposal, role, learning, forwarding, agreement, acknowledgment (0x80).
    pub flags: u8,
    /// The bridge taken for the root: priority and MAC.
    pub root: [u8; 8],
    /// Cost of the path to the root.
    pub root_cost: u32,
    /// The sender: priority and MAC.
    pub bridge: [u8; 8],
    /// Priority and number of the port.
    pub port: u16,
    /// Age of the message in 1/256 seconds.
    pub message_age: u16,
    /// Age at which it expires in 1/256 seconds.
    pub max_age: u16,
    /// Time between messages in 1/256 seconds.
    pub hello_time: u16,
    /// Time in listening and learning in 1/256 seconds.
    pub forward_delay: u16,
}

impl Stp {
    /// Length of a configuration message in bytes.
    pub const LENGTH: usize = 35;
    /// Length of a topology change notification in bytes.
    pub const NOTIFICATION_LENGTH: usize = 4;
    /// Type of a topology change notification.
    pub const NOTIFICATION: u8 = 0x80;

    /// Length in bytes that a message starting with these four has at least.
    #[must_use]
    pub const fn length_of(b: &[u8; Self::NOTIFICATION_LENGTH]) -> usize {
        if b[3] == Self::NOTIFICATION { Self::NOTIFICATION_LENGTH } else { Self::LENGTH }
    }

    /// Reads a message; `None` when there are fewer than [`Stp::length_of`] bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let first @ [p, q, version, kind] = *bytes.first_chunk()?;
        // What a notification does not have reads as zero.
        let b: [u8; Self::LENGTH] = if Self::length_of(&first) == Self::LENGTH { *bytes.first_chunk()? } else { [0; Self::LENGTH] };
        let half = |at: usize| u16::from_be_bytes([b[at], b[at + 1]]);
        let identifier = |at: usize| std::array::from_fn(|i| b[at + i]);
        Some(Self {
            protocol: u16::from_be_bytes([p, q]),
            version,
            kind,
            flags: b[4],
            root: identifier(5),
            root_cost: u32::from_be_bytes([b[13], b[14], b[15], b[16]]),
            bridge: identifier(17),
            port: half(25),
            message_age: half(27),
            max_age: half(29),
            hello_time: half(31),
            forward_delay: half(33),
        })
    }

    /// Writes the message: 4 or 35 bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = self.protocol.to_be_bytes().to_vec();
        out.extend([self.version, self.kind]);
        if self.kind == Self::NOTIFICATION {
            return out;
        }
        out.push(self.flags);
        out.extend(self.root);
        out.extend(self.root_cost.to_be_bytes());
        out.extend(self.bridge);
        for half in [self.port, self.message_age, self.max_age, self.hello_time, self.forward_delay] {
            out.extend(half.to_be_bytes());
        }
        out
    }

    const fn kind_name(kind: u8) -> Option<&'static str> {
        Some(match kind {
            0 => "config",
            2 => "rapid",
            Self::NOTIFICATION => "topology change notification",
            _ => return None,
        })
    }
}

/// Priority (with the system extension, as bridges print it) and MAC of a bridge identifier.
const fn bridge_of(identifier: [u8; 8]) -> (u16, Mac) {
    let [p, q, a, b, c, d, e, f] = identifier;
    (u16::from_be_bytes([p, q]), Mac([a, b, c, d, e, f]))
}

const fn version_name(version: u8) -> Option<&'static str> {
    Some(match version {
        0 => "stp",
        2 => "rstp",
        3 => "mstp",
        4 => "spt",
        _ => return None,
    })
}

/// The role in bits 2 and 3 of the flags (802.1D-2004 9.3.3).
const fn role_name(flags: u8) -> &'static str {
    match flags >> 2 & 3 {
        0 => "unknown",
        1 => "alternate or backup",
        2 => "root",
        _ => "designated",
    }
}

impl Header for Stp {
    fn fields<F: Fields>(&self, view: View<'_>, out: &mut F) {
        if self.protocol != 0 {
            out.hex(key!("protocol"), self.protocol.into(), 4);
        }
        out.named(key!("version"), self.version.into(), version_name(self.version));
        out.hex_named(key!("type"), self.kind.into(), 2, Self::kind_name(self.kind));
        if self.kind == Self::NOTIFICATION {
            return;
        }
        let ((root_priority, root), (bridge_priority, bridge)) = (bridge_of(self.root), bridge_of(self.bridge));
        out.hex(key!("flags"), self.flags.into(), 2);
        if self.kind == 2 {
            out.text(key!("role"), role_name(self.flags).as_bytes());
        }
        out.num(key!("root_priority"), root_priority.into());
        out.mac(key!("root"), root);
        out.num(key!("root_cost"), self.root_cost.into());
        out.num(key!("bridge_priority"), bridge_priority.into());
        out.mac(key!("bridge"), bridge);
        out.hex(key!("port"), self.port.into(), 4);
        if !out.wants_details() {
            return;
        }
        // In 1/256 seconds on the wire; whole seconds is what bridges are set to.
        out.num(key!("message_age_seconds"), (self.message_age >> 8).into());
        out.num(key!("max_age_seconds"), (self.max_age >> 8).into());
        out.num(key!("hello_time_seconds"), (self.hello_time >> 8).into());
        out.num(key!("forward_delay_seconds"), (self.forward_delay >> 8).into());
        // MSTP (802.1Q-2014 14.4): a format selector at byte 38, then region name and revision.
        if let Some(region) = view.header.get(39..73).filter(|_| self.version >= 3) {
            let (name, revision) = region.split_at(32);
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            out.text(key!("region"), &name[..end]);
            out.num(key!("revision"), revision.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)));
        }
    }

    fn summary(&self, _: View<'_>, out: &mut Text) {
        match Self::kind_name(self.kind) {
            Some(name) => out.text(name),
            None => {
                out.text("type ");
                out.hex(self.kind.into(), 2);
            }
        }
        if self.kind == Self::NOTIFICATION {
            return;
        }
        for (name, identifier) in [(" root ", self.root), (" bridge ", self.bridge)] {
            let (priority, mac) = bridge_of(identifier);
            out.text(name);
            out.num(priority.into());
            out.byte(b'/');
            out.mac(mac);
        }
        out.text(" cost ");
        out.num(self.root_cost.into());
        if self.flags & 1 != 0 {
            out.text(" topology change");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(stp: &Stp) -> String {
        let mut text = Text::new();
        stp.summary(View { header: &[], payload: &[], claimed: 0 }, &mut text);
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    /// What a Linux bridge sends every two seconds.
    const HELLO: [u8; 35] = [
        0, 0, 0, 0, 0, 0x80, 0, 2, 0x42, 0xac, 0x11, 0, 2, 0, 0, 0, 4, 0x80, 1, 2, 0x42, 0xac, 0x11, 0, 3, 0x80, 2, 1, 0, 20, 0, 2, 0, 15,
        0,
    ];

    #[test]
    fn a_hello_names_root_and_sender() {
        let hello = Stp::parse(&HELLO).unwrap();
        assert_eq!((hello.port, hello.message_age, hello.max_age, hello.forward_delay), (0x8002, 256, 20 * 256, 15 * 256));
        assert_eq!(summary(&hello), "config root 32768/02:42:ac:11:00:02 bridge 32769/02:42:ac:11:00:03 cost 4");
        assert_eq!(Stp::parse(&HELLO[..34]), None);
    }

    #[test]
    fn a_notification_is_four_bytes() {
        let notification = Stp::parse(&[0, 0, 0, 0x80]).unwrap();
        assert_eq!(notification.emit(), [0, 0, 0, 0x80]);
        assert_eq!(summary(&notification), "topology change notification");
        assert_eq!(Stp::parse(&[0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(mut bytes in prop::array::uniform32(any::<u8>()), notification: bool) {
            if notification { bytes[3] = Stp::NOTIFICATION }
            let bytes = [&bytes[..], &[1, 2, 3]].concat();
            let emitted = Stp::parse(&bytes).unwrap().emit();
            prop_assert_eq!(&emitted[..], &bytes[..emitted.len()]);
        }
    }
}
