//! What does the target table know of a destination? States, where the knowledge is from, and a row of the table.

use overlay_decoder::{Mac, Ul3};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The life of a target entry. Which event leads where stands in one table, in the engine's `target::state`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum EntryState {
    /// Nothing is known and nobody has asked.
    Absent = 0,
    /// Asked; frames wait for the answer.
    Pending = 1,
    /// Answered; the frames that waited are being sent, newer ones queue behind them.
    Draining = 2,
    /// Frames are sent to the answer's destination.
    Valid = 3,
    /// Frames are still sent to the destination, but its time is over or its answerer is away: it is asked for again on use.
    Stale = 4,
    /// Stale and asked for again; frames go on to the old destination.
    Renewing = 5,
    /// Frames are dropped: the lookup or the operator said so.
    Drop = 6,
}

impl EntryState {
    /// All states, in the order of their numbers.
    pub const ALL: &[Self] = &[Self::Absent, Self::Pending, Self::Draining, Self::Valid, Self::Stale, Self::Renewing, Self::Drop];

    /// The name: one word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Pending => "pending",
            Self::Draining => "draining",
            Self::Valid => "valid",
            Self::Stale => "stale",
            Self::Renewing => "renewing",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for EntryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who said where a destination is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Source {
    /// A lookup was answered.
    Lookup = 0,
    /// The operator set it; it has no time limit, is never evicted, and comes back after a restart.
    Static = 1,
    /// A plugin set it without being asked.
    Plugin = 2,
}

impl Source {
    /// The name: one word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Static => "static",
            Self::Plugin => "plugin",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row of the target table, as `show-overlay -t`, the API and overlay-top show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetRow {
    /// The inner destination (VL2).
    pub mac: Mac,
    /// Where frames for it go; none while that is not known, several for a replication list.
    pub ul3: Vec<Ul3>,
    /// Its state at the time of the dump.
    pub state: EntryState,
    /// Nanoseconds since it came into this state.
    pub age_ns: u64,
    /// Nanoseconds since a frame last used it.
    pub idle_ns: u64,
    /// Frames that were sent by this entry; a super-frame counts once.
    pub hits: u64,
    /// Bytes of those frames, without encapsulation.
    pub bytes: u64,
    /// Bytes of frames that wait for an answer.
    pub pending_bytes: u64,
    /// Who said so.
    pub source: Source,
    /// Nanoseconds until it becomes stale (or, in state `drop`, is forgotten); none without a time limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_sources_have_one_name_everywhere() {
        for (number, state) in EntryState::ALL.iter().enumerate() {
            assert_eq!(*state as usize, number, "counters and probes number them so");
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(serde_json::from_value::<EntryState>(state.name().into()).unwrap(), *state);
            assert_eq!(state.to_string(), state.name());
        }
        for (number, source) in [Source::Lookup, Source::Static, Source::Plugin].iter().enumerate() {
            assert_eq!(*source as usize, number);
            assert_eq!(serde_json::to_value(source).unwrap(), source.name());
            assert_eq!(source.to_string(), source.name());
        }
    }

    #[test]
    fn a_row_is_an_object_with_addresses_in_their_spelling() {
        let row = TargetRow {
            mac: "2:8:20:a:0:1".parse().unwrap(),
            ul3: vec!["[fd00::2]:4789".parse().unwrap()],
            state: EntryState::Renewing,
            age_ns: 1,
            idle_ns: 2,
            hits: 3,
            bytes: 4,
            pending_bytes: 5,
            source: Source::Plugin,
            expires_ns: None,
        };
        let json = r#"{"mac":"02:08:20:0a:00:01","ul3":["[fd00::2]:4789"],"state":"renewing","age_ns":1,"idle_ns":2,"hits":3,"bytes":4,"pending_bytes":5,"source":"plugin"}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), json);
        assert_eq!(serde_json::from_str::<TargetRow>(json).unwrap(), row);
        let row = TargetRow { ul3: vec![], expires_ns: Some(u64::MAX), ..row };
        let json = serde_json::to_string(&row).unwrap();
        assert!(json.contains("\"ul3\":[]") && json.ends_with("\"expires_ns\":18446744073709551615}"), "{json}");
        assert_eq!(serde_json::from_str::<TargetRow>(&json).unwrap(), row);
    }
}
