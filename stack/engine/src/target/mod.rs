//! Where does a frame go? The target table of a dynamic device.

mod entry;
mod gate;
mod state;
mod table;

pub(crate) use entry::{Entry, Route};
pub(crate) use gate::Passage;
pub use state::{Action, Event, Step, step};
pub(crate) use state::{OnFrame, on_frame};
pub use table::Targets;
pub(crate) use table::{Evicted, Pinned, Ring, Table};
