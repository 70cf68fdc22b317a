//! Which files can still be opened? Landlock: those of the plan, for reading, and nothing else.
//!
//! Also: no TCP port is bound or connected to (UDP is outside of landlock; seccomp lets no socket be made at all), no signal
//! and no abstract Unix socket leaves the process. What is open already stays usable.

use super::{Outcome, spared};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// The newest interface that this list was written for: 6 brought the scopes. Less is "in part".
const WANTED: ABI = ABI::V6;

/// What can still be opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach<'a> {
    /// These files, and what is in these folders, for reading.
    Read(&'a [PathBuf]),
    /// Regular files in this folder, to be created, written, cut and removed.
    Create(BorrowedFd<'a>),
}

/// Restricts this thread, and those that it starts from now on. `others` is the number of threads that are spared.
pub(super) fn restrict(reach: Reach<'_>, others: usize) -> Outcome {
    match enforce(reach) {
        Ok(status) => outcome(&status, others),
        Err(error) => Outcome::Unavailable(format!("{error}")),
    }
}

fn enforce(reach: Reach<'_>) -> Result<RestrictionStatus, RulesetError> {
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?;
    let rules = match reach {
        Reach::Read(paths) => rules.add_rules(path_beneath_rules(paths, make_bitflags!(AccessFs::{ReadFile | ReadDir})))?,
        Reach::Create(folder) => {
            let rights: BitFlags<AccessFs> = make_bitflags!(AccessFs::{MakeReg | WriteFile | Truncate | RemoveFile});
            rules.add_rule(PathBeneath::new(folder, rights))?
        }
    };
    rules.restrict_self()
}

fn outcome(status: &RestrictionStatus, others: usize) -> Outcome {
    let abi = match status.landlock {
        LandlockStatus::NotEnabled => return Outcome::Unavailable("this kernel has it, but not in its lsm= list".to_owned()),
        LandlockStatus::NotImplemented => {
            return Outcome::Unavailable("Linux 5.13 or later has it; this kernel or container does not let it be used".to_owned());
        }
        LandlockStatus::Available { effective_abi, kernel_abi } => kernel_abi.unwrap_or(effective_abi as i32),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced if others == 0 => Outcome::Done(format!("landlock abi {abi} (full)")),
        RulesetStatus::FullyEnforced => Outcome::Partial { what: format!("landlock abi {abi}"), why: spared(others) },
        RulesetStatus::PartiallyEnforced => {
            Outcome::Partial { what: format!("landlock abi {abi}"), why: format!("this kernel knows less than abi {WANTED} (Linux 6.12)") }
        }
        RulesetStatus::NotEnforced => Outcome::Unavailable(format!("abi {abi} enforces none of it")),
    }
}
