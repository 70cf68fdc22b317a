//! Which calls of the plugin have not returned? One that takes too long is the end of the process, by its name.

use super::room::say_line;
use overlay_varpd::abi::{Level, leave};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The calls that there are. Their place says which one hung, in the status that the process ends with.
const CALLS: &[&str] = &[
    "load",
    "create",
    "set_property",
    "restore",
    "start",
    "stop",
    "destroy",
    "lookup",
    "arp",
    "ndp",
    "dhcp",
    "vnic_added",
    "vnic_removed",
    "save",
];
/// The status of the first of them: above those of sysexits(3) and of shells (126 to 165), which plugins may use themselves.
const HUNG: i32 = 200;
/// The status of a process that has said more than varpd could read.
pub(crate) const TALKED: i32 = 230;
/// What loading may take at most, whatever other calls may: varpd does not begin its work before.
pub(crate) const LOAD_MAX: Duration = Duration::from_secs(15);
/// How often it is looked, at least.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The call that hung, by the status that a process has ended with, and what it may have taken where others may take `ceiling`.
pub(crate) fn call_of(status: i32, ceiling: Duration) -> Option<(&'static str, Duration)> {
    let call = CALLS.get(usize::try_from(status.checked_sub(HUNG)?).ok()?).copied()?;
    Some((call, ceiling_of(call, ceiling)))
}

fn ceiling_of(call: &str, ceiling: Duration) -> Duration {
    if call == "load" { ceiling.min(LOAD_MAX) } else { ceiling }
}

/// The calls that have not returned.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    begun: u64,
    calls: HashMap<u64, (&'static str, Instant)>,
}

/// Watches from now on.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(ceiling: Duration) -> io::Result<Watch> {
    let watch = Watch::default();
    let watched = watch.clone();
    Builder::new().name("watch".to_owned()).spawn(move || {
        loop {
            std::thread::sleep((ceiling / 20).min(LOOK_MAX));
            if let Some(call) = watched.hung(ceiling) {
                say_line(Level::Error, &format!("the call {call} has not returned for {} ms", ceiling_of(call, ceiling).as_millis()));
                let at = CALLS.iter().position(|known| *known == call).unwrap_or(0);
                leave(HUNG + at as i32);
            }
        }
    })?;
    Ok(watch)
}

impl Watch {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; it has returned when the result is dropped.
    pub(super) fn begin(&self, call: &'static str) -> Call<'_> {
        let mut running = self.running();
        running.begun += 1;
        let number = running.begun;
        running.calls.insert(number, (call, Instant::now()));
        Call { watch: self, number }
    }

    fn hung(&self, ceiling: Duration) -> Option<&'static str> {
        let running = self.running();
        let too_long = running.calls.values().filter(|(call, begun)| begun.elapsed() >= ceiling_of(call, ceiling));
        too_long.min_by_key(|(_, begun)| *begun).map(|(call, _)| *call)
    }
}

/// A call that has not returned.
pub(super) struct Call<'a> {
    watch: &'a Watch,
    number: u64,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.watch.running().calls.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_that_has_not_returned_is_found() {
        let watch = Watch::default();
        drop(watch.begin("start"));
        assert_eq!(watch.hung(Duration::ZERO), None);
        let _old = watch.begin("lookup");
        let _young = watch.begin("arp");
        assert_eq!(watch.hung(Duration::ZERO), Some("lookup"));
        assert_eq!(watch.hung(Duration::from_secs(3600)), None);
    }

    #[test]
    fn a_status_names_its_call() {
        let minute = Duration::from_secs(60);
        assert_eq!((call_of(HUNG, minute), call_of(HUNG + 7, minute)), (Some(("load", LOAD_MAX)), Some(("lookup", minute))));
        for other in [0, 1, 64, 77, TALKED, i32::MIN, HUNG + CALLS.len() as i32] {
            assert_eq!(call_of(other, minute), None);
        }
    }
}
