//! What has just happened? The lines of `GET /v1/events`.

use super::{OverlayState, Timestamp, VnicState};
use crate::LinkName;
use overlay_decoder::Mac;
use serde::{Deserialize, Serialize};

/// Something that happened, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub timestamp: Timestamp,
    /// What; its keys stand beside the time's.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened. The key `event` says which of these it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    /// An overlay was made.
    OverlayCreated {
        /// Which.
        overlay: LinkName,
    },
    /// An overlay was deleted.
    OverlayDeleted {
        /// Which.
        overlay: LinkName,
    },
    /// An overlay's state, or the reason for it, changed.
    OverlayState {
        /// Which.
        overlay: LinkName,
        /// What it is now.
        state: OverlayState,
        /// Why it is degraded or down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A VNIC was made.
    VnicCreated {
        /// Which.
        vnic: LinkName,
        /// On which overlay.
        overlay: LinkName,
    },
    /// A VNIC was deleted.
    VnicDeleted {
        /// Which.
        vnic: LinkName,
        /// On which overlay it was.
        overlay: LinkName,
    },
    /// A VNIC's state, or the reason for it, changed.
    VnicState {
        /// Which.
        vnic: LinkName,
        /// What it is now.
        state: VnicState,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A property was set or reset.
    PropertyChanged {
        /// The overlay or VNIC.
        link: LinkName,
        /// Which property.
        name: String,
        /// What holds now; none where there is no default either.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// A target was set by hand.
    TargetSet {
        /// On which overlay.
        overlay: LinkName,
        /// The inner destination (VL2).
        mac: Mac,
    },
    /// A target was deleted by hand.
    TargetDeleted {
        /// On which overlay.
        overlay: LinkName,
        /// The inner destination (VL2).
        mac: Mac,
    },
    /// A target table was flushed.
    TargetsFlushed {
        /// On which overlay.
        overlay: LinkName,
        /// How many entries were forgotten.
        flushed: usize,
    },
    /// Who answers lookups came or went.
    Answerer {
        /// Whether one is connected now.
        attached: bool,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// This reader was too slow: so many events before the next one are not shown to it.
    Missed {
        /// How many.
        missed: u64,
    },
}
