//! Where does a device send a frame for this station? One entry of its forwarding database.
//!
//! Sources: linux/neighbour.h; bridge(8) for the words of flags and states; `vxlan_fdb_info` for what a vxlan device leaves out: a port or
//! VNI that equals the device's own.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use overlay_decoder::{Mac, Ul3, Vni};

use super::netlink::{Attributes, u16_at, u32_at};
use super::tunnel::Tunnel;

/// `struct ndmsg`: family(1) pad(3) index(4) state(2) flags(1) type(1).
const HEADER_BYTES: usize = 12;

/// One entry. A group address and the default may have several destinations (replication): one entry for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbEntry {
    /// The device whose table it is in, or the port of the bridge whose table it is in.
    pub link: u32,
    /// VL2 address of the station; 0 stands for every unknown one, see [`Self::is_default`].
    pub mac: Mac,
    /// UL3 address that it is behind.
    pub dst: Option<IpAddr>,
    /// UDP port, where it is not the device's.
    pub port: Option<u16>,
    /// VNI to send with, where it is not the device's.
    pub vni: Option<Vni>,
    /// VNI that the entry belongs to, on external devices.
    pub src_vni: Option<Vni>,
    /// Interface that outer packets leave by, where it is fixed.
    pub lower: Option<u32>,
    /// The bridge whose table it is in.
    pub master: Option<u32>,
    /// VLAN of a bridge's entry.
    pub vlan: Option<u16>,
    /// Next hop group that is used in place of `dst`.
    pub nexthop: Option<u32>,
    /// Marks.
    pub flags: FdbFlags,
    /// States.
    pub state: FdbState,
    /// How long ago it was used, changed and confirmed.
    pub ages: Option<Ages>,
}

impl FdbEntry {
    /// Reads the body of an RTM_NEWNEIGH message; nothing where it is shorter than its fixed header or has no MAC address.
    #[must_use]
    pub fn from_message(body: &[u8]) -> Option<Self> {
        let mut mac = None;
        let mut entry = Self {
            link: u32_at(body, 4)?,
            mac: Mac([0; 6]),
            dst: None,
            port: None,
            vni: None,
            src_vni: None,
            lower: None,
            master: None,
            vlan: None,
            nexthop: None,
            state: FdbState(u16_at(body, 8)?),
            flags: FdbFlags(u32::from(*body.get(10)?)),
            ages: None,
        };
        body.get(..HEADER_BYTES)?;
        for attribute in Attributes::after(HEADER_BYTES, body) {
            match attribute.kind {
                1 => entry.dst = attribute.ip(),
                2 => mac = attribute.mac(),
                3 => entry.ages = Ages::from_value(attribute.value),
                5 => entry.vlan = attribute.u16(),
                6 => entry.port = attribute.u16_be(),
                7 => entry.vni = attribute.u32().and_then(Vni::new),
                8 => entry.lower = attribute.u32(),
                9 => entry.master = attribute.u32(),
                11 => entry.src_vni = attribute.u32().and_then(Vni::new),
                13 => entry.nexthop = attribute.u32(),
                15 => entry.flags.0 |= attribute.u32().unwrap_or_default() << 8,
                _ => {}
            }
        }
        entry.mac = mac?;
        Some(entry)
    }

    /// Where the frame goes: `dst` with the entry's port, or else that of the device.
    #[must_use]
    pub fn ul3(&self, device: &Tunnel) -> Option<Ul3> {
        self.dst.map(|ip| Ul3 { ip, port: self.port.or(device.port) })
    }

    /// The VNI that the frame is sent with: the entry's, or else the one it belongs to, or else the device's.
    #[must_use]
    pub fn sent_vni(&self, device: &Tunnel) -> Option<Vni> {
        self.vni.or(self.src_vni).or(device.vni)
    }

    /// Whether it is the destination of frames to stations that are not in the table, and of broadcasts.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.mac == Mac([0; 6])
    }

    /// Whether it is in the table of the bridge that the device is a port of, and not in the device's own.
    #[must_use]
    pub const fn is_of_bridge(&self) -> bool {
        self.master.is_some() && !self.flags.has(FdbFlags::OWN)
    }
}

/// Marks of an entry (`NTF_*`; those of NDA_FLAGS_EXT from bit 8 on); displayed in the words of `bridge fdb`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FdbFlags(pub u32);

impl FdbFlags {
    /// In use just now.
    pub const USE: Self = Self(1);
    /// In the device's own table (`self`).
    pub const OWN: Self = Self(1 << 1);
    /// In the table of the device's master.
    pub const MASTER: Self = Self(1 << 2);
    /// Proxy entry.
    pub const PROXY: Self = Self(1 << 3);
    /// Learned by somebody else than the kernel: a control plane.
    pub const EXT_LEARNED: Self = Self(1 << 4);
    /// Hardware has it too.
    pub const OFFLOADED: Self = Self(1 << 5);
    /// Does not move to another port.
    pub const STICKY: Self = Self(1 << 6);
    /// The station is a router.
    pub const ROUTER: Self = Self(1 << 7);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::USE, "use"),
        (Self::OWN, "self"),
        (Self::MASTER, "master"),
        (Self::PROXY, "proxy"),
        (Self::EXT_LEARNED, "extern_learn"),
        (Self::OFFLOADED, "offload"),
        (Self::STICKY, "sticky"),
        (Self::ROUTER, "router"),
    ];

    /// Whether all marks of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for FdbFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name))
    }
}

/// States of an entry (`NUD_*`); displayed by name, `none` where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FdbState(pub u16);

impl FdbState {
    /// Set or confirmed not long ago.
    pub const REACHABLE: Self = Self(0x02);
    /// Not heard of for a while.
    pub const STALE: Self = Self(0x04);
    /// Not learned and never changed by the kernel: no ageing.
    pub const NOARP: Self = Self(0x40);
    /// Set by an administrator or a control plane; stays.
    pub const PERMANENT: Self = Self(0x80);

    const NAMES: [(Self, &'static str); 8] = [
        (Self(0x01), "incomplete"),
        (Self::REACHABLE, "reachable"),
        (Self::STALE, "stale"),
        (Self(0x08), "delay"),
        (Self(0x10), "probe"),
        (Self(0x20), "failed"),
        (Self::NOARP, "noarp"),
        (Self::PERMANENT, "permanent"),
    ];

    /// Whether all states of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the kernel would never forget it by itself.
    #[must_use]
    pub const fn is_static(self) -> bool {
        self.has(Self::PERMANENT) || self.has(Self::NOARP)
    }
}

impl fmt::Display for FdbState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        write_names(f, Self::NAMES.iter().filter(|(state, _)| self.has(*state)).map(|(_, name)| *name))
    }
}

fn write_names<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (number, name) in names.enumerate() {
        let space = if number == 0 { "" } else { " " };
        write!(f, "{space}{name}")?;
    }
    Ok(())
}

/// NDA_CACHEINFO (`struct nda_cacheinfo`: confirmed, used, updated, references).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ages {
    /// Since it was confirmed; a vxlan device always says 0.
    pub confirmed: Age,
    /// Since a frame used it.
    pub used: Age,
    /// Since it was made or its destination changed.
    pub updated: Age,
}

impl Ages {
    fn from_value(value: &[u8]) -> Option<Self> {
        Some(Self { confirmed: Age(u32_at(value, 0)?), used: Age(u32_at(value, 4)?), updated: Age(u32_at(value, 8)?) })
    }
}

/// A time that has passed, in hundredths of a second (USER_HZ): small, because a table may have a million entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Age(pub u32);

impl Age {
    /// The time as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::netlink::append_attribute;
    use crate::host::netlink::{MessageBuilder, Messages};

    fn header(link: u32, state: u16, flags: u8) -> Vec<u8> {
        [&[7, 0, 0, 0][..], &link.to_ne_bytes(), &state.to_ne_bytes(), &[flags, 0]].concat()
    }

    fn read(message: MessageBuilder) -> Option<FdbEntry> {
        FdbEntry::from_message(Messages::new(&message.bytes()).next().unwrap().body)
    }

    fn device() -> Tunnel {
        let mut data = Vec::new();
        append_attribute(&mut data, 1, &77_u32.to_ne_bytes());
        append_attribute(&mut data, 15, &4789_u16.to_be_bytes());
        Tunnel::from_attributes("vxlan", Attributes::new(&data)).unwrap()
    }

    #[test]
    fn an_entry_is_read_with_all_that_is_known_of_it() {
        let ages: Vec<u8> = [0, 250, 6000, 1_u32].into_iter().flat_map(u32::to_ne_bytes).collect();
        let message = MessageBuilder::new(28, 0, 0, &header(7, 0xc0, 0x92))
            .attribute(1, &[10, 0, 0, 2])
            .attribute(2, &[2, 8, 0x20, 0xa, 0, 1])
            .attribute(3, &ages)
            .attribute(5, &100_u16.to_ne_bytes())
            .attribute(6, &4800_u16.to_be_bytes())
            .attribute(7, &78_u32.to_ne_bytes())
            .attribute(8, &3_u32.to_ne_bytes())
            .attribute(9, &9_u32.to_ne_bytes())
            .attribute(11, &79_u32.to_ne_bytes())
            .attribute(13, &5_u32.to_ne_bytes())
            .attribute(15, &1_u32.to_ne_bytes());
        let expected = FdbEntry {
            link: 7,
            mac: Mac([2, 8, 0x20, 0xa, 0, 1]),
            dst: Some([10, 0, 0, 2].into()),
            port: Some(4800),
            vni: Vni::new(78),
            src_vni: Vni::new(79),
            lower: Some(3),
            master: Some(9),
            vlan: Some(100),
            nexthop: Some(5),
            flags: FdbFlags(0x192),
            state: FdbState(0xc0),
            ages: Some(Ages { confirmed: Age(0), used: Age(250), updated: Age(6000) }),
        };
        let entry = read(message).unwrap();
        assert_eq!(entry, expected);
        assert_eq!(entry.ul3(&device()).unwrap().to_string(), "10.0.0.2:4800");
        assert_eq!(entry.sent_vni(&device()), Vni::new(78));
        assert_eq!((entry.flags.to_string().as_str(), entry.state.to_string().as_str()), ("self extern_learn router", "noarp permanent"));
        assert_eq!(expected.ages.unwrap().used.duration(), Duration::from_millis(2500));
        assert!(entry.state.is_static() && !entry.is_default() && !entry.is_of_bridge());
    }

    #[test]
    fn port_and_vni_that_are_not_said_are_those_of_the_device() {
        let message = MessageBuilder::new(28, 0, 0, &header(7, 2, 2)).attribute(1, &[10, 0, 0, 2]).attribute(2, &[0; 6]);
        let entry = read(message).unwrap();
        assert_eq!(entry.ul3(&device()).unwrap().to_string(), "10.0.0.2:4789");
        assert_eq!(entry.sent_vni(&device()), Vni::new(77));
        assert!(entry.is_default() && !entry.state.is_static());
        assert_eq!((FdbState(0).to_string().as_str(), FdbFlags(0).to_string().as_str()), ("none", ""));
    }

    #[test]
    fn a_message_without_header_or_station_is_no_entry() {
        assert_eq!(FdbEntry::from_message(&header(7, 2, 2)[..11]), None);
        assert_eq!(read(MessageBuilder::new(28, 0, 0, &header(7, 2, 2)).attribute(1, &[10, 0, 0, 2])), None);
        assert_eq!(read(MessageBuilder::new(28, 0, 0, &header(7, 2, 2)).attribute(2, &[1, 2, 3])), None);
    }

    #[test]
    fn a_million_entries_fit_in_100_megabytes() {
        assert!(size_of::<FdbEntry>() <= 104, "{} bytes", size_of::<FdbEntry>());
    }
}
