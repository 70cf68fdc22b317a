//! Which words do the rooms of the stack share? Questions, answers, fates, reasons, properties and configuration.
//!
//! ```text
//!           Lookup                        Answer
//!  engine ─────────► overlayd ─► varpd ─────────► engine          lookup
//!  overlayd ◄── packets of messages ──► varpd                         channel
//!  engine ── Verdict, DropReason ──► probes, API, replay, trace   verdict, drop
//!  engine ── TargetRow, EntryState ──► API, overlayadm, top       entry
//!  files  ── HostConfig, Mapping ────► engine, varpd              config, mapping
//!  calls  ── Overlay, Vnic, Problem ─► overlayadm, top            control
//! ```
//!
//! Nothing here opens a socket. What is written to disk goes through [`mod@file`], ids come from [`ids`].
#![forbid(unsafe_code)]

pub mod channel;
pub mod config;
pub mod control;
pub mod document;
mod drop;
mod entry;
pub mod file;
pub mod ids;
mod json;
mod lookup;
pub mod mapping;
mod names;
mod nearest;
pub mod paths;
mod property;
mod verdict;

pub use config::{DeviceConfig, HostConfig, StaticEntry, StaticTarget, VnicConfig};
pub use drop::{Direction, DropReason};
pub use entry::{EntryState, Source, TargetRow};
pub use ids::{Id, IdError, Ids};
pub use json::{ParseError, Place};
pub use lookup::{Answer, DESTINATIONS_MAX, DeviceId, Lookup, PortId, Question, RequestId, UnderlayId};
pub use mapping::Mapping;
pub use names::{LinkName, ModuleName, NameError, NamespaceName};
pub use nearest::nearest;
pub use paths::Paths;
pub use property::{Access, Assignment, Kind, Prefix, Properties, PropertyError, PropertySpec, Value};
pub use verdict::Verdict;
