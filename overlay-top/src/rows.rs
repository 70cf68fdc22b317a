//! What is shown? Rows, whatever they were learned from: overlayd, the kernel, packets, a recording.
//!
//! A source tells of all overlays, VNICs or lookups that it knows at once, of the part of its targets that is wanted, and of what happens.
//! These types are also the lines of a recording, so that `--record` and `--replay` are nothing but a file between source and state.

use overlay_decoder::{Mac, Ul3};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nanoseconds since 1970.
pub(crate) type Moment = u64;

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A virtual network of a device, and what it counted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OverlayRow {
    /// Which source tells of it: `overlayd`, `kernel`, `kernel NETNS`, an interface or a file.
    pub(crate) from: String,
    /// The device.
    pub(crate) name: String,
    pub(crate) vni: Option<u32>,
    /// `vxlan`, `geneve`, `nvgre`.
    pub(crate) encapsulation: String,
    /// Where frames go: the plugin, or who fills the kernel's table.
    pub(crate) search: String,
    pub(crate) state: String,
    /// Why it is not up.
    pub(crate) reason: Option<String>,
    /// For how long it has not been up.
    pub(crate) since_ns: Option<u64>,
    /// Where it listens.
    pub(crate) listen: Option<String>,
    pub(crate) mtu: Option<u32>,
    pub(crate) vnics: Option<u64>,
    pub(crate) targets: Option<u64>,
    /// Targets that wait for an answer, and how long the oldest of them has.
    pub(crate) pending: Option<u64>,
    pub(crate) oldest_pending_ns: Option<u64>,
    pub(crate) pending_bytes: Option<u64>,
    /// Lookups asked so far: misses of the table.
    pub(crate) misses: Option<u64>,
    /// To the underlay, and from it.
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    /// By reason.
    pub(crate) drops: BTreeMap<String, u64>,
    /// All other counters of the source, by name, for the detail pane.
    pub(crate) counters: BTreeMap<String, u64>,
}

impl OverlayRow {
    /// Drops of all reasons.
    pub(crate) fn dropped(&self) -> u64 {
        self.drops.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A destination of a virtual network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct TargetRow {
    pub(crate) from: String,
    pub(crate) overlay: String,
    pub(crate) vni: Option<u32>,
    /// VL2.
    pub(crate) mac: Mac,
    /// Where frames for it go; none while that is not known, several for a replication list.
    pub(crate) ul3: Vec<Ul3>,
    pub(crate) state: String,
    /// Since it came into this state.
    pub(crate) age_ns: Option<u64>,
    /// Since it was used.
    pub(crate) idle_ns: Option<u64>,
    pub(crate) hits: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) pending_bytes: Option<u64>,
    /// Who said so.
    pub(crate) source: String,
    /// Until it is stale.
    pub(crate) expires_ns: Option<u64>,
    /// Marks, as `bridge fdb` has them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) flags: String,
}

/// An interface on the inner side.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VnicRow {
    pub(crate) from: String,
    pub(crate) name: String,
    pub(crate) overlay: String,
    pub(crate) mac: Option<Mac>,
    pub(crate) netns: Option<String>,
    pub(crate) mtu: Option<u32>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// From the tenant, and to it.
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) drops: BTreeMap<String, u64>,
}

/// Who answers an overlay's lookups, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LookupRow {
    pub(crate) from: String,
    pub(crate) overlay: String,
    pub(crate) plugin: String,
    /// How the plugin's instance is; `away` where nobody answers.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) in_flight: u64,
    /// How long the oldest target that waits has waited.
    pub(crate) oldest_ns: Option<u64>,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) late: u64,
    pub(crate) timeouts: u64,
    pub(crate) reached: Option<u64>,
    pub(crate) refused: Option<u64>,
    pub(crate) entries: Option<u64>,
    /// How long answers of the last one to two minutes took: half of them at most, 99 of 100, the slowest.
    pub(crate) p50_ns: Option<u64>,
    pub(crate) p99_ns: Option<u64>,
    pub(crate) max_ns: Option<u64>,
    /// The same in a sentence, for all overlays of the plugin.
    pub(crate) of_plugin: Option<String>,
}

/// Something that was dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ExampleRow {
    pub(crate) reason: String,
    pub(crate) vni: Option<u32>,
    pub(crate) at: Moment,
    /// From where to where, and how long it was.
    pub(crate) text: String,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EventRow {
    pub(crate) at: Moment,
    pub(crate) from: String,
    /// `overlay-state`, `target-set`, ..
    pub(crate) event: String,
    /// Which overlay or VNIC.
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// The wanted part of a source's targets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TargetPart {
    /// How many the filter lets through.
    pub(crate) total: u64,
    /// How many of those are in each state.
    pub(crate) states: BTreeMap<String, u64>,
    /// Place of the first of `rows` among those.
    pub(crate) offset: u64,
    pub(crate) rows: Vec<TargetRow>,
    /// What is not exact about it, in a sentence.
    pub(crate) remark: Option<String>,
    /// What it answers: the number of the wish.
    pub(crate) wish: u64,
}

/// Where a capture file is played.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Playback {
    /// The first packet, the last that was read, and the place.
    pub(crate) begin: Moment,
    pub(crate) at: Moment,
    pub(crate) packets: u64,
    pub(crate) over: bool,
    /// Why it ended before its end: what is shown is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
}

/// What a source says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// All overlays that it knows, and what was dropped for none of them, by reason.
    Overlays {
        rows: Vec<OverlayRow>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        unattributed: BTreeMap<String, u64>,
    },
    /// All VNICs that it knows.
    Vnics { rows: Vec<VnicRow> },
    /// All of its lookups.
    Lookups { rows: Vec<LookupRow> },
    /// The last example of what was dropped for each reason.
    Examples { rows: Vec<ExampleRow> },
    /// The wanted targets.
    Targets(TargetPart),
    /// Something happened.
    Event { event: EventRow },
    /// It can be asked, or why not.
    Health { fault: Option<String> },
    /// What there is to know about it: sentences that stay until the next ones.
    Notes { sentences: Vec<String> },
    /// Where its file is.
    Playback(Playback),
    /// What it counted before does not count any more: it starts again.
    Restart,
    /// All that was wished under this number has been told.
    Done { wish: u64 },
}

/// A report, who says it, and when: a line of a recording.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) at: Moment,
    pub(crate) by: String,
    #[serde(flatten)]
    pub(crate) report: Report,
}
