//! What may this process still do? Once everything is open: as little as the kernel lets it give up.
//!
//! ```text
//! open handles, files, the opener ─► drop_rights ─► start threads ─► read packets
//!
//! no_new_privs ─► bounding set ─► groups, gid, uid ─► the other capability sets ─► landlock ─► seccomp
//!   nothing         needs           needs CAP_SETUID     what a uid of 0 would     needs        last: it takes
//!   below may       CAP_SETPCAP,                         keep, or a file gave      no_new_privs the calls that the
//!   be regained     so before uid                                                               steps before it need
//! ```
//!
//! Call it **before other threads are started**: capabilities and landlock belong to a thread, and are inherited by those that
//! it starts. Threads that run already get the user and seccomp; what they do not get is said in the state.
//!
//! What stays possible on purpose: reading and writing what is open (a capture socket is one of those: bytes written to it
//! are a frame on that wire), memory, time, threads, ending.
//!
//! `capabilities(7)`, `landlock(7)`, `seccomp(2)`; `calls.rs` has the list of calls and why it is what it is.

mod calls;
mod capabilities;
mod files;
mod missing;
mod user;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trial;

pub(crate) use missing::{Need, missing_capability};

use rustix::thread::CapabilitySet;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// What is given up, and how much of it must succeed.
#[derive(Clone, Debug, Default)]
pub(crate) struct RightsPlan {
    /// Who the process is afterwards.
    pub(crate) user: UserChoice,
    /// Files, and folders with all that is in them, that can still be opened for reading. One that does not exist is left out.
    pub(crate) read: Vec<PathBuf>,
    /// What happens where the system lacks a step.
    pub(crate) enforcement: Enforcement,
}

/// Who the process is after the drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserChoice {
    /// `nobody` when started by root, otherwise the user that it is.
    #[default]
    Nobody,
    /// A name or a number, as after `-Z`.
    Named(String),
    /// The user that it is, root too.
    Keep,
}

/// What happens where the system lacks a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// It is said in the state, and the capture goes on.
    #[default]
    BestEffort,
    /// It is an error.
    Strict,
}

/// One of the things that are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// No program started from here has more rights.
    NoNewPrivs,
    /// User, group and further groups.
    User,
    /// Effective, permitted, inheritable, ambient and bounding set.
    Capabilities,
    /// Files, TCP ports, signals and abstract sockets.
    Landlock,
    /// System calls.
    Seccomp,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNewPrivs => "no_new_privs",
            Self::User => "user",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        })
    }
}

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it; the text says what is in force: `user nobody`.
    Done(String),
    /// Some of it.
    Partial {
        /// What is in force.
        what: String,
        /// What is not, and why.
        why: String,
    },
    /// None of it: the reason.
    Unavailable(String),
    /// There was nothing to give up, or it was asked to be kept: which of them.
    Skipped(String),
}

/// What [`drop_rights`] achieved, one outcome per step. `Display` is one line, for `-v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RightsState {
    steps: Vec<(Step, Outcome)>,
}

impl RightsState {
    /// How far `step` came; `None` when nobody tried.
    #[cfg(test)]
    pub(crate) fn outcome(&self, step: Step) -> Option<&Outcome> {
        self.steps.iter().find(|(tried, _)| *tried == step).map(|(_, outcome)| outcome)
    }

    /// Takes down an outcome; with [`Enforcement::Strict`] one that is not whole is an error.
    fn add(&mut self, step: Step, outcome: Outcome, enforcement: Enforcement) -> Result<(), RightsError> {
        if let (Enforcement::Strict, Outcome::Partial { why, .. } | Outcome::Unavailable(why)) = (enforcement, &outcome) {
            return Err(RightsError::new(step, format!("{why}; the strict sandbox needs it: leave it off, or mend this")));
        }
        self.steps.push((step, outcome));
        Ok(())
    }
}

impl fmt::Display for RightsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rights: ")?;
        for (index, (step, outcome)) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match outcome {
                Outcome::Done(what) => f.write_str(what)?,
                Outcome::Partial { what, why } => write!(f, "{what} (in part: {why})")?,
                Outcome::Unavailable(why) => write!(f, "without {step} ({why})")?,
                Outcome::Skipped(why) => write!(f, "{step} as before ({why})")?,
            }
        }
        Ok(())
    }
}

/// Why a process could not give up what it should: the step and a sentence that someone can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RightsError {
    step: Step,
    sentence: String,
}

impl RightsError {
    fn new(step: Step, sentence: impl Into<String>) -> Self {
        Self { step, sentence: sentence.into() }
    }
}

impl fmt::Display for RightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropping rights: {}: {}", self.step, self.sentence)
    }
}

impl std::error::Error for RightsError {}

/// Gives up every right that a running capture does not need. There is no way back.
///
/// # Errors
///
/// When root cannot become the user of the plan, or capabilities stay: going on would mean more rights than promised. With
/// [`Enforcement::Strict`] also when the system lacks a step. The process should end: some steps are done by then.
pub(crate) fn drop_rights(plan: &RightsPlan) -> Result<RightsState, RightsError> {
    let others = other_threads();
    // Resolved while the name service can still be asked.
    let target = user::resolve(&plan.user)?;
    let mut state = RightsState { steps: Vec::new() };
    let no_new_privs = no_new_privs()?;
    capabilities::empty_bounding_set()?;
    let switched = user::switch(&target)?;
    let capabilities = capabilities::keep_only(CapabilitySet::empty(), if matches!(switched, Outcome::Done(_)) { 0 } else { others })?;
    state.add(Step::User, switched, plan.enforcement)?;
    state.add(Step::Capabilities, capabilities, plan.enforcement)?;
    state.add(Step::NoNewPrivs, no_new_privs, plan.enforcement)?;
    state.add(Step::Landlock, files::restrict(files::Reach::Read(&plan.read), others), plan.enforcement)?;
    let role = if plan.read.is_empty() { calls::Role::Capture } else { calls::Role::CaptureAndRead };
    state.add(Step::Seccomp, calls::restrict(role), plan.enforcement)?;
    Ok(state)
}

/// Gives up what the opener does not need: it stays the user that it is, keeps CAP_DAC_OVERRIDE if it has it (root writes into
/// folders of others), and reaches nothing but `folder`.
///
/// # Errors
///
/// As [`drop_rights`].
pub(crate) fn confine_opener(folder: BorrowedFd<'_>, enforcement: Enforcement) -> Result<RightsState, RightsError> {
    let mut state = RightsState { steps: Vec::new() };
    let others = other_threads();
    let no_new_privs = no_new_privs()?;
    capabilities::empty_bounding_set()?;
    state.add(Step::Capabilities, capabilities::keep_only(CapabilitySet::DAC_OVERRIDE, others)?, enforcement)?;
    state.add(Step::NoNewPrivs, no_new_privs, enforcement)?;
    state.add(Step::Landlock, files::restrict(files::Reach::Create(folder), others), enforcement)?;
    state.add(Step::Seccomp, calls::restrict(calls::Role::Opener), enforcement)?;
    Ok(state)
}

fn no_new_privs() -> Result<Outcome, RightsError> {
    rustix::thread::set_no_new_privs(true).map_err(|error| RightsError::new(Step::NoNewPrivs, error.to_string()))?;
    Ok(Outcome::Done("no_new_privs".to_owned()))
}

/// Threads that are not counted: the calling one, and in a test the main thread of libtest, which only waits.
const OWN_THREADS: usize = if cfg!(test) { 2 } else { 1 };

/// Threads of this process beside the calling one. Without /proc none is known, and none is assumed.
fn other_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.count().saturating_sub(OWN_THREADS))
}

/// What threads that run already do not get.
fn spared(others: usize) -> String {
    let threads =
        if others == 1 { "thread was started before and keeps its own" } else { "threads were started before and keep their own" };
    format!("{others} {threads}")
}
