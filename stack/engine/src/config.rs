//! What is the engine told when it is made, and when a device is?

use overlay_api::{Access, Kind, PropertySpec};
use overlay_decoder::Vni;
use std::borrow::Cow;

/// Bounds of the engine. All of them are there so that nobody, on neither side, can make it grow without end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Frames on their way from the workers to the control half.
    pub miss_queue: usize,
    /// Bytes that wait for the answer to one entry's lookup.
    pub pending_bytes_per_entry: usize,
    /// Bytes that wait for answers on one device.
    pub pending_bytes_per_device: usize,
    /// Frames that wait for answers on one device: small ones cost more than their bytes.
    pub pending_frames_per_device: usize,
    /// Lookups of one device that are not answered yet.
    pub lookups_per_device: usize,
    /// Nanoseconds that a lookup waits for its answer.
    pub lookup_timeout_ns: u64,
    /// Bytes of a frame that a lookup carries.
    pub lookup_snapshot: usize,
    /// Nanoseconds for which a draining entry lets its flow queue behind; afterwards the flow is held until the queue is empty.
    pub drain_ns: u64,
    /// Nanoseconds after which a stale entry that nobody uses is forgotten.
    pub idle_ns: u64,
    /// Frames that the control half takes from the queue in one call.
    pub misses_per_call: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            miss_queue: 4096,
            // illumos: overlay_ent_size, 128 KiB.
            pending_bytes_per_entry: 128 * 1024,
            pending_bytes_per_device: 8 * 1024 * 1024,
            pending_frames_per_device: 16_384,
            lookups_per_device: 8192,
            lookup_timeout_ns: 10_000_000_000,
            lookup_snapshot: 2048,
            drain_ns: 5_000_000,
            idle_ns: 600_000_000_000,
            misses_per_call: 1024,
        }
    }
}

/// Destinations that a replication list has at most: a frame is sent to each of them, so a list multiplies what a tenant sends.
pub const DESTINATIONS_MAX: usize = overlay_api::DESTINATIONS_MAX;

/// How an engine is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Data path threads, each with a worker of its own; at least 1, at most 65,535.
    pub workers: usize,
    /// Seed of all hashes: secret and random in a daemon, fixed in a replay.
    pub seed: u64,
    /// Whether the control half also puts out verdicts. For replay, tests and trace.
    pub explain: bool,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self { workers: 1, seed: 0, explain: false, limits: Limits::default() }
    }
}

/// How a device is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceSpec {
    /// Its name.
    pub name: String,
    /// Name of its encapsulation.
    pub encapsulation: String,
    /// Its virtual network.
    pub vni: Vni,
    /// Where its frames go.
    pub search: Search,
    /// Its properties: name, and value as typed.
    pub properties: Vec<(String, String)>,
}

/// Who says where frames go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Search {
    /// The device itself: all to one destination.
    Direct,
    /// Lookups, answered by a plugin or by hand.
    Dynamic,
}

const fn uint(name: &'static str, min: u64, max: u64, access: Access, default: Option<&'static str>, doc: &'static str) -> PropertySpec {
    PropertySpec::new(name, Kind::Uint { min, max }, access, default, doc)
}

/// Properties of every device.
pub const DEVICE: &[PropertySpec] = &[
    uint(
        "mtu",
        576,
        65_000,
        Access::Live,
        Some("1400"),
        "Largest packet that a frame carries behind its Ethernet header and VLAN tags. With the encapsulation around it, it has to fit the underlay.",
    ),
    uint("vnetid", 0, Vni::MAX.get() as u64, Access::Live, None, "The virtual network: VNI or VSID.").required(),
    PropertySpec::new(
        "encap",
        Kind::Choice(Cow::Borrowed(&[Cow::Borrowed("vxlan"), Cow::Borrowed("geneve"), Cow::Borrowed("nvgre")])),
        Access::ReadOnly,
        None,
        "The encapsulation.",
    ),
    PropertySpec::new(
        "ping/answer",
        Kind::Choice(Cow::Borrowed(&[Cow::Borrowed("on"), Cow::Borrowed("off")])),
        Access::Live,
        Some("on"),
        "Whether pings of other hosts (overlayadm ping) are answered. Whoever can send into the virtual network can send pings, too; answers go \
         back to where the question came from, are no longer than it, and at most 200 a second.",
    ),
];

/// Properties of the underlay that a device sends through. Devices with equal listening parameters and an equal namespace share one.
pub const UNDERLAY: &[PropertySpec] = &[
    PropertySpec::new(
        "underlay/namespace",
        Kind::Text { max: 255 },
        Access::Live,
        Some(""),
        "The network namespace that encapsulated packets are sent and received in: a name that `ip netns` lists, or an absolute path; empty \
         is the daemon's own. It may come to exist later than the overlay, and go again.",
    ),
    PropertySpec::new(
        "underlay/trust_partial_checksum",
        Kind::Choice(Cow::Borrowed(&[Cow::Borrowed("on"), Cow::Borrowed("off")])),
        Access::Live,
        Some("on"),
        "Whether a packet whose inner TCP or UDP checksum is only begun is taken (on), as the kernel's tunnels send them over virtual links, \
         where nothing can be damaged, or dropped (off), because over a wire nobody has checked what it carries.",
    ),
];

/// Properties of a device with [`Search::Direct`].
pub const DIRECT: &[PropertySpec] = &[
    PropertySpec::new("direct/dest_ip", Kind::Ip, Access::Live, None, "Where all frames go.").required(),
    uint("direct/dest_port", 1, 65_535, Access::Live, None, "The UDP port there. Not used by encapsulations without one."),
];

/// Properties of a device with [`Search::Dynamic`].
pub const DYNAMIC: &[PropertySpec] = &[
    uint(
        "target/max",
        1,
        16_777_216,
        Access::Live,
        Some("1048576"),
        "Entries of the target table. When there are more, those that were used longest ago are evicted.",
    ),
    uint(
        "target/ttl",
        0,
        31_536_000,
        Access::Live,
        Some("0"),
        "Seconds for which an answer holds that does not say so itself; 0 is without limit.",
    ),
    uint(
        "target/negative_ttl",
        0,
        86_400,
        Access::Live,
        Some("5"),
        "Seconds for which a refusal holds that does not say so itself; with 0 the next frame asks again.",
    ),
];
