//! Does the other end answer? What is asked with a ping, and the lines that tell of it.

use super::OverlayState;
use overlay_decoder::{Mac, Ul3};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Most frames of one ping before the largest is looked for.
pub const PING_COUNT_MAX: u32 = 10_000;
/// Longest time between two of them, and that one is waited for, in milliseconds.
pub const PING_WAIT_MAX_MS: u32 = 60_000;
/// Shortest time between two of them, in milliseconds.
pub const PING_INTERVAL_MIN_MS: u32 = 10;

/// What is to be pinged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PingTarget {
    /// An underlay address (UL3); without a port, at the one that frames go to.
    Ul3(Ul3),
    /// An inner destination (VL2): wherever its frames go.
    Mac(Mac),
}

impl fmt::Display for PingTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ul3(ul3) => ul3.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

impl FromStr for PingTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.parse(), text.parse()) {
            (Ok(mac), _) => Ok(Self::Mac(mac)),
            (_, Ok(ul3)) => Ok(Self::Ul3(ul3)),
            _ => Err(format!("{text}: an underlay address is expected, as 10.0.0.2, 10.0.0.2:4789 or [fd00::2]:4789, or a MAC address")),
        }
    }
}

impl Serialize for PingTarget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PingTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A ping: `POST /v1/overlays/NAME/ping`. The answer is a line for each [`PingEvent`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PingRequest {
    /// What is pinged; none is the other end of a direct overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PingTarget>,
    /// Bytes of the inner packet behind its Ethernet header, 46 to 65000.
    #[serde(default = "PingRequest::default_size")]
    pub size: u32,
    /// How many are sent, 1 to [`PING_COUNT_MAX`].
    #[serde(default = "PingRequest::default_count")]
    pub count: u32,
    /// Milliseconds from one to the next, [`PING_INTERVAL_MIN_MS`] to [`PING_WAIT_MAX_MS`].
    #[serde(default = "PingRequest::default_ms")]
    pub interval_ms: u32,
    /// Milliseconds that one is waited for, 1 to [`PING_WAIT_MAX_MS`].
    #[serde(default = "PingRequest::default_ms")]
    pub timeout_ms: u32,
    /// Whether the largest that passes is looked for afterwards.
    #[serde(default = "PingRequest::default_search")]
    pub search: bool,
}

impl PingRequest {
    const fn default_size() -> u32 {
        64
    }

    const fn default_count() -> u32 {
        5
    }

    const fn default_ms() -> u32 {
        1000
    }

    const fn default_search() -> bool {
        true
    }
}

impl Default for PingRequest {
    fn default() -> Self {
        let (size, count, ms) = (Self::default_size(), Self::default_count(), Self::default_ms());
        Self { to: None, size, count, interval_ms: ms, timeout_ms: ms, search: Self::default_search() }
    }
}

/// What happens in a ping. The last one is [`End`](PingEvent::End).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum PingEvent {
    /// It begins.
    Start {
        /// Where the pings go.
        to: Ul3,
        /// Why there, if a MAC was pinged: one sentence a decision.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<String>,
        /// Bytes of the inner packet.
        size: u32,
        /// Bytes of the IP packet that this is in the underlay.
        packet: u32,
        /// The overlay's MTU.
        mtu: u32,
        /// How the overlay is.
        state: OverlayState,
        /// Why it is not up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An answer came.
    Answer {
        /// To which.
        sequence: u32,
        /// Bytes of the inner packet.
        size: u32,
        /// Nanoseconds from the call that sent it to the thread that received the answer.
        time_ns: u64,
        /// From where.
        from: Ul3,
    },
    /// None came in time, or the ping could not even be sent.
    Lost {
        /// Which.
        sequence: u32,
        /// Bytes of the inner packet.
        size: u32,
        /// Why, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody on the way says why a ping does not arrive (ICMP). Nobody vouches for it.
    Told {
        /// Who.
        by: IpAddr,
        /// What it says.
        what: String,
    },
    /// It is over.
    End(PingEnd),
}

/// What came out of a ping.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PingEnd {
    /// How many were sent, or should have been; those that look for the largest are not counted.
    pub sent: u32,
    /// How many were answered.
    pub answered: u32,
    /// Shortest time in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ns: Option<u64>,
    /// Mean of all times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_ns: Option<u64>,
    /// Longest time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
    /// Bytes of the largest inner packet that passes unfragmented, as far as was looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<u32>,
    /// Bytes of the IP packet that this is in the underlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_packet: Option<u32>,
    /// The MTU of the other end's overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub far_mtu: Option<u32>,
    /// What follows from all this, in sentences.
    pub findings: Vec<String>,
}

impl PingEnd {
    /// How many of a hundred were lost.
    #[must_use]
    pub fn loss_percent(&self) -> u32 {
        let lost = u64::from(self.sent.saturating_sub(self.answered));
        u32::try_from(lost * 100 / u64::from(self.sent.max(1))).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_asked_for_with_as_much_as_is_wanted() {
        let read = |text: &str| serde_json::from_str::<PingRequest>(text).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(PingRequest::default()));
        let to = Some(PingTarget::Ul3("[fd00::2]:4789".parse().unwrap()));
        assert_eq!(read(r#"{"to":"[fd00::2]:4789","size":1400}"#), Ok(PingRequest { to, size: 1400, ..PingRequest::default() }));
        assert!(matches!(read(r#"{"to":"2:8:20:a:0:1"}"#), Ok(PingRequest { to: Some(PingTarget::Mac(_)), .. })));
        assert!(read(r#"{"to":"h2"}"#).unwrap_err().starts_with("h2: an underlay address is expected"));
        assert!(read(r#"{"sise":1}"#).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let told = PingEvent::Told { by: "10.0.0.9".parse().unwrap(), what: "no".to_owned() };
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(text, r#"{"event":"told","by":"10.0.0.9","what":"no"}"#);
        let end = PingEvent::End(PingEnd { sent: 3, answered: 2, ..PingEnd::default() });
        let text = serde_json::to_string(&end).unwrap();
        assert_eq!(text, r#"{"event":"end","sent":3,"answered":2,"findings":[]}"#);
        assert_eq!(serde_json::from_str::<PingEvent>(&text).unwrap(), end);
    }

    #[test]
    fn loss_is_never_more_than_all() {
        let lost = |sent, answered| PingEnd { sent, answered, ..PingEnd::default() }.loss_percent();
        assert_eq!([lost(0, 0), lost(5, 5), lost(5, 0), lost(3, 2), lost(2, 3)], [0, 0, 100, 33, 0]);
    }
}
