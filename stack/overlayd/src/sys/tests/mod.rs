//! Do TAPs and underlay sockets do on this kernel what they should? Needs root; says so where it is not.
//!
//! Everything is made in the namespaces of a lab, which goes when the test ends, however it ends.

mod tap;
mod underlay;

use super::error::{Kind, SysError};
use overlay_lab::{Lab, Namespace, need_root};
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// Far more than anything here takes: only what never happens gets there.
const CEILING: Duration = Duration::from_secs(20);
/// Long enough for something to have come if it were to come; shorter only makes the test weaker.
const SILENCE: Duration = Duration::from_millis(150);

/// Held by whoever opens descriptors; wholly by who counts them.
static DESCRIPTORS: RwLock<()> = RwLock::new(());

/// A turn, if the test can run; if not, it is said and counted.
fn turn(test: &str) -> Option<RwLockReadGuard<'static, ()>> {
    can_run(test).then(|| DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner))
}

#[allow(clippy::print_stdout, reason = "the output of a test is where its reader looks")]
fn can_run(test: &str) -> bool {
    let Err(error) = need_root() else { return true };
    println!("SKIPPED: overlayd::sys::{test}: {error}");
    if let Some(file) = std::env::var_os("OVERLAY_SKIP_FILE") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "overlayd::sys::{test}: {error}").unwrap();
    }
    false
}

/// Two hosts, joined by a veth pair with all offloads.
fn lab(name: &str) -> Lab {
    Lab::builder(name).build().unwrap()
}

fn ip(namespace: &Namespace, line: &str) {
    namespace.ip(&[line.to_owned()]).unwrap();
}

/// What `ip` prints of a namespace.
fn shown(namespace: &Namespace, arguments: &[&str]) -> String {
    let output = Command::new("ip").args(["-n", namespace.name()]).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Opens again what this process has just closed. A child of another test has all descriptors until it becomes its program, and the
/// interface or the port is in use as long.
fn reopen<T>(mut open: impl FnMut() -> Result<T, SysError>) -> T {
    eventually("descriptors that are closed everywhere", || match open() {
        Err(error) if matches!(error.kind(), Kind::NameTaken | Kind::AddressInUse) => None,
        result => Some(result.unwrap()),
    })
}

/// Does `work` again and again until it gives something.
fn eventually<T>(what: &str, mut work: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + CEILING;
    loop {
        if let Some(result) = work() {
            return result;
        }
        assert!(Instant::now() < deadline, "{what}: not within {CEILING:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
