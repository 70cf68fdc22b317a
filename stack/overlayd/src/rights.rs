//! What may the daemon do? Interfaces, raw sockets and namespaces, and nothing else that root may.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// TAPs, addresses and routes; raw sockets (NVGRE); entering namespaces.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::SYS_ADMIN);

/// Gives up every capability but those that are needed, for this thread and those that it starts.
///
/// # Errors
/// A sentence: without one of the first two nothing can be done.
pub(crate) fn give_up() -> Result<(), String> {
    let had = capabilities(None).map_err(|error| format!("capabilities cannot be read: {error}"))?;
    let kept = had.permitted.intersection(NEEDED);
    for (capability, name) in [(CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"), (CapabilitySet::NET_RAW, "CAP_NET_RAW")] {
        if !kept.contains(capability) {
            return Err(format!("{name} is needed and not there; start overlayd as root or with AmbientCapabilities={name}"));
        }
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|error| format!("capabilities cannot be given up: {error}"))
}
