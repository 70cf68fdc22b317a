//! Which powers of root are left? None, or one.

use super::{Outcome, RightsError, Step, spared};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Bits of a capability set.
const CAPABILITIES_MAX: u32 = 64;

/// Empties the bounding set, so that not even a program started by uid 0 has a capability. Needs CAP_SETPCAP: before the user is changed.
///
/// Without CAP_SETPCAP (a program with file capabilities) the set stays; `no_new_privs` then is what keeps it out of reach.
pub(super) fn empty_bounding_set() -> Result<(), RightsError> {
    // By number, not by name: a kernel newer than this program has capabilities that it does not know.
    for bit in 0..CAPABILITIES_MAX {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The first number that this kernel does not have, or no right to change the set.
            Err(Errno::INVAL | Errno::PERM) => return Ok(()),
            Err(error) => return Err(failed("the bounding set", error)),
        }
    }
    Ok(())
}

/// Empties the ambient, inheritable, permitted and effective sets of this thread but for those of `keep` that it has.
/// `others` is the number of threads that keep theirs.
pub(super) fn keep_only(keep: CapabilitySet, others: usize) -> Result<Outcome, RightsError> {
    match clear_ambient_capability_set() {
        // Before Linux 4.3 there is no such set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(failed("the ambient set", error)),
    }
    let had = capabilities(None).map_err(|error| failed("reading them", error))?;
    let kept = had.permitted & had.effective & keep;
    let wanted = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, wanted).map_err(|error| failed("clearing them", error))?;
    let found = capabilities(None).map_err(|error| failed("reading them back", error))?;
    if found != wanted {
        return Err(RightsError::new(Step::Capabilities, format!("some stayed: {:#x}", found.permitted.bits())));
    }
    let what = if kept.is_empty() { "no capabilities" } else { "no capabilities but CAP_DAC_OVERRIDE" }.to_owned();
    Ok(if others == 0 { Outcome::Done(what) } else { Outcome::Partial { what, why: spared(others) } })
}

fn failed(what: &str, error: Errno) -> RightsError {
    RightsError::new(Step::Capabilities, format!("{what}: {error}"))
}
