//! Where does this frame go? The question that the engine asks, and the answers it understands.

use overlay_decoder::{Mac, Ul3, Vni};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Underlay addresses that a replication list has at most: a frame is copied to each of them.
pub const DESTINATIONS_MAX: usize = 256;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// An overlay device of one host.
    DeviceId(u32)
}
id! {
    /// A port of a device: where a VNIC is attached.
    PortId(u32)
}
id! {
    /// Where encapsulated packets leave and arrive: the listening parameters that devices share.
    UnderlayId(u32)
}
id! {
    /// A lookup that was asked. Never used again while it is outstanding.
    RequestId(u64)
}

/// One lookup. It is outstanding until it is answered, withdrawn or out of time; exactly one answer counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookup {
    /// The name of this question.
    pub request: RequestId,
    /// The device whose frame asks.
    pub device: DeviceId,
    /// Its virtual network.
    pub vni: Vni,
    /// What is asked.
    pub question: Question,
    /// A copy of the frame, as it came from the VNIC, at most the snapshot length of the engine's limits.
    pub frame: Vec<u8>,
}

/// The part of a lookup that most answers need.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// Inner source (VL2).
    pub source: Mac,
    /// Inner destination (VL2).
    pub destination: Mac,
    /// EtherType behind any VLAN tags; for IEEE 802.3 frames the length field.
    pub ethertype: u16,
    /// VLAN id of the outermost tag.
    pub vlan: Option<u16>,
    /// Bytes of the whole frame, of a super-frame all of it.
    pub len: u32,
}

/// What is said to a lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Send it there: one destination, or a replication list for a broadcast or multicast destination.
    Reach {
        /// Underlay addresses, at least one.
        to: Vec<Ul3>,
        /// Nanoseconds for which this holds; none is the device's default.
        ttl_ns: Option<u64>,
    },
    /// Drop it.
    Drop {
        /// Nanoseconds for which this holds; none is the device's default. Not used for broadcast and multicast.
        ttl_ns: Option<u64>,
    },
    /// Drop the question and deliver this frame to the port that asked (a proxied ARP reply, for example).
    Inject(Vec<u8>),
    /// Drop the question and send this frame in its place (a redirected DHCP request, for example).
    Resend(Vec<u8>),
}

impl Answer {
    /// One word for probes and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reach { .. } => "reach",
            Self::Drop { .. } => "drop",
            Self::Inject(_) => "inject",
            Self::Resend(_) => "resend",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_bare_number_in_text_and_in_json() {
        assert_eq!(RequestId(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(serde_json::to_string(&(DeviceId(1), PortId(2), UnderlayId(3), RequestId(4))).unwrap(), "[1,2,3,4]");
        assert_eq!(serde_json::from_str::<RequestId>("18446744073709551615").unwrap(), RequestId(u64::MAX));
        assert!(serde_json::from_str::<DeviceId>("4294967296").is_err());
    }

    #[test]
    fn a_question_is_read_back_as_it_was_asked() {
        let question = Question {
            source: "2:8:20:a:0:1".parse().unwrap(),
            destination: Mac::BROADCAST,
            ethertype: 0x0806,
            vlan: Some(4095),
            len: 65_550,
        };
        let json = r#"{"source":"02:08:20:0a:00:01","destination":"ff:ff:ff:ff:ff:ff","ethertype":2054,"vlan":4095,"len":65550}"#;
        assert_eq!(serde_json::to_string(&question).unwrap(), json);
        assert_eq!(serde_json::from_str::<Question>(json).unwrap(), question);
        assert_eq!(serde_json::from_str::<Question>(&json.replace("4095", "null")).unwrap().vlan, None);
    }

    #[test]
    fn answers_have_the_names_that_verdicts_use() {
        let answers = [
            (Answer::Reach { to: vec![], ttl_ns: None }, "reach"),
            (Answer::Drop { ttl_ns: Some(1) }, "drop"),
            (Answer::Inject(vec![]), "inject"),
            (Answer::Resend(vec![]), "resend"),
        ];
        for (answer, name) in answers {
            assert_eq!(answer.name(), name);
        }
    }
}
