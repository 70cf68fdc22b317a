//! What may this process still do, once its sources are open? Ask what it asks, and no more.
//!
//! overlayd lets in whoever owns its socket or is in its group, the kernel tells its tables to anybody, and a capture is open already: for all that
//! no capability is needed. To look into other namespaces one has to enter them, each time anew: that keeps two. The user stays who it is: a
//! screen is no daemon, and what it writes (`w`) is the user's.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

/// Bits of a capability set.
const CAPABILITIES_MAX: u32 = 64;

/// Whether other namespaces are entered later on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visits {
    Nowhere,
    Namespaces,
}

/// Gives up every capability that is not needed any more, for this thread and those that it starts. To be called before there are others.
///
/// # Errors
/// A sentence, where the kernel does not let it.
pub(crate) fn give_up(visits: Visits) -> Result<(), String> {
    let keep = match visits {
        Visits::Nowhere => CapabilitySet::empty(),
        // setns(2), and /proc/PID/ns of processes of others.
        Visits::Namespaces => CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE,
    };
    let failed = |what: &str, error: Errno| format!("rights that are not needed cannot be given up: {what}: {error}");
    set_no_new_privs(true).map_err(|error| failed("no_new_privs", error))?;
    // By number: a kernel newer than this program has capabilities that it does not know.
    for bit in 0..CAPABILITIES_MAX {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The first number that this kernel does not have, or no right to change the set: then no_new_privs keeps it out of reach.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(failed("the bounding set", error)),
        }
    }
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(failed("the ambient set", error)),
    }
    let had = capabilities(None).map_err(|error| failed("capabilities", error))?;
    let kept = had.permitted & had.effective & keep;
    let wanted = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, wanted).map_err(|error| failed("capabilities", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_but_what_visits_need_and_nothing_comes_back() {
        // In a thread of its own: the others of this test program keep theirs.
        let done = std::thread::spawn(|| {
            let had = capabilities(None).unwrap().effective;
            give_up(Visits::Namespaces).unwrap();
            let visiting = capabilities(None).unwrap();
            give_up(Visits::Nowhere).unwrap();
            give_up(Visits::Namespaces).unwrap();
            (had, visiting, capabilities(None).unwrap())
        });
        let (had, visiting, last) = done.join().unwrap();
        let both = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE;
        assert_eq!((visiting.effective, visiting.inheritable), (had & both, CapabilitySet::empty()));
        assert_eq!((last.effective, last.permitted), (CapabilitySet::empty(), CapabilitySet::empty()));
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t0"), "only that thread has given up anything");
    }
}
