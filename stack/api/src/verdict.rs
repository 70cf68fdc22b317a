//! What became of a frame? The one type that replay, trace and the API explain a frame's fate with.

use crate::{DropReason, RequestId};
use overlay_decoder::{Ul3, Vni};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The fate of one frame or datagram.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// Encapsulated and sent.
    Transmit {
        /// The virtual network it is sent in.
        vni: Vni,
        /// Underlay destinations; several for a replication list.
        to: Vec<Ul3>,
        /// Ports of the same device that got a copy (broadcast and multicast).
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ports: Vec<String>,
    },
    /// Handed to ports of this host.
    Deliver {
        /// The virtual network.
        vni: Vni,
        /// Names of the ports.
        ports: Vec<String>,
    },
    /// Waits for the answer to a lookup; a later verdict of the same frame says what became of it.
    Pending {
        /// The virtual network.
        vni: Vni,
        /// The lookup, where it was asked at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
    },
    /// Another frame took its place: the lookup's answer was delivered back or sent instead, or it was a ping, which the engine takes itself.
    Answered {
        /// The virtual network.
        vni: Vni,
        /// `inject`, `resend` or `ping`.
        by: &'static str,
    },
    /// Went no further.
    Drop {
        /// The virtual network, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<Vni>,
        /// Why.
        reason: DropReason,
    },
}

impl Verdict {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Pending { .. })
    }
}

/// Reads what [`Verdict`] writes. Its own type, as a derived one would only read texts that live forever into `by`.
impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(tag = "verdict", rename_all = "lowercase")]
        enum Read {
            Transmit {
                vni: Vni,
                to: Vec<Ul3>,
                #[serde(default)]
                ports: Vec<String>,
            },
            Deliver {
                vni: Vni,
                ports: Vec<String>,
            },
            Pending {
                vni: Vni,
                request: Option<RequestId>,
            },
            Answered {
                vni: Vni,
                by: By,
            },
            Drop {
                vni: Option<Vni>,
                reason: DropReason,
            },
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum By {
            Inject,
            Resend,
            Ping,
        }
        Read::deserialize(deserializer).map(|read| match read {
            Read::Transmit { vni, to, ports } => Self::Transmit { vni, to, ports },
            Read::Deliver { vni, ports } => Self::Deliver { vni, ports },
            Read::Pending { vni, request } => Self::Pending { vni, request },
            Read::Answered { vni, by: By::Inject } => Self::Answered { vni, by: "inject" },
            Read::Answered { vni, by: By::Resend } => Self::Answered { vni, by: "resend" },
            Read::Answered { vni, by: By::Ping } => Self::Answered { vni, by: "ping" },
            Read::Drop { vni, reason } => Self::Drop { vni, reason },
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit { vni, to, ports } => {
                write!(f, "transmit vni {vni} to ")?;
                list(f, to)?;
                if ports.is_empty() {
                    return Ok(());
                }
                f.write_str(" and to port ")?;
                list(f, ports)
            }
            Self::Deliver { vni, ports } => {
                write!(f, "deliver vni {vni} to port ")?;
                list(f, ports)
            }
            Self::Pending { vni, request: Some(request) } => write!(f, "pending vni {vni} lookup {request}"),
            Self::Pending { vni, request: None } => write!(f, "pending vni {vni}"),
            Self::Answered { vni, by } => write!(f, "answered vni {vni} by {by}"),
            Self::Drop { vni: Some(vni), reason } => write!(f, "drop vni {vni} {reason}"),
            Self::Drop { vni: None, reason } => write!(f, "drop {reason}"),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(Verdict, &'static str, &'static str)> {
        let vni = Vni::MAX;
        let ul3 = |text: &str| text.parse::<Ul3>().unwrap();
        let ports = || vec!["vnic0".to_owned(), "vnic1".to_owned()];
        vec![
            (
                Verdict::Transmit { vni, to: vec![ul3("10.0.0.2:4789")], ports: vec![] },
                "transmit vni 16777215 to 10.0.0.2:4789",
                r#"{"verdict":"transmit","vni":16777215,"to":["10.0.0.2:4789"]}"#,
            ),
            (
                Verdict::Transmit { vni, to: vec![ul3("10.0.0.2"), ul3("[fd00::2]:6081")], ports: ports() },
                "transmit vni 16777215 to 10.0.0.2, [fd00::2]:6081 and to port vnic0, vnic1",
                r#"{"verdict":"transmit","vni":16777215,"to":["10.0.0.2","[fd00::2]:6081"],"ports":["vnic0","vnic1"]}"#,
            ),
            (
                Verdict::Deliver { vni, ports: ports() },
                "deliver vni 16777215 to port vnic0, vnic1",
                r#"{"verdict":"deliver","vni":16777215,"ports":["vnic0","vnic1"]}"#,
            ),
            (
                Verdict::Pending { vni, request: Some(RequestId(7)) },
                "pending vni 16777215 lookup 7",
                r#"{"verdict":"pending","vni":16777215,"request":7}"#,
            ),
            (Verdict::Pending { vni, request: None }, "pending vni 16777215", r#"{"verdict":"pending","vni":16777215}"#),
            (
                Verdict::Answered { vni, by: "inject" },
                "answered vni 16777215 by inject",
                r#"{"verdict":"answered","vni":16777215,"by":"inject"}"#,
            ),
            (
                Verdict::Answered { vni, by: "resend" },
                "answered vni 16777215 by resend",
                r#"{"verdict":"answered","vni":16777215,"by":"resend"}"#,
            ),
            (
                Verdict::Drop { vni: Some(vni), reason: DropReason::NoReceiver },
                "drop vni 16777215 no-receiver",
                r#"{"verdict":"drop","vni":16777215,"reason":"no-receiver"}"#,
            ),
            (
                Verdict::Drop { vni: None, reason: DropReason::HeaderInvalid },
                "drop header-invalid",
                r#"{"verdict":"drop","reason":"header-invalid"}"#,
            ),
        ]
    }

    #[test]
    fn a_verdict_has_one_line_and_one_object_and_is_read_back() {
        for (verdict, line, json) in all() {
            assert_eq!(verdict.to_string(), line);
            assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
            assert_eq!(serde_json::from_str::<Verdict>(json).unwrap(), verdict);
            assert_eq!(verdict.is_final(), !line.starts_with("pending"));
        }
    }

    #[test]
    fn a_verdict_is_read_amid_other_keys_and_in_any_order() {
        #[derive(Deserialize)]
        struct Line {
            number: u64,
            #[serde(flatten)]
            verdict: Verdict,
        }
        let line: Line = serde_json::from_str(r#"{"vni":5,"number":3,"reason":"too-big","verdict":"drop"}"#).unwrap();
        assert_eq!((line.number, line.verdict), (3, Verdict::Drop { vni: Vni::new(5), reason: DropReason::TooBig }));
    }

    #[test]
    fn what_is_no_verdict_says_why() {
        for (text, why) in [
            (r#"{"vni":5}"#, "missing field `verdict`"),
            (r#"{"verdict":"lost","vni":5}"#, "unknown variant `lost`"),
            (r#"{"verdict":"drop","reason":"bored"}"#, "unknown variant `bored`"),
            (r#"{"verdict":"answered","vni":5,"by":"reach"}"#, "unknown variant `reach`"),
            (r#"{"verdict":"deliver","vni":16777216,"ports":[]}"#, "vni 16777216: larger than 24 bits (max 16777215)"),
            (r#"{"verdict":"transmit","vni":5,"to":["10.0.0"]}"#, "10.0.0: not an underlay address"),
        ] {
            let error = serde_json::from_str::<Verdict>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
